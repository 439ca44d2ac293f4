"""How a training looks at people: random boxes, and images and classes seen through them. One person a function.

Jitter, crop, resize and mirror are one box; image, label map and prior are each sampled once, through that box.
"""

import jax
import jax.numpy as jnp

from pgkt_jax.geometry import box_pixels, crop_image, crop_label_map
from pgkt_jax.skeleton import IGNORE, Skeleton
from pgkt_jax.typing import Array, Float, Int, Key, Side, UInt8


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
    key: Key[Array, ""], box: Float[Array, "4"], zoom: tuple[float, float], *, shift: float = 1.0, mirror: bool = True
) -> Float[Array, "4"]:
    """A random box in place of `box`: zoomed, moved, and with probability one half mirrored.

    A zoom of z takes a window of 1/z of the box's sides; pix2pix's "resize to 286, crop 256" is zoom 286/256.
    The window lies anywhere in the box (or, for z < 1, the box anywhere in the window); `shift` < 1 keeps it nearer
    the middle.

    Args:
        key: one random key.
        box: the box to vary.
        zoom: the range of zooms, drawn evenly in their logarithm.
        shift: the share of the free play that is used.
        mirror: whether to mirror half of the time.
    """
    zoom_key, shift_key, mirror_key = jax.random.split(key, 3)
    low, high = jnp.log(jnp.float32(zoom[0])), jnp.log(jnp.float32(zoom[1]))
    z = jnp.exp(jax.random.uniform(zoom_key, minval=low, maxval=high))
    corner, sides = box[:2], box[2:] - box[:2]
    window = sides / z
    play = 0.5 + shift * (jax.random.uniform(shift_key, (2,)) - 0.5)
    start = corner + play * (sides - window)
    end = start + window
    flip = jax.random.bernoulli(mirror_key) & mirror
    x0, x1 = jnp.where(flip, end[0], start[0]), jnp.where(flip, start[0], end[0])
    return jnp.stack([x0, start[1], x1, end[1]])


def color_jitter(key: Key[Array, ""], image: Float[Array, "H W 3"], strength: float) -> Float[Array, "H W 3"]:
    """Random contrast, brightness and colour cast of an image in -1..1, each by up to `strength`."""
    contrast_key, light_key, cast_key = jax.random.split(key, 3)
    contrast = 1 + jax.random.uniform(contrast_key, minval=-strength, maxval=strength)
    light = jax.random.uniform(light_key, minval=-strength, maxval=strength)
    cast = jax.random.uniform(cast_key, (3,), minval=-strength, maxval=strength) / 2
    return jnp.clip(image * contrast + light + cast, -1, 1)


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
    """A label map of parts seen through a box as classes; `IGNORE` outside."""
    return jnp.asarray(skeleton.class_lut)[crop_label_map(label_map, box, output, IGNORE)]


def unsee(seen: Float[Array, "H W C"], box: Float[Array, "4"], canvas: tuple[Side, Side]) -> Float[Array, "h w C"]:
    """The way back: values seen through a box, interpolated at the pixels of the canvas; 0 outside of the box."""
    x0, y0, x1, y1 = box
    height, width, channels = seen.shape
    scale = jnp.stack([(y1 - y0) / height, (x1 - x0) / width])
    shift = jnp.stack([y0 + 0.5, x0 + 0.5])
    return jax.image.scale_and_translate(seen, (*canvas, channels), (0, 1), scale, shift, "linear", antialias=False)
