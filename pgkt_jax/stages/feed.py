"""How a stage's people reach its training: all at once in memory, or streamed through grain."""

from collections.abc import Iterator, Sequence

import jax

from pgkt_jax.data.batch import People, stack_people
from pgkt_jax.data.order import batch_rows
from pgkt_jax.data.person import Person
from pgkt_jax.data.skipping import Skipping
from pgkt_jax.data.splits import Splits
from pgkt_jax.train.loop import Resident, Streamed


def feed(
    people: Sequence[Person], splits: Splits, *, batch: int, seed: int, bank_rows: Sequence[int] | None = None
) -> Resident | Streamed:
    """The batches of a training, the same for both ways: every person once an epoch, in an order of the seed's.

    Args:
        people: whom to train on.
        splits: where they come from: says the canvas, and whether they are streamed.
        batch, seed: of the training.
        bank_rows: each person's row in the pose bank.
    """
    if not splits.streamed:
        resident = list(people)
        ids = [person.id for person in resident]
        return Resident(stack_people(resident, splits.canvas, bank_rows), batch, seed, ids)

    def batches(first_step: int, steps: int) -> Iterator[People]:
        from pgkt_jax.data.loader import stream  # grain: only where people stream

        return stream(
            people,
            batch=batch,
            canvas=splits.canvas,
            seed=seed,
            bank_rows=bank_rows,
            first_step=first_step,
            steps=steps,
            process=jax.process_index(),
            processes=jax.process_count(),
        )

    def who(step: int) -> list[str]:
        readable = Skipping(people)
        return [readable.read(int(row))[1].id for row in batch_rows(step, batch, len(people), seed)]

    return Streamed(batches, who)
