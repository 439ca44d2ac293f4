"""The dense CRF against sums over all pairs of pixels."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pgkt_jax.data.puppets import draw_puppet
from pgkt_jax.nets.dense_crf import CRF, crf_of, filtered, lattice, mean_field

HEIGHT, WIDTH = 48, 32
CHOSEN = CRF(similar_pixels=20.0, similar_colors=12.0)
field = jax.jit(mean_field, static_argnames="crf")


def features(image):
    """Of every pixel, for both kernels."""
    places = np.stack(np.indices(image.shape[:2]), -1).reshape(-1, 2).astype(np.float64)
    colors = image.reshape(-1, 3).astype(np.float64)
    near = places / CHOSEN.near_pixels
    return near, np.concatenate([places / CHOSEN.similar_pixels, colors / CHOSEN.similar_colors], 1)


def kernel(points):
    """float64[N, N]: Gaussians of all distances, every row summing to 1."""
    squared = (points**2).sum(1)
    values = np.exp(-np.maximum(squared[:, None] + squared - 2 * points @ points.T, 0) / 2)
    return values / values.sum(1, keepdims=True)


def mean_field_over_all_pairs(logits, image):
    unary = np.asarray(jax.nn.log_softmax(logits.reshape(-1, logits.shape[-1])), np.float64)
    near, similar = map(kernel, features(image))
    beliefs = unary
    for _ in range(CHOSEN.rounds):
        shares = np.asarray(jax.nn.softmax(beliefs, -1))
        beliefs = unary + CHOSEN.near_weight * near @ shares + CHOSEN.similar_weight * similar @ shares
    return beliefs.reshape(logits.shape)


@pytest.fixture(scope="module")
def case():
    """A drawn person, and logits that know the outline only roughly."""
    person = draw_puppet(3, size=(HEIGHT, WIDTH))
    truth = (person.label_map > 0).astype(int)
    moved = np.roll(truth, (2, 2), (0, 1))
    logits = 2.0 * np.eye(2)[moved] + np.random.default_rng(0).normal(0, 1, (HEIGHT, WIDTH, 2))
    return person.image, truth, logits.astype(np.float32)


@pytest.mark.parametrize("which", [0, 1])
def test_the_lattice_sums_over_all_pixels_as_gaussians_do(case, which):
    points = features(case[0])[which]
    values = np.concatenate([case[2].reshape(-1, 2), np.ones((HEIGHT * WIDTH, 1))], 1).astype(np.float32)
    everybody = jnp.ones(HEIGHT * WIDTH, bool)
    sums = np.asarray(
        jax.jit(lambda points: filtered(lattice(points, everybody), jnp.asarray(values)))(jnp.float32(points))
    )
    ours, exact = sums[:, :2] / sums[:, 2:], kernel(points) @ values[:, :2]
    assert np.abs(ours - exact).mean() < 0.1 * exact.std()
    assert np.corrcoef(ours.ravel(), exact.ravel())[0, 1] > 0.98


def test_mean_field_is_that_over_all_pairs(case):
    image, _, logits = case
    ours = field(logits, image, jnp.array([HEIGHT, WIDTH]), crf=CHOSEN)
    exact = mean_field_over_all_pairs(logits, image)
    assert (np.argmax(ours, -1) == exact.argmax(-1)).mean() > 0.97
    assert (np.argmax(logits, -1) == exact.argmax(-1)).mean() < 0.9


def test_labels_come_nearer_to_the_truth(case):
    image, truth, logits = case
    after = field(logits, image, jnp.array([HEIGHT, WIDTH]), crf=CHOSEN)
    before, after = ((np.argmax(found, -1) == truth).mean() for found in (logits, after))
    assert after > before + 0.05


def test_the_canvas_around_an_image_says_nothing(case):
    image, _, logits = case
    size = jnp.array([HEIGHT, WIDTH])
    margins = ((0, 9), (0, 5), (0, 0))
    padded = field(np.pad(logits, margins, constant_values=7.0), np.pad(image, margins, mode="edge"), size, crf=CHOSEN)
    assert np.isfinite(padded).all()
    np.testing.assert_allclose(padded[:HEIGHT, :WIDTH], field(logits, image, size, crf=CHOSEN), atol=1e-3)


def test_without_weights_nothing_changes(case):
    image, _, logits = case
    silent = dataclasses.replace(CHOSEN, near_weight=0.0, similar_weight=0.0)
    ours = field(logits, image, jnp.array([HEIGHT, WIDTH]), crf=silent)
    np.testing.assert_allclose(ours, jax.nn.log_softmax(logits), atol=1e-5)


@pytest.mark.parametrize(
    ("backbone", "near", "similar"),
    [
        ("resnet101", (3, 1), (4, 67, 3)),
        ("vgg", (2, 2), (4, 65, 3)),
        ("vgg-v1", (3, 3), (4, 121, 5)),
        ("new", (3, 3), (4, 121, 5)),
    ],
)
def test_every_deeplab_has_the_kernels_that_it_was_published_with(backbone, near, similar):
    crf = crf_of(backbone)
    assert (crf.near_weight, crf.near_pixels) == near
    assert (crf.similar_weight, crf.similar_pixels, crf.similar_colors) == similar
    assert crf.rounds == 10
