"""One process of several, for tests/test_hosts.py: trains, scores and synthesises with as little to compile as can be.

Run as `python tests/hosts_worker.py FOLDER [jobs] [until-stopped] [for-ever]`, in the environment that
`pgkt_jax.train.hosts` reads.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from pgkt_jax.config import RefineConfig
from pgkt_jax.data import writer
from pgkt_jax.data.batch import stack_people
from pgkt_jax.data.loader import stream
from pgkt_jax.data.person import Person
from pgkt_jax.data.writer import PeopleWriter
from pgkt_jax.prior import PoseBank
from pgkt_jax.skeleton import PASCAL_PERSON
from pgkt_jax.stages import synthesize
from pgkt_jax.stages.evaluate import score_people, stack_share
from pgkt_jax.train import hosts
from pgkt_jax.train.faults import Stopped
from pgkt_jax.train.loop import Resident, Streamed, fit
from pgkt_jax.train.state import TrainState
from pgkt_jax.train.watch import Validation

CANVAS, BATCH, STEPS, EVERY = (3, 4), 8, 20, 4
rng = np.random.default_rng(0)
PEOPLE = [
    Person(
        str(i),
        rng.integers(0, 256, (*CANVAS, 3), np.uint8),
        rng.uniform(0, 3, (PASCAL_PERSON.num_joints, 2)).astype(np.float32),
        np.ones(PASCAL_PERSON.num_joints, bool),
        rng.integers(0, 11, CANVAS, np.uint8),
    )
    for i in range(21)
]


@dataclass(frozen=True)
class Settings:
    rate: float = 0.01


class Network(nnx.Module):
    def __init__(self):
        self.layer = nnx.Linear(3, 2, rngs=nnx.Rngs(0))


def step(state, context, batch):
    """Learns joints from mean colours and noise, so that the data order and the random keys both matter."""
    noise = jax.vmap(lambda key: jax.random.normal(key, (3,)))(state.sample_keys(batch.size))
    colours = jnp.mean(batch.images.astype(jnp.float32) / 255, (1, 2)) * context + noise

    def loss(params):
        return jnp.mean((state.network(params).layer(colours) - batch.joints[:, 0]) ** 2)

    value, grads = jax.value_and_grad(loss)(state.params)
    return state.updated(grads), {"loss": value}


def train(folder, data, steps=STEPS, pause=lambda state: None):
    def evaluate(state):
        pause(state)
        mine = stack_share(PEOPLE[:5], CANVAS)
        return Validation(score_people(mine.label_maps // 2, mine, PASCAL_PERSON)["miou"])

    state = TrainState.create(Network(), optax.adam(0.01), seed=1)
    return fit(
        state, step, jnp.float32(2), data, title="tiny", config=Settings(), folder=folder, steps=steps, every=EVERY,
        evaluate=evaluate,
    )  # fmt: skip


def streamed(rows_read):
    class Noted(list):
        def __getitem__(self, row):
            rows_read.append(int(row))
            return super().__getitem__(row)

    def batches(first_step, steps):
        place = {"process": jax.process_index(), "processes": jax.process_count()}
        return stream(
            Noted(PEOPLE), batch=BATCH, canvas=CANVAS, seed=3, first_step=first_step, steps=steps, threads=1, **place
        )

    return Streamed(batches)


def label_everybody(folder):
    """The stage as it is, but for the network: everybody's label is his id. Notes whom this process labelled."""

    def label_people(config, state, bank, people):
        neighbours = synthesize.Neighbours(*(jnp.zeros((people.size, 1), kind) for kind in (int, float, bool)))
        return jnp.broadcast_to((people.bank_rows + 2)[:, None, None], people.label_maps.shape).astype(
            jnp.uint8
        ), neighbours

    class Noted(PeopleWriter):
        def add(self, person, **rest):
            labelled.append(person.id)
            super().add(person, **rest)

    labelled = []
    joints, visible = (np.stack([getattr(p, name) for p in PEOPLE[:3]]) for name in ("joints", "visible"))
    bank = PoseBank.create(PASCAL_PERSON, [p.label_map for p in PEOPLE[:3]], joints, visible, limb_frames=False)
    state = TrainState.create(Network(), optax.adam(0.01), seed=1)
    with mock.patch.object(synthesize, "label_people", label_people), mock.patch.object(writer, "PeopleWriter", Noted):
        synthesize.synthesize(RefineConfig(), state, bank, PEOPLE, folder, canvas=CANVAS, bank_ids=["0", "1", "2"])
    return labelled


def jobs(folder):
    """Trains both ways and labels everybody; leaves what only this process knows in process-ID.json."""
    read = []
    train(folder / "resident", Resident(stack_people(PEOPLE, CANVAS), BATCH, 3))
    train(folder / "streamed", streamed(read))
    report = {"read": read, "labelled": label_everybody(folder / "synthesised")}
    (folder / f"process-{jax.process_index()}.json").write_text(json.dumps(report))


def train_for_ever(folder, name="for-ever"):
    """Says that it does when it is on its way."""

    def pause(state):
        (folder / f"{name}-{jax.process_index()}").touch()

    train(folder / name, Resident(stack_people(PEOPLE, CANVAS), BATCH, 3), steps=10**6, pause=pause)


def train_until_stopped(folder):
    """Says that it was stopped."""
    try:
        train_for_ever(folder, "until-stopped")
    except Stopped:
        (folder / f"stopped-{jax.process_index()}").touch()


if __name__ == "__main__":
    hosts.start()
    for name in sys.argv[2:]:
        {"jobs": jobs, "until-stopped": train_until_stopped, "for-ever": train_for_ever}[name](Path(sys.argv[1]))
