"""DeepLab: one backbone, one classifier, one scale.

The plain classifier on `vgg-v1` is DeepLab-LargeFOV, the baseline of the paper's Table 3; `ASPP` on `resnet101` is the
network that its authors released.
"""

from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp
from flax import nnx

from pgkt_jax.nets.attention import Backbone, Logits
from pgkt_jax.nets.grid import Grid
from pgkt_jax.nets.layers import Keys
from pgkt_jax.typing import Array, Float

NORMAL_01 = nnx.initializers.normal(0.01)
"""DeepLab's initialisation of classifiers."""
RATES = (6, 12, 18, 24)


class ASPP(nnx.Module):
    """Atrous spatial pyramid pooling: [B, h, w, F] -> float32[B, h, w, classes].

    The sum of four 3 x 3 classifiers dilated by 6, 12, 18 and 24 (kazuto1011/deeplab-pytorch, libs/models/deeplabv2.py;
    layers fc1_voc12_c0 to c3 of the published caffemodel).
    """

    def __init__(self, features: int, num_classes: int, *, rngs: nnx.Rngs):
        self.branches = nnx.List(
            [
                nnx.Conv(
                    features, num_classes, (3, 3), kernel_dilation=rate, padding=((rate, rate), (rate, rate)),
                    kernel_init=NORMAL_01, rngs=rngs,
                )
                for rate in RATES
            ]
        )  # fmt: skip

    def __call__(self, x: Float[Array, "B h w F"]) -> Float[Array, "B h w C"]:
        out = self.branches[0](x)
        for branch in self.branches[1:]:
            out = out + branch(x)
        return out


class Subpixel(nnx.Module):
    """[B, h, w, F] -> float32[B, 2h, 2w, classes]: every feature classifies the 2 x 2 pixels that it stands for.

    Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural
    Network" (CVPR 2016). Costs no more than a 1 x 1 classifier and shows limbs that are a pixel thin.
    """

    def __init__(self, features: int, num_classes: int, *, rngs: nnx.Rngs):
        self.corners = nnx.Conv(features, 4 * num_classes, (1, 1), rngs=rngs)

    def __call__(self, x: Float[Array, "B h w F"]) -> Float[Array, "B H W C"]:
        x = self.corners(x)
        batch, height, width, channels = x.shape
        x = x.reshape(batch, height, width, 2, 2, channels // 4).transpose(0, 1, 3, 2, 4, 5)
        return x.reshape(batch, 2 * height, 2 * width, channels // 4)


Head = Literal["plain", "aspp", "subpixel"]


class DeepLab(nnx.Module):
    """[B, H, W, 3] -> float32 logits at the backbone's resolution (twice that: `subpixel`), with one loss.

    Args:
        backbone: the network below.
        num_classes: classes, background among them.
        head: `plain`: one 1 x 1 convolution; `aspp`; or `subpixel`, for a backbone at half the image's resolution.
    """

    def __init__(self, backbone: Backbone, num_classes: int, *, head: Head, rngs: nnx.Rngs):
        heads: dict[Head, Callable[[], nnx.Module]] = {
            "plain": lambda: nnx.Conv(backbone.features, num_classes, (1, 1), kernel_init=NORMAL_01, rngs=rngs),
            "aspp": lambda: ASPP(backbone.features, num_classes, rngs=rngs),
            "subpixel": lambda: Subpixel(backbone.features, num_classes, rngs=rngs),
        }
        self.backbone, self.classifier = backbone, heads[head]()

    @property
    def grid(self) -> Grid:
        """Where the logits lie."""
        own = self.backbone.grid
        return own.halved() if isinstance(self.classifier, Subpixel) else own

    def __call__(self, x: Float[Array, "B H W 3"], keys: Keys = None) -> Logits:
        logits = self.classifier(self.backbone(x, keys).astype(jnp.float32))
        # Two pixels a feature can be one too many where the image's sides are odd.
        return Logits(logits[:, : x.shape[1], : x.shape[2]], ())
