"""Streams batches of people that do not fit on the device, through grain's reading threads."""

from collections.abc import Iterator, Sequence

import grain

from pgkt_jax.data.batch import People, stack_people
from pgkt_jax.data.order import sample_row
from pgkt_jax.data.person import Person
from pgkt_jax.data.skipping import Skipping


def stream(
    people: Sequence[Person],
    *,
    batch: int,
    canvas: tuple[int, int],
    seed: int,
    bank_rows: Sequence[int] | None = None,
    first_step: int = 0,
    steps: int,
    process: int = 0,
    processes: int = 1,
    threads: int = 2,
) -> Iterator[People]:
    """Yields this process' share of the batches of steps `first_step` to `steps`, read ahead in threads.

    The samples are those of `data.order`: the global batch of a step is the same for any number of processes, and the
    shares are its blocks, one after the other. For people who cannot be read others stand in, see `data.skipping`.

    Args:
        people: a random-access source; reading an item decodes it.
        batch: the global batch size.
        canvas: (H, W) that holds every image.
        seed: of the order.
        bank_rows: each person's row in the pose bank.
        first_step, steps: the steps to yield batches for.
        process, processes: which share of every batch.
        threads: that read and decode.

    Raises:
        ValueError: the batch cannot be divided by the processes; while batches are read: too many people cannot be.
    """
    if batch % processes:
        raise ValueError(f"a batch of {batch} cannot be divided among {processes} processes")

    share, readable = batch // processes, Skipping(people)

    def load(index: int) -> tuple[Person, int]:
        step, position = divmod(int(index), share)
        row, person = readable.read(sample_row(step * batch + process * share + position, len(people), seed))
        return person, -1 if bank_rows is None else bank_rows[row]

    def collate(samples: Sequence[tuple[Person, int]]) -> People:
        found, rows = zip(*samples)
        return stack_people(found, canvas, rows)

    samples = grain.MapDataset.range(first_step * share, steps * share).map(load)
    batches = samples.batch(share, drop_remainder=True, batch_fn=collate)
    # The buffer counts batches: every thread makes one.
    return iter(batches.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads)))
