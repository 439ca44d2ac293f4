"""A small fully convolutional network for the attention model, trained from scratch on two CPU cores.

Stands where the paper has VGG-16: an image in, features out, at half the image's resolution.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from pgkt_jax.nets.layers import Keys, instance_norm, pad_to_multiple
from pgkt_jax.nets.unet import Hourglass
from pgkt_jax.typing import Array, Float


class SmallFCN(nnx.Module):
    """[B, H, W, 3] -> [B, ceil(H / 2), ceil(W / 2), width]: an hourglass of five halvings and a 3 x 3 convolution.

    On 25 and on 658 people of street_people it learnt more in equal time than a pyramid of residual blocks.
    """

    def __init__(self, *, width: int = 24, dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs):
        he_normal = nnx.initializers.he_normal()
        self.hourglass = Hourglass(
            3, depth=5, width=width, dropout_blocks=1, kernel_init=he_normal, dtype=dtype, rngs=rngs
        )
        self.out = nnx.Conv(
            self.hourglass.features, width, (3, 3), use_bias=False, kernel_init=he_normal, dtype=dtype, rngs=rngs
        )
        self.features = width

    def __call__(self, x: Float[Array, "B H W 3"], keys: Keys = None) -> Float[Array, "B h w F"]:
        height, width = (-(-length // 2) for length in x.shape[1:3])
        out = self.out(self.hourglass(pad_to_multiple(x, 2**self.hourglass.depth), keys))
        features = jax.nn.relu(instance_norm(out[:, :height, :width]))
        # The classifier above learns ten times as fast as this network; features a tenth in square keep its steps, in
        # logits, as large as they would be at one learning rate, so that the rate can suit the convolutions.
        return features * 10**-0.5
