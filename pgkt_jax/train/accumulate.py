"""Gradients of a batch that is too large for the device's memory: part by part, added up."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from pgkt_jax.typing import Array, Float


def value_and_grad_in_parts(
    loss: Callable[..., Float[Array, ""]], params: Any, batch: tuple, weights: Float[Array, "B"], *, parts: int
) -> tuple[Float[Array, ""], Any]:
    """`jax.value_and_grad` of a mean over a batch, with the memory of one part: the same but for rounding.

    Args:
        loss: (params, *batch) -> a mean over what is labelled in it.
        params: a pytree of floats.
        batch: arrays [B, ...], any pytree of them each.
        weights: how much is labelled in every sample.
        parts: their number, a divisor of B. Part i is of samples i, i + parts, ...: of each device's an equal share.
    """
    value_and_grad = jax.value_and_grad(loss)
    if parts == 1:
        return value_and_grad(params, *batch)
    shares = weights / jnp.maximum(jnp.sum(weights), 1)

    def add(sums: Any, part: tuple) -> tuple[Any, None]:
        shares, *batch = part
        share, found = jnp.sum(shares), value_and_grad(params, *batch)
        return jax.tree.map(lambda total, term: total + share * term, sums, found), None

    parted = jax.tree.map(lambda leaf: leaf.reshape(-1, parts, *leaf.shape[1:]).swapaxes(0, 1), (shares, *batch))
    zeros = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params))
    return jax.lax.scan(add, zeros, parted)[0]
