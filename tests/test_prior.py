"""The part-level prior and its rival: against a loop in NumPy and SciPy, closed forms and float64 differences."""

from dataclasses import replace
from functools import partial

import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from pgkt_jax import (
    IGNORE,
    PASCAL_PERSON,
    Part,
    PoseBank,
    Skeleton,
    label_of_prior,
    make_prior,
    nearest_poses,
    prior_from,
    skeleton_label_map,
)
from pgkt_jax.geometry import image_box

STICK = Skeleton("stick", ("tip", "root"), (Part("wood", ("tip", "root"), "wood"),), ("tip", "root"))
ARMS = Skeleton(
    "arms",
    ("pelvis", "neck", "left_hand", "right_hand"),
    (
        Part("torso", ("pelvis", "neck"), "torso"),
        Part("left_arm", ("neck", "left_hand"), "arms"),
        Part("right_arm", ("neck", "right_hand"), "arms"),
    ),
    ("pelvis", "neck"),
)
"""What a prior does is the same for every part: where a test compiles much, three stand for ten."""

SIZE = HEIGHT, WIDTH = 50, 34
HALF = (25, 17)
WHOLE_IMAGE = np.float32(image_box(SIZE))
STANDING = np.float32(
    [
        (11, 46), (12, 36), (13, 26), (19, 26), (21, 36), (22, 46), (16, 26), (16, 13),
        (16, 11), (16, 3), (5, 25), (7, 18), (11, 13), (21, 13), (25, 18), (27, 25),
    ]
)  # fmt: skip
BALANCING = np.float32([(16, 40), (16, 15), (29, 9), (5, 20)])
EVERY_JOINT = np.ones(16, bool)
WRISTS = np.array([PASCAL_PERSON.joint("left_wrist"), PASCAL_PERSON.joint("right_wrist")])
LOWER_ARMS = PASCAL_PERSON.classes.index("lower arms") - 1


def draw(skeleton, joints, radius=3.0, size=SIZE):
    """A label map uint8[H, W]: every pixel near a limb has the part of the nearest one."""
    y, x = np.mgrid[: size[0], : size[1]]
    (ax, ay), (bx, by) = np.moveaxis(joints[skeleton.limbs].astype(float), 0, -1)
    ux, uy = bx - ax, by - ay
    along = np.clip(((x[..., None] - ax) * ux + (y[..., None] - ay) * uy) / (ux**2 + uy**2), 0, 1)
    distance = np.hypot(x[..., None] - ax - along * ux, y[..., None] - ay - along * uy)
    return np.where(distance.min(-1) <= radius, distance.argmin(-1) + 1, 0).astype(np.uint8)


def poses(pose, count, seed=0):
    """float32[count, J, 2]: people in about this pose, joints on quarters of pixels."""
    moved = pose + np.random.default_rng(seed).normal(0, 2, (count, *pose.shape))
    return (np.round(moved * 4) / 4).astype(np.float32)


JOINTS = poses(STANDING, 5)
LABEL_MAPS = [draw(PASCAL_PERSON, joints) for joints in JOINTS]
TARGET = poses(STANDING, 1, seed=9)[0]

prior = jax.jit(partial(make_prior, method="exact"), static_argnames=("size", "k", "n"))
bank_of = partial(PoseBank.create, limb_frames=False)
nearest = jax.jit(nearest_poses, static_argnames=("k", "n"))


@pytest.fixture(scope="module")
def bank():
    return bank_of(PASCAL_PERSON, LABEL_MAPS, JOINTS, np.ones((5, 16), bool))


@pytest.fixture(scope="module")
def arms_bank():
    joints = poses(BALANCING, 2)
    return PoseBank.create(ARMS, [draw(ARMS, j) for j in joints], joints, np.ones((2, 4), bool))


def look(bank, joints=TARGET, visible=EVERY_JOINT, box=WHOLE_IMAGE):
    """The prior of a person, in the one form that is compiled."""
    return np.asarray(prior(bank, joints, visible, np.float32(box), size=HALF, k=2))


def in_full(bank, joints, visible=EVERY_JOINT):
    """The prior at the image's own size, in four views."""
    height, width = HALF
    rows = []
    for top in (0, height):
        views = [look(bank, joints, visible, image_box(HALF) + np.array([left, top] * 2)) for left in (0, width)]
        rows.append(np.concatenate(views, 1))
    return np.concatenate(rows, 0)


