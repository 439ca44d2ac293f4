"""Losses, optimisers, scores, checkpoints, and the loop that resumes bitwise."""

import json
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from scipy.special import log_softmax

from pgkt_jax.data.batch import People, stack_people
from pgkt_jax.data.loader import stream
from pgkt_jax.data.person import Person
from pgkt_jax.skeleton import IGNORE
from pgkt_jax.train import loop
from pgkt_jax.train.accumulate import value_and_grad_in_parts
from pgkt_jax.train.checkpoint import Checkpoints
from pgkt_jax.train.log import read_metrics
from pgkt_jax.train.loop import Resident, Streamed, fit
from pgkt_jax.train.losses import cross_entropy, mask_l1
from pgkt_jax.train.metrics import confusion_matrix, score
from pgkt_jax.train.optim import adam, sgd
from pgkt_jax.train.sharding import data_mesh, split
from pgkt_jax.train.state import TrainState
from pgkt_jax.train.watch import Validation

rng = np.random.default_rng(0)


def normal(*shape):
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


# --- Losses ---------------------------------------------------------------------------------------

CLASSES = rng.integers(0, 4, (2, 3, 5)).astype(np.uint8)
CLASSES[0, :, 2:] = IGNORE


def test_cross_entropy_is_the_mean_log_probability_of_what_is_labelled():
    logits = 5 * normal(2, 3, 5, 4)
    labelled = CLASSES != IGNORE
    chosen = np.take_along_axis(
        log_softmax(np.asarray(logits), -1)[labelled], CLASSES[labelled][:, None].astype(int), 1
    )
    np.testing.assert_allclose(jax.jit(cross_entropy)(logits, jnp.asarray(CLASSES)), -chosen.mean(), rtol=1e-5)


def test_mask_l1_is_the_mean_distance_from_binary_masks_without_background():
    masks = normal(2, 3, 5, 3)
    target = CLASSES[..., None] == np.arange(1, 4)
    labelled = CLASSES != IGNORE
    expected = np.abs(np.asarray(masks) - target)[labelled].mean()
    np.testing.assert_allclose(mask_l1(masks, jnp.asarray(CLASSES)), expected, rtol=1e-5)


@pytest.mark.parametrize("loss", [cross_entropy, mask_l1])
def test_ignored_pixels_have_no_gradient_and_nothing_but_them_costs_nothing(loss):
    outputs = normal(2, 3, 5, 4)
    run = jax.jit(jax.value_and_grad(loss))
    _, grad = run(outputs, jnp.asarray(CLASSES))
    assert (np.any(np.asarray(grad) != 0, -1) == (CLASSES != IGNORE)).all()
    nobody = jnp.full((2, 3, 5), IGNORE, jnp.uint8)
    value, grad = run(outputs, nobody)
    assert value == 0
    assert (grad == 0).all()


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_gradients_of_parts_add_up_to_those_of_the_batch(parts):
    params, images = {"kernel": normal(3, 4)}, normal(6, 2, 5, 3)
    classes = rng.integers(0, 4, (6, 2, 5)).astype(np.uint8)
    classes[0, :, 1:] = classes[1::2] = IGNORE  # of two parts the second has no label at all

    def loss(params, images, classes):
        return cross_entropy(jnp.tanh(images @ params["kernel"]), classes)

    labelled = jnp.sum(classes != IGNORE, (1, 2), dtype=jnp.float32)
    in_parts = jax.jit(partial(value_and_grad_in_parts, loss, parts=parts))
    found = in_parts(params, (images, jnp.asarray(classes)), labelled)
    expected = jax.jit(jax.value_and_grad(loss))(params, images, jnp.asarray(classes))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7), found, expected)


# --- Optimisers -----------------------------------------------------------------------------------


class TwoLayers(nnx.Module):
    def __init__(self, rngs):
        self.stem = nnx.Conv(2, 3, (1, 1), rngs=rngs)
        self.norm = nnx.GroupNorm(3, num_groups=1, rngs=rngs)
        self.classifier = nnx.Conv(3, 2, (1, 1), rngs=rngs)


def test_sgd_is_caffes_rule_with_its_parameter_groups():
    graph, shapes = nnx.split(nnx.eval_shape(lambda: TwoLayers(nnx.Rngs(0))))
    params = jax.tree.map(lambda leaf: normal(*leaf.shape), shapes)
    grads = [jax.tree.map(lambda leaf: normal(*leaf.shape), params) for _ in range(4)]
    tx = sgd(0.1, drops=(2, 3), drop=0.5, momentum=0.9, weight_decay=0.01, classifier=10)
    state = TrainState(jnp.int32(0), jnp.uint32(0), params, tx.init(params), graph, tx)
    update = jax.jit(TrainState.updated)
    for grad in grads:
        state = update(state, grad)
    ours = state.params

    def by_hand(layer, name, rate, decay):
        w, v = np.asarray(params[layer][name], np.float64), 0
        for grad, schedule in zip(grads, (0.1, 0.1, 0.05, 0.025)):
            v = 0.9 * v + rate * schedule * (np.asarray(grad[layer][name]) + decay * w)
            w = w - v
        np.testing.assert_allclose(ours[layer][name], w, rtol=1e-4, atol=1e-5, err_msg=f"{layer} {name}")

    by_hand("stem", "kernel", 1, 0.01)
    by_hand("stem", "bias", 2, 0)
    by_hand("norm", "scale", 1, 0)
    by_hand("norm", "bias", 2, 0)
    by_hand("classifier", "kernel", 10, 0.01)
    by_hand("classifier", "bias", 20, 0)


