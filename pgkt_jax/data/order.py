"""Which person is the g-th sample of a training: every person once an epoch, in an order that only the seed decides.

The data position is a function of the step, so nothing of it needs saving, and the resident and the streamed data set
see the same batches on any number of workers, devices and hosts.
"""

from functools import lru_cache

import numpy as np


def sample_row(sample: int, people: int, seed: int) -> int:
    """The row, out of `people`, of the global sample with this index."""
    epoch, position = divmod(sample, people)
    return int(_epoch_order(epoch, people, seed)[position])


def batch_rows(step: int, batch: int, people: int, seed: int) -> np.ndarray:
    """int32[batch]: the rows of the batch of a step (counted from 0)."""
    first = step * batch
    return np.array([sample_row(first + i, people, seed) for i in range(batch)], np.int32)


@lru_cache(maxsize=8)
def _epoch_order(epoch: int, people: int, seed: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(people)