def class_masks(label_map):
    """[H, W, 6] of 0 and 1, the parts of a class merged."""
    return np.eye(7)[PASCAL_PERSON.class_lut[label_map]][..., 1:]


# --- The paper's sum ------------------------------------------------------------------------------


def prior_by_loops(people, visible, target, target_visible, box, size):
    """Sections 3.4 and 4.2, neighbour by neighbour and part by part: morph, merge by max, average."""
    x0, y0, x1, y1 = box
    x = x0 + (np.arange(size[1]) + 0.5) * (x1 - x0) / size[1]
    y = y0 + (np.arange(size[0]) + 0.5) * (y1 - y0) / size[0]
    z = x[None, :] + 1j * y[:, None]
    total = np.zeros((*size, 6))
    for person in people:
        merged = np.zeros((*size, 6))
        for part, limb in enumerate(PASCAL_PERSON.limbs):
            if not (target_visible[limb].all() and visible[person][limb].all()):
                continue
            (a, b), (c, d) = JOINTS[person][limb] @ [1, 1j], target[limb] @ [1, 1j]
            at = a + (b - a) / (d - c) * (z - c)
            # grid-constant: SciPy's way to let background begin one pixel beyond the outermost centres.
            mask = map_coordinates(
                (LABEL_MAPS[person] == part + 1) * 1.0, [at.imag, at.real], order=1, mode="grid-constant"
            )
            merged[..., PASCAL_PERSON.part_classes[part] - 1] = np.maximum(
                merged[..., PASCAL_PERSON.part_classes[part] - 1], mask
            )
        total += merged
    return total / len(people)


@pytest.mark.parametrize("box", [(-0.5, -0.5, 33.5, 49.5), (30.25, 4.5, 3.25, 60.0)], ids=["whole", "mirrored crop"])
def test_the_prior_is_the_papers_sum(bank, box):
    visible = np.random.default_rng(1).random((5, 16)) < 0.9
    seen = EVERY_JOINT.copy()
    seen[WRISTS[0]] = False
    bank = replace(bank, visible=jnp.asarray(visible))
    picked = nearest(bank, TARGET, seen, k=2).indices
    found = look(bank, TARGET, seen, box)
    expected = prior_by_loops(picked, visible, TARGET, seen, box, HALF)
    assert expected.max() > 0.9
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_person_is_its_own_prior_if_nobody_else_counts(bank):
    alone = replace(bank, valid=jnp.arange(5) == 3)
    np.testing.assert_allclose(in_full(alone, JOINTS[3]), class_masks(LABEL_MAPS[3]), atol=1e-5)


def test_a_turned_person_of_a_skeleton_of_ones_own_gives_the_turned_mask():
    label_map = np.random.default_rng(0).integers(0, 2, (7, 12)).astype(np.uint8)
    bank = bank_of(STICK, [label_map], np.float32([[(2, 3), (9, 3)]]), np.ones((1, 2), bool))
    # A quarter turn takes (x, y) to (6 - y, x).
    turned, box = np.float32([(3, 2), (3, 9)]), np.float32(image_box((12, 7)))
    found = prior(bank, turned, np.ones(2, bool), box, size=(12, 7), k=1)
    np.testing.assert_allclose(found[..., 0], np.rot90(label_map, -1), atol=1e-5)
    # Twice as large a target, seen through a box twice as large.
    found = prior(bank, turned * 2 + 0.5, np.ones(2, bool), box * 2 + 0.5, size=(12, 7), k=1)
    np.testing.assert_allclose(found[..., 0], np.rot90(label_map, -1), atol=1e-5)


# --- Boxes ----------------------------------------------------------------------------------------


def test_a_mirrored_box_mirrors_the_prior(bank):
    mirrored = look(bank, box=WHOLE_IMAGE[[2, 1, 0, 3]])
    np.testing.assert_allclose(mirrored, look(bank)[:, ::-1], atol=1e-4)


def test_a_box_moved_by_whole_pixels_moves_the_prior(bank):
    # Pixels of the output: each is two of the image's wide.
    moved = look(bank, box=WHOLE_IMAGE + 2 * np.array([3, -2, 3, -2]))
    np.testing.assert_allclose(moved[2:, :-3], look(bank)[:-2, 3:], atol=1e-4)


