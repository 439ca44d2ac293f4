"""The refinement network (paper, section 3.5): the U-Net of pix2pix, part masks in and part masks out.

Shapes and initialisation follow `unet_256` of Isola et al., "Image-to-Image Translation with Conditional Adversarial
Networks" (CVPR 2017), without its final tanh: the outputs are logits or plain mask values, as the loss wants them.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from pgkt_jax.nets.layers import NORMAL_02, DownConv, Keys, UpConv, dropout, fold_keys, instance_norm, pad_to_multiple
from pgkt_jax.typing import Array, Float


class UNet(nnx.Module):
    """[B, H, W, in] -> float32[B, H, W, out].

    Halves the image `depth` times and doubles it back, each level with a skip. Level i has `width * min(2**i, 8)`
    channels. Every convolution but the outermost and the innermost is instance normalised (on a 1 x 1 map normalisation
    leaves zeros), and the `dropout_blocks` decoder blocks around the innermost drop half of their activations.

    Any H and W: the input is padded by its edge to a multiple of 2**depth, the output cropped. With `input_skip` a
    1 x 1 convolution of the input is added to the output: pix2pix has no connection at full resolution, so a prior
    could not pass through unharmed.
    """

    def __init__(
        self,
        features_in: int,
        features_out: int,
        *,
        depth: int = 8,
        width: int = 64,
        dropout_blocks: int = 3,
        input_skip: bool = False,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        widths = [width * min(2**i, 8) for i in range(depth)]

        def down(level: int) -> DownConv:
            below, normalised = widths[level - 1] if level else features_in, 0 < level < depth - 1
            return DownConv(below, widths[level], bias=not normalised, dtype=dtype, rngs=rngs)

        def up(level: int) -> UpConv:
            below = widths[level] * (1 if level == depth - 1 else 2)
            features = widths[level - 1] if level else features_out
            return UpConv(below, features, bias=level == 0, dtype=dtype, rngs=rngs)

        self.downs = nnx.List([down(level) for level in range(depth)])
        self.ups = nnx.List([up(level) for level in range(depth)])
        self.depth, self.dropout_blocks = depth, dropout_blocks
        self.input_skip = nnx.data(
            nnx.Conv(features_in, features_out, (1, 1), use_bias=False, kernel_init=NORMAL_02, dtype=dtype, rngs=rngs)
            if input_skip
            else None
        )

    def __call__(self, image: Float[Array, "B H W I"], keys: Keys = None) -> Float[Array, "B H W O"]:
        height, width = image.shape[1:3]
        x, skips = pad_to_multiple(image, 2**self.depth), []
        for level, down in enumerate(self.downs):
            x = down(x if level == 0 else jax.nn.leaky_relu(x, 0.2))
            x = instance_norm(x) if 0 < level < self.depth - 1 else x
            skips.append(x)
        x = skips.pop()
        for level in reversed(range(1, self.depth)):
            x = instance_norm(self.ups[level](jax.nn.relu(x)))
            if 0 < self.depth - 1 - level <= self.dropout_blocks:
                x = dropout(x, fold_keys(keys, level))
            x = jnp.concatenate([skips.pop(), x], -1)
        out = self.ups[0](jax.nn.relu(x))[:, :height, :width]
        return (out if self.input_skip is None else out + self.input_skip(image)).astype(jnp.float32)
