"""Guided filter: outlines that follow the edges of the photograph, far cheaper than by a dense CRF.

He, Sun and Tang, "Guided Image Filtering" (ECCV 2010), with a guide in colour: in every window the result is the linear
function of the colours that comes nearest to the input, and a pixel gets the mean over the windows that it lies in.
"""

import jax
import jax.numpy as jnp
import numpy as np

from pgkt_jax.typing import Array, Bool, Float, UInt8

EPSILON = 1e-4
"""Variance of colours, 0..1, from which on an edge counts; on street_people's split val as good as 1e-3 or better."""


def follow_edges(
    shares: Float[Array, "H W K"], image: UInt8[Array, "H W 3"], inside: Bool[Array, "H W"], *, radius: int
) -> Float[Array, "H W K"]:
    """Class probabilities whose outline between person and background follows the photograph's edges. Pure; jit it.

    What is filtered is the background's share against that of the likeliest part. Borders between parts stay: they
    follow joints rather than colours, and filtered with the same radius they became worse.

    Args:
        shares: probabilities of all classes, background first, summing to 1.
        image: RGB, on the same pixels.
        inside: the pixels that there are; the others say nothing.
        radius: of the square windows, 2 radius + 1 pixels wide.

    Returns:
        As `shares`: the background is the likeliest where the filter says .5 or more, and the parts keep their ratios.
    """
    # The outline can grow into pixels where no part has any share: to a part that has the most of next to nothing.
    background, parts = shares[..., :1], shares[..., 1:] + 1e-12
    likeliest = jnp.max(parts, -1, keepdims=True)
    filtered = guided_filter((background / (background + likeliest))[..., 0], image, inside, radius=radius)[..., None]
    filtered = jnp.clip(filtered, 1e-6, 1 - 1e-6)
    followed = jnp.concatenate([filtered / (1 - filtered), parts / likeliest], -1)
    return followed / jnp.sum(followed, -1, keepdims=True)


def guided_filter(
    values: Float[Array, "H W"], image: UInt8[Array, "H W 3"], inside: Bool[Array, "H W"], *, radius: int
) -> Float[Array, "H W"]:
    """Values smoothed along the edges of an image; they can leave their range by a little. Pure; jit it."""
    weight = inside.astype(jnp.float32)[..., None]
    count = jnp.maximum(_window_sums(weight, radius), 1)

    def mean(x: Float[Array, "H W N"]) -> Float[Array, "H W N"]:
        return _window_sums(x * weight, radius) / count

    colors, values = image.astype(jnp.float32) / 255, values[..., None]
    first, second = np.triu_indices(3)
    means = mean(jnp.concatenate([colors, values, colors * values, colors[..., first] * colors[..., second]], -1))
    color, value, product, square = jnp.split(means, (3, 4, 7), -1)
    variance = square - color[..., first] * color[..., second] + EPSILON * (first == second)
    slope = _solved(variance, product - color * value)
    offset = value - jnp.sum(slope * color, -1, keepdims=True)
    line = mean(jnp.concatenate([slope, offset], -1))
    return jnp.sum(line[..., :3] * colors, -1) + line[..., 3]


def _window_sums(x: Float[Array, "H W N"], radius: int) -> Float[Array, "H W N"]:
    """The sum over the square window around every pixel, what lies beyond the borders being zero."""
    for axis in (0, 1):
        width, margin = [1, 1, 1], [(0, 0)] * 3
        width[axis], margin[axis] = 2 * radius + 1, (radius, radius)
        x = jax.lax.reduce_window(x, 0.0, jax.lax.add, width, (1, 1, 1), margin)
    return x


def _solved(matrix: Float[Array, "H W 6"], right: Float[Array, "H W 3"]) -> Float[Array, "H W 3"]:
    """x of A x = b at every pixel, A symmetric and positive, its upper triangle given row by row: A = L D L^T.

    Written out, as 3 x 3 is too small for a library's call a pixel; by elimination, as determinants lose too much.
    """
    a00, a01, a02, a11, a12, a22 = jnp.moveaxis(matrix, -1, 0)
    b0, b1, b2 = jnp.moveaxis(right, -1, 0)
    l10, l20 = a01 / a00, a02 / a00
    d1 = a11 - l10 * a01
    l21 = (a12 - l20 * a01) / d1
    d2 = a22 - l20 * a02 - l21 * l21 * d1
    y1 = b1 - l10 * b0
    x2 = (b2 - l20 * b0 - l21 * y1) / d2
    x1 = y1 / d1 - l21 * x2
    return jnp.stack([b0 / a00 - l10 * x1 - l20 * x2, x1, x2], -1)