def test_moving_target_and_box_together_changes_nothing(bank):
    shift = np.float32([100, -40])
    moved = look(bank, TARGET + shift, box=WHOLE_IMAGE + np.tile(shift, 2))
    np.testing.assert_allclose(moved, look(bank), atol=1e-3)


# --- What is missing ------------------------------------------------------------------------------


def test_a_neighbour_that_lacks_a_limb_adds_nothing_to_its_part_and_still_counts(bank):
    # Rows 0 and 1 are the same person, once without wrists.
    rows = {name: getattr(bank, name)[np.array([0, 0, 2, 3, 4])] for name in ("label_maps", "joints", "features")}
    twins = replace(bank, **rows, valid=jnp.arange(5) < 2, visible=bank.visible.at[1, WRISTS].set(False))
    expected = class_masks(LABEL_MAPS[0])
    expected[..., LOWER_ARMS] /= 2
    np.testing.assert_allclose(in_full(twins, JOINTS[0]), expected, atol=1e-5)


def test_without_neighbours_the_prior_is_zero(bank):
    assert not look(replace(bank, valid=jnp.zeros(5, bool))).any()
    assert not look(bank, visible=~EVERY_JOINT).any()


# --- Banks ----------------------------------------------------------------------------------------


def test_a_bank_that_is_reduced_gives_nearly_the_same_prior():
    joints, size = poses(BALANCING, 2) * 4 + 1.5, (4 * HEIGHT, 4 * WIDTH)
    maps = [np.pad(draw(ARMS, j, 12, size), ((3, 0), (5, 0))) for j in joints]
    arguments = ARMS, maps, joints + np.float32([5, 3]), np.ones((2, 4), bool)
    full, reduced = (bank_of(*arguments, max_side=side) for side in (256, 48))
    assert max(full.label_maps.shape[1:]) > 120
    assert max(reduced.label_maps.shape[1:]) == 48
    target, seen = poses(BALANCING, 1, seed=9)[0], np.ones(4, bool)
    priors = [prior(b, target, seen, WHOLE_IMAGE, size=SIZE, k=1) for b in (full, reduced)]
    full_labels, labels = (np.asarray(label_of_prior(p)) for p in priors)
    for class_id in (1, 2):
        first, second = full_labels == class_id, labels == class_id
        assert (first & second).sum() / (first | second).sum() > 0.9


def test_reducing_a_person_keeps_the_edges_of_its_map_where_they_are():
    label_map = np.zeros((50, 40), np.uint8)
    label_map[4:44, 10:30] = 1
    joints = np.zeros((1, 16, 2), np.float32)
    joints[0, :2] = (9.5, 3.5), (29.5, 43.5)
    bank = bank_of(PASCAL_PERSON, [label_map], joints, np.ones((1, 16), bool), max_side=10)
    np.testing.assert_array_equal(bank.label_maps, np.ones((1, 10, 5)))
    np.testing.assert_allclose(bank.joints[0, :2], [(-0.5, -0.5), (4.5, 9.5)], atol=1e-6)


def test_maps_of_different_sizes_are_padded_with_background():
    maps = [np.full((3, 7), 1, np.uint8), np.full((6, 2), 2, np.uint8)]
    bank = bank_of(PASCAL_PERSON, maps, JOINTS[:2], np.ones((2, 16), bool))
    assert bank.label_maps.shape == (2, 6, 7)
    np.testing.assert_array_equal(bank.label_maps[0, :3], 1)
    np.testing.assert_array_equal(bank.label_maps[1, :, :2], 2)
    assert bank.label_maps.sum() == 21 + 24


def test_ignored_and_unknown_ids_are_background_in_a_bank():
    disturbed = LABEL_MAPS[0].copy()
    disturbed[0], disturbed[:, -1] = IGNORE, 11
    assert not LABEL_MAPS[0][0].any()
    assert not LABEL_MAPS[0][:, -1].any()
    seen = np.ones((1, 16), bool)
    clean, bank = (bank_of(PASCAL_PERSON, [m], JOINTS[:1], seen) for m in (LABEL_MAPS[0], disturbed))
    for expected, found in zip(jax.tree.leaves(clean), jax.tree.leaves(bank)):
        np.testing.assert_array_equal(found, expected)


NAN_HEAD = JOINTS.copy()
NAN_HEAD[1, PASCAL_PERSON.joint("head_top"), 0] = np.nan


