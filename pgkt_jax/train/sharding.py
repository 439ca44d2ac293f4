"""One mesh axis, `data`: batches are split over the devices, everything else is on all of them."""

from typing import TypeVar

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

Tree = TypeVar("Tree")


def data_mesh() -> Mesh:
    """All devices in one axis."""
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


def check_batch(batch: int, name: str, *, parts: int = 1) -> None:
    """Says before anything starts that a batch cannot be split over the devices.

    Args:
        batch: its size.
        name: the field that sets it.
        parts: in how many parts, one after the other, the devices take it.

    Raises:
        ValueError: it cannot.
    """
    if parts < 1 or batch < 1 or batch % (parts * jax.device_count()):
        taken = f" in {parts} parts" if parts != 1 else ""
        raise ValueError(
            f"{name} = {batch} cannot be split over {jax.device_count()} devices{taken}: choose a multiple"
        )


def replicate(tree: Tree, mesh: Mesh) -> Tree:
    """Puts a whole copy on every device."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def split(batch: Tree, mesh: Mesh, *, axis: int = 0) -> Tree:
    """Splits an axis of every leaf over the devices.

    Raises:
        ValueError: the batch cannot be divided.
    """
    length = jax.tree.leaves(batch)[0].shape[axis]
    if length % mesh.size:
        raise ValueError(
            f"a batch of {length} cannot be split over {mesh.size} devices: choose a multiple of {mesh.size}"
        )
    return jax.device_put(batch, NamedSharding(mesh, PartitionSpec(*[None] * axis, "data")))
