"""Which labelled people stand in a similar pose (paper, section 3.3).

Poses are normalised (torso of length 1, pelvis at the origin) and compared by the squared distance of the joints seen
in both, divided by their number. A bank's part of that is computed once, so a query is one matrix product.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from pgkt_jax.geometry import MIN_LIMB, limb_length
from pgkt_jax.skeleton import Skeleton
from pgkt_jax.typing import Array, Bool, Float, Int, Key, Leaf

MIN_SHARED = 3
"""Two poses that share fewer visible joints, or fewer than half of the target's, are infinitely distant."""


TILE = 65_536
"""Rows of a bank whose distances are in memory at a time; for n no larger."""


class Neighbours(NamedTuple):
    """The k people picked for one target.

    Attributes:
        indices: int32[k], rows of the bank.
        distances: float32[k], mean squared distance of the joints seen in both, in torso lengths squared.
        valid: bool[k]; an invalid neighbour (padded, excluded or infinitely distant) counts for nothing.
    """

    indices: Leaf
    distances: Leaf
    valid: Leaf


def normalize_pose(
    joints: Float[Array, "J 2"], visible: Bool[Array, "J"], skeleton: Skeleton, mean_pose: Float[Array, "J 2"]
) -> tuple[Float[Array, "J 2"], Bool[Array, ""]]:
    """Moves the torso's origin to (0, 0) and makes the torso's length 1.

    A pose whose torso is not to be seen (upper bodies) is instead laid over `mean_pose`: over its visible joints,
    centre on centre and root-mean-square size on size.

    Returns:
        The normalised joints and whether they mean anything (a torso, or two visible joints apart).
    """
    origin, end = skeleton.torso_joints
    length = limb_length(joints[jnp.array([origin, end])])
    has_torso = visible[origin] & visible[end] & (length >= MIN_LIMB)
    weight = visible.astype(joints.dtype)[:, None]
    count = jnp.maximum(jnp.sum(weight), 1)

    def centred(points: Float[Array, "J 2"]) -> tuple[Float[Array, "2"], Float[Array, ""]]:
        centre = jnp.sum(weight * points, axis=0) / count
        return centre, jnp.sqrt(jnp.sum(weight * (points - centre) ** 2) / count)

    centre, size = centred(joints)
    mean_centre, mean_size = centred(mean_pose)
    laid_over = (joints - centre) / jnp.maximum(size, MIN_LIMB) * mean_size + mean_centre
    upright = (joints - joints[origin]) / jnp.maximum(length, MIN_LIMB)
    return jnp.where(has_torso, upright, laid_over), has_torso | ((size >= MIN_LIMB) & (mean_size > 0))


def pose_features(pose: Float[Array, "J 2"], visible: Bool[Array, "J"]) -> Float[Array, "4*J"]:
    """A bank pose as the vector whose product with `query_features` sums the squared distances of shared joints."""
    weight = visible.astype(pose.dtype)[:, None]
    return jnp.concatenate([weight * pose, weight * jnp.sum(pose**2, -1, keepdims=True), weight], -1).reshape(-1)


def query_features(pose: Float[Array, "J 2"], visible: Bool[Array, "J"]) -> Float[Array, "4*J"]:
    """A target pose as the partner of `pose_features`: |p - q|^2 = |q|^2 + |p|^2 - 2 p.q, joint by joint."""
    weight = visible.astype(pose.dtype)[:, None]
    return jnp.concatenate([-2 * weight * pose, weight, weight * jnp.sum(pose**2, -1, keepdims=True)], -1).reshape(-1)


