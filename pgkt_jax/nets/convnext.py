"""ConvNeXt-Tiny, the backbone of today: what a practitioner would take in VGG-16's place.

Liu et al., "A ConvNet for the 2020s" (CVPR 2022), as torchvision/models/convnext.py has it, so that its ImageNet
weights fit. Evidence: under UPerNet on ADE20K, at the same 160,000 steps and 512 x 512 crops, mmsegmentation's model
zoo lists 46.1 mIoU for ConvNeXt-T and 44.4 for Swin-T (configs/convnext/convnext.yml, configs/swin/README.md), both of
about 28 M parameters; and plain convolutions take images of any size.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike

from pgkt_jax.nets.grid import Grid
from pgkt_jax.nets.layers import InputScaling, Keys, dropout, fold_keys, pad_to_multiple, resize
from pgkt_jax.typing import Array, Float

TRUNCATED_02 = nnx.initializers.truncated_normal(0.02)
GRID = 1
"""Features have the resolution of this stage, an eighth of the image's."""


class LayerNorm(nnx.Module):
    """Every pixel's channels to mean 0 and variance 1, in float32, then a learned scale and bias."""

    def __init__(self, features: int, *, rngs: nnx.Rngs):
        self.norm = nnx.LayerNorm(features, epsilon=1e-6, dtype=jnp.float32, rngs=rngs)

    def __call__(self, x: Float[Array, "B h w C"]) -> Float[Array, "B h w C"]:
        return self.norm(x.astype(jnp.float32)).astype(x.dtype)


class Block(nnx.Module):
    """x + gamma * (7 x 7 depthwise, norm, 1 x 1 to four times the channels, GELU, 1 x 1 back).

    While training, the branch of an image is left out at the rate `drop` (stochastic depth, by the image's own key).
    """

    def __init__(self, width: int, *, drop: float, dtype: DTypeLike, rngs: nnx.Rngs):
        self.depthwise = _convolution(width, width, 7, groups=width, dtype=dtype, rngs=rngs)
        self.norm = LayerNorm(width, rngs=rngs)
        self.expand = _convolution(width, 4 * width, 1, dtype=dtype, rngs=rngs)
        self.project = _convolution(4 * width, width, 1, dtype=dtype, rngs=rngs)
        self.gamma = nnx.Param(jnp.full(width, 1e-6))
        self.drop = drop

    def __call__(self, x: Float[Array, "B h w C"], keys: Keys) -> Float[Array, "B h w C"]:
        out = self.norm(self.depthwise(x))
        out = self.project(jax.nn.gelu(self.expand(out), approximate=False)) * self.gamma[...].astype(x.dtype)
        return x + out * dropout(jnp.ones((x.shape[0], 1, 1, 1), x.dtype), keys, self.drop)


class ConvNeXt(nnx.Module):
    """[B, H, W, 3] -> [B, ceil(H / 8), ceil(W / 8), features].

    Four stages at strides 4, 8, 16, 32. Each is normalised and projected, all are resized to the second one's grid and
    added (the all-MLP decoder of SegFormer, Xie et al., NeurIPS 2021, whose concatenation and linear fusion are such a
    sum); a tenth of the sum is dropped while training, as there. Images are continued by their edge to a multiple of
    32.

    Args:
        width: channels of the first stage, doubled at each; Tiny has 96.
        blocks: of each stage.
        features: channels of the result.
        drop_path: rate of stochastic depth at the last block, rising linearly from 0.
    """

    grid = Grid.of_cells(8)

    def __init__(
        self,
        *,
        width: int = 96,
        blocks: tuple[int, int, int, int] = (3, 3, 9, 3),
        features: int = 256,
        drop_path: float = 0.1,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        widths = [width * 2**level for level in range(4)]
        rates = iter(np.linspace(0, drop_path, sum(blocks)).tolist())

        def entry(level: int) -> nnx.Conv:
            if level == 0:
                return _convolution(3, width, 4, stride=4, dtype=dtype, rngs=rngs)
            return _convolution(widths[level - 1], widths[level], 2, stride=2, dtype=dtype, rngs=rngs)

        def stage(level: int) -> list[Block]:
            return [Block(widths[level], drop=next(rates), dtype=dtype, rngs=rngs) for _ in range(blocks[level])]

        self.features = features
        self.scaling = InputScaling()
        self.entries = nnx.List([entry(level) for level in range(4)])
        self.entry_norms = nnx.List([LayerNorm(w, rngs=rngs) for w in (width, *widths[:3])])
        self.stages = nnx.List([nnx.List(stage(level)) for level in range(4)])
        self.out_norms = nnx.List([LayerNorm(w, rngs=rngs) for w in widths])
        self.laterals = nnx.List([_convolution(w, features, 1, dtype=dtype, rngs=rngs) for w in widths])

    def __call__(self, x: Float[Array, "B H W 3"], keys: Keys = None) -> Float[Array, "B h w F"]:
        height, width = (-(-length // 8) for length in x.shape[1:3])
        x, seen = pad_to_multiple(self.scaling(x), 32), []
        for level, stage in enumerate(self.stages):
            entry, norm = self.entries[level], self.entry_norms[level]
            x = norm(entry(x)) if level == 0 else entry(norm(x))
            for i, block in enumerate(stage):
                x = block(x, fold_keys(keys, 100 * level + i))
            seen.append(self.laterals[level](self.out_norms[level](x)))
        grid = seen[GRID].shape[1:3]
        fused = jax.nn.relu(sum(resize(features, grid) for features in seen))
        return dropout(fused, fold_keys(keys, 400), 0.1)[:, :height, :width]


def _convolution(
    features_in: int,
    features: int,
    side: int,
    *,
    stride: int = 1,
    groups: int = 1,
    dtype: DTypeLike,
    rngs: nnx.Rngs,
) -> nnx.Conv:
    return nnx.Conv(
        features_in, features, (side, side), stride, padding="SAME" if stride == 1 else "VALID",
        feature_group_count=groups, kernel_init=TRUNCATED_02, dtype=dtype, rngs=rngs,
    )  # fmt: skip
