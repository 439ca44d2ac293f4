"""DeepLab-LargeFOV: the VGG-16 of the paper's parsing network, at an eighth of the image's resolution.

Layer by layer after the published `DeepLab-LargeFOV` prototxt of Chen et al., "Semantic Image Segmentation with Deep
Convolutional Nets and Fully Connected CRFs" (ICLR 2015), as stored at TheLegendAli/DeepLab-Context,
config/DeepLab-LargeFOV/test.prototxt; without its average pool it is the network that "Attention to Scale" (CVPR 2016)
shares between scales (see `nets.attention` for its prototxt).
"""

import itertools

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from pgkt_jax.nets.grid import Grid
from pgkt_jax.nets.layers import InputScaling, Keys, dropout, fold_keys, max_pool, mean_pool
from pgkt_jax.typing import Array, Float

DEPTHS = (2, 2, 3, 3, 3)
"""Convolutions a stage."""


class LargeFOV(nnx.Module):
    """[B, H, W, 3] -> [B, h, w, 16 width]; h is H after H -> floor(H / 2) + 1 three times (320 or 321 -> 41).

    Every stage ends in a 3 x 3 max pool; the last two pools keep the resolution, and what follows is dilated instead:
    conv5 by 2, fc6 by 12. Half of the activations of fc6 and fc7 are dropped while training.

    Args:
        width: channels of the first stage; VGG-16 has 64, which makes fc7 1024.
        average_pool: a 3 x 3 average pool after the last stage: DeepLab-LargeFOV as published on its own has it
            (pool5a), the attention model has not.
    """

    grid = Grid(0, 8)

    def __init__(self, *, width: int = 64, average_pool: bool = False, dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs):
        def conv(features_in: int, features: int, side: int = 3, dilation: int = 1) -> nnx.Conv:
            reach = dilation * (side // 2)
            return nnx.Conv(
                features_in, features, (side, side), kernel_dilation=dilation, padding=((reach, reach), (reach, reach)),
                kernel_init=nnx.initializers.he_normal(), dtype=dtype, rngs=rngs,
            )  # fmt: skip

        def stage(level: int, depth: int) -> list[nnx.Conv]:
            below = width * min(2 ** (level - 1), 8) if level else 3
            channels = [below, *depth * [width * min(2**level, 8)]]
            return [conv(a, b, dilation=2 if level == 4 else 1) for a, b in itertools.pairwise(channels)]

        self.features = 16 * width
        self.scaling = InputScaling()
        self.stages = nnx.List([nnx.List(stage(level, depth)) for level, depth in enumerate(DEPTHS)])
        self.fc6 = conv(8 * width, self.features, dilation=12)
        self.fc7 = conv(self.features, self.features, side=1)
        self.average_pool = average_pool

    def __call__(self, x: Float[Array, "B H W 3"], keys: Keys = None) -> Float[Array, "B h w F"]:
        x = self.scaling(x)
        for level, stage in enumerate(self.stages):
            for conv in stage:
                x = jax.nn.relu(conv(x))
            x = max_pool(x, stride=2 if level < 3 else 1)
        if self.average_pool:
            x = mean_pool(x)
        x = dropout(jax.nn.relu(self.fc6(x)), fold_keys(keys, 6))
        return dropout(jax.nn.relu(self.fc7(x)), fold_keys(keys, 7))
