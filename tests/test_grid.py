"""Where on an image a network's outputs lie: labels are taken there, and outputs are brought back from there."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from pgkt_jax.config import ParseConfig
from pgkt_jax.data.batch import stack_people
from pgkt_jax.data.puppets import draw_puppet
from pgkt_jax.geometry import box_pixels, image_box
from pgkt_jax.nets.attention import Logits
from pgkt_jax.nets.grid import Grid, flipped, regridded
from pgkt_jax.nets.layers import resize
from pgkt_jax.skeleton import IGNORE, PASCAL_PERSON
from pgkt_jax.stages.evaluate import score_people
from pgkt_jax.stages.parse import parsed_labels, parsed_outputs, training_view
from pgkt_jax.train.optim import sgd
from pgkt_jax.train.state import TrainState
from pgkt_jax.train.views import unsee

GRIDS = [Grid(0, 8), Grid.of_cells(8), Grid.of_cells(2), Grid.of_cells(2).halved()]
each_grid = pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: f"{grid.origin:g}+{grid.stride:g}i")


@each_grid
@pytest.mark.parametrize("size", [(48, 64), (41, 50)])
def test_a_ramp_taken_at_the_grid_and_brought_back_is_the_ramp(grid, size):
    """Linear interpolation is exact on it, but for the rims outside of the first and last output's place."""
    outputs, whole = grid.covering(size), jnp.array(image_box(size))
    box = grid.box(whole, outputs, size)
    x, y = box_pixels(box, outputs)
    np.testing.assert_allclose(x[0], grid.origin + grid.stride * np.arange(outputs[1]), atol=1e-4)
    np.testing.assert_allclose(y[:, 0], grid.origin + grid.stride * np.arange(outputs[0]), atol=1e-4)
    values = jnp.stack(jnp.broadcast_arrays(x, y), -1)
    back = jax.jit(unsee, static_argnums=2)(values, box, size)
    rows, columns = np.indices(size)
    expected = np.stack([columns.clip(x.min(), x.max()), rows.clip(y.min(), y.max())], -1)
    np.testing.assert_allclose(back, expected, atol=1e-3)


@each_grid
def test_a_ramp_seen_at_another_scale_is_laid_over_the_first(grid):
    size, small = (40, 56), (20, 42)
    many, few = grid.covering(size), grid.covering(small)

    def ramp(size, outputs):
        x, y = box_pixels(grid.box(jnp.array(image_box((40, 56))), outputs, size), outputs)
        return jnp.stack(jnp.broadcast_arrays(x, y), -1)[None]

    laid = regridded(ramp(small, few), grid, small, onto=size, outputs=many)
    known = [(ramp(small, few)[..., c].min(), ramp(small, few)[..., c].max()) for c in (0, 1)]
    expected = np.stack([np.clip(ramp(size, many)[..., c], *known[c]) for c in (0, 1)], -1)
    np.testing.assert_allclose(laid, expected, atol=1e-3)