@pytest.mark.parametrize(
    ("label_maps", "joints", "visible", "message"),
    [
        ([], JOINTS[:0], np.ones((0, 16), bool), "at least one person"),
        (LABEL_MAPS[:2], JOINTS, np.ones((5, 16), bool), "bank of 2 people"),
        (LABEL_MAPS, JOINTS[:, :14], np.ones((5, 14), bool), r"pascal16 wants joints \(5, 16, 2\)"),
        (LABEL_MAPS, JOINTS, np.ones((5, 15), bool), r"visible \(5, 16\)"),
        (LABEL_MAPS, NAN_HEAD, np.ones((5, 16), bool), "bank row 1: joint head_top is visible but not finite"),
        ([m.astype(np.int32) for m in LABEL_MAPS], JOINTS, np.ones((5, 16), bool), "must be uint8"),
        ([m[..., None] for m in LABEL_MAPS], JOINTS, np.ones((5, 16), bool), "must be uint8"),
    ],
)
def test_a_bank_of_bad_people_raises(label_maps, joints, visible, message):
    with pytest.raises(ValueError, match=message):
        bank_of(PASCAL_PERSON, label_maps, joints, visible)


# --- Gradients ------------------------------------------------------------------------------------


def test_float64_differences_agree_with_the_gradient_and_are_not_zero(arms_bank):
    target, seen = poses(BALANCING, 1, seed=9)[0], np.ones(4, bool)
    near = nearest(arms_bank, target, seen, k=2)
    with jax.enable_x64(True):
        weights = np.random.default_rng(0).normal(size=(*HALF, 2))

        @jax.vmap
        def score(joints):
            visible, box = jnp.asarray(seen), jnp.asarray(WHOLE_IMAGE)
            found = prior_from(arms_bank, near, joints, visible, box, size=HALF, dtype=jnp.float64, method="exact")
            return jnp.sum(weights * found**2)

        @jax.jit
        def scores_and_gradients(joints):
            scores, pullback = jax.vjp(score, joints)
            return scores, pullback(jnp.ones_like(scores))[0]

        steps = np.eye(8).reshape(8, 4, 2) * 1e-6
        scores, gradients = scores_and_gradients(np.concatenate([target + steps, target - steps]))
    differences = np.asarray(scores[:8] - scores[8:]).reshape(4, 2) / 2e-6
    assert gradients.dtype == np.float64
    np.testing.assert_allclose(gradients[0], differences, rtol=1e-4, atol=1e-4)
    assert (np.abs(differences) > 1e-2).all()


PICTURE_WEIGHTS = np.random.default_rng(2).normal(size=(6, 5, 2)).astype(np.float32)


METHODS = pytest.mark.parametrize("method", ["exact", "limb_frames"])


@partial(jax.jit, static_argnames="method")
def prior_and_gradient(bank, joints, visible, box, method):
    def score(joints):
        found = make_prior(bank, joints, visible, box, size=(6, 5), k=2, method=method)
        return jnp.sum(found * PICTURE_WEIGHTS), found

    gradient, found = jax.grad(score, has_aux=True)(joints)
    return found, gradient


@METHODS
@pytest.mark.parametrize("length", [0, 1e-20, 1e-10, 0.25])
def test_a_limb_without_length_counts_as_missing_and_has_a_finite_gradient(arms_bank, length, method):
    # The neck at the origin, where the smallest lengths still exist in float32.
    neck, hand = ARMS.joint("neck"), ARMS.joint("left_hand")
    short, box = BALANCING - BALANCING[neck], WHOLE_IMAGE - np.tile(BALANCING[neck], 2)
    short[hand] = (length, 0)
    found, gradient = prior_and_gradient(arms_bank, short, np.ones(4, bool), box, method)
    hidden = prior_and_gradient(arms_bank, short, np.arange(4) != hand, box, method)[0]
    np.testing.assert_array_equal(found, hidden)
    assert found.any(axis=(0, 1)).all()
    assert np.isfinite(gradient).all()
    assert not gradient[hand].any()


anywhere = st.floats(-10, 60, width=32) | st.floats(-1e6, 1e6, width=32)


