"""`pgkt bench refine | parse | synthesize | overhead`: rivals compute the same, FLOPs are the layers'."""

import dataclasses
import json
import sys
import time

import jax
import numpy as np
import pytest
from flax import nnx

from pgkt_jax import cli
from pgkt_jax.bench import measure, overhead, parse, refine, rivals, training
from pgkt_jax.bench.flops import forward_flops
from pgkt_jax.nets import attention, backbones, convnext, fcn, vgg
from pgkt_jax.nets.parser import parser
from pgkt_jax.nets.unet import UNet
from pgkt_jax.train.optim import adam
from pgkt_jax.train.state import TrainState

try:
    import torch

    from pgkt_jax.bench.rivals import torch_parser, torch_training, torch_unet
except ImportError:
    torch = None

needs_torch = pytest.mark.skipif(torch is None, reason="the rivals are written in PyTorch")
REFINE = {"batch": 2, "size": (30, 24), "k": 1, "n": 2, "depth": 2, "width": 4}
PARSE = {"batch": 2, "size": (30, 25), "width": 4, "attention_width": 8}
PARSERS = {
    "subpixel": {"head": "subpixel", "optimizer": "adam"},
    "attention on vgg": {"backbone": "vgg", "head": "attention", "optimizer": "sgd", "scales": (1.0, 0.5)},
    "aspp on resnet101": {"backbone": "resnet101", "head": "aspp", "optimizer": "sgd"},
    "plain on resnet101-torchvision": {"backbone": "resnet101-torchvision", "head": "plain"},
    "plain on convnext": {"backbone": "convnext", "head": "plain", "optimizer": "adam"},
}
BLOCKS = (1, 2, 1, 1)  # of the deep ones, which else take minutes to compile


def arguments(fields):
    for name, value in fields.items():
        yield from [f"--{name}", *map(str, value if isinstance(value, tuple) else [value])]


# --- FLOPs ----------------------------------------------------------------------------------------


def spec(*shape):
    return jax.ShapeDtypeStruct(shape, np.float32)


def flops_of(make, *shape):
    graph, params = nnx.split(nnx.eval_shape(make))
    return forward_flops(lambda params, x: nnx.merge(graph, params)(x), params, spec(*shape))


def test_flops_are_those_of_the_layers():
    def product(x):
        return jax.numpy.einsum("bij,bjk->bik", x, x)

    assert forward_flops(product, spec(3, 5, 5)) == 2 * 3 * 5 * 5 * 5
    assert forward_flops(jax.jit(lambda x: x + 1), spec(3, 5)) == 0
    conv = nnx.Conv(4, 6, (3, 3), strides=2, feature_group_count=2, rngs=nnx.Rngs(0))
    assert forward_flops(conv, spec(2, 8, 10, 4)) == 2 * 2 * (4 * 5) * 6 * 9 * 2


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_a_unet_has_the_same_flops_on_every_backend(monkeypatch, backend):
    # Channels 5 -> 4 -> 8, 16 taps: the layers look different on CPUs.
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    down = 16 * 8 * 5 * 4 + 8 * 4 * 4 * 8
    up = 8 * 4 * 8 * 4 + 16 * 8 * 8 * 3
    assert flops_of(lambda: UNet(5, 3, depth=2, width=4, rngs=nnx.Rngs(0)), 2, 32, 16, 5) == 2 * 2 * 16 * (down + up)


def largefov_products(side):
    """Multiplications of the published layers for a square image."""
    total, below = 0, 3
    for level, depth in enumerate(vgg.DEPTHS):
        for out in depth * [64 * min(2**level, 8)]:
            total, below = total + side**2 * 9 * below * out, out
        side = side // 2 + 1 if level < 3 else side
    return total + side**2 * (9 * 512 * 1024 + 1024 * 1024)


def test_the_papers_networks_have_the_flops_of_their_layers():
    unet = flops_of(lambda: UNet(9, 6, rngs=nnx.Rngs(0)), 1, 256, 256, 9)
    assert unet / 2e9 == pytest.approx(6.25, rel=0.01)
    attended = flops_of(lambda: parser("vgg", "attention", 7, rngs=nnx.Rngs(0)), 1, 320, 320, 3)
    heads = 41**2 * (3 * 1024 * 7 + 9 * 3072 * 512 + 512 * 3)
    # Resizes are matrix products, too.
    assert attended / 2 == pytest.approx(sum(map(largefov_products, (320, 240, 160))) + heads, rel=5e-3)


# --- Rivals ---------------------------------------------------------------------------------------


def without_dropout(monkeypatch):
    for module in (attention, fcn, vgg, convnext):
        monkeypatch.setattr(module, "dropout", lambda x, keys, rate=0.5: x)


def disturbed(ours):
    """Else a norm would do nothing, and a branch of ConvNeXt next to nothing."""
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: leaf + 0.05 * rng.normal(size=leaf.shape).astype(leaf.dtype), ours.state.params)
    return dataclasses.replace(ours, state=dataclasses.replace(ours.state, params=params))