def nearest(
    features: Float[Array, "N F"],
    valid: Bool[Array, "N"],
    pose: Float[Array, "J 2"],
    visible: Bool[Array, "J"],
    *,
    k: int,
    n: int,
    key: Key[Array, ""] | None,
    exclude: Int[Array, ""] | None,
) -> Neighbours:
    """The k nearest rows of `features`, or with a key k of the n nearest at random, valid ones first.

    Raises:
        ValueError: k > n, or n exceeds the rows.
    """
    if not 1 <= k <= n:
        raise ValueError(f"k = {k} neighbours cannot be picked out of n = {n}: 1 <= k <= n must hold")
    if n > features.shape[0]:
        raise ValueError(f"n = {n} nearest people cannot be found in a bank of {features.shape[0]}")
    query, seen = query_features(pose, visible), visible.astype(features.dtype)
    # A skeleton of two joints can share no more than two.
    needed = jnp.maximum(min(MIN_SHARED, visible.shape[0]), jnp.sum(seen) / 2)

    def nearest_of(
        rows: Int[Array, "T"], features: Float[Array, "T F"], usable: Bool[Array, "T"]
    ) -> tuple[Array, Array]:
        total = jnp.dot(features, query, precision=jax.lax.Precision.HIGHEST)
        bank_visible = features.reshape(features.shape[0], -1, 4)[:, :, 3]
        shared = jnp.dot(bank_visible, seen, precision=jax.lax.Precision.HIGHEST)
        usable &= shared >= needed
        if exclude is not None:
            usable &= rows != exclude
        least, at = _smallest(jnp.where(usable, jnp.maximum(total, 0) / jnp.maximum(shared, 1), jnp.inf), n)
        return least, rows[at]

    distances, indices = _by_tiles(nearest_of, features, valid, n)
    if key is not None:
        # The least of n random scores pick k; what is not usable scores above them all and is picked last.
        scores = jnp.where(distances < jnp.inf, -jax.random.uniform(key, (n,), distances.dtype), 1)
        picked = jnp.argsort(scores)[:k]
        distances, indices = distances[picked], indices[picked]
    return Neighbours(indices[:k], distances[:k], distances[:k] < jnp.inf)


def _by_tiles(
    nearest_of: Callable[..., tuple[Array, Array]], features: Float[Array, "N F"], valid: Bool[Array, "N"], n: int
) -> tuple[Float[Array, "n"], Int[Array, "n"]]:
    """The n nearest of all rows, `TILE` rows at a time: a batch's distances to a million poses would not fit."""
    size = features.shape[0]
    if size <= TILE:
        return nearest_of(jnp.arange(size, dtype=jnp.int32), features, valid)

    def tile(start: Array) -> tuple[Array, Array]:
        # The last tile begins early, so as to be full; the rows that it shares with the one before are left out.
        begin = jnp.minimum(start, size - TILE)
        rows = begin + jnp.arange(TILE, dtype=jnp.int32)
        cut = (jax.lax.dynamic_slice_in_dim(leaf, begin, TILE) for leaf in (features, valid))
        tile_features, usable = cut
        return nearest_of(rows, tile_features, usable & (rows >= start))

    def add(best: tuple[Array, Array], start: Array) -> tuple[tuple[Array, Array], None]:
        distances, rows = (jnp.concatenate(pair) for pair in zip(best, tile(start)))
        least, at = _smallest(distances, n)
        return (least, rows[at]), None

    return jax.lax.scan(add, tile(jnp.int32(0)), jnp.arange(TILE, size, TILE, dtype=jnp.int32))[0]


def _smallest(values: Float[Array, "N"], n: int) -> tuple[Float[Array, "n"], Int[Array, "n"]]:
    """The n smallest values and their rows, in order; rows of infinite values mean nothing.

    n reductions, since the partitioner cannot split `lax.top_k`: it gathers a batch that is spread over devices.
    """
    rows = jnp.arange(values.shape[0], dtype=jnp.int32)
    least, at = [], []
    for _ in range(n):
        row = jax.lax.argmin(values, 0, jnp.int32)
        least.append(jnp.min(values))
        at.append(row)
        values = jnp.where(rows == row, jnp.inf, values)
    return jnp.stack(least), jnp.stack(at)
