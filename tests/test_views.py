"""How a training looks at people: random boxes and colours, and image, classes and prior through one box."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pgkt_jax.config import RefineConfig
from pgkt_jax.data.person import Person, mirror_person
from pgkt_jax.prior import PoseBank, skeleton_label_map
from pgkt_jax.skeleton import IGNORE, PASCAL_PERSON, Part, Skeleton
from pgkt_jax.stages.refine import network_input
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
    np.testing.assert_array_equal(turn_classes(jnp.asarray(classes), right, (4, 4)), np.rot90(classes, -1))
    outside = np.asarray(turn_classes(jnp.asarray(classes), eighth, (4, 4))) == IGNORE
    assert outside[0, 0]
    assert not outside[2:7, 2:7].any()
    assert np.asarray(turn(jnp.asarray(image), eighth))[0, 0].tolist() == [0, 0, 0]


def test_colours_vary_by_key_within_their_range_and_not_at_all_at_strength_zero():
    image = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (4, 5, 3)).astype(np.float32))
    np.testing.assert_allclose(color_jitter(KEYS[0], image, 0.0), image, atol=1e-6)
    varied = np.asarray(jax.vmap(lambda key: color_jitter(key, image, 0.4))(KEYS))
    assert np.abs(varied).max() <= 1
    assert (varied.std(0) > 0.1).all()
    grey = jnp.full((1, 1, 3), 0.2)
    tints = np.asarray(jax.vmap(lambda key: color_jitter(key, grey, 0.4))(KEYS))[:, 0, 0]
    assert np.abs(tints.mean(0) - 0.2).max() < 0.1  # neither darker nor tinted on average
    assert np.ptp(tints - tints.mean(-1, keepdims=True)) > 0.2  # a colour cast


def test_the_same_rectangle_is_blotted_out_at_every_resolution():
    rectangles = np.asarray(jax.vmap(lambda key: random_rectangle(key, 0.4))(KEYS))
    sides_of, view = rectangles[:, 2:] - rectangles[:, :2], jnp.array([0.0, 0, 1, 1])
    assert sides_of.min() > 0.2 * 0.4 - 1e-3
    assert 0.39 < sides_of.max() < 0.4 + 1e-3
    for rectangle in rectangles[:5]:
        fine = np.asarray(beyond(jnp.asarray(rectangle), view, (80, 160)))
        coarse = np.asarray(beyond(jnp.asarray(rectangle), view, (40, 80)))
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


SIDED = Skeleton(
    name="sided",
    joints=("nose", "tail", "left_fin", "right_fin"),
    parts=tuple(Part(name, ("nose", name), name) for name in ("tail", "left_fin", "right_fin")),
    torso=("tail", "nose"),
)
"""Left and right are classes of their own."""


@pytest.mark.parametrize("prior", ["skeleton", "part-level"])
def test_a_mirrored_box_shows_the_mirrored_person_where_classes_have_sides(prior):
    label_map = np.repeat(np.arange(4, dtype=np.uint8)[[1, 1, 0, 2, 2, 0, 3, 3]], 3)[None].repeat(20, 0)
    joints = np.array([[10, 2], [2, 17], [11, 18], [20, 15]], np.float32)
    visible = np.array([True, True, True, prior == "part-level"])
    person = Person("a fish", label_map[..., None].repeat(3, -1), joints, visible, label_map)
    config = RefineConfig(size=(20, 24), prior=prior, k=1, method="exact")
    look = jax.jit(
        lambda image, label_map, joints, visible, bank, box: (
            network_input(config, bank, image, joints, visible, box),
            see_classes(label_map, box, config.size, SIDED),
        )
    )

    def seen(person, box):
        bank = PoseBank.create(SIDED, [person.label_map], person.joints[None], person.visible[None])
        return look(jnp.zeros((20, 24, 3)), person.label_map, person.joints, person.visible, bank, jnp.array(box))

    ours = seen(person, [23.5, -0.5, -0.5, 19.5])
    for one, other in zip(ours, seen(mirror_person(person, SIDED), [-0.5, -0.5, 23.5, 19.5])):
        np.testing.assert_allclose(one.astype(jnp.float32), other.astype(jnp.float32), atol=1e-4)
    assert set(np.unique(ours[1])) == {0, 1, 2, 3}


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
