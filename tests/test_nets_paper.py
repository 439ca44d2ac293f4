"""The paper's networks against their twins in PyTorch, through files of the published kinds; and what they see."""

from typing import get_args, get_type_hints

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import twins
from caffe_proto import caffemodel
from flax import nnx

from pgkt_jax import cli
from pgkt_jax.config import ParseConfig
from pgkt_jax.data.batch import stack_people
from pgkt_jax.data.puppets import draw_puppet
from pgkt_jax.nets.attention import AttentionToScale, Logits
from pgkt_jax.nets.backbones import BACKBONES
from pgkt_jax.nets.convnext import Block, ConvNeXt
from pgkt_jax.nets.deeplab import DeepLab
from pgkt_jax.nets.grid import Grid
from pgkt_jax.nets.layers import InputScaling, max_pool
from pgkt_jax.nets.parser import parser
from pgkt_jax.nets.pretrained import load_weights, safetensors, transfer
from pgkt_jax.nets.resnet import Bottleneck, ResNet
from pgkt_jax.nets.unet import UNet
from pgkt_jax.nets.vgg import LargeFOV
from pgkt_jax.skeleton import PASCAL_PERSON
from pgkt_jax.stages import parse
from pgkt_jax.train.losses import cross_entropy
from pgkt_jax.train.optim import sgd
from pgkt_jax.train.state import TrainState

try:
    import torch
except ImportError:
    torch = None

WIDTH, BLOCKS, DEPTH = twins.THIN["width"], twins.THIN["blocks"], twins.THIN["depth"]


def thin_resnet(*, stride_in_3x3=False, dtype=jnp.float32):
    rngs = nnx.Rngs(0)
    below = ResNet(width=WIDTH, blocks=BLOCKS, stride_in_3x3=stride_in_3x3, dtype=dtype, rngs=rngs)
    return DeepLab(below, twins.CLASSES, head="aspp", rngs=rngs)


def thin_convnext(dtype=jnp.float32):
    rngs = nnx.Rngs(0)
    below = ConvNeXt(width=WIDTH, blocks=BLOCKS, features=16, dtype=dtype, rngs=rngs)
    return DeepLab(below, twins.CLASSES, head="plain", rngs=rngs)


def thin_vgg(backbone, head, dtype=jnp.float32):
    return parser(backbone, head, twins.CLASSES, width=WIDTH, attention_width=8, dtype=dtype, rngs=nnx.Rngs(0))


CASES = {  # case -> (--net, suffix, network of a dtype)
    "vgg": ("vgg", ".pth", lambda dtype: thin_vgg("vgg", "attention", dtype)),
    "vgg-v1": ("vgg", ".caffemodel", lambda dtype: thin_vgg("vgg-v1", "plain", dtype)),
    "resnet101 of caffe": ("resnet101", ".caffemodel", lambda dtype: thin_resnet(dtype=dtype)),
    "resnet101 of tensorflow": ("resnet101", ".npy", lambda dtype: thin_resnet(dtype=dtype)),
    "resnet101-torchvision": (
        "resnet101-torchvision", ".pth", lambda dtype: thin_resnet(stride_in_3x3=True, dtype=dtype),
    ),
    "convnext": ("convnext", ".safetensors", thin_convnext),
    "unet": ("unet", ".pth", lambda dtype: UNet(9, 6, width=WIDTH, depth=DEPTH, dtype=dtype, rngs=nnx.Rngs(0))),
}  # fmt: skip


each_case = pytest.mark.parametrize("case", CASES)


def write(case, tensors, folder):
    """The file that the publishers of such weights give away; where PyTorch is missing, safetensors for .pth."""
    net, suffix, _ = CASES[case]
    path = folder / f"weights{suffix}"
    if suffix == ".caffemodel":
        path.write_bytes(caffemodel(tensors, v1=net == "vgg"))
    elif suffix == ".npy":
        layers = {}
        for name, array in tensors.items():
            layer, _, leaf = name.partition("/")
            layers.setdefault(layer, {})[leaf] = array
        np.save(path, layers, allow_pickle=True)
    elif suffix == ".pth" and torch is not None:
        # torchvision's vgg16 and pix2pix's networks are in the older form.
        zipped = net == "resnet101-torchvision"
        state = {name: torch.tensor(array) for name, array in tensors.items()}
        torch.save(state, path, _use_new_zipfile_serialization=zipped)
    else:
        path = path.with_suffix(".safetensors")
        safetensors.write(path, tensors)
    return path


