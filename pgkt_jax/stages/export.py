"""Trained networks as functions for others: StableHLO with weights and pose bank inside, run by JAX alone.

    network = jax.jit(jax.export.deserialize(Path("parser.stablehlo").read_bytes()).call)
    probabilities = network(images)                               # uint8[B, H, W, 3] -> float32[B, H, W, C]

B, H and W are open: any number of images of any one size. Each combination is compiled when it is first seen. Looking
through a box, priors, the network, its test-time mirror and the way back to the image's pixels are all inside, so the
probabilities are those of `Parser` and `Refiner` (which lay images on canvases first: borders differ by interpolation;
and reduce those of more than 1,024 pixels a side: an outline that follows edges does so with windows of another size
there).
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import jax
import jax.export
import jax.numpy as jnp

from pgkt_jax.stages.evaluate import both_ways, decided
from pgkt_jax.stages.parse import parsed_outputs
from pgkt_jax.stages.predict import Parser, Refiner
from pgkt_jax.train.views import fitted_box, see, unsee
from pgkt_jax.typing import Array, Bool, Float, Int, UInt8

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def exported(network: Parser | Refiner, *, platforms: Sequence[str] = ("cpu", "cuda")) -> jax.export.Exported:
    """The network as a function of arrays, for `serialize()`: `parsing` of images, or `refining` of people.

    Convolutions are written as suits the device that this runs on; the others compute the same, perhaps more slowly.

    Args:
        network: trained, as `from_checkpoint` gives it.
        platforms: of `PLATFORMS`, those that the function shall run on.

    Raises:
        ValueError: there is no such platform, or the network is tested with a dense CRF.
    """
    if isinstance(network, Parser) and network.config.crf:
        raise ValueError("the dense CRF is not exported: give a run without parse.crf")
    unknown = sorted(set(platforms) - set(PLATFORMS))
    if unknown or not platforms:
        raise ValueError(f"platforms: {', '.join(unknown) or 'none given'}; there are {', '.join(PLATFORMS)}")
    batch, height, width = jax.export.symbolic_shape("b, h, w")
    images = jax.ShapeDtypeStruct((batch, height, width, 3), jnp.uint8)
    joints = jax.ShapeDtypeStruct((batch, network.skeleton.num_joints, 2), jnp.float32)
    visible, boxes = jax.ShapeDtypeStruct(joints.shape[:2], jnp.bool), jax.ShapeDtypeStruct((batch, 4), jnp.float32)
    with _without_paths():
        if isinstance(network, Parser):
            return jax.export.export(jax.jit(parsing(network)), platforms=platforms)(images)
        return jax.export.export(jax.jit(refining(network)), platforms=platforms)(images, joints, visible, boxes)


@contextlib.contextmanager
def _without_paths() -> Iterator[None]:
    """JAX else writes the path of every source file and caller into what it exports."""
    name = "jax_traceback_in_locations_limit"
    usual = getattr(jax.config, name)
    jax.config.update(name, 0)
    try:
        yield
    finally:
        jax.config.update(name, usual)


def parsing(parser: Parser) -> Callable[[UInt8[Array, "B H W 3"]], Float[Array, "B H W C"]]:
    """Images (RGB) -> the probabilities of all classes at their pixels, background first, summing to 1. Pure."""

    def probabilities(images: UInt8[Array, "B H W 3"]) -> Float[Array, "B H W C"]:
        boxes = jax.vmap(partial(fitted_box, output=parser.config.test_size))(_sizes(images))
        outputs, covered = parsed_outputs(
            parser.config, parser.skeleton, parser.grid, parser.logits, partial(_look, images), boxes
        )
        return _at_pixels(outputs, covered, images, masks=False, outline=parser.config.outline)

    return probabilities


def refining(refiner: Refiner) -> Callable[..., Float[Array, "B H W C"]]:
    """(images, joints, visible, boxes) -> as `parsing`, of one person an image. Pure.

    Images uint8[B, H, W, 3], RGB; joints float32[B, J, 2], (x, y) in pixels of the image, y down, pixel centres at
    integers; visible bool[B, J]; boxes float32[B, 4], the edges x0 < x1, y0 < y1 of the part of the image that the
    network sees: (x0, y0, x1, y1), the whole image being (-.5, -.5, W - .5, H - .5). The networks were trained on the
    box of the joints, a quarter of its sides wider at each. Outside of the box all is background.
    """
    config = refiner.config

    def probabilities(
        images: UInt8[Array, "B H W 3"],
        joints: Float[Array, "B J 2"],
        visible: Bool[Array, "B J"],
        boxes: Float[Array, "B 4"],
    ) -> Float[Array, "B H W C"]:
        def outputs(boxes: Float[Array, "B 4"]) -> Float[Array, "B h w C"]:
            return refiner.outputs(_look(images, boxes, config.size), joints, visible, boxes)

        seen = both_ways(outputs, boxes, refiner.skeleton, mirror=config.mirror_test)
        return _at_pixels(seen, boxes, images, masks=config.loss == "l1", outline=config.outline)

    return probabilities


def _sizes(images: UInt8[Array, "B H W 3"]) -> Int[Array, "B 2"]:
    return jnp.broadcast_to(jnp.array(images.shape[1:3], jnp.int32), (images.shape[0], 2))


def _look(
    images: UInt8[Array, "B h w 3"], boxes: Float[Array, "B 4"], output: tuple[int, int]
) -> Float[Array, "B H W 3"]:
    return jax.vmap(partial(see, output=output))(images, _sizes(images), boxes)


def _at_pixels(
    seen: Float[Array, "B h w C"],
    boxes: Float[Array, "B 4"],
    images: UInt8[Array, "B H W 3"],
    *,
    masks: bool,
    outline: int,
) -> Float[Array, "B H W K"]:
    """Probabilities at the images' pixels of what a network says of boxes."""
    canvas = (images.shape[1], images.shape[2])
    x = jnp.arange(canvas[1], dtype=boxes.dtype)[None, :]
    y = jnp.arange(canvas[0], dtype=boxes.dtype)[:, None]

    def one(seen: Float[Array, "h w C"], box: Float[Array, "4"], image: UInt8[Array, "H W 3"]) -> Float[Array, "H W K"]:
        inside = (x >= box[0]) & (x <= box[2]) & (y >= box[1]) & (y <= box[3])
        _, shares = decided(unsee(seen, box, canvas), image, inside, masks=masks, outline=outline)
        return jnp.where(inside[..., None], shares, jax.nn.one_hot(0, shares.shape[-1]))

    return jax.vmap(one)(seen, boxes, images)
