"""Boxes, limb similarities and pulls: pixel conventions against closed forms, SciPy and OpenCV."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from pgkt_jax.geometry import (
    box_pixels,
    crop_image,
    crop_label_map,
    image_box,
    limb_length,
    pack_taps,
    pull_mask,
    segment_distance,
    source_from_target,
)


def floats(*values):
    return jnp.asarray(values, jnp.float32)


def noise(*shape, high=255, seed=0):
    return np.random.default_rng(seed).integers(0, high, shape).astype(np.uint8)


# --- Boxes ----------------------------------------------------------------------------------------


def pixels(box, size):
    x, y = box_pixels(floats(*box), size)
    assert x.shape == (1, size[1])
    assert y.shape == (size[0], 1)
    return np.asarray(x[0]), np.asarray(y[:, 0])


def test_convention_the_whole_image_looks_at_its_own_pixel_centres():
    x, y = pixels(image_box((3, 5)), (3, 5))
    np.testing.assert_array_equal(x, np.arange(5))
    np.testing.assert_array_equal(y, np.arange(3))


def test_convention_edges_of_a_crop_lie_half_a_pixel_outside_its_centres():
    x, y = pixels((1.5, -2.5, 4.5, -0.5), (2, 3))
    np.testing.assert_array_equal(x, [2, 3, 4])
    np.testing.assert_array_equal(y, [-2, -1])


def test_convention_pixels_of_another_output_size_part_the_box_evenly():
    x, y = pixels((-0.5, -0.5, 3.5, 5.5), (3, 8))
    np.testing.assert_allclose(x, np.arange(8) * 0.5 - 0.25)
    np.testing.assert_allclose(y, [0.5, 2.5, 4.5])


def test_convention_a_box_with_x0_beyond_x1_mirrors():
    x, y = pixels((4.5, -0.5, -0.5, 2.5), (3, 5))
    np.testing.assert_array_equal(x, [4, 3, 2, 1, 0])
    np.testing.assert_array_equal(y, [0, 1, 2])


# --- Limbs ----------------------------------------------------------------------------------------


def similarity(source, target):
    """OpenCV's affine map through both joints and the third corner of a right angle over the limb."""

    def triangle(limb):
        (ax, ay), (bx, by) = limb
        return np.array([(ax, ay), (bx, by), (ax - (by - ay), ay + (bx - ax))], np.float32)

    return cv2.getAffineTransform(triangle(target), triangle(source))


@pytest.mark.parametrize("seed", range(3))
def test_source_from_target_is_the_similarity_through_two_joints(seed):
    source, target = np.random.default_rng(seed).uniform(-20, 60, (2, 2, 2)).astype(np.float32)
    x, y = np.arange(-3, 8, dtype=np.float32)[None], np.arange(4, 9, dtype=np.float32)[:, None]
    at = np.stack(jax.jit(source_from_target)(target, source, x, y))

    matrix = similarity(source, target)
    by_opencv = np.einsum("ij,jhw->ihw", matrix[:, :2], np.stack(np.broadcast_arrays(x, y))) + matrix[:, 2, None, None]
    np.testing.assert_allclose(at, by_opencv, atol=1e-3)

    s, t = source.astype(float) @ [1, 1j], target.astype(float) @ [1, 1j]
    by_complex_numbers = s[0] + (s[1] - s[0]) / (t[1] - t[0]) * (x + 1j * y - t[0])
    np.testing.assert_allclose(at[0] + 1j * at[1], by_complex_numbers, atol=1e-3)


def test_source_from_target_takes_joints_to_joints():
    source, target = floats((3, 1), (7, 9)), floats((20, 5), (11, -4))
    x, y = source_from_target(target, source, target[:, 0], target[:, 1])
    np.testing.assert_allclose(np.stack([x, y], -1), source, atol=1e-5)


@pytest.mark.parametrize("length", [0, 1e-30, 1e-12, 0.4])
def test_a_target_limb_without_length_gives_finite_points_and_gradients(length):
    @jax.jit
    def total(target):
        x, y = source_from_target(target, floats((3, 1), (7, 9)), jnp.arange(4.0), jnp.arange(4.0))
        return jnp.sum(x * y) + limb_length(target)

    value, gradient = jax.value_and_grad(total)(floats((0, 0), (length, 0)))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_limb_length_of_many_limbs():
    limbs = floats(((0, 0), (3, 4)), ((2, 2), (2, 2)), ((1, 1), (1, -4)))
    np.testing.assert_allclose(limb_length(limbs), [5, 0, 5])


def test_segment_distance_is_that_to_the_nearest_of_many_points_on_the_limb():
    limb = np.array([[2, 3], [9, 6]], np.float32)
    x, y = np.arange(-4.0, 14, dtype=np.float32)[None], np.arange(-2, 12, dtype=np.float32)[:, None]
    squared = jax.jit(segment_distance)(limb, x, y)
    along = limb[0] + np.linspace(0, 1, 2001)[:, None] * (limb[1] - limb[0])
    nearest = ((x[..., None] - along[:, 0]) ** 2 + (y[..., None] - along[:, 1]) ** 2).min(-1)
    np.testing.assert_allclose(squared, nearest, atol=1e-3)


