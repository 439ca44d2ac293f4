"""How a training looks at people: random boxes, and images and classes seen through them. One person a function.

Jitter, crop, resize and mirror are one box; image, label map and prior are each sampled once, through that box.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates

from pgkt_jax.geometry import box_pixels, crop_image, crop_label_map
from pgkt_jax.skeleton import IGNORE, Skeleton
from pgkt_jax.typing import Array, Bool, Float, Int, Key, Scalar, Side, UInt8


def whole_box(size: Int[Array, "2"]) -> Float[Array, "4"]:
    """The box that covers an image of (height, width) whole."""
    height, width = size.astype(jnp.float32)
    return jnp.stack([jnp.float32(-0.5), jnp.float32(-0.5), width - 0.5, height - 0.5])


def fitted_box(size: Int[Array, "2"], output: tuple[int, int]) -> Float[Array, "4"]:
    """The smallest box of the output's aspect that holds the whole image: resized and padded, never distorted."""
    height, width = size.astype(jnp.float32)
    unit = jnp.maximum(height / output[0], width / output[1])
    half_width, half_height = unit * output[1] / 2, unit * output[0] / 2
    x, y = (width - 1) / 2, (height - 1) / 2
    return jnp.stack([x - half_width, y - half_height, x + half_width, y + half_height])


def jittered_box(
    key: Key[Array, ""],
    box: Float[Array, "4"],
    zoom: tuple[float, float],
    *,
    window: Float[Array, "2"] | None = None,
    shift: float = 1.0,
    stretch: Scalar = 0.0,
    mirror: bool = True,
) -> Float[Array, "4"]:
    """A random box in place of `box`: zoomed, moved, stretched, and with probability one half mirrored.

    A zoom of z takes a window of 1/z of the box's sides, or of those given; pix2pix's "resize to 286, crop 256" is
    zoom 286/256. The window lies anywhere in the box (where it is the larger one, the box anywhere in the window);
    `shift` < 1 keeps it nearer the middle.

    Args:
        key: one random key.
        box: the box to vary.
        zoom: the range of zooms, drawn evenly in their logarithm.
        window: (width, height) at zoom 1; None: those of the box.
        shift: the share of the free play that is used.
        stretch: the logarithm of the window's width varies by up to this beside that of its height.
        mirror: whether to mirror half of the time.
    """
    zoom_key, shift_key, mirror_key, stretch_key = jax.random.split(key, 4)
    low, high = jnp.log(jnp.float32(zoom[0])), jnp.log(jnp.float32(zoom[1]))
    z = jnp.exp(jax.random.uniform(zoom_key, minval=low, maxval=high))
    corner, sides = box[:2], box[2:] - box[:2]
    wider = jnp.exp(jax.random.uniform(stretch_key, minval=-stretch, maxval=stretch))
    window = (sides if window is None else window) / z * jnp.stack([wider, jnp.float32(1)])
    play = 0.5 + shift * (jax.random.uniform(shift_key, (2,)) - 0.5)
    start = corner + play * (sides - window)
    end = start + window
    flip = jax.random.bernoulli(mirror_key) & mirror
    x0, x1 = jnp.where(flip, end[0], start[0]), jnp.where(flip, start[0], end[0])
    return jnp.stack([x0, start[1], x1, end[1]])


def color_jitter(key: Key[Array, ""], image: Float[Array, "H W 3"], strength: Scalar) -> Float[Array, "H W 3"]:
    """Random colours for an image in -1..1: contrast, brightness, cast, mixed channels (hue, saturation) and gamma.

    Args:
        key: one random key.
        image: the image.
        strength: how far each may go; 0 leaves the image as it is.
    """
    keys = jax.random.split(key, 5)

    def draw(key: Key[Array, ""], *shape: int) -> Array:
        return jax.random.uniform(key, shape, minval=-strength, maxval=strength)

    contrast, light, cast = 1 + draw(keys[0]), draw(keys[1]), draw(keys[2], 3) / 2
    mix, gamma = draw(keys[3], 3, 3), jnp.exp(draw(keys[4]))
    # Every channel moves towards the others, or away from them: grey stays grey.
    image = jnp.clip(image + jnp.sum(mix * (image[..., None, :] - image[..., None]), -1), -1, 1)
    image = 2 * ((image + 1) / 2) ** gamma - 1
    return jnp.clip(image * contrast + light + cast, -1, 1)