def check_same(ours, alone, rival):
    """The same outputs, and after two steps the same losses and parameters."""
    step = training.network_step(ours.loss)
    both = jax.jit(lambda state, *batch: (state.network()(batch[0]), *step(state, *batch)))
    outputs, state, metrics = both(ours.state, ours.inputs, ours.classes)
    for mine, theirs in zip(jax.tree.leaves(outputs), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(theirs.permute(0, 2, 3, 1), mine, atol=1e-5)
    assert rival().item() == pytest.approx(float(metrics["loss"]), rel=1e-4)
    _, state, metrics = both(state, ours.inputs, ours.classes)
    assert rival().item() == pytest.approx(float(metrics["loss"]), rel=1e-4)
    learned = {name: value.clone() for name, value in rival.network.state_dict().items()}
    torch_training.load(rival.network, state.params)
    for name, value in rival.network.state_dict().items():
        np.testing.assert_allclose(learned[name], value, rtol=1e-3, atol=2e-5, err_msg=name)


@needs_torch
def test_the_rival_refinement_network_computes_and_learns_the_same(people, monkeypatch):
    config = refine.config_of(refine.Setting(people=people, loss="l1", dropout_blocks=0, **REFINE))
    ours = refine.training_of(config, people)
    alone = torch_training.inference(torch_unet.unet(config, ours), ours.inputs, dtype="float32")()
    check_same(ours, alone, refine.rivals_of(config, ours)["torch (cpu, channels_last)"])
    monkeypatch.setitem(sys.modules, "pgkt_jax.bench.rivals.torch_unet", None)
    monkeypatch.delattr(rivals, "torch_unet")
    assert refine.rivals_of(config, ours) == {}


@needs_torch
@pytest.mark.parametrize("name", PARSERS)
def test_the_rival_parsing_networks_compute_and_learn_the_same(people, name, monkeypatch):
    without_dropout(monkeypatch)
    for backbone, (place, own) in backbones.BACKBONES.items():
        if place in ("resnet.ResNet", "convnext.ConvNeXt"):
            monkeypatch.setitem(backbones.BACKBONES, backbone, (place, {**own, "blocks": BLOCKS}))
    config = parse.config_of(parse.Setting(people=people, **PARSE, **PARSERS[name]))
    ours = disturbed(parse.training_of(config, people))
    alone = torch_training.inference(torch_parser.parser(config, ours), ours.inputs, dtype="float32")()
    rival = parse.rivals_of(config, ours)["torch (cpu, NCHW)"]
    rival.network.eval()
    check_same(ours, alone, rival)
    monkeypatch.setattr(torch_parser, "BACKBONES", {})
    assert parse.rivals_of(config, ours) == {}


@needs_torch
def test_rivals_drop_activations_while_they_train_and_know_bfloat16():
    x = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype(np.float32)
    network = torch_unet.UNet(3, 4, depth=3, width=4, dropout_blocks=1, input_skip=False)
    images = torch_training.to_torch(x)
    assert not torch.equal(network(images), network(images))
    full, half = (torch_training.inference(network, x, dtype=dtype)() for dtype in ("float32", "bfloat16"))
    assert torch.equal(network(images), full)
    assert half.dtype == torch.float32
    assert 0 < (half - full).abs().mean() < 0.05 * full.abs().mean()


# --- The commands ---------------------------------------------------------------------------------


def bench(name, people, fields, folder):
    """What a benchmark wrote, its rows by their names."""
    assert (
        cli.main(["bench", name, "--people", people, *arguments(fields), "--seconds", "0", "--out", str(folder)]) == 0
    )
    written = json.loads((folder / f"{name}.json").read_text())
    return written, {row["name"]: row for row in written["rows"]}


class Toy(nnx.Module):
    def __init__(self):
        self.conv = nnx.Conv(3, 2, (3, 3), rngs=nnx.Rngs(0))

    def __call__(self, x, keys=None):
        return self.conv(x)


def toy_training(people):
    def loss(outputs, classes):
        return jax.numpy.mean(jax.numpy.square(outputs))

    def step(state, _, batch):
        inputs = batch.images.astype(jax.numpy.float32) / 255
        return training.network_step(loss)(state, inputs, batch.label_maps)

    inputs, classes = training.made_up((2, 48, 32, 3), (48, 32), 2)
    state = TrainState.create(Toy(), adam(1e-3, steps=1), 0)
    return training.Training(step, None, state, training.Labelled.open(people), loss, inputs, classes, "float32")


class Rival:
    told = {"compile_s": 0.5}  # noqa: RUF012

    def __init__(self, seconds):
        self.seconds = seconds

    def __call__(self):
        time.sleep(self.seconds)


def test_all_ways_to_train_are_measured_and_compared(people):
    rivals = {"slow": Rival(0.02), "fast": Rival(0.01)}
    found = training.compare(toy_training(people), rivals, seconds=0, scan="always")
    rows = {row["name"]: row for row in found["rows"]}
    assert set(rows) == {"step", "steps in a scan", "network", "slow", "fast", "step, streamed", "loader alone"}
    assert found["training_gflop_per_person"] * 1e9 == 3 * 2 * 48 * 32 * 9 * 3 * 2
    for name in set(rows) - {"loader alone"}:
        share = rows[name]["people_per_s"] * found["training_gflop_per_person"] / 1e3 / found["matrix_tflop_per_s"]
        assert rows[name]["share_of_matrix_rate"] == pytest.approx(share)
    for name in ("step", "steps in a scan", "network"):
        assert rows[name]["compile_s"] > 0
        assert rows[name]["peak_mib"] >= rows[name]["temporary_mib"] > 0
    speeds, ratios = {name: row["people_per_s"] for name, row in rows.items()}, found["ratios"]
    assert ratios["network / PyTorch"] == pytest.approx(speeds["network"] / speeds["fast"])
    assert ratios["scan / step"] == pytest.approx(speeds["steps in a scan"] / speeds["step"])
    assert ratios["streamed / step"] == pytest.approx(speeds["step, streamed"] / speeds["step"])
    assert "steps in a scan" in training.format_rows(found)
    without = training.compare(toy_training(people), {}, seconds=0, scan="accelerators")
    assert set(without["ratios"]) == {"step / network", "streamed / step"}


def test_a_step_of_refinement_is_measured(people, tmp_path, capsys):
    _, rows = bench("refine", people, {**REFINE, "depth": 1}, tmp_path)
    assert {"step", "network", "step, streamed"} <= set(rows)
    assert ("no rival: PyTorch is not installed" in capsys.readouterr().out) == (torch is None)


def test_the_parsing_network_is_measured_at_the_scales_asked_for(people, tmp_path, monkeypatch):
    told = {"rows": [{"name": "step", "people_per_s": 1.0}], "matrix_tflop_per_s": 1.0, "ratios": {}}
    seen = []
    monkeypatch.setattr(parse, "compare", lambda training, rivals, **_: seen.append(training) or told)
    fields = {**PARSE, "backbone": "vgg", "head": "attention", "scales": (1.0, 0.5)}
    written, _ = bench("parse", people, fields, tmp_path)
    assert written["setting"]["scales"] == [1, 0.5]
    assert seen[0].state.network().scales == (1, 0.5)
    assert seen[0].classes.shape == (2, 5, 4)


@pytest.mark.parametrize(("name", "fields"), [("refine", {**REFINE, "depth": 1}), ("parse", PARSE)])
def test_a_plan_tells_memory_and_runs_nothing(people, tmp_path, monkeypatch, capsys, name, fields):
    for module in (refine, parse):
        monkeypatch.setattr(module, "compare", None)
    assert cli.main(["bench", name, "--people", people, *arguments(fields), "--plan", "--out", str(tmp_path)]) == 0
    (row,) = json.loads((tmp_path / f"{name}.json").read_text())["rows"]
    assert row["peak_mib"] > row["temporary_mib"] > 0
    assert f"{row['peak_mib']:.0f}" in capsys.readouterr().out


def test_labelling_end_to_end_is_held_against_the_network_alone(people, tmp_path):
    fields = {name: REFINE[name] for name in ("batch", "size", "k", "depth", "width")}
    written, rows = bench("synthesize", people, {**fields, "depth": 1}, tmp_path)
    speeds = [rows[name]["people_per_s"] for name in ("end to end", "U-Net alone")]
    assert written["ratios"]["end to end / U-Net alone"] == pytest.approx(speeds[0] / speeds[1])
    assert written["canvas"] == [48, 32]


def test_a_loader_is_timed_without_what_it_had_ready():
    waits = iter([0.0] * 3 + [0.02] * 4)
    seconds = measure.consecutive(lambda: time.sleep(next(waits)), seconds=0, skip=3, least=4)
    assert seconds >= 0.02


def test_what_is_called_over_and_over_is_timed_by_the_mean_of_a_turn():
    waits = [0.0, 0.05, 0.0]
    seconds = measure.in_turns({"call": lambda: time.sleep(waits.pop() if waits else 0)}, seconds=0, least=1, turn=0.06)
    assert seconds["call"] < 0.05


def test_the_cost_of_checkpoints_and_logs_is_told_apart_from_the_steps(people, tmp_path, monkeypatch):
    monkeypatch.setattr(overhead, "samples", lambda *_: time.sleep(0.4))
    fields = {"batch": 8, "size": (30, 25), "width": 4, "every": 2, "turns": 2}
    cli.main(["bench", "overhead", "--people", people, *arguments(fields), "--out", str(tmp_path)])
    told = json.loads((tmp_path / "overhead.json").read_text())
    assert len(told["turns"]) == 2
    for trained, _, bare, _ in told["turns"]:
        assert trained > 0.4
        assert 0 < bare < trained
    assert told["overhead"]["wall"] > 0