def rates(tx, steps):
    """The learning rates of Adam: with a constant gradient each of its steps has the size of the rate."""
    params, step, taken = jnp.zeros(()), jax.jit(tx.update), []
    state = tx.init(params)
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(steps):
            update, state = step(jnp.ones(()), state, params)
            taken.append(-float(update))
    return taken


def test_adam_keeps_its_rate_and_then_falls_linearly_to_zero():
    np.testing.assert_allclose(
        rates(adam(0.2, steps=8, decay_from=0.5), 10), [0.2] * 5 + [0.15, 0.1, 0.05, 0, 0], atol=1e-5
    )
    np.testing.assert_allclose(rates(adam(0.2, steps=3), 4), [0.2] * 4, rtol=1e-5)


# --- Scores ---------------------------------------------------------------------------------------


def test_score_of_an_example_done_by_hand():
    true = np.array([[0, 0, 1], [1, 2, IGNORE]], np.uint8)
    predicted = np.array([[0, 1, 1], [1, 0, 2]], np.uint8)
    matrix = confusion_matrix(predicted, true, 4)
    assert matrix.tolist() == [[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    # Background: 1 of 3, a: 2 of 3, b: 0 of 1; c is neither there nor predicted.
    result = score([matrix], ("background", "a", "b", "c"))
    np.testing.assert_allclose(list(result["iou"].values()), [1 / 3, 2 / 3, 0, np.nan])
    np.testing.assert_allclose(result["miou"], 1 / 3)


def test_matrices_are_summed_before_they_are_divided():
    halves = [np.array([[8, 0], [0, 0]]), np.array([[0, 2], [0, 6]])]
    np.testing.assert_allclose(score(halves, ("a", "b"))["miou"], (8 / 10 + 6 / 8) / 2)


# --- State ----------------------------------------------------------------------------------------


class Tiny(nnx.Module):
    def __init__(self):
        self.linear = nnx.Linear(3, 2, rngs=nnx.Rngs(0))

    def __call__(self, x):
        return self.linear(x)


def new_state(seed=0):
    return TrainState.create(Tiny(), optax.adam(0.01), seed)


def test_sample_keys_depend_on_the_seed_and_the_global_sample_alone():
    def keys(seed, step, batch):
        state = new_state(seed)
        return jax.random.key_data(jax.tree.unflatten(jax.tree.structure(state), [
            jnp.int32(step), *jax.tree.leaves(state)[1:]
        ]).sample_keys(batch))  # fmt: skip

    np.testing.assert_array_equal(keys(0, 3, 4), keys(0, 0, 16)[12:])
    assert len(np.unique(np.concatenate([keys(0, 0, 16), keys(1, 0, 16)]), axis=0)) == 32


# --- The loop -------------------------------------------------------------------------------------

BATCH, STEPS, EVERY = 8, 8, 2


@dataclass(frozen=True)
class TinyConfig:
    name: str = "tiny"
    rate: float = 0.01


def tiny_people():
    return [
        Person(str(i), rng.integers(0, 256, (3, 4, 3), np.uint8), normal(16, 2).__array__(), np.ones(16, bool))
        for i in range(11)
    ]


TINY_PEOPLE = tiny_people()


def tiny_step(state, context, batch, *, nan_from=10**6):
    """Learns joints from mean colours and noise, so that data order and random keys both matter."""
    keys = state.sample_keys(batch.size)
    noise = jax.vmap(lambda key: jax.random.normal(key, (3,)))(keys)
    colours = jnp.mean(batch.images.astype(jnp.float32) / 255, (1, 2)) * context

    def loss(params):
        return jnp.mean((state.network(params)(colours + noise) - batch.joints[:, 0]) ** 2)

    value, grads = jax.value_and_grad(loss)(state.params)
    return state.updated(grads), {"loss": jnp.where(state.step >= nan_from, jnp.nan, value)}


class Killed(Exception):
    pass


def train(
    folder, *, steps=STEPS, kill_at=None, scores=None, data=None, step=tiny_step, config=TinyConfig(), evaluate=None,
    profile=None,
):  # fmt: skip
    def score(state):
        if int(state.step) == kill_at:
            raise Killed
        return Validation((scores or {}).get(int(state.step), 0.5))

    data = data or Resident(stack_people(TINY_PEOPLE, (3, 4)), BATCH, seed=3)
    return fit(
        new_state(), step, jnp.float32(2), data, title="tiny", config=config, folder=folder,
        steps=steps, every=EVERY, evaluate=evaluate or score, profile=profile,
    )  # fmt: skip


def assert_same(ours, expected, **tolerance):
    compare = partial(np.testing.assert_allclose, **tolerance) if tolerance else np.testing.assert_array_equal
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        compare(one, other)


def steps_kept(folder):
    return sorted(int(path.name) for path in (folder / "checkpoints").iterdir() if path.name.isdigit())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run from start to end, and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    return train(folder), folder


def test_a_killed_run_goes_on_to_bitwise_the_same_state(whole, tmp_path):
    with pytest.raises(Killed):
        train(tmp_path, kill_at=6)
    assert steps_kept(tmp_path)[-1] == 4
    resumed = train(tmp_path)
    assert int(resumed.step) == STEPS
    assert_same(resumed, whole[0])  # step, seed, parameters and the optimiser's moments


def test_metrics_have_every_step_once_after_a_crash(whole, tmp_path):
    with pytest.raises(Killed):
        train(tmp_path, kill_at=6)
    # What a crash between the metrics and the checkpoint leaves, and one in the middle of a line.
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "loss": 1.0, "miou": 0.5}\n{"step": 8, "lo')
    assert [row["step"] for row in read_metrics(tmp_path / "metrics.jsonl")] == [2, 4, 6]
    train(tmp_path)
    ours, expected = (read_metrics(folder / "metrics.jsonl") for folder in (tmp_path, whole[1]))
    assert [row["step"] for row in ours] == [2, 4, 6, 8]
    assert ours == expected


def test_a_finished_run_does_nothing_more(whole):
    state, folder = whole
    before = (folder / "metrics.jsonl").read_bytes()
    assert_same(train(folder, kill_at=STEPS), state)
    assert (folder / "metrics.jsonl").read_bytes() == before


def test_a_folder_of_another_config_is_refused_with_the_field_named(whole):
    before = json.loads((whole[1] / "config.json").read_text())
    with pytest.raises(ValueError, match=r"rate = 0\.01 there, 0\.1 here") as error:
        train(whole[1], config=TinyConfig(rate=0.1))
    assert "name" not in str(error.value)
    assert json.loads((whole[1] / "config.json").read_text()) == before


def test_a_loss_that_is_not_finite_stops_and_leaves_the_last_good_checkpoint(tmp_path):
    with pytest.raises(FloatingPointError, match="nan at step 6"):
        train(tmp_path, step=partial(tiny_step, nan_from=5))
    checkpoints = Checkpoints(tmp_path, TinyConfig())
    restored = checkpoints.restore(new_state())
    checkpoints.close()
    assert restored.step == 4
    assert_same(restored.params, train(tmp_path / "good", steps=4).params)


def test_a_last_step_that_breaks_the_parameters_is_not_saved(tmp_path):
    def broken(state, context, batch):
        state, metrics = tiny_step(state, context, batch)
        factor = jnp.where(state.step == 4, jnp.nan, 1)
        return replace(state, params=jax.tree.map(lambda leaf: factor * leaf, state.params)), metrics

    with pytest.raises(FloatingPointError, match="a parameter is not finite after step 4"):
        train(tmp_path, step=broken)
    assert steps_kept(tmp_path) == [2]


def test_the_latest_two_and_the_best_checkpoints_are_kept(tmp_path):
    train(tmp_path, steps=12, scores={2: 0.3, 4: 0.9, 6: 0.4, 8: float("nan"), 10: 0.6, 12: 0.2})
    assert steps_kept(tmp_path) == [4, 10, 12]


def test_a_streamed_data_set_trains_the_same_state(whole, tmp_path):
    def batches(first_step, steps):
        return stream(TINY_PEOPLE, batch=BATCH, canvas=(3, 4), seed=3, first_step=first_step, steps=steps)

    with pytest.raises(Killed):
        train(tmp_path, data=Streamed(batches), kill_at=4)
    assert_same(train(tmp_path, data=Streamed(batches)), whole[0])


def test_steps_inside_a_scan_train_the_same_state(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(loop, "STEPS_PER_CALL", 3)
    scanned = train(tmp_path)
    assert_same(scanned, whole[0], atol=1e-6)
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows] == [3, 6, 8]
    expected = [row["loss"] for row in read_metrics(whole[1] / "metrics.jsonl")]
    np.testing.assert_allclose(
        np.average([row["loss"] for row in rows], weights=[3, 3, 2]), np.mean(expected), rtol=1e-5
    )


def test_a_trace_of_chosen_steps_is_left_for_the_profiler(whole, tmp_path):
    assert_same(train(tmp_path, profile=(3, 4)), whole[0])
    (trace,) = (tmp_path / "profile").rglob("*.xplane.pb")
    assert b"tiny_step" in trace.read_bytes()


def test_batches_are_split_over_all_devices_or_refused():
    mesh = data_mesh()
    people = stack_people(TINY_PEOPLE[:8], (3, 4))
    halves = split(people, mesh)
    assert isinstance(halves, People)
    assert len(halves.images.addressable_shards) == jax.device_count() == 8
    assert halves.images.addressable_shards[0].data.shape == (1, 3, 4, 3)
    with pytest.raises(ValueError, match=r"batch of 6 .* 8 devices"):
        split(stack_people(TINY_PEOPLE[:6], (3, 4)), mesh)
