"""Parsing networks by name: a backbone and a head over it."""

from typing import Literal

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from pgkt_jax.nets import backbones
from pgkt_jax.nets.attention import AttentionToScale
from pgkt_jax.nets.deeplab import DeepLab, Head


def parser(
    backbone: str,
    head: Literal["attention"] | Head,
    num_classes: int,
    *,
    width: int | None = None,
    scales: tuple[float, ...] = (1.0, 0.75, 0.5),
    attention_width: int = 512,
    dtype: DTypeLike = jnp.float32,
    rngs: nnx.Rngs,
) -> AttentionToScale | DeepLab:
    """A parsing network, freshly initialised: `Logits` of images in -1..1.

    Args:
        backbone: one of `backbones.BACKBONES`.
        head: `attention` over `scales`, or one scale with a head of `DeepLab`.
        num_classes: classes, background among them.
        width: of the backbone; None: its own.
        scales, attention_width: of the attention head.
        dtype: of the arithmetic; parameters, normalisation and logits are float32.
    """
    own = {} if width is None else {"width": width}
    below = backbones.backbone(backbone, **own, dtype=dtype, rngs=rngs)
    if head == "attention":
        return AttentionToScale(
            below, num_classes, scales=scales, attention_width=attention_width, dtype=dtype, rngs=rngs
        )
    return DeepLab(below, num_classes, head=head, rngs=rngs)
