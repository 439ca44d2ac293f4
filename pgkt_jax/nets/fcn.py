"""A small fully convolutional network for the attention model, trained from scratch on two CPU cores.

Stands where the paper has VGG-16: an image in, features out, at half the image's resolution.
"""

from itertools import pairwise

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from pgkt_jax.nets.layers import DownConv, Keys, dropout, fold_keys, resize
from pgkt_jax.typing import Array, Float

WIDTHS = (1, 2, 4, 6)
"""Channels at strides 2, 4, 8, 16, in multiples of the network's width."""


class SmallFCN(nnx.Module):
    """[B, H, W, 3] -> [B, ceil(H / 2), ceil(W / 2), width]: a pyramid of residual blocks, added up from the top.

    Most of the arithmetic is at strides 4 to 16, where a CPU's convolutions run fastest.
    """

    def __init__(self, *, width: int = 24, dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs):
        widths = [width * factor for factor in WIDTHS]

        he_normal = nnx.initializers.he_normal()

        def down(features_in: int, features: int) -> DownConv:
            return DownConv(features_in, features, bias=False, kernel_init=he_normal, dtype=dtype, rngs=rngs)

        def conv(features_in: int, features: int, kernel: int) -> nnx.Conv:
            return nnx.Conv(
                features_in, features, (kernel, kernel), use_bias=False, kernel_init=he_normal, dtype=dtype, rngs=rngs
            )

        def norm(features: int) -> nnx.GroupNorm:
            return nnx.GroupNorm(features, num_groups=8, dtype=dtype, rngs=rngs)

        self.stem, self.stem_norm = down(3, widths[0]), norm(widths[0])
        self.downs = nnx.List([down(a, b) for a, b in pairwise(widths)])
        self.down_norms = nnx.List([norm(b) for b in widths[1:]])
        self.blocks = nnx.List([Residual(b, conv, norm) for b in widths[1:]])
        self.laterals = nnx.List([conv(b, a, 1) for a, b in pairwise(widths)])
        self.merges = nnx.List([Residual(a, conv, norm) for a in widths[:-1]])
        self.out_norm = norm(widths[0])
        self.features, self.dtype = widths[0], dtype

    def __call__(self, x: Float[Array, "B H W 3"], keys: Keys = None) -> Float[Array, "B h w F"]:
        x = jax.nn.relu(self.stem_norm(self.stem(_even(x))))
        skips = []
        for down, norm, block in zip(self.downs, self.down_norms, self.blocks):
            skips.append(x)
            x = block(jax.nn.relu(norm(down(_even(x)))))
        x = dropout(x, fold_keys(keys, 0), 0.2)
        for skip, lateral, merge in reversed(list(zip(skips, self.laterals, self.merges))):
            x = merge(skip + resize(lateral(x), skip.shape[1:3]))
        # The classifier above learns ten times as fast as this network; features a tenth in square keep its steps, in
        # logits, as large as they would be at one learning rate, so that the rate can suit the convolutions.
        return jax.nn.relu(self.out_norm(x)) * 10**-0.5


def _even(x: Float[Array, "B h w C"]) -> Float[Array, "B H W C"]:
    """Repeats the last row and column where their number is odd."""
    return jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)), mode="edge")


class Residual(nnx.Module):
    """x + conv 3 x 3 of the normalised, rectified x; then rectified."""

    def __init__(self, features: int, conv, norm):
        self.norm, self.conv = norm(features), conv(features, features, 3)

    def __call__(self, x: Float[Array, "B h w F"]) -> Float[Array, "B h w F"]:
        return jax.nn.relu(x + self.conv(jax.nn.relu(self.norm(x))))
