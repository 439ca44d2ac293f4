"""Limb frames: the morph of the paper's section 3.4 with the half of it done once, when the bank is made.

"Target limb -> source limb" is "target limb -> limb frame -> source limb", and the second half does not depend on the
target. So a bank keeps every part of every person as a small *patch* in the frame of its own limb. A prior gathers the
k patches of a part, averages them, and pulls one averaged patch, only in the tiles of the output that it can reach
(`tiles.py`): work follows the area that limbs cover, not parts x pixels x people.

Coordinates of a limb's frame: u runs along the limb, 0 at its first joint and 1 at its second; v across, in lengths of
the limb, 90 degrees clockwise on the screen from u.

A part's patches share one extent, so that they can be averaged. A patch that would not fit (a foreshortened limb under
a wide sleeve) keeps an extent of its own and is pulled by itself: slower, never cut off.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from pgkt_jax.geometry import MIN_LIMB, limb_length, pack_taps, pull_mask
from pgkt_jax.tiles import Pulls, paint
from pgkt_jax.typing import Array, Bool, Float, Int, Leaf, UInt8

RESOLUTION = 64
"""Samples along and across a patch."""

SHARED = 0.99
"""Of the people of a bank, the share whose reach, at each of the four sides, lies within the shared extent."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LimbFrames:
    """The patches of a bank of N people with P parts (a pytree).

    Attributes:
        patches: uint8[N, P, R, R], coverage in 0..255 within the shared extent; rows run along v, columns along u.
        shared: float32[P, 4], the extent (u0, v0, u1, v1) of a part's patches: edges, in the limb's frame.
        reach: float32[N, P, 4], the smallest extent that holds all of a part; of no area where there is nothing.
        own: int32[N, P], for patches that the shared extent does not hold the row of `own_taps`, else -1.
        own_taps: uint32[M, (R + 1)^2], those patches within their reach, as `pack_taps`; M at least 1.
    """

    patches: Leaf
    shared: Leaf
    reach: Leaf
    own: Leaf
    own_taps: Leaf


def cut_patches(
    label_maps: UInt8[Array, "N H W"], limbs: Float[Array, "N P 2 2"], has: Bool[Array, "N P"]
) -> LimbFrames:
    """Cuts every part of every person out in the frame of its limb.

    Args:
        label_maps: uint8[N, H, W] of part ids.
        limbs: float32[N, P, 2, 2], the two joints (x, y) of every part's limb, in pixels of the label map.
        has: bool[N, P], whether both are to be seen, and apart.
    """
    reach = np.asarray(_reaches(label_maps, limbs, has))
    filled = reach[..., 2] > reach[..., 0]
    shared = np.stack([_shared_extent(reach[filled[:, part], part]) for part in range(reach.shape[1])])
    inside = (reach[..., :2] >= shared[:, :2]) & (reach[..., 2:] <= shared[:, 2:])
    people, parts = np.nonzero(filled & ~inside.all(-1))
    own = np.full(filled.shape, -1, np.int32)
    own[people, parts] = np.arange(len(people))
    extents = jnp.broadcast_to(jnp.asarray(shared), reach.shape)
    some = (people, parts) if len(people) else (np.zeros(1, int), np.zeros(1, int))
    alone = _cut_each(
        label_maps, limbs, has, *(jnp.asarray(rows, jnp.int32) for rows in some), jnp.asarray(reach[some])
    )
    return LimbFrames(
        _cut_all(label_maps, limbs, has, extents), jnp.asarray(shared), jnp.asarray(reach), jnp.asarray(own),
        jax.jit(jax.vmap(lambda patch: pack_taps(patch).reshape(-1)))(alone),
    )  # fmt: skip


def _shared_extent(reach: np.ndarray) -> np.ndarray:
    """float32[4] of float32[n, 4]."""
    if not len(reach):
        return np.array([0, 0, 1, 1], np.float32)
    low, high = np.quantile(reach[:, :2], 1 - SHARED, axis=0), np.quantile(reach[:, 2:], SHARED, axis=0)
    return np.concatenate([low, high]).astype(np.float32)