def turned_pixels(
    angle: Float[Array, ""], size: tuple[int, int], middle: tuple[float, float]
) -> tuple[Float[Array, "H W"], Float[Array, "H W"]]:
    """Where (x, y) in a picture of `size` (H, W) the pixels of the same picture look that is turned by `angle`.

    Radians, about the `middle` (y, x), from the x axis to the y axis: clockwise to the eye.
    """
    middle_y, middle_x = middle
    y, x = jnp.arange(size[0], dtype=jnp.float32)[:, None] - middle_y, jnp.arange(size[1], dtype=jnp.float32) - middle_x
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return middle_x + cos * x + sin * y, middle_y + cos * y - sin * x


def turn(image: Float[Array, "H W 3"], angle: Float[Array, ""]) -> Float[Array, "H W 3"]:
    """The image turned by `angle` about its middle, see `turned_pixels`: interpolated, 0 (mid grey) where it ends."""
    height, width = image.shape[:2]
    x, y = turned_pixels(angle, (height, width), ((height - 1) / 2, (width - 1) / 2))
    look = partial(map_coordinates, coordinates=[y, x], order=1, mode="constant")
    return jax.vmap(look, -1, -1)(image)


def turn_classes(
    classes: UInt8[Array, "H W"], angle: Float[Array, ""], middle: tuple[float, float]
) -> UInt8[Array, "H W"]:
    """The classes turned by `angle` about `middle` (y, x), see `turned_pixels`: the nearest; `IGNORE` outside."""
    x, y = turned_pixels(angle, (classes.shape[0], classes.shape[1]), middle)
    nearest = map_coordinates(classes.astype(jnp.float32), [y, x], order=0, mode="constant", cval=float(IGNORE))
    return nearest.astype(jnp.uint8)


def random_rectangle(key: Key[Array, ""], largest: Scalar) -> Float[Array, "4"]:
    """A rectangle (x0, y0, x1, y1) in shares of a view: its middle anywhere, its sides .2 to 1 of `largest`."""
    middle_key, sides_key = jax.random.split(key)
    middle = jax.random.uniform(middle_key, (2,))
    half = largest * jax.random.uniform(sides_key, (2,), minval=0.2) / 2
    return jnp.concatenate([middle - half, middle + half])


def beyond(rectangle: Float[Array, "4"], box: Float[Array, "4"], size: tuple[int, int]) -> Bool[Array, "H W"]:
    """Which pixels of an output of `size` (H, W) that looks through a box lie beyond a rectangle."""
    x, y = box_pixels(box, size)
    x0, y0, x1, y1 = rectangle
    return (x < x0) | (x > x1) | (y < y0) | (y > y1)


def see(
    image: UInt8[Array, "h w 3"], size: Int[Array, "2"], box: Float[Array, "4"], output: tuple[int, int]
) -> Float[Array, "H W 3"]:
    """An image on a canvas, seen through a box: -1..1, mid grey outside of the image."""
    pixels = crop_image(image, box, output)
    return pixels * inside(size, box, output)[..., None]


def inside(size: Int[Array, "2"], box: Float[Array, "4"], output: tuple[int, int]) -> Float[Array, "H W"]:
    """1 where a pixel of the output looks at the image of `size` (height, width), else 0."""
    x, y = box_pixels(box, output)
    height, width = size.astype(box.dtype)
    return ((x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)).astype(jnp.float32)


def see_classes(
    label_map: UInt8[Array, "h w"], box: Float[Array, "4"], output: tuple[int, int], skeleton: Skeleton
) -> UInt8[Array, "H W"]:
    """A label map of parts seen through a box as classes, the sides as the picture shows them; `IGNORE` outside."""
    swapped = skeleton.class_lut[skeleton.part_mirror_lut]
    lut = jnp.where(box[2] < box[0], swapped, skeleton.class_lut)
    return lut[crop_label_map(label_map, box, output, IGNORE)]


def mirrored_classes(values: Float[Array, "*batch C"], skeleton: Skeleton) -> Float[Array, "*batch C"]:
    """Values of classes (C with background, or one less without), left and right in each other's place."""
    hidden = skeleton.num_classes - values.shape[-1]
    order = skeleton.class_mirror[hidden:] - hidden
    return values if (order == np.arange(len(order))).all() else values[..., order]


def unsee(seen: Float[Array, "H W C"], box: Float[Array, "4"], canvas: tuple[Side, Side]) -> Float[Array, "h w C"]:
    """The way back: values seen through a box, interpolated at the pixels of the canvas; 0 outside of the box."""
    x0, y0, x1, y1 = box
    height, width, channels = seen.shape
    scale = jnp.stack([(y1 - y0) / height, (x1 - x0) / width])
    shift = jnp.stack([y0 + 0.5, x0 + 0.5])
    return jax.image.scale_and_translate(seen, (*canvas, channels), (0, 1), scale, shift, "linear", antialias=False)
