"""What the networks minimise. Pixels labelled `IGNORE` count for nothing; each loss is a mean over the others."""

import jax
import jax.numpy as jnp

from pgkt_jax.skeleton import IGNORE
from pgkt_jax.typing import Array, Float, UInt8


def cross_entropy(logits: Float[Array, "B H W C"], classes: UInt8[Array, "B H W"]) -> Float[Array, ""]:
    """The multinomial logistic loss (paper, section 3.7), in nats a pixel."""
    weight = (classes != IGNORE).astype(logits.dtype)
    target = jax.nn.one_hot(classes, logits.shape[-1], dtype=logits.dtype)
    pixel = jax.nn.logsumexp(logits, -1) - jnp.sum(logits * target, -1)
    return jnp.sum(pixel * weight) / jnp.maximum(jnp.sum(weight), 1)


def mask_l1(masks: Float[Array, "B H W M"], classes: UInt8[Array, "B H W"]) -> Float[Array, ""]:
    """The L1 distance between part masks and binary part masks (paper, equation 6), per mask and pixel."""
    weight = (classes != IGNORE).astype(masks.dtype)
    target = jax.nn.one_hot(classes - 1, masks.shape[-1], dtype=masks.dtype)
    pixel = jnp.mean(jnp.abs(masks - target), -1)
    return jnp.sum(pixel * weight) / jnp.maximum(jnp.sum(weight), 1)