@jax.jit
def _reaches(
    label_maps: UInt8[Array, "N H W"], limbs: Float[Array, "N P 2 2"], has: Bool[Array, "N P"]
) -> Float[Array, "N P 4"]:
    rows = jnp.arange(label_maps.shape[1], dtype=limbs.dtype)[:, None]
    columns = jnp.arange(label_maps.shape[2], dtype=limbs.dtype)[None, :]

    def of_part(label_map: Array, part: Array, limb: Array, has: Array) -> Array:
        u, v = _in_frame(limb, columns, rows)
        there = (label_map == part) & has
        low = jnp.stack([jnp.min(jnp.where(there, w, jnp.inf)) for w in (u, v)])
        high = jnp.stack([jnp.max(jnp.where(there, w, -jnp.inf)) for w in (u, v)])
        # Interpolated, a mask ends one pixel beyond its last; so it does in any direction.
        pixel = 1.5 / jnp.maximum(limb_length(limb), MIN_LIMB)
        return jnp.where(jnp.any(there), jnp.concatenate([low - pixel, high + pixel]), 0)

    def of_person(person: tuple[Array, Array, Array]) -> Array:
        parts = jnp.arange(1, limbs.shape[1] + 1, dtype=jnp.uint8)
        return jax.vmap(of_part, (None, 0, 0, 0))(person[0], parts, *person[1:])

    return jax.lax.map(of_person, (label_maps, limbs, has))


@jax.jit
def _cut_all(
    label_maps: UInt8[Array, "N H W"],
    limbs: Float[Array, "N P 2 2"],
    has: Bool[Array, "N P"],
    extents: Float[Array, "N P 4"],
) -> UInt8[Array, "N P R R"]:
    def of_person(person: tuple[Array, Array, Array, Array]) -> Array:
        parts = jnp.arange(1, limbs.shape[1] + 1, dtype=jnp.uint32)
        return jax.vmap(_cut, (None, 0, 0, 0, 0))(pack_taps(person[0]), parts, *person[1:])

    return jax.lax.map(of_person, (label_maps, limbs, has, extents))


@jax.jit
def _cut_each(
    label_maps: UInt8[Array, "N H W"],
    limbs: Float[Array, "N P 2 2"],
    has: Bool[Array, "N P"],
    people: Int[Array, "M"],
    parts: Int[Array, "M"],
    extents: Float[Array, "M 4"],
) -> UInt8[Array, "M R R"]:
    def of(row: tuple[Array, Array, Array]) -> Array:
        person, part, extent = row
        taps = pack_taps(label_maps[person])
        return _cut(taps, part.astype(jnp.uint32) + 1, limbs[person, part], has[person, part], extent)

    return jax.lax.map(of, (people, parts, extents))


def _cut(taps: Array, part: Array, limb: Array, has: Array, extent: Array) -> UInt8[Array, "R R"]:
    """One patch; every sample is the mean of four."""
    steps = (jnp.arange(2 * RESOLUTION, dtype=limb.dtype) + 0.5) / (2 * RESOLUTION)
    u = (extent[0] + steps * (extent[2] - extent[0]))[None, :]
    v = (extent[1] + steps * (extent[3] - extent[1]))[:, None]
    (ax, ay), (dx, dy) = limb[0], limb[1] - limb[0]
    mask = pull_mask(taps, part, ax + u * dx - v * dy, ay + u * dy + v * dx)
    mean = jnp.mean(mask.reshape(RESOLUTION, 2, RESOLUTION, 2), (1, 3))
    return jnp.where(has, jnp.round(255 * mean), 0).astype(jnp.uint8)


