"""The part-level prior (paper, section 3.4): morph the neighbours' part masks limb by limb, merge, average.

Everything but `PoseBank.create` is pure and takes one target; callers vmap. Nothing here is random without a key.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from pgkt_jax.geometry import (
    MIN_LIMB,
    box_pixels,
    limb_length,
    pack_taps,
    pull_mask,
    segment_distance,
    source_from_target,
)
from pgkt_jax.limb_frames import cut_patches, prior_from_patches
from pgkt_jax.retrieval import Neighbours, nearest, normalize_pose, pose_features
from pgkt_jax.skeleton import Skeleton
from pgkt_jax.typing import Array, Bool, Float, Int, Key, Leaf, UInt8

DTypeLike = jax.typing.DTypeLike
Method = Literal["exact", "limb_frames"]
Function = TypeVar("Function", bound=Callable[..., Any])


def _on_any_mesh(function: Function) -> Function:
    """Makes a function of one example run under a mesh with explicit axes, by making them automatic inside.

    Under explicit axes JAX refuses to look up a replicated bank by indices that are spread over devices. Taken alone
    the result of one example is on every device; a `vmap` outside spreads it as it does the batch.
    """

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        axes = jax.sharding.get_abstract_mesh().explicit_axes
        if not axes:
            return function(*args, **kwargs)
        leaves, tree = jax.tree.flatten((args, kwargs))

        def inside(*arrays: jax.Array) -> Any:
            given = iter(arrays)
            filled = [next(given) if isinstance(x, jax.Array) else x for x in leaves]
            args, kwargs = jax.tree.unflatten(tree, filled)
            return function(*args, **kwargs)

        automatic = jax.sharding.auto_axes(inside, axes=axes, out_sharding=jax.sharding.PartitionSpec())
        return automatic(*(x for x in leaves if isinstance(x, jax.Array)))

    return wrapped  # type: ignore[return-value]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PoseBank:
    """The labelled people whose masks are transferred. A pytree: pass it to jitted functions as an argument.

    Attributes:
        label_maps: uint8[N, H, W], part ids, every person cropped to what is labelled, or None (poses alone).
        joints: float32[N, J, 2], (x, y) in pixels of the person's own label map.
        visible: bool[N, J].
        valid: bool[N]; rows that are padding are False and never picked.
        features: float32[N, 4J], the normalised poses as `retrieval.pose_features`.
        mean_pose: float32[J, 2], the mean normalised pose, where poses without a torso are laid over.
        frames: the parts cut out in the frames of their limbs (`limb_frames.LimbFrames`), or None.
        skeleton: the kind of body (static).
    """

    label_maps: Leaf
    joints: Leaf
    visible: Leaf
    valid: Leaf
    features: Leaf
    mean_pose: Leaf
    frames: Leaf
    skeleton: Skeleton = field(metadata={"static": True})

    @classmethod
    def create(
        cls,
        skeleton: Skeleton,
        label_maps: Sequence[np.ndarray],
        joints: jax.typing.ArrayLike,
        visible: jax.typing.ArrayLike,
        *,
        max_side: int = 256,
        limb_frames: bool = True,
    ) -> "PoseBank":
        """Builds a bank from people of any image size.

        Every label map is cropped to its labelled pixels and, where its longer side then exceeds `max_side` pixels,
        reduced together with its joints; smaller ones are padded with background.

        Args:
            skeleton: the kind of body.
            label_maps: N arrays uint8[H_i, W_i] of part ids; ids without a part (255: ignored) count as background.
            joints: float32[N, J, 2], (x, y) in pixels of each person's label map.
            visible: bool[N, J].
            max_side: the longest side that is kept, in pixels.
            limb_frames: cut the parts out as well, for `method="limb_frames"`; 41 kB a person with ten parts. Without,
                only `method="exact"` works.

        Raises:
            ValueError: the arguments disagree in length or shape, are empty, or a visible joint is not finite.
        """
        joints, visible = _checked(skeleton, len(label_maps), joints, visible)
        maps, moved = zip(*(_crop(m, j, skeleton, max_side) for m, j in zip(label_maps, joints)))
        height, width = np.max([m.shape for m in maps], axis=0)
        stacked = np.zeros((len(maps), height, width), np.uint8)
        for row, label_map in zip(stacked, maps):
            row[: label_map.shape[0], : label_map.shape[1]] = label_map
        bank = replace(cls.of_poses(skeleton, np.stack(moved), visible), label_maps=jnp.asarray(stacked))
        if not limb_frames:
            return bank
        return replace(bank, frames=cut_patches(bank.label_maps, *_limbs_of(bank.joints, bank.visible, skeleton)))

    @classmethod
    def of_poses(cls, skeleton: Skeleton, joints: jax.typing.ArrayLike, visible: jax.typing.ArrayLike) -> "PoseBank":
        """A bank without masks, for `nearest_poses` alone: 450 bytes a person with 16 joints. As `create` otherwise."""
        joints, visible = _checked(skeleton, len(np.asarray(joints)), joints, visible)
        points, seen = jnp.asarray(joints), jnp.asarray(visible)
        valid, features, mean_pose = _index_poses(points, seen, skeleton)
        return cls(None, points, seen, valid, features, mean_pose, None, skeleton)

    @property
    def size(self) -> int:
        """Number of rows, padding included."""
        return self.joints.shape[0]


def _checked(
    skeleton: Skeleton, people: int, joints: jax.typing.ArrayLike, visible: jax.typing.ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """float32[people, J, 2], 0 where not visible, and bool[people, J]; raises as `PoseBank.create`."""
    joints, visible = np.asarray(joints, np.float32), np.asarray(visible, bool)
    expected = (people, skeleton.num_joints)
    if people == 0 or joints.shape != (*expected, 2) or visible.shape != expected:
        raise ValueError(
            f"a bank of {people} people of {skeleton.name} wants joints {(*expected, 2)} and visible "
            f"{expected}, not {joints.shape} and {visible.shape}, and at least one person"
        )
    lost = np.argwhere(visible & ~np.isfinite(joints).all(-1))
    if lost.size:
        raise ValueError(f"bank row {lost[0][0]}: joint {skeleton.joints[lost[0][1]]} is visible but not finite")
    return np.where(visible[..., None], joints, 0), visible


def _limbs_of(
    joints: Float[Array, "*N J 2"], visible: Bool[Array, "*N J"], skeleton: Skeleton
) -> tuple[Float[Array, "*N P 2 2"], Bool[Array, "*N P"]]:
    """The two joints of every part's limb, and whether both are to be seen and the limb has a length."""
    limbs = jnp.where(visible[..., None], joints, 0)[..., jnp.asarray(skeleton.limbs), :]
    return limbs, visible[..., jnp.asarray(skeleton.limbs)].all(-1) & (limb_length(limbs) >= MIN_LIMB)


