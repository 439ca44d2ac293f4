"""Losses, optimisers, scores, views, checkpoints, and the loop that resumes bitwise."""

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
from pgkt_jax.prior import skeleton_label_map
from pgkt_jax.skeleton import IGNORE, PASCAL_PERSON
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
from pgkt_jax.train.views import (
    beyond,
    color_jitter,
    fitted_box,
    inside,
    jittered_box,
    random_rectangle,
    see,
    see_classes,
    turn,
    turn_classes,
    unsee,
    whole_box,
)

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
    by_hand("stem", "bias", 1, 0)
    by_hand("norm", "scale", 1, 0)
    by_hand("norm", "bias", 1, 0)
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


# --- Views ----------------------------------------------------------------------------------------

BOX = jnp.array([-0.5, -0.5, 79.5, 39.5])
jitter = jax.jit(
    lambda zoom, keys, **kwargs: jax.vmap(lambda key: jittered_box(key, BOX, zoom, **kwargs))(keys),
    static_argnums=0,
    static_argnames=("shift", "stretch", "mirror"),
)
KEYS = jax.random.split(jax.random.key(0), 400)


def sides(boxes):
    """Boxes without their mirroring: x0 < x1."""
    return np.stack([boxes[:, [0, 2]].min(1), boxes[:, 1], boxes[:, [0, 2]].max(1), boxes[:, 3]], 1)


def test_the_papers_jitter_is_a_window_of_256_in_286_anywhere_mirrored_half_of_the_time():
    boxes = np.asarray(jitter((286 / 256, 286 / 256), KEYS))
    x0, y0, x1, y1 = sides(boxes).T
    np.testing.assert_allclose(x1 - x0, 80 * 256 / 286, rtol=1e-5)
    np.testing.assert_allclose(y1 - y0, 40 * 256 / 286, rtol=1e-5)
    for low, high, edge, side in ((x0, x1, 79.5, 80), (y0, y1, 39.5, 40)):
        play = side * 30 / 286
        assert low.min() >= -0.5 - 1e-3
        assert high.max() <= edge + 1e-3
        assert np.ptp(low) > 0.95 * play
        assert abs((low + 0.5).mean() - play / 2) < 0.1 * play
    assert 0.4 < (boxes[:, 0] > boxes[:, 2]).mean() < 0.6


def test_a_zoom_below_1_holds_the_box_and_zooms_are_even_in_their_logarithm():
    boxes = np.asarray(jitter((0.5, 0.8), KEYS, mirror=False))
    x0, y0, x1, y1 = boxes.T
    assert (x0 <= -0.5 + 1e-3).all()
    assert (x1 >= 79.5 - 1e-3).all()
    assert (y0 <= -0.5 + 1e-3).all()
    assert (y1 >= 39.5 - 1e-3).all()
    zoom = 80 / (x1 - x0)
    np.testing.assert_allclose(zoom, 40 / (y1 - y0), rtol=1e-4)
    assert abs(np.log(zoom).mean() - np.log(0.5 * 0.8) / 2) < 0.02


def test_a_stretch_widens_and_narrows_alike():
    x0, y0, x1, y1 = np.asarray(jitter((1.25, 1.25), KEYS, stretch=0.3, mirror=False)).T
    np.testing.assert_allclose(y1 - y0, 40 / 1.25, rtol=1e-5)
    wider = np.log((x1 - x0) / (80 / 1.25))
    assert 0.28 < wider.max() <= 0.3 + 1e-4
    assert -0.3 - 1e-4 <= wider.min() < -0.28
    assert abs(wider.mean()) < 0.03


def test_image_and_classes_turn_clockwise_together():
    image = np.random.default_rng(0).uniform(-1, 1, (9, 9, 3)).astype(np.float32)
    classes = np.arange(81, dtype=np.uint8).reshape(9, 9)
    right, eighth = jnp.float32(np.pi / 2), jnp.float32(np.pi / 4)
    np.testing.assert_allclose(turn(jnp.asarray(image), right), np.rot90(image, -1), atol=1e-5)
    np.testing.assert_array_equal(turn_classes(jnp.asarray(classes), right), np.rot90(classes, -1))
    outside = np.asarray(turn_classes(jnp.asarray(classes), eighth)) == IGNORE
    assert outside[0, 0]
    assert not outside[2:7, 2:7].any()
    assert np.asarray(turn(jnp.asarray(image), eighth))[0, 0].tolist() == [0, 0, 0]


