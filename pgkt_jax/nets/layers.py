"""The layers that flax has not, or has too slow: one image a row, NHWC, float32 parameters, any compute dtype.

Networks take `keys`, one random key an image, instead of a stream of random numbers: an image's dropout then depends
on that image alone and not on the batch, the device or the host that it lands on. `keys=None` means no dropout.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from pgkt_jax.typing import Array, Float, Key

Keys = Key[Array, "B"] | None
NORMAL_02 = nnx.initializers.normal(0.02)
"""pix2pix's initialisation."""


def instance_norm(x: Float[Array, "B H W C"], epsilon: float = 1e-5) -> Float[Array, "B H W C"]:
    """Every channel of every image to mean 0 and variance 1, in float32, without scale and bias (pix2pix's)."""
    wide = x.astype(jnp.float32)
    mean = jnp.mean(wide, (1, 2), keepdims=True)
    variance = jnp.mean(jnp.square(wide - mean), (1, 2), keepdims=True)
    return ((wide - mean) * jax.lax.rsqrt(variance + epsilon)).astype(x.dtype)


def dropout(x: Float[Array, "B H W C"], keys: Keys, rate: float = 0.5) -> Float[Array, "B H W C"]:
    """Zeroes activations at `rate`, each image by its own key, and rescales the rest."""
    if keys is None:
        return x
    keep = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - rate, x.shape[1:]))(keys)
    return jnp.where(keep, x / (1 - rate), 0)


def fold_keys(keys: Keys, salt: int) -> Keys:
    """The same keys for another layer."""
    return None if keys is None else jax.vmap(lambda key: jax.random.fold_in(key, salt))(keys)


def resize(x: Float[Array, "B h w C"], size: tuple[int, ...]) -> Float[Array, "B H W C"]:
    """Bilinear, antialiased where it shrinks."""
    return x if x.shape[1:3] == size else jax.image.resize(x, (x.shape[0], *size, x.shape[3]), "linear")


