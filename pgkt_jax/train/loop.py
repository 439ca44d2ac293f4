"""The one training loop: feeds batches to a step, watches, evaluates, saves, resumes."""

import contextlib
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pgkt_jax.data.batch import People, take
from pgkt_jax.data.order import batch_rows
from pgkt_jax.train import hosts
from pgkt_jax.train.checkpoint import Checkpoints
from pgkt_jax.train.faults import Losses, Stopped, noting_sigterm
from pgkt_jax.train.sharding import data_mesh, local, replicate, share_of_batch, split
from pgkt_jax.train.state import TrainState
from pgkt_jax.train.watch import Validation, Watch

STEPS_PER_CALL = 20
"""Steps in one `lax.scan` on an accelerator."""

_NAMED = 50
"""People of a batch whom an error names."""

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
    ids: Sequence[str] = ()

    def who(self, step: int) -> list[str]:
        """The ids of the batch of a step, counted from 0, or their rows where there are no ids."""
        rows = batch_rows(step, self.batch, self.people.size, self.seed)
        return [self.ids[row] if self.ids else f"row {row}" for row in rows]

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
    """A data set that streams.

    Attributes:
        batches: (first_step, steps) -> this process' share of every step's batch.
        who: (step) -> the ids of the whole batch.
    """

    batches: Callable[[int, int], Iterator[People]]
    who: Callable[[int], list[str]] = lambda step: []

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
    evaluate: Callable[[TrainState], Validation],
    profile: tuple[int, int] | None = None,
) -> TrainState:
    """Trains to `steps`, going on from the folder's latest good checkpoint where there is one.

    SIGTERM, to any process, ends it on all of them after the same step, saved, by `Stopped`, whose status is 0.

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
        evaluate: scores a state, on this process' devices, on validation data.
        profile: the first and the last step (counted from 1) to trace into profile/.

    Raises:
        ValueError: the folder holds another run, or checkpoints of which none can be read.
        FloatingPointError: the loss or the state is not finite; names step, batch and last good checkpoint, and
            nothing is saved after that.
        OSError: the folder cannot be written to; names the last good checkpoint.
        Stopped: SIGTERM.
    """
    mesh = data_mesh()
    # Closed on the way out of an error, too: a checkpoint that is being written gets finished.
    with contextlib.closing(Checkpoints(folder, config)) as checkpoints, noting_sigterm() as stopping:

        def not_finite(step: int, what: str) -> FloatingPointError:
            checkpoints.wait()
            batch = ", ".join(data.who(step - 1)[:_NAMED])
            return FloatingPointError(f"{folder}: {what} step {step}, batch: {batch}; {checkpoints.last_good()}")

        state, context = replicate(state, mesh), replicate(context, mesh)
        state = checkpoints.restore(state) or state
        done = int(state.step)
        losses = Losses(done, checkpoints.losses, lambda step, loss: not_finite(step, f"the loss is {loss} at"))
        one, many = (jax.jit(function, donate_argnums=0) for function in (step, scanned(step)))
        with Watch(title, folder, first=done, steps=steps, profile=profile) as watch:
            for people, rows in data.feed(done, steps):
                count = max(len(rows), 1)
                watch.begins(done, count)
                if rows.size:
                    state, metrics = many(state, context, people, split(rows, mesh, axis=1))
                else:
                    state, metrics = one(state, context, split(people, mesh))
                done += count
                watch.ends(done, metrics)
                losses.add(metrics["loss"])
                due = done // every > (done - count) // every or done >= steps
                stop = stopping()
                # Two steps are always in flight; waiting for the one before keeps the host from running far ahead.
                losses.settle(leave=0 if due or stop else 2)
                if not (due or stop):
                    watch.passed(done)
                    continue
                # The last step's gradients can be infinite where its loss was not yet.
                if not _finite(state):
                    raise not_finite(done, "a parameter is not finite after")
                validation = evaluate(local(state)) if due else Validation(math.nan)
                checkpoints.check_place()
                if due:
                    loss = losses.mean()
                    with checkpoints.writing(folder):
                        watch.measured(done, loss, validation)
                checkpoints.save(done, state, miou=validation.miou, losses=losses.values)
                if stop:
                    checkpoints.wait()
                    if hosts.is_first():
                        print(f"{folder}: stopped by SIGTERM and saved at step {done} of {steps}", file=sys.stderr)
                    raise Stopped
    return local(state)


@jax.jit
def _finite(state: TrainState) -> jax.Array:
    return jnp.array([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(state)]).all()


def scanned(step: Step) -> Callable[[TrainState, Any, People, jax.Array], tuple[TrainState, dict[str, jax.Array]]]:
    """Steps in one `lax.scan`: (state, context, data set, int32[S, B] rows) -> (state, metrics of every step)."""

    def steps(state: TrainState, context: Any, people: People, rows: jax.Array) -> Any:
        return jax.lax.scan(lambda state, chosen: step(state, context, take(people, chosen)), state, rows)

    return steps
