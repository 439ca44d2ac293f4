"""The parsing network (paper, section 3.7): attention to scale over a shared fully convolutional network.

After Chen et al., "Attention to Scale: Scale-aware Semantic Image Segmentation" (CVPR 2016), layer by layer as in
Engineering-Course/LIP_SSL, human/config/attention/train.prototxt (Gong et al., CVPR 2017, who add a loss of joints):
fc7 of all scales on the first one's grid, concatenated; att_conv1, 3 x 3 to 512, with ReLU and dropout; att_fc, 1 x 1,
to a softmax over the scales; the sum of the weighed fc8. There the half scale's own loss is at its own resolution; here
every scale is compared at the first one's.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from pgkt_jax.nets.grid import Grid, regridded
from pgkt_jax.nets.layers import Keys, dropout, fold_keys, resize
from pgkt_jax.typing import Array, Float


@runtime_checkable
class Backbone(Protocol):
    """What the attention model asks of its shared network: `features` channels, and the grid on which they lie."""

    features: int
    grid: Grid

    def __call__(self, x: Float[Array, "B H W 3"], keys: Keys = None) -> Float[Array, "B h w F"]: ...


class Logits(NamedTuple):
    """float32[B, h, w, classes] each: fused over the scales, and of every scale on its own."""

    fused: Float[Array, "B h w C"]
    scales: tuple[Float[Array, "B h w C"], ...]


class AttentionToScale(nnx.Module):
    """Sees the image at several scales with one backbone and weighs their logits by a learned attention map.

    Args:
        backbone: the shared network.
        num_classes: classes, background among them.
        scales: of the image, the first 1.
        attention_width: channels of the attention head's 3 x 3 convolution.
    """

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        scales: tuple[float, ...] = (1.0, 0.75, 0.5),
        attention_width: int = 512,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        normal = nnx.initializers.normal(0.01)
        self.backbone = backbone
        self.classifier = nnx.Conv(backbone.features, num_classes, (1, 1), kernel_init=normal, rngs=rngs)
        self.attention = nnx.Conv(backbone.features * len(scales), attention_width, (3, 3), dtype=dtype, rngs=rngs)
        self.attention_out = nnx.Conv(attention_width, len(scales), (1, 1), kernel_init=normal, rngs=rngs)
        self.scales = scales

    @property
    def grid(self) -> Grid:
        """Where the logits lie."""
        return self.backbone.grid

    def __call__(self, x: Float[Array, "B H W 3"], keys: Keys = None) -> Logits:
        size = x.shape[1:3]
        sizes = [tuple(max(1, round(side * scale)) for side in size) for scale in self.scales]
        seen = [self.backbone(resize(x, size), fold_keys(keys, i)) for i, size in enumerate(sizes)]
        outputs = seen[0].shape[1:3]
        seen = [regridded(f, self.grid, own, onto=size, outputs=outputs) for f, own in zip(seen, sizes, strict=True)]
        logits = tuple(self.classifier(features.astype(jnp.float32)) for features in seen)
        attended = jax.nn.relu(self.attention(jnp.concatenate(seen, -1)))
        attended = dropout(attended, fold_keys(keys, len(seen)))
        weights = jax.nn.softmax(self.attention_out(attended.astype(jnp.float32)), -1)
        fused = jnp.sum(jnp.stack(logits, -1) * weights[..., None, :], -1)
        return Logits(fused, logits)
