"""Painting patches by tiles: what reaches a tile of the output is looked up there, and nowhere else.

A *patch* is an image of coverage in the frame of a limb (`limb_frames.py`), a *pull* one patch to be seen where the
limb lies in the output, a *tile* a square of the output. How many tiles a pull reaches depends on the data; so the
tiles of all pulls form a queue, and a loop as long as the queue paints `CHUNK` of them in every round. Nothing is ever
left out: a limb that fills a large picture takes more rounds.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jax.typing import DTypeLike

from pgkt_jax.geometry import MIN_LIMB
from pgkt_jax.typing import Array, Float, Int, Leaf, Side, UInt32

TILE = 16
"""Side of a tile, in pixels."""

CHUNK = 16
"""Tiles an example and round."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Pulls:
    """M patches to be pulled into one output (a pytree; with a leading axis B for a batch).

    Attributes:
        rows: int32[M], which patch.
        extents: float[M, 4], what the patch covers: edges (u0, v0, u1, v1) in the frame of its limb.
        reach: float[M, 4], outside of which the patch is empty; within the extent.
        limbs: float[M, 2, 2], the target's two joints (x, y), in the frame of the box.
        classes: int32[M], which class of the output each belongs to, from 0.
        weights: float[M], in what measure; 0 leaves a patch out.
    """

    rows: Leaf
    extents: Leaf
    reach: Leaf
    limbs: Leaf
    classes: Leaf
    weights: Leaf


def _side(taps: UInt32[Array, "*A S"]) -> int:
    """Samples along a patch, of which `pack_taps` made `(side + 1)**2` words."""
    return round(taps.shape[-1] ** 0.5) - 1


def _affine(pulls: Pulls, side: int, box: Float[Array, "4"], size: tuple[int, int]) -> Float[Array, "M 6"]:
    """(c0, cx, cy, r0, rx, ry): the output's pixel (x, y) shows the patch's column c0 + cx x + cy y, row alike."""
    (ax, ay), (dx, dy) = (
        jnp.moveaxis(points, -1, 0) for points in (pulls.limbs[:, 0], pulls.limbs[:, 1] - pulls.limbs[:, 0])
    )
    squared = dx * dx + dy * dy
    squared = jnp.where(squared >= MIN_LIMB**2, squared, 1)
    u0, v0, u1, v1 = jnp.moveaxis(pulls.extents, -1, 0)
    across, down = (side / jnp.maximum(high - low, 1e-6) for low, high in ((u0, u1), (v0, v1)))
    cx, cy, rx, ry = across * dx / squared, across * dy / squared, -down * dy / squared, down * dx / squared
    step_x, step_y = (box[2] - box[0]) / size[1], (box[3] - box[1]) / size[0]
    x, y = box[0] + step_x / 2 - ax, box[1] + step_y / 2 - ay  # the centre of the first pixel
    c0, r0 = cx * x + cy * y - across * u0 - 0.5, rx * x + ry * y - down * v0 - 0.5
    return jnp.stack([c0, cx * step_x, cy * step_y, r0, rx * step_x, ry * step_y], -1)


def _look(
    taps: UInt32[Array, "M S"],
    rows: Int[Array, "..."],
    affine: Float[Array, "... 6"],
    x: Float[Array, "..."],
    y: Float[Array, "..."],
) -> Float[Array, "..."]:
    """Coverage in 0..1 at the output's pixels (x, y), between the samples of a patch: one gather a pixel."""
    side = _side(taps)
    c0, cx, cy, r0, rx, ry = jnp.moveaxis(affine, -1, 0)
    # Beyond one sample outside the patch there is nothing; the clip keeps far points inside int32.
    column, row = jnp.clip(c0 + cx * x + cy * y, -1, side), jnp.clip(r0 + rx * x + ry * y, -1, side)
    left, above = jnp.minimum(jnp.floor(column), side - 1), jnp.minimum(jnp.floor(row), side - 1)
    at = (rows * (side + 1) + above.astype(jnp.int32) + 1) * (side + 1) + left.astype(jnp.int32) + 1
    word = taps.reshape(-1).at[at].get(mode="promise_in_bounds")

    def tap(shift: int) -> Float[Array, "..."]:
        return (word >> shift & 255).astype(jnp.int32).astype(x.dtype)

    right, below = column - left, row - above
    top = tap(0) + right * (tap(8) - tap(0))
    bottom = tap(16) + right * (tap(24) - tap(16))
    return (top + below * (bottom - top)) * (1 / 255)


# --- The queue ------------------------------------------------------------------------------------