def max_pool(x: Float[Array, "B h w C"], *, stride: int) -> Float[Array, "B H W C"]:
    """3 x 3 maximum, padding 1, sizes rounded up as in Caffe: n becomes ceil((n - 1) / stride) + 1."""
    ends = [-(-(n - 1) // stride) * stride + 2 - n for n in x.shape[1:3]]
    return nnx.max_pool(x, (3, 3), (stride, stride), [(1, end) for end in ends])


def mean_pool(x: Float[Array, "B h w C"]) -> Float[Array, "B h w C"]:
    """3 x 3 mean of stride 1, padding 1; the zeros around count, as in Caffe."""
    edges = ((0, 0), (1, 1), (1, 1), (0, 0))
    return jax.lax.reduce_window(x, x.dtype.type(0), jax.lax.add, (1, 3, 3, 1), (1, 1, 1, 1), edges) / 9


class InputScaling(nnx.Module):
    """From our images, RGB in -1..1, to what a network was trained to see: (x - center) * gain a channel, in float32.

    Both come with the weights (`pretrained`) and never learn. The default, that of torchvision: mean 0 and variance 1
    over ImageNet.
    """

    def __init__(self) -> None:
        self.center = nnx.BatchStat(jnp.array([-0.03, -0.088, -0.188]))
        self.gain = nnx.BatchStat(1 / jnp.array([0.458, 0.448, 0.45]))

    def __call__(self, x: Float[Array, "B H W 3"]) -> Float[Array, "B H W 3"]:
        return (x - jax.lax.stop_gradient(self.center[...])) * jax.lax.stop_gradient(self.gain[...])


def pad_to_multiple(x: Float[Array, "B h w C"], multiple: int) -> Float[Array, "B H W C"]:
    """Continues rows and columns by the edge until their numbers are multiples."""
    rows, columns = (-length % multiple for length in x.shape[1:3])
    return jnp.pad(x, ((0, 0), (0, rows), (0, columns), (0, 0)), mode="edge")


class Conv3x3(nnx.Module):
    """3 x 3 convolution of stride 1, padding 1, without bias: [B, h, w, in] -> [B, h, w, out]."""

    def __init__(
        self,
        features_in: int,
        features: int,
        *,
        kernel_init: nnx.Initializer,
        dtype: DTypeLike,
        rngs: nnx.Rngs,
    ):
        self.kernel = nnx.Param(kernel_init(rngs.params(), (3, 3, features_in, features), jnp.float32))
        self.dtype = dtype

    def __call__(self, x: Float[Array, "B h w I"]) -> Float[Array, "B h w O"]:
        convolve = _conv3x3_by_products if jax.default_backend() == "cpu" else _conv3x3
        return convolve(x.astype(self.dtype), self.kernel[...].astype(self.dtype))


def _conv3x3(x: Float[Array, "B h w I"], kernel: Float[Array, "3 3 I O"]) -> Float[Array, "B h w O"]:
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


@jax.custom_vjp
def _conv3x3_by_products(x: Float[Array, "B h w I"], kernel: Float[Array, "3 3 I O"]) -> Float[Array, "B h w O"]:
    """The same; the kernel's gradient is three matrix products: XLA's CPU backend takes two to three times as long
    where it makes that one by a convolution with a window as large as the image.
    """
    return _conv3x3(x, kernel)


def _conv3x3_forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _conv3x3(x, kernel), (x, kernel)


def _conv3x3_backward(saved: tuple[jax.Array, jax.Array], out: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    return _conv3x3(out, kernel[::-1, ::-1].transpose(0, 1, 3, 2)), _kernel_gradient(x, out)


def _kernel_gradient(x: Float[Array, "B h w I"], out: Float[Array, "B h w O"]) -> Float[Array, "3 3 I O"]:
    """`kernel[i, j] = sum of x[row + i - 1, column + j - 1] out[row, column]`, over all pixels of all images.

    `out` moves by columns, its three places side by side as channels; `x` moves by rows. With a row of zeros above and
    below every image a move by a row is a slice of all rows of the batch in one line, so nothing else is copied.
    """
    (_, _, width, features_in), features = x.shape, out.shape[3]
    padded = jnp.pad(out, ((0, 0), (1, 1), (1, 1), (0, 0)))
    moved = jnp.concatenate([padded[:, :, 2 - j : 2 - j + width] for j in range(3)], -1).reshape(-1, 3 * features)
    line = jnp.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0))).reshape(-1, features_in)
    ends = len(line) - 2 * width
    rows = [jnp.dot(line[i * width : i * width + ends].T, moved[width:-width]) for i in range(3)]
    return jnp.stack(rows).reshape(3, features_in, 3, features).transpose(0, 2, 1, 3)


_conv3x3_by_products.defvjp(_conv3x3_forward, _conv3x3_backward)


class DownConv(nnx.Module):
    """4 x 4 convolution of stride 2, padding 1: [B, h, w, in] -> [B, h / 2, w / 2, out]; h and w even.

    On CPUs it is four matrix products over 2 x 2 blocks: XLA's CPU backend differentiates a strided convolution up to
    three times slower than that.
    """

    def __init__(
        self,
        features_in: int,
        features: int,
        *,
        bias: bool,
        kernel_init: nnx.Initializer = NORMAL_02,
        dtype: DTypeLike,
        rngs: nnx.Rngs,
    ):
        self.kernel = nnx.Param(kernel_init(rngs.params(), (4, 4, features_in, features), jnp.float32))
        self.bias = nnx.Param(jnp.zeros(features)) if bias else None
        self.dtype = dtype

    def __call__(self, x: Float[Array, "B h w I"]) -> Float[Array, "B H W O"]:
        x, kernel = x.astype(self.dtype), self.kernel[...].astype(self.dtype)
        down = _by_blocks if jax.default_backend() == "cpu" else _strided
        out = down(x, kernel)
        return out if self.bias is None else out + self.bias[...].astype(self.dtype)


