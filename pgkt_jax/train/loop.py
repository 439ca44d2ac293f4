"""The one training loop: feeds batches to a step, watches, evaluates, saves, resumes."""

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pgkt_jax.data.batch import People, take
from pgkt_jax.data.order import batch_rows
from pgkt_jax.train.checkpoint import Checkpoints
from pgkt_jax.train.sharding import data_mesh, local, replicate, share_of_batch, split
from pgkt_jax.train.state import TrainState
from pgkt_jax.train.watch import Watch

STEPS_PER_CALL = 20
"""Steps in one `lax.scan` on an accelerator."""

Step = Callable[[TrainState, Any, People], tuple[TrainState, dict[str, jax.Array]]]
"""(state, context, batch) -> (state, metrics): pure. The context (a pose bank, say) stays the same all along."""


@dataclass(frozen=True)
class Resident:
    """A data set that lives in memory whole. On an accelerator many steps run inside one `lax.scan`; on a CPU, where
    that was measured to be up to ten times slower, every step is a call of its own.
    """

    people: People
    batch: int
    seed: int

    def feed(self, first_step: int, steps: int) -> Iterator[tuple[People, np.ndarray]]:
        """(data set, int32[S, B] rows) for S steps at a time, or with S = 0 rows the batch of one step itself.

        B are this process' samples of the batch.
        """
        share = share_of_batch(self.batch)
        rows = (batch_rows(step, self.batch, self.people.size, self.seed)[share] for step in range(first_step, steps))
        if jax.default_backend() == "cpu":
            for chosen in rows:
                yield jax.tree.map(lambda leaf, chosen=chosen: leaf[chosen], self.people), np.zeros((0, 0), np.int32)
            return
        people = replicate(self.people, data_mesh())
        every_row = list(rows)
        for start in range(0, len(every_row), STEPS_PER_CALL):
            yield people, np.stack(every_row[start : start + STEPS_PER_CALL])


@dataclass(frozen=True)
class Streamed:
    """A data set that streams: `batches(first_step, steps)` yields this process' share of every step's batch."""

    batches: Callable[[int, int], Iterator[People]]

    def feed(self, first_step: int, steps: int) -> Iterator[tuple[People, np.ndarray]]:
        for batch in self.batches(first_step, steps):
            yield batch, np.zeros((0, 0), np.int32)


def fit(
    state: TrainState,
    step: Step,
    context: Any,
    data: Resident | Streamed,
    *,
    title: str,
    config: Any,
    folder: Path,
    steps: int,
    every: int,
    evaluate: Callable[[TrainState], dict[str, float]],
    profile: tuple[int, int] | None = None,
) -> TrainState:
    """Trains to `steps`, going on from the folder's latest checkpoint where there is one.

    Args:
        state: the state to begin with.
        step: pure; see `Step`.
        context: what every step sees besides its batch.
        data: where batches come from.
        title: of the progress line.
        config: a frozen dataclass; a folder with another one is refused.
        folder: gets config.json, checkpoints/ and what `train.watch` writes.
        steps: how many in all.
        every: evaluate, log and save every so many steps, and at the end.
        evaluate: scores a state, on this process' devices, on validation data; returns `miou` at least.
        profile: the first and the last step (counted from 1) to trace into profile/.

    Raises:
        ValueError: the folder holds another run.
        FloatingPointError: the loss or a parameter is not finite; nothing is saved after the last finite ones.
    """
    mesh = data_mesh()
    # Closed on the way out of an error, too: a checkpoint that is being written gets finished.
    with contextlib.closing(Checkpoints(folder, config)) as checkpoints, contextlib.ExitStack() as stack:
        state, context = replicate(state, mesh), replicate(context, mesh)
        state = checkpoints.restore(state) or state
        first = int(state.step)
        watch = stack.enter_context(Watch(title, folder, first=first, steps=steps, profile=profile))
        one = jax.jit(step, donate_argnums=0)
        many = jax.jit(scanned(step), donate_argnums=0)
        done, pending = first, []
        for people, rows in data.feed(first, steps):
            watch.begins(done, max(len(rows), 1))
            if rows.size:
                state, metrics = many(state, context, people, split(rows, mesh, axis=1))
                done += len(rows)
            else:
                state, metrics = one(state, context, split(people, mesh))
                done += 1
            pending.append(metrics["loss"])
            watch.passed(done, pending[-1])
            if done // every > (done - max(len(rows), 1)) // every or done >= steps:
                loss = float(np.mean([np.mean(value) for value in jax.device_get(pending)]))
                pending = []
                if not math.isfinite(loss):
                    raise FloatingPointError(
                        f"{folder}: the loss is {loss} at step {done}; the last checkpoint is intact"
                    )
                # The last step's gradients can be infinite where its loss was not yet.
                if not _finite(state.params):
                    raise FloatingPointError(
                        f"{folder}: a parameter is not finite after step {done}; the last checkpoint is intact"
                    )
                scores = evaluate(local(state))
                watch.measured(done, loss=loss, **scores)
                checkpoints.save(done, state, miou=scores["miou"])
            elif len(pending) > 2:
                # Two steps are always in flight; waiting for the one before keeps the host from running far ahead.
                jax.block_until_ready(pending[-3])
    return local(state)


@jax.jit
def _finite(params: Any) -> jax.Array:
    return jnp.array([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(params)]).all()


def scanned(step: Step) -> Callable[[TrainState, Any, People, jax.Array], tuple[TrainState, dict[str, jax.Array]]]:
    """Steps in one `lax.scan`: (state, context, data set, int32[S, B] rows) -> (state, metrics of every step)."""

    def steps(state: TrainState, context: Any, people: People, rows: jax.Array) -> Any:
        return jax.lax.scan(lambda state, chosen: step(state, context, take(people, chosen)), state, rows)

    return steps