@METHODS
@settings(derandomize=True, max_examples=60, deadline=None, database=None)
@given(
    joints=hnp.arrays(np.float32, (4, 2), elements=anywhere) | st.just(BALANCING),
    onto=st.just(range(4)) | st.lists(st.integers(0, 3), min_size=4, max_size=4),
    visible=st.just([True] * 4) | st.lists(st.booleans(), min_size=4, max_size=4),
    box=st.just((33.5, -0.5, -0.5, 49.5)) | st.tuples(anywhere, anywhere, anywhere, anywhere),
)
def test_a_prior_is_finite_and_in_0_to_1_with_a_finite_gradient_for_any_target(
    arms_bank, method, joints, onto, visible, box
):
    # `onto` puts joints on top of each other: limbs of length 0.
    visible = np.array(visible)
    found, gradient = prior_and_gradient(arms_bank, joints[list(onto)], visible, np.float32(box), method)
    assert np.isfinite(found).all()
    assert np.min(found) >= 0
    assert np.max(found) <= 1
    assert np.isfinite(gradient).all()
    assert not np.asarray(gradient)[~visible].any()


# --- The rival: sticks ----------------------------------------------------------------------------

draw_sticks = jax.jit(skeleton_label_map, static_argnums=0, static_argnames=("size", "width"))


def sticks(skeleton, joints, visible, box, size, width=7.0):
    return np.asarray(
        draw_sticks(skeleton, np.float32(joints), np.array(visible), np.float32(box), size=size, width=width)
    )


@pytest.mark.parametrize("width", [1.0, 3.0, 7.0])
def test_a_stick_covers_the_pixels_within_half_its_width_and_a_half(width):
    size, reach = (17, 25), int(width + 1) // 2
    found = sticks(STICK, [(7, 8), (18, 8)], [True, True], image_box(size), size, width=width)[..., 0]
    i, j = np.mgrid[:17, :25]
    beyond = np.maximum(np.maximum(7 - j, j - 18), 0)
    np.testing.assert_array_equal(found, beyond**2 + (i - 8) ** 2 <= reach**2)
    np.testing.assert_array_equal(np.flatnonzero(found[:, 12]), np.arange(8 - reach, 8 + reach + 1))


def test_the_width_of_a_stick_is_in_the_frame_of_the_joints():
    found = sticks(STICK, [(7, 8), (18, 8)], [True, True], image_box((17, 25)), (34, 25))[..., 0]
    # Rows of half a pixel: centres at .25, .75, ... away from the axis, up to 4.
    assert found[:, 12].sum() == 16


def test_a_stick_with_a_hidden_joint_or_without_length_is_not_drawn():
    box, size = image_box((17, 25)), (17, 25)
    assert not sticks(STICK, [(7, 8), (18, 8)], [True, False], box, size).any()
    assert not sticks(STICK, [(7, 8), (7, 8)], [True, True], box, size).any()


def test_where_sticks_cross_the_nearest_axis_has_the_pixel():
    cross = Skeleton(
        "cross",
        ("west", "east", "north", "south"),
        (Part("beam", ("west", "east"), "beam"), Part("post", ("north", "south"), "post")),
        ("north", "south"),
    )
    found = sticks(cross, [(0, 10), (20, 10), (10, 0), (10, 20)], [True] * 4, image_box((21, 21)), (21, 21))
    i, j = np.abs(np.mgrid[:21, :21] - 10)
    assert found.max(-1)[7, 8] == 1
    assert found.sum(-1).max() == 1
    np.testing.assert_array_equal(found[..., 0][(i < j) & (i <= 4)], 1)
    np.testing.assert_array_equal(found[..., 1][(j < i) & (j <= 4)], 1)


def test_a_person_of_sticks_is_drawn_whole_and_every_limb_in_its_class():
    found = sticks(PASCAL_PERSON, STANDING, EVERY_JOINT, WHOLE_IMAGE, SIZE, width=5.0)
    np.testing.assert_array_equal(found.any(-1), draw(PASCAL_PERSON, STANDING, radius=3) > 0)
    x, y = STANDING[PASCAL_PERSON.limbs].mean(1).astype(int).T
    np.testing.assert_array_equal(found[y, x].argmax(-1) + 1, PASCAL_PERSON.part_classes)


def test_the_label_of_a_prior_is_its_largest_mask_from_one_half_on():
    masks = jnp.asarray([[[0.5, 0.2], [0.49, 0.4], [0.6, 0.9], [0, 0]]])
    np.testing.assert_array_equal(label_of_prior(masks), [[1, 0, 2, 0]])
