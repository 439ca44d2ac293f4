"""DeepLabv2's ResNet-101: dilated to an eighth of the image's resolution, its normalisation frozen.

After Chen et al., "DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous Convolution, and Fully
Connected CRFs" (PAMI 2018); strides, dilations and pool as in kazuto1011/deeplab-pytorch (libs/models/deeplabv2.py,
resnet.py), which checks every one of them against the published caffemodel while it converts it.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from pgkt_jax.nets.grid import Grid
from pgkt_jax.nets.layers import InputScaling, Keys, max_pool
from pgkt_jax.typing import Array, Float


class FrozenBatchNorm(nnx.Module):
    """Normalises every channel by stored statistics, in float32; neither they nor scale and bias ever learn.

    The recipe freezes all four (MVIG-SJTU/WSHP, parsing_network/train.py: neither `gamma` nor `beta` is trainable).
    """

    def __init__(self, features: int, *, epsilon: float = 1e-5):
        self.scale, self.bias = nnx.Param(jnp.ones(features)), nnx.Param(jnp.zeros(features))
        self.mean, self.variance = nnx.BatchStat(jnp.zeros(features)), nnx.BatchStat(jnp.ones(features))
        self.epsilon = epsilon

    def __call__(self, x: Float[Array, "B h w C"]) -> Float[Array, "B h w C"]:
        factor = self.scale[...] * jax.lax.rsqrt(self.variance[...] + self.epsilon)
        shift = self.bias[...] - self.mean[...] * factor
        factor, shift = jax.lax.stop_gradient((factor, shift))
        return (x.astype(jnp.float32) * factor + shift).astype(x.dtype)


class Bottleneck(nnx.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolution beside a shortcut: [B, h, w, in] -> [B, H, W, 4 width].

    Args:
        stride: of the first 1 x 1 convolution (Caffe's ResNet) or, with `stride_in_3x3`, of the 3 x 3 (torchvision's).
        projected: the shortcut is a 1 x 1 convolution of the same stride.
    """

    def __init__(
        self,
        features_in: int,
        width: int,
        *,
        stride: int,
        dilation: int,
        projected: bool,
        stride_in_3x3: bool,
        dtype: DTypeLike,
        rngs: nnx.Rngs,
    ):
        def conv(features_in: int, features: int, side: int, stride: int) -> nnx.Conv:
            return _convolution(features_in, features, side, stride, dilation if side == 3 else 1, dtype, rngs)

        first, second = (1, stride) if stride_in_3x3 else (stride, 1)
        self.conv1, self.norm1 = conv(features_in, width, 1, first), FrozenBatchNorm(width)
        self.conv2, self.norm2 = conv(width, width, 3, second), FrozenBatchNorm(width)
        self.conv3, self.norm3 = conv(width, 4 * width, 1, 1), FrozenBatchNorm(4 * width)
        if projected:
            self.shortcut, self.shortcut_norm = conv(features_in, 4 * width, 1, stride), FrozenBatchNorm(4 * width)
        self.projected = projected

    def __call__(self, x: Float[Array, "B h w I"]) -> Float[Array, "B H W O"]:
        out = jax.nn.relu(self.norm1(self.conv1(x)))
        out = jax.nn.relu(self.norm2(self.conv2(out)))
        out = self.norm3(self.conv3(out))
        return jax.nn.relu(out + (self.shortcut_norm(self.shortcut(x)) if self.projected else x))


class ResNet(nnx.Module):
    """[B, H, W, 3] -> [B, h, w, 32 width], at strides 4, 8, 8, 8 after the four stages.

    The third and fourth stage are dilated by 2 and 4 in place of their strides, all of their blocks alike
    (torchvision's own option dilates the first block by less).

    Args:
        width: channels of the stem; ResNet-101 has 64, which makes the last stage's 2048.
        blocks: bottlenecks a stage.
        stride_in_3x3: torchvision's weights were trained so, Caffe's and TensorFlow's with the stride in the 1 x 1.
    """

    grid = Grid(0, 8)

    def __init__(
        self,
        *,
        width: int = 64,
        blocks: tuple[int, int, int, int] = (3, 4, 23, 3),
        stride_in_3x3: bool = False,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        def stage(level: int) -> list[Bottleneck]:
            inner, stride, dilation = width * 2**level, (1, 2, 1, 1)[level], (1, 1, 2, 4)[level]
            below = 2 * inner if level else width
            return [
                Bottleneck(
                    4 * inner if block else below, inner, stride=1 if block else stride, dilation=dilation,
                    projected=block == 0, stride_in_3x3=stride_in_3x3, dtype=dtype, rngs=rngs,
                )
                for block in range(blocks[level])
            ]  # fmt: skip

        self.features = 32 * width
        self.scaling = InputScaling()
        self.conv1, self.norm1 = _convolution(3, width, 7, 2, 1, dtype, rngs), FrozenBatchNorm(width)
        self.stages = nnx.List([nnx.List(stage(level)) for level in range(4)])

    def __call__(self, x: Float[Array, "B H W 3"], keys: Keys = None) -> Float[Array, "B h w F"]:
        x = max_pool(jax.nn.relu(self.norm1(self.conv1(self.scaling(x)))), stride=2)
        for stage in self.stages:
            for block in stage:
                x = block(x)
        return x


def _convolution(
    features_in: int, features: int, side: int, stride: int, dilation: int, dtype: DTypeLike, rngs: nnx.Rngs
) -> nnx.Conv:
    reach = dilation * (side // 2)
    return nnx.Conv(
        features_in, features, (side, side), stride, padding=((reach, reach), (reach, reach)), kernel_dilation=dilation,
        use_bias=False, kernel_init=nnx.initializers.he_normal(), dtype=dtype, rngs=rngs,
    )  # fmt: skip