def _corners(pulls: Pulls, side: int) -> tuple[Float[Array, "M 4"], Float[Array, "M 4"]]:
    """(x, y) of the corners, in order around, of all that a pull reaches."""
    u0, v0, u1, v1 = jnp.moveaxis(pulls.reach, -1, 0)
    # A sample covers half a step, interpolation spreads it over one more.
    du, dv = (1.5 / side * (pulls.extents[:, i + 2] - pulls.extents[:, i]) for i in (0, 1))
    u = jnp.stack([u0 - du, u1 + du, u1 + du, u0 - du], -1)
    v = jnp.stack([v0 - dv, v0 - dv, v1 + dv, v1 + dv], -1)
    (ax, ay), (dx, dy) = (
        jnp.moveaxis(points, -1, 0)[..., None] for points in (pulls.limbs[:, 0], pulls.limbs[:, 1] - pulls.limbs[:, 0])
    )
    return ax + u * dx - v * dy, ay + u * dy + v * dx


class _Queue(NamedTuple):
    """The tiles that pulls reach, by bands: one pull in one row of tiles, J = M * ceil(H / TILE) of them.

    Attributes:
        first: the first tile (column) of every band.
        ends: where it ends in the queue.
        affine: of every pull, from pixels (column, row) of the output, see `_affine`.
    """

    first: Int[Array, "J"]
    ends: Int[Array, "J"]
    affine: Float[Array, "M 6"]