def test_segment_distance_to_a_limb_without_length_is_that_to_its_point():
    np.testing.assert_allclose(segment_distance(floats((1, 2), (1, 2)), floats(1, 4), floats(0, 6)), [4, 25])


# --- Pulls ----------------------------------------------------------------------------------------


@jax.jit
def pull(label_map, part, x, y):
    return pull_mask(pack_taps(label_map), jnp.asarray(part, jnp.uint32), x, y)


def test_pull_mask_is_scipys_bilinear_look_up_of_the_binary_mask():
    label_map = noise(5, 8, high=4)
    x, y = np.random.default_rng(1).uniform(-3, 11, (2, 400)).astype(np.float32)
    for part in (1, 3):
        # SciPy's grid-constant pads with background; its constant would cut off at the outermost centres.
        expected = map_coordinates((label_map == part).astype(float), [y, x], order=1, mode="grid-constant")
        np.testing.assert_allclose(pull(label_map, part, x, y), expected, atol=1e-5)


def test_pull_mask_at_centres_and_edges():
    full = np.full((2, 3), 7, np.uint8)
    x, y = np.meshgrid(np.float32([-1e6, -2, -1, -0.5, 0, 1, 2, 2.5, 3, 4, 1e6]), np.float32([-1, -0.5, 0, 1, 1.5, 2]))
    along_x, along_y = [0, 0, 0, 0.5, 1, 1, 1, 0.5, 0, 0, 0], [0, 0.5, 1, 1, 0.5, 0]
    np.testing.assert_array_equal(pull(full, 7, x, y), np.outer(along_y, along_x))


def test_pull_mask_tells_ids_up_to_the_last_byte_apart():
    label_map = np.array([[1, 255], [128, 254]], np.uint8)
    x, y = np.meshgrid(np.float32([0, 1]), np.float32([0, 1]))
    for part in (1, 128, 254, 255):
        np.testing.assert_array_equal(pull(label_map, part, x, y), label_map == part)


def test_pull_mask_has_the_slope_of_the_bilinear_surface():
    label_map = np.array([[0, 1, 1], [0, 0, 1]], np.uint8)
    x, y = 0.25, 0.75
    slope = jax.grad(pull, (2, 3))(label_map, 1, jnp.float32(x), jnp.float32(y))
    # Between these four centres the mask is x (1 - y).
    np.testing.assert_allclose(slope, [1 - y, -x])


# --- Crops ----------------------------------------------------------------------------------------


def look(image, box, size):
    return np.asarray(jax.jit(crop_image, static_argnums=2)(image, floats(*box), size))


def look_at_labels(label_map, box, size, outside):
    return np.asarray(jax.jit(crop_label_map, static_argnums=(2, 3))(label_map, floats(*box), size, outside))


def signed(image):
    return image.astype(np.float32) / 127.5 - 1


IMAGE = noise(6, 9, 3)


def test_an_integer_crop_of_an_image_is_a_slice():
    np.testing.assert_allclose(look(IMAGE, (1.5, 0.5, 5.5, 3.5), (3, 4)), signed(IMAGE[1:4, 2:6]), atol=1e-5)


def test_a_mirrored_crop_is_the_crop_mirrored():
    box, mirrored = (1.5, 0.5, 5.5, 3.5), (5.5, 0.5, 1.5, 3.5)
    np.testing.assert_array_equal(look(IMAGE, mirrored, (3, 4)), look(IMAGE, box, (3, 4))[:, ::-1])


def test_a_smaller_view_is_antialiased_as_by_a_resize():
    whole = look(IMAGE, image_box((6, 9)), (2, 4))
    np.testing.assert_allclose(whole, jax.image.resize(signed(IMAGE), (2, 4, 3), "linear"), atol=1e-5)


def test_outside_of_an_image_is_mid_grey():
    np.testing.assert_array_equal(look(IMAGE, (8.5, -0.5, 12.5, 2.5), (3, 4)), 0)


def test_a_crop_of_a_label_map_takes_nearest_pixels_and_fills_outside():
    label_map = noise(4, 6, high=11)
    padded = np.pad(label_map, 2, constant_values=255)
    whole, mirrored = (-2.5, -2.5, 7.5, 5.5), (7.5, -2.5, -2.5, 5.5)
    np.testing.assert_array_equal(look_at_labels(label_map, whole, (8, 10), 255), padded)
    np.testing.assert_array_equal(look_at_labels(label_map, mirrored, (8, 10), 255), padded[:, ::-1])
    # Thrice as large, a pixel is a block; OpenCV agrees.
    larger = cv2.resize(padded, (30, 24), interpolation=cv2.INTER_NEAREST_EXACT)
    np.testing.assert_array_equal(look_at_labels(label_map, whole, (24, 30), 255), larger)


def test_image_and_label_map_are_seen_through_a_box_alike():
    label_map = noise(7, 5, high=2)
    image = np.repeat(label_map[..., None] * np.uint8(255), 3, -1)
    box, size = (5.5, 0.5, 0.5, 6.5), (6, 5)
    seen = look_at_labels(label_map, box, size, 0)
    np.testing.assert_array_equal(look(image, box, size)[:, :, 0] > 0, seen == 1)