@pytest.mark.parametrize("side", [2, 8])
def test_cells_cover_their_image_and_are_laid_over_each_other_as_images_are_resized(side):
    grid, box = Grid.of_cells(side), jnp.array([70.3, -2.1, -0.5, 88.7])
    np.testing.assert_array_equal(grid.box(box, (64 // side, 48 // side), (64, 48)), box)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 32 // side, 24 // side, 3)), jnp.float32)
    outputs = (64 // side, 48 // side)
    laid = regridded(x, grid, (32, 24), onto=(64, 48), outputs=outputs)
    np.testing.assert_allclose(laid, resize(x, outputs), atol=1e-6)


class EveryEighthPixel(nnx.Module):
    """In place of a network: the class that a pixel is painted with, as logits at pixels 0, 8, 16, ..."""

    grid = Grid(0, 8)

    def __call__(self, x):
        return Logits(jax.nn.one_hot(decoded(every_eighth(x)[..., 0]), PASCAL_PERSON.num_classes), ())


def every_eighth(x):
    rows, columns = (8 * np.arange(count) for count in Grid(0, 8).covering(x.shape[1:3]))
    return jnp.pad(x, ((0, 0), (0, 8), (0, 8), (0, 0)), mode="edge")[:, rows][:, :, columns]


def decoded(painted):
    return jnp.clip(jnp.rint((painted + 1) * 3.5), 0, 6).astype(jnp.uint8)


@pytest.mark.parametrize(("grid", "width"), [(Grid(0, 8), 101), (Grid(0, 8), 97), (Grid.of_cells(2), 32)])
def test_what_is_said_of_a_mirrored_image_is_laid_where_it_was_said(grid, width):
    places = grid.origin + grid.stride * np.arange(grid.covering((1, width))[1], dtype=np.float32)
    seen_mirrored = jnp.asarray(width - 1 - places)[None, None, :, None]
    found = np.asarray(flipped(seen_mirrored, grid, width))[0, 0, :, 0]
    np.testing.assert_allclose(found[1:-1], places[1:-1], rtol=1e-5)


def test_testing_both_ways_says_the_same_of_the_same_place():
    """Of pictures that show where their pixels look; turned over without the grid, 3.5 pixels would lie between."""

    def look(boxes, size):
        return jnp.stack(jnp.broadcast_arrays(*box_pixels(boxes[0], size), 0.0), -1)[None]

    def outputs(**options):
        config = ParseConfig(size=(40, 96), **options)
        boxes = jnp.array(image_box(config.size))[None]
        return parsed_outputs(config, PASCAL_PERSON, Grid(0, 8), every_eighth, look, boxes)[0][:, :, 1:-2]

    np.testing.assert_allclose(outputs(mirror_test=True), outputs(), atol=1e-3)


def painted(rows, size):
    """People whose pictures are painted with their classes."""
    people = stack_people([draw_puppet(row, size=size) for row in rows], size)
    classes = PASCAL_PERSON.class_lut[people.label_maps]
    return dataclasses.replace(people, images=np.rint(classes * (255 / 7)).astype(np.uint8)[..., None].repeat(3, -1))


@pytest.mark.parametrize("scales", [(1.0,), (1.0, 0.75)])
def test_labels_through_a_grid_and_back_come_as_near_as_its_stride_allows(scales):
    """.76 and .78 mIoU; half a stride aside it would be .58 and .56."""
    size = (160, 96)
    config = ParseConfig(size=size, test_scales=scales, test_fusion="mean")
    people = painted(range(4), size)
    state = TrainState.create(EveryEighthPixel(), sgd(0, drops=()), 0)
    labels = jax.jit(lambda people: parsed_labels(config, PASCAL_PERSON, state, people))(people)
    assert score_people(np.asarray(labels), people, PASCAL_PERSON)["miou"] > 0.75


@pytest.mark.parametrize("window", [(160, 96), (96, 64)])
def test_a_training_compares_an_output_with_the_label_of_its_pixel(window):
    """But where a border is blurred; half a stride aside .75 to .83 of the labels would be the same."""
    size = (160, 96)
    config = ParseConfig(size=window, image_size=size, zoom=(0.8, 1.5))
    people = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), painted(range(1), size))
    view = jax.jit(training_view, static_argnums=(0, 1, 4, 5))
    outputs = EveryEighthPixel.grid.covering(window)
    same = []
    for seed in range(8):
        image, classes = view(config, PASCAL_PERSON, people, jax.random.key(seed), Grid(0, 8), outputs)
        shown = np.asarray(decoded(image[..., 0]))[::8, ::8]
        classes = np.asarray(classes)[: shown.shape[0], : shown.shape[1]]
        same += list((shown == classes)[classes != IGNORE])
    assert np.mean(same) >= 0.95


@pytest.mark.parametrize("size", [(24, 32), (90, 160)])
def test_views_of_a_larger_image_are_windows_of_it_at_its_own_scale(size):
    """An image of 60 x 120 pixels, fitted into 80 x 120: windows lie in it, or all of it in a larger window."""
    rows, columns = np.indices((60, 120)).astype(np.uint8)
    drawn = dataclasses.replace(draw_puppet(0, size=(60, 120)), image=np.stack([columns, rows, 0 * rows], -1))
    person = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), stack_people([drawn], (60, 120)))
    config = ParseConfig(size=size, image_size=(80, 120), mirror=False)
    view, corners = jax.jit(training_view, static_argnums=(0, 1, 4, 5)), []
    for seed in range(20):
        image, classes = view(config, PASCAL_PERSON, person, jax.random.key(seed), Grid.of_cells(1), size)
        x, y = ((np.asarray(image[..., channel]) + 1) * 127.5 for channel in (0, 1))
        inside = np.argwhere(np.asarray(classes) != IGNORE)
        (top, left), (bottom, right) = inside.min(0), inside.max(0)
        assert abs(len(inside) - min(size[0], 60) * min(size[1], 120)) <= 120, "a rim falls outside of the image"
        np.testing.assert_allclose(
            x[top + 2, left + 2 : right - 1] - x[top + 2, left + 2], range(right - left - 3), atol=0.1
        )
        np.testing.assert_allclose(
            y[top + 2 : bottom - 1, left + 2] - y[top + 2, left + 2], range(bottom - top - 3), atol=0.1
        )
        corners.append((top - y[top + 2, left + 2], left - x[top + 2, left + 2]))
    assert np.ptp(corners, axis=0).min() > 15, "they lie anywhere"


def test_outside_of_training_all_of_the_image_is_seen_at_its_own_scale():
    seen = []

    class Looked(EveryEighthPixel):
        def __call__(self, x):
            seen.append(x.shape[1:3])
            return super().__call__(x)

    config = ParseConfig(size=(32, 32), image_size=(160, 96), test_scales=(1.0, 0.5))
    state = TrainState.create(Looked(), sgd(0, drops=()), 0)
    people = painted(range(4), (160, 96))
    labels = jax.jit(lambda people: parsed_labels(config, PASCAL_PERSON, state, people))(people)
    assert seen == [(160, 96), (80, 48)]
    assert score_people(np.asarray(labels), people, PASCAL_PERSON)["miou"] > 0.7
