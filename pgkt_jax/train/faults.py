"""What ends a training early: a loss that is not finite, and SIGTERM."""

import math
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from pgkt_jax.train import hosts
from pgkt_jax.train.sharding import data_mesh, split


class Losses:
    """The losses of the steps since the last measurement, fetched without making the device wait.

    Args:
        step: steps done.
        values: the losses that there are already.
        fail: (step) -> the error to raise when the loss of that step, counted from 1, is not finite.
    """

    def __init__(self, step: int, values: Sequence[float], fail: Callable[[int, float], Exception]):
        self.values, self._step, self._fail = list(values), step, fail
        self._flying: deque[jax.Array] = deque()

    def add(self, losses: jax.Array) -> None:
        """Takes the loss of the next step, or float[S] of the next S; they may still be computed."""
        self._flying.append(losses)

    def settle(self, *, leave: int = 0) -> None:
        """Waits for all but the last `leave` that were added; raises if one of them is not finite."""
        while len(self._flying) > leave:
            for value in np.ravel(jax.device_get(self._flying.popleft())).tolist():
                self._step += 1
                if not math.isfinite(value):
                    raise self._fail(self._step, value)
                self.values.append(value)

    def mean(self) -> float:
        """The mean of all, and the next measurement begins; raises as `settle`."""
        self.settle()
        values, self.values = self.values, []
        return float(np.mean(values))


class Stopped(SystemExit):
    """SIGTERM was obeyed and everything is saved: uncaught, it ends the process with status 0."""

    def __init__(self) -> None:
        super().__init__(0)


@contextmanager
def noting_sigterm() -> Iterator[Callable[[], bool]]:
    """Within the block SIGTERM only makes the function that it gives say True: the block chooses when to stop.

    Of several processes all must call the function equally often. It says True on all of them at the same call,
    `_CALLS_LATE` calls after one of them had the signal, so that no device has to wait for an answer.

    Raises:
        Stopped: at the end of the block, where the signal came too late for the function to say so.
    """
    noted = threading.Event()
    with _on_sigterm(noted.set):
        yield _Anyone(noted.is_set)
    if hosts.anyone(noted.is_set()):
        raise Stopped


_CALLS_LATE = 2


class _Anyone:
    """Whether any process says yes, known to all at the same call."""

    def __init__(self, mine: Callable[[], bool]):
        self._mine = mine
        self._mesh = data_mesh()
        self._any = jax.jit(jnp.any, out_shardings=NamedSharding(self._mesh, PartitionSpec()))
        self._flying: deque[jax.Array] = deque()

    def __call__(self) -> bool:
        if jax.process_count() == 1:
            return self._mine()
        flags = split(np.full(jax.local_device_count(), self._mine()), self._mesh)
        self._flying.append(self._any(flags))
        return len(self._flying) > _CALLS_LATE and bool(self._flying.popleft())


@contextmanager
def leaving_on_sigterm() -> Iterator[None]:
    """Within the block SIGTERM ends the process with status 0, for where nothing that is half done needs saving."""

    def leave() -> None:
        hosts.end(0)  # one of several does not wait for those who go on: they end, too, once they miss it
        raise Stopped

    with _on_sigterm(leave):
        yield


@contextmanager
def _on_sigterm(act: Callable[[], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # Python has signals in its main thread alone
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: act())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
