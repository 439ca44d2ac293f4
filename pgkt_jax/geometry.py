"""Boxes, limb similarities and pulls: the geometry of one person, one limb, one pixel grid. Callers vmap.

Convention. Points are (x, y) in pixels, y down, pixel centres at integers; arrays are indexed (row, column). Warps are
*pulls*: `source_from_target` says where in the source a target pixel looks. Outside of a source lies background. All
arithmetic is real and elementwise in the dtype of the joints: a matrix product may run in TF32 or bfloat16, which
moves pixels.
"""

import jax
import jax.numpy as jnp

from pgkt_jax.typing import Array, Bool, Float, UInt8, UInt32

MIN_LIMB = 0.5
"""Limbs shorter than this many pixels have no direction and count as missing."""


def image_box(size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The box (x0, y0, x1, y1) of a whole image of size (H, W): its edges, half a pixel outside the pixel centres."""
    height, width = size
    return (-0.5, -0.5, width - 0.5, height - 0.5)


def box_pixels(box: Float[Array, "4"], size: tuple[int, int]) -> tuple[Float[Array, "1 W"], Float[Array, "H 1"]]:
    """Where the pixels of an output of `size` (H, W) look: x of every column, y of every row, in the frame of `box`.

    Pixel (i, j) looks at x = x0 + (j + .5) (x1 - x0) / W and y likewise; x0 > x1 mirrors.
    """
    height, width = size
    x0, y0, x1, y1 = box
    x = x0 + (jnp.arange(width, dtype=box.dtype) + 0.5) * ((x1 - x0) / width)
    y = y0 + (jnp.arange(height, dtype=box.dtype) + 0.5) * ((y1 - y0) / height)
    return x[None, :], y[:, None]


def limb_length(limb: Float[Array, "*limbs 2 2"]) -> Float[Array, "*limbs"]:
    """Length of a limb given as its two ends, in pixels; its gradient is finite (0) for a limb of length 0."""
    delta = limb[..., 1, :] - limb[..., 0, :]
    squared = jnp.sum(delta * delta, axis=-1)
    positive = squared > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1)), 0)


def source_from_target(
    target_limb: Float[Array, "2 2"],
    source_limb: Float[Array, "2 2"],
    x: Float[Array, "..."],
    y: Float[Array, "..."],
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Maps target points into the source by the one similarity that takes the target's limb onto the source's.

    Two pairs of points fix a similarity (paper, section 3.4, equation 3): in complex numbers
    `z_source = a_source + m (z_target - a_target)` with `m = (b - a)_source / (b - a)_target`.

    Args:
        target_limb: the limb's two joints (a, b) in the target, rows (x, y).
        source_limb: the same joints in the source.
        x, y: target points, broadcast against each other.

    Returns:
        The points (x, y) in the source's frame. A target limb shorter than `MIN_LIMB` gives finite, meaningless points
        with finite gradients.
    """
    (tx, ty), (sx, sy) = target_limb[1] - target_limb[0], source_limb[1] - source_limb[0]
    squared = tx * tx + ty * ty
    # The gradient divides by the square of this, which underflows long before the length itself does.
    squared = jnp.where(squared >= MIN_LIMB**2, squared, 1)
    real, imag = (sx * tx + sy * ty) / squared, (sy * tx - sx * ty) / squared
    dx, dy = x - target_limb[0, 0], y - target_limb[0, 1]
    return source_limb[0, 0] + real * dx - imag * dy, source_limb[0, 1] + imag * dx + real * dy


def pack_taps(label_map: UInt8[Array, "h w"]) -> UInt32[Array, "h+1 w+1"]:
    """Packs every 2 x 2 neighbourhood of a label map into one 32-bit word, so that a bilinear look-up is one gather.

    Word (i, j) holds the labels at rows i - 1, i and columns j - 1, j; outside the map is background.
    """
    padded = jnp.pad(label_map, 1).astype(jnp.uint32)
    return padded[:-1, :-1] | padded[:-1, 1:] << 8 | padded[1:, :-1] << 16 | padded[1:, 1:] << 24


def pull_mask(
    taps: UInt32[Array, "h1 w1"], part: UInt32[Array, ""], x: Float[Array, "..."], y: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Bilinear value of the mask `label_map == part` at source points, from `pack_taps(label_map)`.

    Each of the four taps is compared with the part's id and only then interpolated, so the result has a true gradient
    with respect to the points.
    """
    height, width = taps.shape
    # Beyond one pixel outside the map everything is background; the clip keeps far points inside int32.
    x, y = jnp.clip(x, -1, width - 1), jnp.clip(y, -1, height - 1)
    column, row = jnp.minimum(jnp.floor(x), width - 2), jnp.minimum(jnp.floor(y), height - 2)
    right, below = x - column, y - row
    index = (row.astype(jnp.int32) + 1) * width + column.astype(jnp.int32) + 1
    word = taps.reshape(-1).at[index].get(mode="promise_in_bounds")

    def tap(shift: int) -> Float[Array, "..."]:
        return ((word >> shift) & 255 == part).astype(x.dtype)

    top = tap(0) * (1 - right) + tap(8) * right
    bottom = tap(16) * (1 - right) + tap(24) * right
    return top * (1 - below) + bottom * below


def segment_distance(limb: Float[Array, "2 2"], x: Float[Array, "..."], y: Float[Array, "..."]) -> Float[Array, "..."]:
    """Squared distance in pixels from points to the segment between a limb's two joints."""
    (ax, ay), (bx, by) = limb
    ux, uy = bx - ax, by - ay
    squared = ux * ux + uy * uy
    along = ((x - ax) * ux + (y - ay) * uy) / jnp.where(squared > 0, squared, 1)
    along = jnp.clip(along, 0, 1)
    dx, dy = x - ax - along * ux, y - ay - along * uy
    return dx * dx + dy * dy


def crop_image(image: UInt8[Array, "h w 3"], box: Float[Array, "4"], size: tuple[int, int]) -> Float[Array, "H W 3"]:
    """Looks at an image through a box: float32 in -1..1, antialiased where it shrinks, 0 (mid grey) outside."""
    height, width = size
    x0, y0, x1, y1 = box
    mirrored = x1 < x0
    x0, x1 = jnp.minimum(x0, x1), jnp.maximum(x0, x1)
    scale = jnp.stack([height / (y1 - y0), width / (x1 - x0)])
    # scale_and_translate works with edges at integers, ours are at -.5.
    translation = -jnp.stack([y0 + 0.5, x0 + 0.5]) * scale
    signed = image.astype(jnp.float32) / 127.5 - 1
    pixels = jax.image.scale_and_translate(
        signed, (height, width, 3), (0, 1), scale, translation, "linear", antialias=True
    )
    return jnp.where(mirrored, pixels[:, ::-1], pixels)


def crop_label_map(
    label_map: UInt8[Array, "h w"], box: Float[Array, "4"], size: tuple[int, int], outside: int
) -> UInt8[Array, "H W"]:
    """Looks at a label map through a box: the label of the nearest pixel, `outside` beyond the map's edges."""
    height, width = label_map.shape
    x, y = box_pixels(box, size)
    column, row = jnp.floor(x + 0.5).astype(jnp.int32), jnp.floor(y + 0.5).astype(jnp.int32)
    inside: Bool[Array, "H W"] = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    nearest = label_map[jnp.clip(row, 0, height - 1), jnp.clip(column, 0, width - 1)]
    return jnp.where(inside, nearest, jnp.uint8(outside))
