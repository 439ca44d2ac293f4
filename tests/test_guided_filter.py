"""The guided filter against the least squares that define it."""

import jax
import numpy as np
import pytest

from pgkt_jax.data.puppets import draw_puppet
from pgkt_jax.nets.guided_filter import EPSILON, follow_edges, guided_filter

HEIGHT, WIDTH, RADIUS = 40, 28, 4
filtered = jax.jit(guided_filter, static_argnames="radius")
followed = jax.jit(follow_edges, static_argnames="radius")


def windows(inside):
    """Of every pixel of the image: the pixels of the image around it."""
    for row, column in np.argwhere(inside):
        around = np.zeros_like(inside)
        around[max(row - RADIUS, 0) : row + RADIUS + 1, max(column - RADIUS, 0) : column + RADIUS + 1] = True
        yield (row, column), around & inside


def by_least_squares(values, image, inside):
    """In each window a line through (colour, value), its slope held small by EPSILON; the mean of all at a pixel."""
    colors = image / 255
    total, count = np.zeros(values.shape), np.zeros(values.shape)
    for _, window in windows(inside):
        seen, known = colors[window], values[window]
        centred = seen - seen.mean(0)
        rows = np.vstack([centred, np.sqrt(EPSILON * len(seen)) * np.eye(3)])
        slope = np.linalg.lstsq(rows, np.concatenate([known - known.mean(), np.zeros(3)]))[0]
        total[window] += known.mean() + centred @ slope
        count[window] += 1
    return total / np.maximum(count, 1)


@pytest.fixture(scope="module")
def case():
    """A drawn person that fills most of a canvas, and a background that knows the outline only roughly."""
    person = draw_puppet(3, size=(HEIGHT, WIDTH))
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[:37, :25] = True
    background = (person.label_map == 0).astype(np.float32)
    rough = np.clip(np.roll(background, (2, 1), (0, 1)), 0.1, 0.9)
    return person.image, background, rough, inside


def test_it_is_the_mean_of_the_lines_of_all_windows(case):
    image, _, rough, inside = case
    ours = filtered(rough, image, inside, radius=RADIUS)
    np.testing.assert_allclose(ours[inside], by_least_squares(rough, image, inside)[inside], atol=1e-3)


def test_what_lies_around_the_image_says_nothing(case):
    image, _, rough, inside = case
    ours = filtered(rough, image, inside, radius=RADIUS)
    other = filtered(np.where(inside, rough, 5), np.where(inside[..., None], image, 77), inside, radius=RADIUS)
    np.testing.assert_allclose(ours[inside], other[inside], atol=1e-5)


def test_where_there_is_no_edge_it_is_a_blur(case):
    *_, rough, inside = case
    grey = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    means = np.zeros((HEIGHT, WIDTH))
    for place, window in windows(inside):
        means[place] = rough[window].mean()
    twice = [(place, means[window].mean()) for place, window in windows(inside)]
    ours = filtered(rough, grey, inside, radius=RADIUS)
    np.testing.assert_allclose([ours[place] for place, _ in twice], [value for _, value in twice], atol=1e-4)


def shares_of(background):
    """Of three classes, the parts two to one on the left and one to two on the right."""
    left = np.arange(WIDTH) < WIDTH // 2
    first = np.where(left, 2 / 3, 1 / 3)
    parts = (1 - background)[..., None] * np.stack([first, 1 - first], -1)
    return np.concatenate([background[..., None], parts], -1).astype(np.float32)


def test_the_outline_comes_nearer_to_the_truth_and_the_parts_keep_their_ratio(case):
    image, background, rough, inside = case
    before = shares_of(rough)
    after = np.asarray(followed(before, image, inside, radius=RADIUS))
    np.testing.assert_allclose(after.sum(-1), 1, atol=1e-5)
    right = [((found.argmax(-1) == 0) == background)[inside].mean() for found in (before, after)]
    assert right[1] > right[0] + 0.02
    np.testing.assert_allclose(after[..., 1] / after[..., 2], before[..., 1] / before[..., 2], rtol=1e-4)


def test_the_outline_grows_into_where_no_part_has_a_share():
    """A white person on black, whose last column the network takes for background with all certainty of a float."""
    image, person = np.zeros((HEIGHT, WIDTH, 3), np.uint8), np.arange(WIDTH) < 14
    image[:, person] = 255
    known = np.broadcast_to(np.arange(WIDTH) < 13, (HEIGHT, WIDTH)).astype(np.float32)
    shares = np.stack([1 - known, 0.25 * known, 0.75 * known], -1)
    for least in (0.0, 1e-15):
        shares = np.maximum(shares, np.float32([0, 0, least]))
        after = np.asarray(followed(shares, image, np.ones((HEIGHT, WIDTH), bool), radius=RADIUS)).argmax(-1)
        np.testing.assert_array_equal(after == 0, np.broadcast_to(~person, after.shape))
    assert (after[:, 13] == 2).all()


def test_nobody_and_everybody_stay_finite(case):
    image, background, _, inside = case
    for share in (np.zeros_like(background), np.ones_like(background)):
        after = np.asarray(followed(shares_of(share), image, inside, radius=RADIUS))
        assert np.isfinite(after).all()
        np.testing.assert_array_equal(after.argmax(-1)[inside] == 0, share[inside] == 1)
