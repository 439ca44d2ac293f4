"""Priors of a batch that is spread over devices, under `shard_map`: every device has the bank and its own people.

python pgkt_jax/docs/examples/sharded_batch.py
XLA_FLAGS=--xla_force_host_platform_device_count=8 python pgkt_jax/docs/examples/sharded_batch.py
"""

from functools import partial

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import pgkt_jax as pgkt
from pgkt_jax.data.puppets import Puppets

people = Puppets(train=16).split("train")  # or labelled people of your own
label_maps, joints, visible = (
    np.stack([getattr(person, name) for person in people]) for name in ("label_map", "joints", "visible")
)
bank = pgkt.PoseBank.create(pgkt.PASCAL_PERSON, list(label_maps), joints, visible)
boxes = np.tile(np.array([-0.5, -0.5, 63.5, 127.5], np.float32), (len(people), 1))  # the whole of 128 x 64 pixels
rows = np.arange(len(people), dtype=np.int32)


def priors(bank, joints, visible, boxes, rows):
    """Everybody's prior, made of the others."""
    one = partial(pgkt.make_prior, bank, size=(128, 64), k=3)
    return jax.vmap(lambda joints, visible, box, row: one(joints, visible, box, exclude=row))(
        joints, visible, boxes, rows
    )


mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
spread = jax.jit(jax.shard_map(priors, mesh=mesh, in_specs=(P(), *(P("data"),) * 4), out_specs=P("data")))
everywhere = jax.device_put(bank, NamedSharding(mesh, P()))
batch = jax.device_put((joints, visible, boxes, rows), NamedSharding(mesh, P("data")))

found = spread(everywhere, *batch)
alone = jax.jit(priors)(bank, joints, visible, boxes, rows)
difference = np.abs(np.asarray(found) - np.asarray(alone)).max()
print(f"{found.shape} on {len(found.sharding.device_set)} devices; on one, other by at most {difference:.1e}")
