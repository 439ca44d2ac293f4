"""One mesh axis, `data`: batches are split over the devices of all processes, everything else is on all of them."""

from typing import TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

Tree = TypeVar("Tree")


def data_mesh() -> Mesh:
    """All devices of all processes in one axis, those of a process side by side."""
    devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    return Mesh(np.array(devices), ("data",), axis_types=(AxisType.Auto,))


def local_mesh() -> Mesh:
    """This process' devices in one axis."""
    return Mesh(np.array(jax.local_devices()), ("data",), axis_types=(AxisType.Auto,))


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


def share_of_batch(batch: int) -> slice:
    """The samples of a global batch that this process reads: its devices' own, one block."""
    size = batch // jax.process_count()
    return slice(jax.process_index() * size, (jax.process_index() + 1) * size)


def replicate(tree: Tree, mesh: Mesh) -> Tree:
    """Puts a whole copy on every device of the mesh; every process must bring the same values."""
    sharding = NamedSharding(mesh, PartitionSpec())
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)
    # `device_put` would send everything over the network to see that it is the same.
    return jax.tree.map(
        lambda leaf: jax.make_array_from_process_local_data(sharding, np.asarray(leaf), leaf.shape), tree
    )


def local(tree: Tree) -> Tree:
    """What is on all devices of all processes, as this process' own arrays; nothing is copied."""
    sharding = NamedSharding(local_mesh(), PartitionSpec())

    def own(leaf: jax.Array) -> jax.Array:
        if leaf.is_fully_addressable:
            return leaf
        copies = [shard.data for shard in leaf.addressable_shards]
        return jax.make_array_from_single_device_arrays(leaf.shape, sharding, copies)

    return jax.tree.map(own, tree)


def split(share: Tree, mesh: Mesh, *, axis: int = 0) -> Tree:
    """Splits an axis of every leaf over the devices; each process brings its share, see `share_of_batch`.

    Raises:
        ValueError: the batch cannot be divided.
    """
    sharding = NamedSharding(mesh, PartitionSpec(*[None] * axis, "data"))
    processes = mesh.size // len(mesh.local_devices)
    length = processes * jax.tree.leaves(share)[0].shape[axis]
    if length % mesh.size:
        raise ValueError(
            f"a batch of {length} cannot be split over {mesh.size} devices: choose a multiple of {mesh.size}"
        )
    if sharding.is_fully_addressable:
        return jax.device_put(share, sharding)
    return jax.tree.map(lambda leaf: jax.make_array_from_process_local_data(sharding, np.asarray(leaf)), share)
