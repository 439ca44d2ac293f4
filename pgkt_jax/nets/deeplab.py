"""DeepLab: one backbone, one classifier, one scale.

The plain classifier on `vgg-v1` is DeepLab-LargeFOV, the baseline of the paper's Table 3; `ASPP` on `resnet101` is the
network that its authors released.
"""

import jax.numpy as jnp
from flax import nnx

from pgkt_jax.nets.attention import Backbone, Logits
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


class DeepLab(nnx.Module):
    """[B, H, W, 3] -> float32 logits at the backbone's resolution; no scale has a loss of its own.

    Args:
        backbone: the network below.
        num_classes: classes, background among them.
        aspp: classify by `ASPP`; else by one 1 x 1 convolution.
    """

    def __init__(self, backbone: Backbone, num_classes: int, *, aspp: bool, rngs: nnx.Rngs):
        self.backbone = backbone
        self.classifier = (
            ASPP(backbone.features, num_classes, rngs=rngs)
            if aspp
            else nnx.Conv(backbone.features, num_classes, (1, 1), kernel_init=NORMAL_01, rngs=rngs)
        )

    def __call__(self, x: Float[Array, "B H W 3"], keys: Keys = None) -> Logits:
        return Logits(self.classifier(self.backbone(x, keys).astype(jnp.float32)), ())