def _strided(x: Float[Array, "B h w I"], kernel: Float[Array, "4 4 I O"]) -> Float[Array, "B H W O"]:
    padding = ((1, 1), (1, 1))
    return jax.lax.conv_general_dilated(x, kernel, (2, 2), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _by_blocks(x: Float[Array, "B h w I"], kernel: Float[Array, "4 4 I O"]) -> Float[Array, "B H W O"]:
    (batch, height, width, features_in), features = x.shape, kernel.shape[3]
    rows, columns = height // 2, width // 2
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    blocks = padded.reshape(batch, rows + 1, 2, columns + 1, 2, features_in).transpose(0, 1, 3, 2, 4, 5)
    blocks = blocks.reshape(batch, rows + 1, columns + 1, 4 * features_in)
    # Kernel tap 2 i + phase belongs to the output's block i: a 2 x 2 convolution over blocks.
    taps = kernel.reshape(2, 2, 2, 2, features_in, features).transpose(0, 2, 1, 3, 4, 5)
    taps = taps.reshape(2, 2, 4 * features_in, features)
    out = jnp.zeros((batch * rows * columns, features), x.dtype)
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        out += jnp.dot(blocks[:, i : i + rows, j : j + columns].reshape(-1, 4 * features_in), taps[i, j])
    return out.reshape(batch, rows, columns, features)


class UpConv(nnx.Module):
    """Transposed 4 x 4 convolution of stride 2, padding 1: [B, h, w, in] -> [B, 2h, 2w, out].

    `out[2i + a - 1] += x[i] kernel[a]`, PyTorch's convention. On CPUs it is one matrix product and an overlap-add:
    XLA's CPU backend differentiates a dilated convolution 5 to 10 times slower than that.
    """

    def __init__(
        self,
        features_in: int,
        features: int,
        *,
        bias: bool,
        dtype: DTypeLike,
        rngs: nnx.Rngs,
    ):
        self.kernel = nnx.Param(NORMAL_02(rngs.params(), (4, 4, features_in, features), jnp.float32))
        self.bias = nnx.Param(jnp.zeros(features)) if bias else None
        self.dtype = dtype

    def __call__(self, x: Float[Array, "B h w I"]) -> Float[Array, "B H W O"]:
        x, kernel = x.astype(self.dtype), self.kernel[...].astype(self.dtype)
        up = _overlap_add if jax.default_backend() == "cpu" else _dilated
        out = up(x, kernel)
        return out if self.bias is None else out + self.bias[...].astype(self.dtype)


def _dilated(x: Float[Array, "B h w I"], kernel: Float[Array, "4 4 I O"]) -> Float[Array, "B H W O"]:
    dimensions = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_transpose(x, kernel[::-1, ::-1], (2, 2), "SAME", dimension_numbers=dimensions)


def _overlap_add(x: Float[Array, "B h w I"], kernel: Float[Array, "4 4 I O"]) -> Float[Array, "B H W O"]:
    (batch, height, width, features_in), features = x.shape, kernel.shape[3]
    product = jnp.dot(x.reshape(-1, features_in), kernel.transpose(2, 0, 1, 3).reshape(features_in, -1))
    # Row tap a = 2 block + phase lands in output block i + block: four shifted images of 2 x 2 blocks add up.
    taps = product.reshape(batch, height, width, 2, 2, 2, 2, features)
    blocks = jnp.zeros((batch, height + 1, width + 1, 2, 2, features), x.dtype)
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        blocks += jnp.pad(taps[:, :, :, i, :, j], ((0, 0), (i, 1 - i), (j, 1 - j), (0, 0), (0, 0), (0, 0)))
    wide = blocks.transpose(0, 1, 3, 2, 4, 5).reshape(batch, 2 * height + 2, 2 * width + 2, features)
    return wide[:, 1:-1, 1:-1]