def test_colours_vary_by_key_within_their_range_and_not_at_all_at_strength_zero():
    image = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (4, 5, 3)).astype(np.float32))
    np.testing.assert_array_equal(color_jitter(KEYS[0], image, 0.0), image)
    varied = np.asarray(jax.vmap(lambda key: color_jitter(key, image, 0.4))(KEYS))
    assert np.abs(varied).max() <= 1
    assert (varied.std(0) > 0.1).all()
    grey = jnp.full((1, 1, 3), 0.2)
    tints = np.asarray(jax.vmap(lambda key: color_jitter(key, grey, 0.4))(KEYS))[:, 0, 0]
    assert np.abs(tints.mean(0) - 0.2).max() < 0.1  # neither darker nor tinted on average
    assert np.ptp(tints - tints.mean(-1, keepdims=True)) > 0.2  # a colour cast


def test_the_same_rectangle_is_blotted_out_at_every_resolution():
    rectangles = np.asarray(jax.vmap(lambda key: random_rectangle(key, 0.4))(KEYS))
    sides_of = rectangles[:, 2:] - rectangles[:, :2]
    assert sides_of.min() > 0.1 - 1e-3
    assert 0.39 < sides_of.max() < 0.4 + 1e-3
    for rectangle in rectangles[:5]:
        fine = np.asarray(beyond(jnp.asarray(rectangle), (80, 160)))
        coarse = np.asarray(beyond(jnp.asarray(rectangle), (40, 80)))
        x0, y0, x1, y1 = np.clip(rectangle, 0, 1)
        assert abs((~fine).mean() - (x1 - x0) * (y1 - y0)) < 0.02
        assert (coarse == fine.reshape(40, 2, 80, 2).mean((1, 3)).round()).mean() > 0.97


def test_without_shift_a_box_keeps_its_centre():
    x0, y0, x1, y1 = np.asarray(jitter((0.5, 2.0), KEYS, shift=0.0)).T
    np.testing.assert_allclose((x0 + x1) / 2, 39.5, atol=1e-3)
    np.testing.assert_allclose((y0 + y1) / 2, 19.5, atol=1e-3)


@pytest.mark.parametrize("output", [(32, 24), (10, 40), (20, 30)])
def test_fitted_box_holds_the_image_in_the_middle_as_tightly_as_the_aspect_allows(output):
    size = jnp.array([20, 30])
    box, whole = np.asarray(fitted_box(size, output)), np.asarray(whole_box(size))
    assert whole.tolist() == [-0.5, -0.5, 29.5, 19.5]
    np.testing.assert_allclose((box[2] - box[0]) / (box[3] - box[1]), output[1] / output[0], rtol=1e-6)
    np.testing.assert_allclose(box[:2] + box[2:], whole[:2] + whole[2:], atol=1e-5)
    margins = np.concatenate([whole[:2] - box[:2], box[2:] - whole[2:]])
    assert margins.min() >= -1e-5
    np.testing.assert_allclose(min(margins[0], margins[1]), 0, atol=1e-5)


SIZE, CANVAS, OUTPUT = jnp.array([30, 40]), (36, 48), (60, 96)
see_all = jax.jit(
    lambda image, label_map, joints, visible, box: (
        see(image, SIZE, box, OUTPUT),
        see_classes(label_map, box, OUTPUT, PASCAL_PERSON),
        skeleton_label_map(PASCAL_PERSON, joints, visible, box, size=OUTPUT, width=9),
    )
)


def disc(x, y):
    """An image, a label map and a pose of one and the same disc, a head of radius 5 around (x, y), on a canvas."""
    rows, columns = np.indices(CANVAS)
    within = (columns - x) ** 2 + (rows - y) ** 2 <= 25
    image = np.where(within, 255, 0)[..., None].repeat(3, -1).astype(np.uint8)
    label_map = np.where(within, 1, 0).astype(np.uint8)
    label_map[30:], label_map[:, 40:] = IGNORE, IGNORE
    joints, visible = np.zeros((16, 2), np.float32), np.zeros(16, bool)
    neck, head = PASCAL_PERSON.limbs[0]
    joints[neck], joints[head], visible[[neck, head]] = (x - 0.5, y), (x + 0.5, y), True
    return tuple(jnp.asarray(array) for array in (image, label_map, joints, visible))


def centroid(weights):
    rows, columns = np.indices(weights.shape)
    return np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()