def _queue(pulls: Pulls, box: Float[Array, "4"], size: tuple[int, int], side: int) -> _Queue:
    height, width = size
    rows = -(-height // TILE)
    x, y = _corners(pulls, side)
    x = (x - box[0]) * (width / (box[2] - box[0])) - 0.5
    y = (y - box[1]) * (height / (box[3] - box[1])) - 0.5
    # Every edge of the quadrilateral, cut to every band: there lie the leftmost and the rightmost point of the band.
    low = jnp.arange(rows, dtype=box.dtype)[:, None] * TILE - 0.01
    high = low + (TILE - 1) + 0.02
    (x, y), (to_x, to_y) = (
        (w[:, None, :] for w in pair) for pair in ((x, y), (jnp.roll(x, -1, -1), jnp.roll(y, -1, -1)))
    )
    rise = to_y - y
    level = jnp.abs(rise) < 1e-6
    share = [
        jnp.where(level, end, jnp.clip((edge - y) / jnp.where(level, 1, rise), 0, 1))
        for end, edge in ((0.0, low), (1.0, high))
    ]
    crosses = (jnp.maximum(y, to_y) >= low) & (jnp.minimum(y, to_y) <= high)
    ends = [x + t * (to_x - x) for t in share]
    left = jnp.min(jnp.where(crosses, jnp.minimum(*ends), jnp.inf), -1) - 0.01
    right = jnp.max(jnp.where(crosses, jnp.maximum(*ends), -jnp.inf), -1) + 0.01
    left, right = jnp.clip(left, 0, width), jnp.clip(right, -1, width - 1)
    there = (right >= left) & (pulls.weights > 0)[:, None] & (pulls.reach[:, 2] > pulls.reach[:, 0])[:, None]
    first = jnp.where(there, left, 0).astype(jnp.int32) // TILE
    last = jnp.where(there, right, 0).astype(jnp.int32) // TILE
    counts = jnp.where(there, last - first + 1, 0)
    return _Queue(first.reshape(-1), jnp.cumsum(counts.reshape(-1)), _affine(pulls, side, box, size))


class _Tiles(NamedTuple):
    """The next `CHUNK` tiles of a queue: which patch, seen how, painted where, in what measure."""

    rows: Int[Array, "T"]
    affine: Float[Array, "T 6"]
    places: Int[Array, "T 3"]
    weights: Float[Array, "T"]


def _next_tiles(turn: Int[Array, ""], pulls: Pulls, queue: _Queue, bands: int, columns: int) -> _Tiles:
    slots = turn * CHUNK + jnp.arange(CHUNK, dtype=jnp.int32)
    band = jnp.minimum(jnp.searchsorted(queue.ends, slots, side="right", method="compare_all"), len(queue.ends) - 1)
    before = jnp.where(band > 0, queue.ends[band - 1], 0)
    pull, top = band // bands, band % bands * TILE
    left = jnp.minimum(queue.first[band] + slots - before, columns - 1) * TILE
    # Slots beyond the end of the queue paint nothing.
    weights = jnp.where(slots < queue.ends[-1], pulls.weights[pull], 0)
    places = jnp.stack([top, left, pulls.classes[pull]], -1)
    # The same map, from the tile's first pixel on.
    c0, cx, cy, r0, rx, ry = jnp.moveaxis(queue.affine[pull], -1, 0)
    x, y = left.astype(c0.dtype), top.astype(c0.dtype)
    affine = jnp.stack([c0 + cx * x + cy * y, cx, cy, r0 + rx * x + ry * y, rx, ry], -1)
    return _Tiles(pulls.rows[pull], affine, places, weights)


def _paint_tiles(
    canvas: Float[Array, "h w C"], tiles: _Tiles, taps: UInt32[Array, "M S"], scatter: Callable[..., Array]
) -> Float[Array, "h w C"]:
    inner = jnp.arange(TILE, dtype=tiles.affine.dtype)
    affine = tiles.affine[:, None, None, :]
    seen = _look(taps, tiles.rows[:, None, None], affine, inner[None, None, :], inner[None, :, None])
    seen = seen * tiles.weights[:, None, None]
    windows = jax.lax.ScatterDimensionNumbers((1, 2), (2,), (0, 1, 2))
    return scatter(canvas, tiles.places, seen.astype(canvas.dtype), windows, mode="promise_in_bounds")


def _zeros(
    weights: Float[Array, "B M"], size: tuple[int, ...], num_classes: int, dtype: DTypeLike
) -> Float[Array, "B H W C"]:
    """Zeros made of the batch: so they are spread as it is, over the devices of a mesh or of a shard_map."""
    return jnp.broadcast_to((0 * weights[:, :1, None, None]).astype(dtype), (len(weights), *size, num_classes))


# --- Painting -------------------------------------------------------------------------------------


def _lanes(batch: Side) -> Side:
    """How many examples are painted side by side.

    An accelerator wants all of them at once. A CPU wants one after the other, so that the canvas stays in its cache
    (measured: 1.6 times as fast): one on every device, which a batch spread over devices has there.
    """
    devices = jax.device_count()
    return devices if jax.default_backend() == "cpu" and batch % devices == 0 else batch


def _painter(size: tuple[int, int], num_classes: int, dtype: DTypeLike) -> Callable[..., Float[Array, "B H W C"]]:
    """Paints a batch: (taps, pulls, own taps, own pulls, boxes) -> [B, H, W, C].

    Examples side by side share a loop, as long as the busiest needs: a `vmap` of a `while_loop` would copy every
    canvas in every round.
    """
    bands, columns = (-(-length // TILE) for length in size)

    def painter_of(pulls: Pulls, taps: Array, box: Array, *, own: bool) -> tuple[Callable[[Array], Array], Array]:
        """What paints all of a queue onto a canvas, and in how many rounds."""
        queue = jax.vmap(lambda pulls, box: _queue(pulls, box, size, _side(taps)))(pulls, box)
        rounds = -(-jnp.max(queue.ends[:, -1]) // CHUNK)
        following = jax.vmap(lambda turn, pulls, queue: _next_tiles(turn, pulls, queue, bands, columns), (None, 0, 0))
        scatter = jax.lax.scatter_add if own else jax.lax.scatter_max
        paint = jax.vmap(functools.partial(_paint_tiles, scatter=scatter), (0, 0, None if own else 0))

        def step(turn: Array, state: tuple[Array, _Tiles]) -> tuple[Array, _Tiles]:
            # Tiles come from the round before: else XLA would work out where a tile lies again for each of its pixels
            # (measured: twice the time).
            canvas, tiles = state
            return paint(canvas, tiles, taps), following(turn + 1, pulls, queue)

        def paint_all(canvas: Array) -> Array:
            return jax.lax.fori_loop(0, rounds, step, (canvas, following(jnp.int32(0), pulls, queue)))[0]

        return paint_all, rounds

    def side_by_side(own_taps: Array, taps: Array, pulls: Pulls, own_pulls: Pulls, box: Array) -> Array:
        canvas = _zeros(pulls.weights, (bands * TILE, columns * TILE), num_classes, dtype)
        paint_means, _ = painter_of(pulls, taps, box, own=False)
        paint_own, rounds = painter_of(own_pulls, own_taps, box, own=True)
        canvas = jax.lax.cond(
            rounds > 0, lambda canvas: jnp.minimum(paint_own(canvas), 1), lambda canvas: canvas, paint_means(canvas)
        )
        return canvas[:, : size[0], : size[1]]

    @custom_vmap
    def batch(taps: Array, pulls: Pulls, own_taps: Array, own_pulls: Pulls, box: Array) -> Array:
        lanes = _lanes(len(box))
        split = jax.tree.map(
            lambda leaf: jnp.moveaxis(leaf.reshape(lanes, -1, *leaf.shape[1:]), 1, 0), (taps, pulls, own_pulls, box)
        )
        out = jax.lax.map(lambda rows: side_by_side(own_taps, *rows), split)
        return jnp.moveaxis(out, 0, 1).reshape(-1, *out.shape[2:])

    @batch.def_vmap
    def _(axis_size: Side, batched: list, *arguments: Any) -> tuple[Array, bool]:
        """A batch of batches is one batch, unless every one has a bank of its own."""

        def spread(leaf: Array, has: bool) -> Array:
            return leaf if has else jnp.broadcast_to(leaf, (axis_size, *leaf.shape))

        if batched[2]:
            return jax.lax.map(lambda one: batch(*one), jax.tree.map(spread, arguments, tuple(batched))), True
        merged = [
            argument
            if i == 2
            else jax.tree.map(lambda leaf, has: spread(leaf, has).reshape(-1, *leaf.shape[1 + has :]), argument, has)
            for i, (argument, has) in enumerate(zip(arguments, batched))
        ]
        out = batch(*merged)
        return out.reshape(axis_size, -1, *out.shape[1:]), True

    return batch


def dense(
    size: tuple[int, int],
    num_classes: int,
    dtype: DTypeLike,
    taps: UInt32[Array, "M S"],
    pulls: Pulls,
    own_taps: UInt32[Array, "N S"],
    own_pulls: Pulls,
    box: Float[Array, "4"],
) -> Float[Array, "H W C"]:
    """What `paint` paints, every pixel of every pull: the plain form, and what is differentiated."""
    x, y = jnp.arange(size[1], dtype=box.dtype)[None, :], jnp.arange(size[0], dtype=box.dtype)[:, None]
    classes = jnp.arange(num_classes, dtype=jnp.int32)[:, None, None]

    def over(merge: Callable[[Array, Array], Array], total: Array, taps: Array, pulls: Pulls) -> Array:
        def add(total: Array, row: tuple[Array, Pulls]) -> tuple[Array, None]:
            affine, pull = row
            mask = _look(taps, pull.rows, affine, x, y) * pull.weights
            return merge(total, jnp.where(classes == pull.classes, mask, 0)), None

        return jax.lax.scan(add, total, (_affine(pulls, _side(taps), box, size), pulls))[0]

    zeros = jnp.moveaxis(_zeros(pulls.weights[None], size, num_classes, box.dtype)[0], -1, 0)
    total = over(jnp.maximum, zeros, taps, pulls)
    total = over(jnp.add, total, own_taps, own_pulls)
    return jnp.moveaxis(jnp.minimum(total, 1), 0, -1).astype(dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def paint(
    size: tuple[int, int],
    num_classes: int,
    dtype: DTypeLike,
    taps: UInt32[Array, "M S"],
    pulls: Pulls,
    own_taps: UInt32[Array, "N S"],
    own_pulls: Pulls,
    box: Float[Array, "4"],
) -> Float[Array, "H W C"]:
    """Pulls patches into one output: `pulls` merged by max within a class, `own_pulls` added, bounded by 1.

    Equals `dense`; reverse mode, which cannot cross the painter's loop, goes through `dense`.

    Args:
        size: (H, W) of the output.
        num_classes: C.
        dtype: of the output.
        taps: uint32[M, (side + 1)^2], patches as `pack_taps`, one row each; this example's.
        pulls: of `taps`.
        own_taps: uint32[N, (side + 1)^2], the same for patches that a whole batch shares.
        own_pulls: of `own_taps`.
        box: float[4], edges (x0, y0, x1, y1) of what the output shows.
    """
    taps, pulls, own_pulls, box = jax.tree.map(lambda leaf: leaf[None], (taps, pulls, own_pulls, box))
    return _painter(size, num_classes, dtype)(taps, pulls, own_taps, own_pulls, box)[0]


def _paint_forward(size: tuple[int, int], num_classes: int, dtype: DTypeLike, *arguments: Any) -> tuple[Array, Any]:
    return paint(size, num_classes, dtype, *arguments), arguments


def _paint_backward(size: tuple[int, int], num_classes: int, dtype: DTypeLike, arguments: Any, gradient: Array) -> Any:
    taps, pulls, own_taps, own_pulls, box = arguments

    def plain(pulls: Pulls, own_pulls: Pulls, box: Array) -> Array:
        return dense(size, num_classes, dtype, taps, pulls, own_taps, own_pulls, box)

    pulls, own_pulls, box = jax.vjp(plain, pulls, own_pulls, box)[1](gradient)
    return None, pulls, None, own_pulls, box


paint.defvjp(_paint_forward, _paint_backward)