def uninitialised(make):
    """A network with zeros for parameters, without the cost of initialising it."""
    graph, shapes = nnx.split(nnx.eval_shape(make))
    return nnx.merge(graph, jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes))


def with_leaves(network, make):
    """The network with leaves of `make(name, shape)`."""

    def named(path, leaf):
        return np.asarray(make(jax.tree_util.keystr(path), leaf.shape), leaf.dtype)

    nnx.update(network, jax.tree_util.tree_map_with_path(named, nnx.state(network)))
    return network


def fill(network, tensors, folder):
    safetensors.write(folder / "fresh.safetensors", tensors)
    load_weights(network, folder / "fresh.safetensors")


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Case -> (its network with the file's weights, what the command printed), each imported once."""
    done = {}

    def get(case):
        if case not in done:
            folder = tmp_path_factory.mktemp("weights")
            net, _, make = CASES[case]
            path, out = write(case, twins.TWINS[case][0](), folder), folder / "ours.safetensors"
            network = uninitialised(lambda: make(jnp.float32))
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(transfer, "network", lambda *_: network)
                assert cli.main(["import-weights", str(path), "--net", net, "--out", str(out), "--trust-pickle"]) == 0
            load_weights(network, out)
            fill(network, twins.fresh(case), folder)
            done[case] = network
        return done[case]

    return get


def run(network, x):
    graph, params = nnx.split(network)
    out = jax.jit(lambda params, x: nnx.merge(graph, params)(x))(params, x)
    return np.asarray(out.fused if hasattr(out, "fused") else out)


# --- Parity ---------------------------------------------------------------------------------------


@each_case
def test_logits_are_those_of_the_published_network(imported, case):
    expected = twins.run(case) if torch is not None else np.load(twins.STORED)[case]
    out = run(imported(case), twins.input_of(case))
    assert out.shape == expected.shape
    assert np.abs(out - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.skipif(torch is None, reason="the stored outputs are what is tested then")
@each_case
def test_the_stored_outputs_are_those_of_the_twins(case):
    expected = twins.run(case)
    assert np.abs(np.load(twins.STORED)[case] - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("case", [case for case in CASES if case != "unet"])
def test_bfloat16_is_near_float32_and_logits_are_float32(imported, case):
    half = uninitialised(lambda: CASES[case][2](jnp.bfloat16))
    nnx.update(half, nnx.state(imported(case)))
    x = twins.input_of(case)
    out, rough = run(imported(case), x), run(half, x)
    assert rough.dtype == np.float32
    assert 0 < np.abs(rough - out).mean() < 0.05 * np.abs(out).mean()


# --- What they see --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "stride", "expected"), [(320, 2, 161), (321, 2, 161), (2, 2, 2), (1, 2, 1), (5, 1, 5)]
)
def test_pools_count_as_caffe_does(length, stride, expected):
    """ceil((n + 2 pad - 3) / stride) + 1 (pooling_layer.cpp); a last window that began in the padding would be cut."""
    row = np.arange(length, dtype=np.float32)
    out = max_pool(jnp.asarray(row).reshape(1, length, 1, 1), stride=stride)
    assert out.shape == (1, expected, (0 + stride) // stride, 1)
    centres = stride * np.arange(expected)
    np.testing.assert_array_equal(out[0, :, 0, 0], np.minimum(centres + 1, length - 1))


@pytest.mark.parametrize(("case", "grid"), [("vgg", (41, 9)), ("resnet101 of caffe", (41, 9)), ("convnext", (40, 9))])
def test_logits_have_an_eighth_of_the_resolution(case, grid):
    graph, params = nnx.split(nnx.eval_shape(lambda: CASES[case][2](jnp.bfloat16)))
    x = jax.ShapeDtypeStruct((2, 320, 65, 3), jnp.float32)
    out = jax.eval_shape(lambda params, x: nnx.merge(graph, params)(x), params, x)
    assert (out.fused.shape, out.fused.dtype) == ((2, *grid, 7), jnp.float32)
    assert len(out.scales) == (3 if case == "vgg" else 0)


def reach(*layers):
    """How far an output looks to either side, in pixels; a layer is (how many, kernel, dilation, pixels a step)."""
    return sum(count * (kernel // 2) * dilation * step for count, kernel, dilation, step in layers)


VGG_LAYERS = (
    (2, 3, 1, 1), (1, 3, 1, 1), (2, 3, 1, 2), (1, 3, 1, 2), (3, 3, 1, 4), (1, 3, 1, 4), (3, 3, 1, 8), (1, 3, 1, 8),
    (3, 3, 2, 8), (1, 3, 1, 8), (1, 3, 12, 8),
)  # fmt: skip
RESNET_LAYERS = (1, 7, 1, 1), (1, 3, 1, 2), (1, 3, 1, 4), (1, 3, 1, 8), (1, 3, 2, 8), (1, 3, 4, 8), (1, 3, 24, 8)


@pytest.mark.parametrize(
    ("backbone", "head", "expected"),
    [
        (lambda rngs: LargeFOV(width=1, rngs=rngs), "plain", reach(*VGG_LAYERS)),
        (lambda rngs: ResNet(width=1, blocks=(1, 1, 1, 1), rngs=rngs), "aspp", reach(*RESNET_LAYERS)),
    ],
    ids=["vgg", "resnet101"],
)
def test_an_output_sees_as_far_as_its_layers_reach_around_its_place_on_the_grid(backbone, head, expected):
    """All weights positive: then every pixel in reach of the middle output counts, even through maxima."""

    def make():
        rngs = nnx.Rngs(0)
        return DeepLab(backbone(rngs), 1, head=head, rngs=rngs)

    ones = ("kernel", "gain", "scale", "variance")  # no shifts: what is dark stays dark
    network = with_leaves(uninitialised(make), lambda name, shape: np.full(shape, any(one in name for one in ones)))
    graph, params = nnx.split(network)
    middle = -(-expected // 8) + 1
    rows = int(network.grid.origin + network.grid.stride * middle) + np.array(
        [-expected - 1, -expected, expected, expected + 1]
    )
    lit = jnp.zeros((4, 16 * middle + 1, 1, 3)).at[jnp.arange(4), rows].set(1)
    out = jax.jit(lambda params, x: nnx.merge(graph, params)(x).fused)(params, lit)[:, middle, 0, 0]
    np.testing.assert_array_equal(out > 0, [False, True, True, False])


# --- Training -------------------------------------------------------------------------------------


def leaves_of(tree):
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


class OneBlock(nnx.Module):
    """The least of a residual network: features at half the resolution."""

    features, grid = 16, Grid(0, 2)

    def __init__(self, rngs):
        self.scaling = InputScaling()
        options = {"stride": 2, "dilation": 2, "projected": True, "stride_in_3x3": False}
        self.block = Bottleneck(3, 4, **options, dtype=jnp.float32, rngs=rngs)

    def __call__(self, x, keys=None):
        return self.block(self.scaling(x))


def one_block():
    return DeepLab(OneBlock(nnx.Rngs(0)), twins.CLASSES, head="aspp", rngs=nnx.Rngs(0))


def one_block_at_two_scales():
    options = {"scales": (1.0, 0.5), "attention_width": 8, "dtype": jnp.float32}
    return AttentionToScale(OneBlock(nnx.Rngs(0)), twins.CLASSES, **options, rngs=nnx.Rngs(0))


each_head = pytest.mark.parametrize("make", [one_block, one_block_at_two_scales])


@each_head
def test_learning_rates_go_by_group_and_fall_as_a_power(make):
    """The classifier's kernels learn ten times as fast, and biases twice as fast as their kernels."""
    tx = sgd(0.01, drops=(), poly=0.9, steps=10, momentum=0, weight_decay=0, classifier=10)
    state = TrainState.create(uninitialised(make), tx, 0)
    ones = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), state.params)
    update = jax.jit(lambda state: state.updated(ones))
    for step in range(2):
        after = update(state)
        for (name, new), old in zip(leaves_of(after.params).items(), leaves_of(state.params).values()):
            factor = (10 if "classifier" in name else 1) * (2 if "bias" in name else 1)
            rate = 0.01 * (1 - step / 10) ** 0.9 * factor
            np.testing.assert_allclose(np.asarray(old) - np.asarray(new), rate, rtol=1e-4)
        state = after


@each_head
def test_a_network_learns_four_images_by_heart_while_its_normalisation_stays_as_it_was(make):
    """No gradient reaches statistics, scales and shifts, and none of them decays."""

    def drawn(name, shape):
        positive = any(leaf in name for leaf in ("scale", "variance", "gain"))
        vector = len(shape) == 1
        return twins.vector(name, shape[0], positive) if vector else twins.kernel(name, shape, np.prod(shape[:-1]))

    network = with_leaves(uninitialised(make), drawn)
    state = TrainState.create(network, sgd(0.03, drops=(), classifier=10), 0)
    half = twins.image((3, 5))
    x, classes = jnp.asarray(np.concatenate([half, -half])), jnp.arange(24, dtype=jnp.uint8).reshape(4, 2, 3) % 7

    def step(state, _):
        def loss(params):
            logits = state.network(params)(x).fused
            return cross_entropy(logits, classes), jnp.argmax(logits, -1)

        (_, found), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
        return state.updated(grads), found

    after, found = jax.jit(lambda state: jax.lax.scan(step, state, length=100))(state)
    np.testing.assert_array_equal(found[-1], classes)
    for (name, new), old in zip(leaves_of(after.params).items(), leaves_of(state.params).values()):
        assert np.array_equal(old, new) == ("norm" in name or "scaling" in name)


def keys_of(*seeds):
    return jax.vmap(jax.random.key)(jnp.array(seeds, jnp.uint32))


def test_largefov_drops_by_each_images_own_key(imported):
    graph, params = nnx.split(imported("vgg-v1"))
    run = jax.jit(lambda params, x, keys: nnx.merge(graph, params)(x, keys).fused)
    x, keys = jnp.repeat(twins.input_of("vgg-v1")[:1], 2, 0), keys_of(3, 4)
    out = run(params, x, keys)
    assert jnp.max(jnp.abs(out[0] - out[1])) > 0.1 * jnp.max(jnp.abs(out))
    np.testing.assert_allclose(run(params, x, keys[::-1])[::-1], out, rtol=1e-4, atol=1e-3)


def test_a_block_leaves_its_branch_out_at_its_rate_by_each_images_own_key():
    block = uninitialised(lambda: Block(1, drop=0.25, dtype=jnp.float32, rngs=nnx.Rngs(0)))
    graph, params = nnx.split(with_leaves(block, lambda _, shape: np.ones(shape)))
    run = jax.jit(lambda params, x, keys: nnx.merge(graph, params)(x, keys) - x)
    x = jnp.ones((1000, 1, 1, 1))
    branch, dropped = run(params, x, None), run(params, x, keys_of(*range(1000)))
    share = jnp.ravel(dropped / branch)
    np.testing.assert_allclose(share[share > 0.1], 4 / 3, rtol=1e-4)
    np.testing.assert_allclose(jnp.mean(share), 1, atol=0.05)


# --- The stage ------------------------------------------------------------------------------------


def test_every_backbone_of_the_table_can_be_chosen():
    assert get_args(get_type_hints(ParseConfig)["backbone"]) == tuple(BACKBONES)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_line_of_the_table_leads_to_a_backbone_that_a_head_can_stand_on(name):
    def run(x):
        network = parser(name, "plain", 7, width=8, rngs=nnx.Rngs(0))
        grids.append(network.grid)
        return network(x).fused

    grids = []
    logits = jax.eval_shape(run, jax.ShapeDtypeStruct((1, 65, 49, 3), jnp.float32))
    assert logits.shape == (1, *grids[0].covering((65, 49)), 7)


def test_testing_at_several_scales_looks_through_the_same_box_at_each():
    """The image is sampled once for each scale; logits are fused before they are decided."""
    seen = []

    class SaysHowOftenItLooked(nnx.Module):
        grid = Grid.of_cells(1)

        def __call__(self, x):
            seen.append(x.shape[1:3])
            return Logits(jnp.zeros((*x.shape[:3], 7)).at[..., len(seen)].set(float(len(seen))), ())

    config = ParseConfig(size=(16, 8), test_scales=(1.0, 0.75, 0.5), test_fusion="max")
    people = stack_people([draw_puppet(0, size=(16, 8))], (16, 8))
    state = TrainState.create(SaysHowOftenItLooked(), sgd(0, drops=()), 0)
    labels = jax.jit(lambda people: parse.parsed_labels(config, PASCAL_PERSON, state, people))(people)
    assert seen == [(16, 8), (12, 6), (8, 4)]
    np.testing.assert_array_equal(labels, 3)


def test_scales_are_fused_at_the_grid_of_the_first():
    large, small = jnp.zeros((1, 4, 4, 2)).at[0, 0, 0, 0].set(3), jnp.full((1, 2, 2, 2), 1.0)

    def fused(how):
        return parse.fused([large, small], Grid.of_cells(2), [(8, 8), (4, 4)], onto=(8, 8), how=how)

    np.testing.assert_array_equal(fused("max"), jnp.maximum(large, 1))
    np.testing.assert_array_equal(fused("mean"), (large + 1) / 2)
