"""The networks and their layers: shapes, closed forms, and dropout that belongs to the image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from pgkt_jax.nets.attention import AttentionToScale
from pgkt_jax.nets.deeplab import DeepLab
from pgkt_jax.nets.fcn import SmallFCN
from pgkt_jax.nets.grid import Grid
from pgkt_jax.nets.layers import (
    UpConv,
    _by_blocks,
    _conv3x3,
    _conv3x3_by_products,
    _dilated,
    _overlap_add,
    _strided,
    dropout,
    instance_norm,
)
from pgkt_jax.nets.unet import UNet

rng = np.random.default_rng(0)


def normal(*shape):
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


def keys_of(*seeds):
    return jax.vmap(jax.random.key)(jnp.array(seeds, jnp.uint32))


def shapes_of(make):
    """Structure and parameter shapes of a network, without the cost of initialising it."""
    return nnx.split(nnx.eval_shape(make))


def output_shape(make, size, channels):
    graph, params = shapes_of(make)
    x = jax.ShapeDtypeStruct((2, *size, channels), jnp.float32)
    return jax.eval_shape(lambda params, x: nnx.merge(graph, params)(x), params, x)


def call(make):
    """A network as a jitted function of (parameters, x, keys), and parameters that keep activations near 1."""
    graph, shapes = shapes_of(make)
    params = jax.tree.map(lambda leaf: normal(*leaf.shape) / max(1, np.prod(leaf.shape[:-1])) ** 0.5, shapes)
    return jax.jit(lambda params, x, keys=None: nnx.merge(graph, params)(x, keys)), params


# --- Layers ---------------------------------------------------------------------------------------


def transposed_convolution(x, kernel):
    """Stride 2, padding 1, PyTorch's: every input pixel adds its kernel to the output, then a border of 1 is cut."""
    batch, height, width, _ = x.shape
    out = np.zeros((batch, 2 * height + 2, 2 * width + 2, kernel.shape[3]))
    for i, j in np.ndindex(height, width):
        out[:, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += np.einsum("bc,klco->bklo", x[:, i, j], kernel)
    return out[:, 1:-1, 1:-1]


@pytest.mark.parametrize("up", [_overlap_add, _dilated])
def test_upconv_is_the_transposed_convolution_of_pytorch(up):
    x, kernel = normal(2, 3, 5, 4), normal(4, 4, 4, 3)
    expected = transposed_convolution(np.asarray(x), np.asarray(kernel))
    np.testing.assert_allclose(jax.jit(up)(x, kernel), expected, atol=1e-5)


def convolution(x, kernel):
    """Stride 2, padding 1."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    out = np.zeros((x.shape[0], x.shape[1] // 2, x.shape[2] // 2, kernel.shape[3]))
    for i, j in np.ndindex(out.shape[1:3]):
        window = padded[:, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4]
        out[:, i, j] = np.einsum("bklc,klco->bo", window, kernel)
    return out


@pytest.mark.parametrize("down", [_by_blocks, _strided])
def test_downconv_is_the_convolution_of_stride_2(down):
    x, kernel = normal(2, 4, 6, 3), normal(4, 4, 3, 5)
    np.testing.assert_allclose(jax.jit(down)(x, kernel), convolution(np.asarray(x), np.asarray(kernel)), atol=1e-5)


@pytest.mark.parametrize(
    ("fast", "plain", "side"),
    [(_overlap_add, _dilated, 4), (_by_blocks, _strided, 4), (_conv3x3_by_products, _conv3x3, 3)],
)
def test_both_forms_of_a_convolution_have_the_same_gradients(fast, plain, side):
    x, kernel = normal(2, 4, 2, 3), normal(side, side, 3, 2)
    weights = normal(*jax.eval_shape(fast, x, kernel).shape)

    def gradients(form):
        return jax.jit(jax.grad(lambda x, kernel: jnp.sum(weights * jnp.sin(form(x, kernel))), (0, 1)))(x, kernel)

    for ours, expected in zip(gradients(fast), gradients(plain)):
        np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_upconv_adds_one_bias_a_channel_and_computes_in_its_dtype():
    layer = UpConv(3, 2, bias=True, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    layer.bias[...] = jnp.array([1.0, -2.0])
    out = layer(jnp.zeros((1, 2, 3, 3)))
    assert out.dtype == jnp.bfloat16
    np.testing.assert_array_equal(out.astype(jnp.float32), np.broadcast_to([1.0, -2.0], (1, 4, 6, 2)))


def test_instance_norm_is_its_closed_form_for_every_image_and_channel():
    x = 3 * normal(2, 4, 5, 3) + 7
    wide = np.asarray(x, np.float64)
    expected = (wide - wide.mean((1, 2), keepdims=True)) / np.sqrt(wide.var((1, 2), keepdims=True) + 1e-5)
    np.testing.assert_allclose(jax.jit(instance_norm)(x), expected, atol=1e-5)


def test_instance_norm_of_large_bfloat16_values_is_taken_in_float32():
    ramp = jnp.arange(64.0).reshape(1, 8, 8, 1)  # in bfloat16 256 values would not sum to better than 1 percent
    out = jax.jit(instance_norm)(ramp.astype(jnp.bfloat16))
    assert out.dtype == jnp.bfloat16
    np.testing.assert_allclose(out.astype(jnp.float32), jax.jit(instance_norm)(ramp), atol=0.01)


def test_dropout_keeps_the_share_it_says_and_the_mean():
    out = dropout(jnp.ones((2, 50, 50, 4)), keys_of(1, 2), rate=0.2)
    assert set(np.unique(out)) == {0, np.float32(1) / np.float32(0.8)}
    np.testing.assert_allclose(jnp.mean(out, (1, 2, 3)), 1, atol=0.03)
    assert not np.array_equal(out[0], out[1])


# --- The U-Net ------------------------------------------------------------------------------------

DEPTH = 3


@pytest.fixture(scope="module")
def unet():
    return call(lambda: UNet(4, 5, depth=DEPTH, width=4, dropout_blocks=2, rngs=nnx.Rngs(0)))


def scaled(params, path, factor):
    """The parameters with one of them multiplied."""
    return jax.tree_util.tree_map_with_path(
        lambda p, leaf: leaf * factor if jax.tree_util.keystr(p).startswith(path) else leaf, params
    )


@pytest.mark.parametrize("size", [(8, 8), (9, 23), (1, 7)])
@pytest.mark.parametrize("depth", [2, 4])
def test_unet_gives_float32_at_the_size_of_any_image(size, depth):
    out = output_shape(lambda: UNet(4, 5, depth=depth, width=8, dtype=jnp.bfloat16, rngs=nnx.Rngs(0)), size, 4)
    assert (out.shape, out.dtype) == ((2, *size, 5), jnp.float32)


def test_unet_sees_an_odd_size_as_the_picture_continued_by_its_edge(unet):
    run, params = unet
    x = normal(1, 5, 7, 4)
    padded = jnp.pad(x, ((0, 0), (0, 3), (0, 1), (0, 0)), mode="edge")
    np.testing.assert_allclose(run(params, x), run(params, padded)[:, :5, :7], atol=1e-6)


def test_unet_doubles_its_width_up_to_eightfold():
    _, params = shapes_of(lambda: UNet(3, 1, depth=6, width=2, rngs=nnx.Rngs(0)))
    widths = [params["downs"][level]["kernel"].shape[-1] for level in range(6)]
    assert widths == [2, 4, 8, 16, 16, 16]


def test_unet_drops_by_each_images_own_key_and_only_with_keys(unet):
    run, params = unet
    x, keys = normal(1, 8, 8, 4), keys_of(5, 6, 7)
    batch = run(params, jnp.repeat(x, 3, 0), keys)
    np.testing.assert_array_equal(run(params, jnp.repeat(x, 3, 0), keys[::-1])[::-1], batch)
    np.testing.assert_allclose(run(params, x, keys[1:2]), batch[1:2], atol=1e-4)
    different = [batch[0] - batch[1], batch[1] - batch[2], batch[0] - run(params, x)[0]]
    assert min(jnp.max(jnp.abs(difference)) for difference in different) > 0.1
    assert (batch != 0).all()  # what is dropped are activations, never outputs


def test_input_skip_adds_a_linear_map_of_every_input_pixel():
    run, params = call(lambda: UNet(4, 2, depth=2, width=2, input_skip=True, rngs=nnx.Rngs(0)))
    x = normal(1, 3, 6, 4)
    added = run(params, x) - run(scaled(params, "['input_skip']", 0), x)
    np.testing.assert_allclose(added, x @ params["input_skip"]["kernel"][0, 0], atol=1e-5)


def test_unet_normalises_every_level_but_the_outermost_and_the_innermost(unet):
    run, params = unet
    x = normal(1, 2**DEPTH, 2**DEPTH, 4)  # the innermost map is 1 x 1: normalised, it would be zero
    out = run(params, x)

    def change(path, factor):
        return float(jnp.max(jnp.abs(run(scaled(params, path, factor), x) - out)) / jnp.max(jnp.abs(out)))

    assert change("['downs'][1]['kernel']", 3) < 1e-2
    assert change("['ups'][1]['kernel']", 3) < 1e-2
    assert change("['ups'][2]['kernel']", 3) < 1e-2
    assert change("['downs'][0]['kernel']", 3) > 0.1
    assert change("['downs'][2]['kernel']", -1) > 0.02
    bias = params["ups"][0]["bias"][...]
    tripled = run(scaled(params, "['ups'][0]['kernel']", 3), x)
    np.testing.assert_allclose(tripled - bias, 3 * (out - bias), rtol=1e-4, atol=1e-4)
    layers = [*(params["downs"][level] for level in range(DEPTH)), params["ups"][1]]
    assert [layer.get("bias") is not None for layer in layers] == [True, False, True, False]


def test_unet_in_bfloat16_is_near_float32(unet):
    run, params = unet
    half, _ = call(lambda: UNet(4, 5, depth=DEPTH, width=4, dropout_blocks=2, dtype=jnp.bfloat16, rngs=nnx.Rngs(0)))
    x = normal(1, 8, 8, 4)
    out = run(params, x)
    assert jnp.max(jnp.abs(half(params, x) - out)) < 0.05 * jnp.max(jnp.abs(out))


# --- The parsing network --------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (33, 2)])
def test_small_fcn_gives_half_the_size_rounded_up(size):
    out = output_shape(lambda: SmallFCN(width=16, rngs=nnx.Rngs(0)), size, 3)
    assert out.shape == (2, -(-size[0] // 2), -(-size[1] // 2), 16)


def test_small_fcn_drops_by_each_images_own_key_and_in_bfloat16_is_near_float32():
    run, params = call(lambda: SmallFCN(width=8, rngs=nnx.Rngs(0)))
    half, _ = call(lambda: SmallFCN(width=8, dtype=jnp.bfloat16, rngs=nnx.Rngs(0)))
    x, keys = jnp.repeat(normal(1, 15, 17, 3), 2, 0), keys_of(3, 4)
    out = run(params, x, keys)
    assert jnp.max(jnp.abs(out[0] - out[1])) > 0.1
    np.testing.assert_allclose(run(params, x, keys[::-1])[::-1], out, atol=1e-4)
    rough = half(params, x, keys)
    assert jnp.mean(jnp.abs(rough.astype(jnp.float32) - out)) < 0.05 * jnp.mean(jnp.abs(out))


class OneConv(nnx.Module):
    """The least that is a backbone: two features at half the resolution."""

    features, grid = 2, Grid.of_cells(2)

    def __init__(self, rngs):
        self.conv = nnx.Conv(3, self.features, (3, 3), 2, rngs=rngs)

    def __call__(self, x, keys=None):
        return self.conv(x)


def test_a_subpixel_head_classifies_each_pixel_of_the_image_from_the_feature_above_it():
    run, params = call(lambda: DeepLab(OneConv(nnx.Rngs(0)), 3, head="subpixel", rngs=nnx.Rngs(0)))
    feature, _ = call(lambda: OneConv(nnx.Rngs(0)))
    x = normal(2, 7, 6, 3)
    out = run(params, x)
    assert out.fused.shape == (2, 7, 6, 3)
    assert out.scales == ()
    corners = params["classifier"]["corners"]
    kernel, bias = corners["kernel"][...].reshape(2, 2, 2, 3), corners["bias"][...].reshape(2, 2, 3)
    wanted = jnp.einsum("bhwf,fijc->bhiwjc", feature(params["backbone"], x), kernel) + bias[:, None]
    np.testing.assert_allclose(out.fused, wanted.reshape(2, 8, 6, 3)[:, :7], atol=1e-5)


def attention(*scales):
    def make():
        rngs = nnx.Rngs(0)
        return AttentionToScale(OneConv(rngs), 4, scales=scales, attention_width=8, rngs=rngs)

    return call(make)


def test_fused_logits_are_a_weighted_mean_of_the_scales():
    run, params = attention(1.0, 0.5)
    out = run(params, normal(2, 15, 20, 3))
    full, half = out.scales
    assert out.fused.shape == full.shape == half.shape == (2, 8, 10, 4)
    # One weight a pixel, the same for every class: fused - half = weight (full - half).
    weight = jnp.sum((out.fused - half) * (full - half), -1) / jnp.sum((full - half) ** 2, -1)
    assert weight.min() >= -1e-3
    assert weight.max() <= 1 + 1e-3
    assert np.ptp(weight) > 0.05
    np.testing.assert_allclose(out.fused, half + weight[..., None] * (full - half), atol=1e-4)


def test_the_scales_share_their_network_and_attention_alone_tells_them_apart():
    run, params = attention(1.0, 0.5, 0.5)
    params = scaled(params, "['attention_out']", 0)
    out = run(params, normal(1, 8, 8, 3))
    np.testing.assert_array_equal(out.scales[1], out.scales[2])
    np.testing.assert_allclose(out.fused, sum(out.scales) / 3, atol=1e-6)


def test_one_scale_alone_is_what_is_fused():
    run, params = attention(1.0)
    out = run(params, normal(1, 8, 8, 3))
    np.testing.assert_array_equal(out.fused, out.scales[0])


def test_attention_drops_by_each_images_own_key():
    run, params = attention(1.0, 0.5)
    x, keys = jnp.repeat(normal(1, 15, 20, 3), 2, 0), keys_of(3, 4)
    fused = run(params, x, keys).fused
    assert jnp.max(jnp.abs(fused[0] - fused[1])) > 1e-2
    np.testing.assert_allclose(run(params, x, keys[::-1]).fused[::-1], fused, atol=1e-5)