@functools.partial(jax.jit, static_argnums=2)
def _index_poses(
    joints: Float[Array, "N J 2"], visible: Bool[Array, "N J"], skeleton: Skeleton
) -> tuple[Bool[Array, "N"], Float[Array, "N F"], Float[Array, "J 2"]]:
    """The fields `valid`, `features` and `mean_pose` of a bank."""
    normalize = jax.vmap(normalize_pose, in_axes=(0, 0, None, None))
    # The mean is taken over poses with a torso: against a mean of zeros no other pose means anything.
    poses, whole = normalize(joints, visible, skeleton, jnp.zeros(joints.shape[1:], joints.dtype))
    weight = (visible & whole[:, None]).astype(joints.dtype)[..., None]
    mean_pose = jnp.sum(weight * poses, 0) / jnp.maximum(jnp.sum(weight, 0), 1)
    poses, valid = normalize(joints, visible, skeleton, mean_pose)
    return valid, jax.vmap(pose_features)(poses, visible), mean_pose


def _crop(
    label_map: np.ndarray, joints: np.ndarray, skeleton: Skeleton, max_side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts a label map to its labelled pixels and brings it and the joints to at most `max_side`, nearest pixel."""
    parts = (label_map > 0) & (label_map <= skeleton.num_parts)
    if label_map.ndim != 2 or label_map.dtype != np.uint8:
        raise ValueError(f"a label map must be uint8[H, W], not {label_map.dtype}{list(label_map.shape)}")
    rows, columns = np.flatnonzero(parts.any(1)), np.flatnonzero(parts.any(0))
    if not rows.size:
        return np.zeros((1, 1), np.uint8), joints
    top, left = rows[0], columns[0]
    cut = np.where(parts, label_map, 0)[top : rows[-1] + 1, left : columns[-1] + 1].astype(np.uint8)
    joints = joints - np.array([left, top], np.float32)
    height, width = cut.shape
    if max(height, width) <= max_side:
        return cut, joints
    size = np.maximum(1, np.round(np.array(cut.shape) * max_side / max(cut.shape))).astype(int)
    i = ((np.arange(size[0]) + 0.5) * height / size[0]).astype(int)
    j = ((np.arange(size[1]) + 0.5) * width / size[1]).astype(int)
    ratio = np.array([size[1] / width, size[0] / height], np.float32)
    return cut[np.ix_(i, j)], (joints + np.float32(0.5)) * ratio - np.float32(0.5)


@_on_any_mesh
def nearest_poses(
    bank: PoseBank,
    joints: Float[Array, "J 2"],
    visible: Bool[Array, "J"],
    *,
    k: int = 3,
    n: int | None = None,
    key: Key[Array, ""] | None = None,
    exclude: Int[Array, ""] | int | None = None,
) -> Neighbours:
    """Finds the people of the bank in the most similar pose (paper, section 3.3).

    Args:
        bank: the labelled people.
        joints: float[J, 2], (x, y), the target's joints in any frame: poses are normalised before they are compared.
        visible: bool[J].
        k: how many to pick.
        n: with a key, pick k at random out of the n nearest (paper, section 3.6); None means k.
        key: a random key, or None for the k nearest.
        exclude: the bank row that must not be picked (the target itself), -1 for nobody.

    Returns:
        Indices, distances and validity of the k picked. No gradient flows through the choice.

    Raises:
        ValueError: k > n, or n > the bank's size.
    """
    joints = jax.lax.stop_gradient(joints).astype(jnp.float32)
    pose, usable = normalize_pose(jnp.where(visible[:, None], joints, 0), visible, bank.skeleton, bank.mean_pose)
    row = None if exclude is None else jnp.asarray(exclude, jnp.int32)
    return nearest(
        bank.features, bank.valid & usable, pose, visible, k=k, n=k if n is None else n, key=key, exclude=row
    )


@_on_any_mesh
def prior_from(
    bank: PoseBank,
    neighbours: Neighbours,
    joints: Float[Array, "J 2"],
    visible: Bool[Array, "J"],
    box: Float[Array, "4"],
    *,
    size: tuple[int, int] = (256, 256),
    dtype: DTypeLike = jnp.float32,
    method: Method = "limb_frames",
) -> Float[Array, "H W C"]:
    """Morphs the neighbours' masks onto a target pose, merges left with right by max, and averages (section 3.4).

    A part is carried by its limb: where either person lacks a joint of it, or the limb has no length, the neighbour
    adds nothing to that part. The mean runs over the valid neighbours; without any the prior is zero.

    Args:
        bank: the labelled people.
        neighbours: who was picked, of `nearest_poses`.
        joints: float[J, 2], (x, y), the target's joints.
        visible: bool[J].
        box: float[4], edges (x0, y0, x1, y1) in the frame of the joints; x0 > x1 mirrors.
        size: the output's (H, W), in pixels.
        dtype: of the output; the arithmetic is that of the joints.
        method: `exact` morphs, merges and averages in the paper's order. `limb_frames` averages the parts in the
            frames of their limbs, then morphs and merges (`limb_frames.py`): ten times as fast on a CPU, and as good
            a label: on street_people at most .004 mIoU above it for k = 1, .002 for k = 3, .001 for k = 5 and 7.

    Returns:
        [H, W, skeleton.num_classes - 1] in 0..1.

    Raises:
        ValueError: the bank was created without masks, or without limb frames where they are wanted.
    """
    if bank.label_maps is None:
        raise ValueError("a bank of poses has no masks to morph: PoseBank.create takes label maps")
    if method == "limb_frames":
        if bank.frames is None:
            raise ValueError('this bank wants method = "exact": it was created with limb_frames = False')
        return _limb_frame_prior(bank, neighbours, joints, visible, box.astype(joints.dtype), size, dtype)
    return _exact_prior(bank, neighbours, joints, visible, box.astype(joints.dtype), size).astype(dtype)


def _exact_prior(
    bank: PoseBank,
    neighbours: Neighbours,
    joints: Float[Array, "J 2"],
    visible: Bool[Array, "J"],
    box: Float[Array, "4"],
    size: tuple[int, int],
) -> Float[Array, "H W C"]:
    skeleton = bank.skeleton
    target_limbs, target_has = _limbs_of(joints, visible, skeleton)
    x, y = box_pixels(box, size)
    parts = jnp.arange(1, skeleton.num_parts + 1, dtype=jnp.uint32)

    def morphed(neighbour: tuple[Int[Array, ""], Bool[Array, ""]]) -> Float[Array, "C H W"]:
        index, valid = neighbour
        source_limbs, source_has = _limbs_of(bank.joints[index].astype(joints.dtype), bank.visible[index], skeleton)
        taps = pack_taps(bank.label_maps[index])

        def mask(part: Array, target_limb: Array, source_limb: Array, has: Array) -> Float[Array, "H W"]:
            return jnp.where(has, pull_mask(taps, part, *source_from_target(target_limb, source_limb, x, y)), 0)

        has = valid & target_has & source_has
        return jnp.stack(_merge(list(jax.vmap(mask)(parts, target_limbs, source_limbs, has)), skeleton))

    def add(total: Array, neighbour: tuple[Array, Array]) -> tuple[Array, None]:
        return total + morphed(neighbour), None

    # One neighbour after the other: less memory, and on CPUs a third of the compile time and twice the speed of a
    # program with all of them unrolled. The first starts the sum, which so has the axes that shard_map wants of it.
    picked = (neighbours.indices, neighbours.valid)
    total, _ = jax.lax.scan(add, morphed((picked[0][0], picked[1][0])), jax.tree.map(lambda leaf: leaf[1:], picked))
    count = jnp.maximum(jnp.sum(neighbours.valid), 1).astype(joints.dtype)
    return jnp.moveaxis(total / count, 0, -1)


def _limb_frame_prior(
    bank: PoseBank,
    neighbours: Neighbours,
    joints: Float[Array, "J 2"],
    visible: Bool[Array, "J"],
    box: Float[Array, "4"],
    size: tuple[int, int],
    dtype: DTypeLike,
) -> Float[Array, "H W C"]:
    picked, skeleton = neighbours.indices, bank.skeleton
    target_limbs, target_has = _limbs_of(joints, visible, skeleton)
    _, source_has = _limbs_of(bank.joints[picked], bank.visible[picked], skeleton)
    has = neighbours.valid[:, None] & target_has & source_has
    count = jnp.maximum(jnp.sum(neighbours.valid), 1).astype(joints.dtype)
    classes = tuple(int(class_id) - 1 for class_id in skeleton.part_classes)
    return prior_from_patches(
        bank.frames, picked, has, count, target_limbs, box, classes=classes, size=size, dtype=dtype
    )


def _merge(masks: Sequence[Float[Array, "H W"]], skeleton: Skeleton) -> list[Float[Array, "H W"]]:
    """Part masks -> class masks, background left out: the parts of a class by max (paper, section 4.2)."""
    merged: list[Float[Array, "H W"] | None] = [None] * (skeleton.num_classes - 1)
    for mask, class_id in zip(masks, skeleton.part_classes):
        before = merged[class_id - 1]
        merged[class_id - 1] = mask if before is None else jnp.maximum(before, mask)
    return [mask for mask in merged if mask is not None]


def make_prior(
    bank: PoseBank,
    joints: Float[Array, "J 2"],
    visible: Bool[Array, "J"],
    box: Float[Array, "4"],
    *,
    size: tuple[int, int] = (256, 256),
    k: int = 3,
    n: int | None = None,
    key: Key[Array, ""] | None = None,
    exclude: Int[Array, ""] | int | None = None,
    dtype: DTypeLike = jnp.float32,
    method: Method = "limb_frames",
) -> Float[Array, "H W C"]:
    """The part-level prior of one target: `nearest_poses`, then `prior_from`; see there for the arguments.

    Returns:
        [H, W, skeleton.num_classes - 1] in 0..1: how likely each pixel belongs to each class, background left out.
    """
    neighbours = nearest_poses(bank, joints, visible, k=k, n=n, key=key, exclude=exclude)
    return prior_from(bank, neighbours, joints, visible, box, size=size, dtype=dtype, method=method)


@_on_any_mesh
def skeleton_label_map(
    skeleton: Skeleton,
    joints: Float[Array, "J 2"],
    visible: Bool[Array, "J"],
    box: Float[Array, "4"],
    *,
    size: tuple[int, int] = (256, 256),
    width: float = 7,
    dtype: DTypeLike = jnp.float32,
) -> Float[Array, "H W C"]:
    """The rival prior of the paper's Table 2: a stick between the joints of every limb.

    Args:
        skeleton: the kind of body.
        joints, visible, box, size, dtype: as in `prior_from`.
        width: of a stick, in pixels of the joints' frame (the paper's 7). As a drawing routine would, a stick covers
            every pixel that it touches: those whose centre lies within (width + 1) / 2 of its axis.

    Returns:
        [H, W, skeleton.num_classes - 1] of 0 and 1; where sticks cross, the one with the nearest axis has the pixel.
    """
    x, y = box_pixels(box.astype(joints.dtype), size)
    limbs = jnp.asarray(skeleton.limbs)
    ends = jnp.where(visible[:, None], joints, 0)[limbs]
    has = visible[limbs].all(-1) & (limb_length(ends) >= MIN_LIMB)
    reach = jnp.asarray(((width + 1) / 2) ** 2, joints.dtype)
    squared = jnp.where(has[:, None, None], jax.vmap(segment_distance, (0, None, None))(ends, x, y), jnp.inf)
    classes = jnp.asarray(skeleton.part_classes)[jnp.argmin(squared, 0)]
    classes = jnp.where(jnp.min(squared, 0) <= reach, classes, 0)
    return jax.nn.one_hot(classes, skeleton.num_classes, dtype=dtype)[..., 1:]


def label_of_prior(prior: Float[Array, "H W C"]) -> UInt8[Array, "H W"]:
    """The class of every pixel by part masks alone: the largest mask where it is at least .5, else background."""
    return jnp.where(jnp.max(prior, -1) >= 0.5, jnp.argmax(prior, -1) + 1, 0).astype(jnp.uint8)