def _in_frame(limb: Float[Array, "2 2"], x: Float[Array, "..."], y: Float[Array, "..."]) -> tuple[Array, Array]:
    """(u, v) of points; finite where the limb has no length."""
    (ax, ay), (dx, dy) = limb[0], limb[1] - limb[0]
    squared = dx * dx + dy * dy
    squared = jnp.where(squared >= MIN_LIMB**2, squared, 1)
    return ((x - ax) * dx + (y - ay) * dy) / squared, ((y - ay) * dx - (x - ax) * dy) / squared


def _mean_patches(
    patches: UInt8[Array, "N P R R"], indices: Int[Array, "k"], weights: Float[Array, "k P"]
) -> Float[Array, "P R R"]:
    """The weighted sum of k people's patches.

    One person after the other: the loop keeps XLA from fusing the sum into its consumer, which looks at every mean
    four times (measured on a CPU core, 32 targets, k = 3: 1.7 ms, in place of 26 for a plain sum over k).
    """

    def weighted(row: tuple[Array, Array]) -> Array:
        index, weight = row
        return weight[:, None, None] * patches.at[index].get(mode="promise_in_bounds").astype(jnp.float32)

    def add(total: Array, row: tuple[Array, Array]) -> tuple[Array, None]:
        return total + weighted(row), None

    return jax.lax.scan(add, weighted((indices[0], weights[0])), (indices[1:], weights[1:]))[0]


def prior_from_patches(
    frames: LimbFrames,
    indices: Int[Array, "k"],
    has: Bool[Array, "k P"],
    count: Float[Array, ""],
    target_limbs: Float[Array, "P 2 2"],
    box: Float[Array, "4"],
    *,
    classes: tuple[int, ...],
    size: tuple[int, int],
    dtype: DTypeLike,
) -> Float[Array, "H W C"]:
    """Averages the neighbours' patches, pulls the means, merges the parts of a class by max.

    Patches with an extent of their own are pulled apart and added to their class, which the sum of 1 bounds.

    Args:
        frames: the bank's.
        indices: int32[k], the neighbours.
        has: bool[k, P], whether neighbour and target both have the limb.
        count: by which the sum of the neighbours is divided.
        target_limbs: float[P, 2, 2]; differentiable.
        box: float[4]; differentiable.
        classes: of every part, from 0.
        size: the output's (H, W).
        dtype: of the output.
    """
    k, parts = has.shape
    reach, own, shared = frames.reach[indices].astype(box.dtype), frames.own[indices], frames.shared.astype(box.dtype)
    averaged = has & (own < 0) & (reach[..., 2] > reach[..., 0])
    means = _mean_patches(frames.patches, indices, averaged.astype(jnp.float32) / count.astype(jnp.float32))
    taps = jax.vmap(pack_taps)(jnp.round(means).astype(jnp.uint8)).reshape(parts, -1)
    low = jnp.min(jnp.where(averaged[..., None], reach[..., :2], shared[:, 2:]), 0)
    high = jnp.max(jnp.where(averaged[..., None], reach[..., 2:], shared[:, :2]), 0)
    class_ids = jnp.array(classes, jnp.int32)
    mean_pulls = Pulls(
        rows=jnp.arange(parts, dtype=jnp.int32),
        extents=shared,
        reach=jnp.concatenate([low, high], -1),
        limbs=target_limbs,
        classes=class_ids,
        weights=averaged.any(0).astype(box.dtype),
    )
    own_pulls = Pulls(
        rows=jnp.maximum(own, 0).reshape(-1),
        extents=reach.reshape(-1, 4),
        reach=reach.reshape(-1, 4),
        limbs=jnp.tile(target_limbs, (k, 1, 1)),
        classes=jnp.tile(class_ids, k),
        weights=(has & (own >= 0)).reshape(-1).astype(box.dtype) / count.astype(box.dtype),
    )
    return paint(size, max(classes) + 1, dtype, taps, mean_pulls, frames.own_taps, own_pulls, box)