@pytest.mark.parametrize("box", [(-0.5, -0.5, 39.5, 29.5), (10.0, 2.5, 31.25, 22.0), (33.0, -2.0, 5.5, 24.0)])
def test_image_classes_and_prior_line_up_through_one_box(box):
    x, y = 18, 13
    x0, y0, x1, y1 = box
    expected = [(x - x0) / (x1 - x0) * OUTPUT[1] - 0.5, (y - y0) / (y1 - y0) * OUTPUT[0] - 0.5]
    image, classes, prior = see_all(*disc(x, y), jnp.array(box))
    bright = np.where(inside(SIZE, jnp.array(box), OUTPUT), image[..., 0] + 1, 0) / 2
    for mask in (bright, classes == 1, prior[..., 0]):
        # Half a pixel would be .5 in the output and .6 to 1.7 in the image.
        np.testing.assert_allclose(centroid(np.asarray(mask, float)), expected, atol=0.3)
    head = np.asarray(classes == 1)
    assert ((bright > 0.5) & head).sum() > 0.9 * ((bright > 0.5) | head).sum()


def test_a_mirrored_box_mirrors_image_classes_and_prior():
    plain = see_all(*disc(18, 13), jnp.array([5.5, -2.0, 33.0, 24.0]))
    mirrored = see_all(*disc(18, 13), jnp.array([33.0, -2.0, 5.5, 24.0]))
    for one, other in zip(plain, mirrored):
        np.testing.assert_allclose(one.astype(jnp.float32), other[:, ::-1].astype(jnp.float32), atol=1e-3)


def test_outside_of_the_image_is_grey_and_ignored():
    image, classes, _ = see_all(*disc(18, 13), jnp.array([-20.5, -15.5, 59.5, 44.5]))
    # The box is twice the image: it fills the middle half of the output.
    outside = np.ones(OUTPUT, bool)
    outside[15:45, 24:72] = False
    assert (image[outside] == 0).all()
    assert (image[~outside] != 0).all()
    np.testing.assert_array_equal(classes == IGNORE, outside)


there_and_back = jax.jit(lambda image, box: unsee(see(image, jnp.array(CANVAS), box, (72, 96)), box, CANVAS))


@pytest.mark.parametrize("box", [(-2.0, -1.0, 47.0, 36.0), (49.0, -3.0, -4.0, 38.0)])
def test_unsee_undoes_see(box):
    rows, columns = np.indices(CANVAS)
    smooth = (128 + 60 * np.sin(columns / 9) + 50 * np.cos(rows / 7)).astype(np.uint8)[..., None].repeat(3, -1)
    back = np.asarray(there_and_back(jnp.asarray(smooth), jnp.array(box)))
    np.testing.assert_allclose(back[2:-2, 2:-2], (smooth / 127.5 - 1)[2:-2, 2:-2], atol=0.02)


def test_unsee_knows_nothing_outside_of_the_box():
    back = jax.jit(unsee, static_argnums=2)(jnp.ones((8, 8, 1)), jnp.array([4.5, 2.5, 12.5, 10.5]), (16, 20))
    expected = np.zeros((16, 20, 1))
    expected[3:11, 5:13] = 1
    np.testing.assert_allclose(back, expected, atol=1e-6)


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
    folder, *, steps=STEPS, kill_at=None, scores=None, data=None, step=tiny_step, config=TinyConfig(), evaluate=None
):
    def score(state):
        if int(state.step) == kill_at:
            raise Killed
        return {"miou": (scores or {}).get(int(state.step), 0.5)}

    data = data or Resident(stack_people(TINY_PEOPLE, (3, 4)), BATCH, seed=3)
    return fit(
        new_state(), step, jnp.float32(2), data, title="tiny", config=config, folder=folder,
        steps=steps, every=EVERY, evaluate=evaluate or score,
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


def test_batches_are_split_over_all_devices_or_refused():
    mesh = data_mesh()
    people = stack_people(TINY_PEOPLE[:8], (3, 4))
    halves = split(people, mesh)
    assert isinstance(halves, People)
    assert len(halves.images.addressable_shards) == jax.device_count() == 8
    assert halves.images.addressable_shards[0].data.shape == (1, 3, 4, 3)
    with pytest.raises(ValueError, match=r"batch of 6 .* 8 devices"):
        split(stack_people(TINY_PEOPLE[:6], (3, 4)), mesh)
