"""Several processes, one a host: they find each other, share work out, wait for each other, and end together.

Training splits every batch over all devices of all processes (`train.sharding`). All other work, evaluation and
synthesis, is shared out by people: every process labels its own on its own devices, and only sums cross the network.
A single process is the case of one: nothing here does anything then.
"""

import hashlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

HEARTBEAT_S = 30
"""After so many seconds without a sign of life a process counts as dead, and all others end."""

LOST = 3
"""The exit status where another process was lost; running the same command again goes on from the last checkpoint."""

T = TypeVar("T")


def start() -> None:
    """Joins the other processes; to be called before anything touches a device. Does nothing where there are none.

    The environment says who they are: JAX_COORDINATOR_ADDRESS (host:port of process 0), JAX_NUM_PROCESSES and
    JAX_PROCESS_ID; or PGKT_HOSTS=auto, where the platform tells JAX (Cloud TPU).

    Raises:
        ValueError: the environment says it in part, or makes no sense.
    """
    address = os.environ.get("JAX_COORDINATOR_ADDRESS")
    jax.config.update("jax_enable_preemption_service", False)  # it would catch SIGTERM and do nothing more
    if address:
        # Without "deactivate" JAX would ask Slurm as well, and give every process one device only.
        jax.distributed.initialize(
            address, _number("JAX_NUM_PROCESSES"), _number("JAX_PROCESS_ID"), cluster_detection_method="deactivate",
            heartbeat_timeout_seconds=HEARTBEAT_S,
        )  # fmt: skip
    elif os.environ.get("PGKT_HOSTS") == "auto":
        jax.distributed.initialize(heartbeat_timeout_seconds=HEARTBEAT_S)
    if jax.distributed.is_initialized():
        sys.excepthook = _end_at_once


def _number(name: str) -> int:
    value = os.environ.get(name, "")
    if not value.isdecimal():
        raise ValueError(f"JAX_COORDINATOR_ADDRESS is set, so {name} must be a number, not {value!r}")
    return int(value)


def end(status: int) -> None:
    """Ends this process at once where it is one of several: those who wait for it would hang otherwise."""
    if jax.distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _end_at_once(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """In place of an orderly exit, which would wait minutes for processes that wait for this one."""
    traceback.print_exception(kind, error, trace)
    if lost(error):
        print("another process was lost, or a device failed: run the same command again to go on", file=sys.stderr)
    end(LOST if lost(error) else 1)


def lost(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, is that of a process which waited for one that is gone."""
    while error is not None and not isinstance(error, jax.errors.JaxRuntimeError):
        error = error.__cause__ or error.__context__
    return error is not None and jax.distributed.is_initialized()


def is_first() -> bool:
    """Whether this is the process that writes reports, logs and whatever there is one of."""
    return jax.process_index() == 0


def wait(where: str) -> None:
    """Returns when every process has come here; `where` is a name for error messages."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(where)


def together(what: str, act: Callable[[], T]) -> T:
    """What `act` gives, once every process has done it; where one fails, all of them end.

    Raises:
        ValueError, OSError: those of `act`; where it failed on others only, a ValueError that sends for theirs.
    """
    try:
        done = act()
    except (ValueError, OSError):
        anyone(True)
        raise
    if anyone(False):
        raise ValueError(f"{what}: another process says what is wrong")
    return done


def first_alone(what: str, act: Callable[[], None]) -> None:
    """The first process does something, and all others wait for it; raises as `together`."""
    together(what, act if is_first() else lambda: None)


def place() -> tuple[int, int]:
    """Which process this is, from 0, and of how many: its share of people is every so manieth."""
    return jax.process_index(), jax.process_count()


def share(people: Sequence[T]) -> Sequence[T]:
    """This process' people: everybody is in the share of one process."""
    process, processes = place()
    return people[process::processes]


def summed(counts: np.ndarray) -> np.ndarray:
    """The sum of int64[...] over all processes, on each of them."""
    return _gathered(counts).sum(0)


def largest(count: int) -> int:
    """The largest of all processes' counts, on each of them."""
    return int(_gathered(np.array(count, np.int64)).max())


def _gathered(counts: np.ndarray) -> np.ndarray:
    """int64[P, ...]: the counts int64[...] of P processes."""
    if jax.process_count() == 1:
        return counts[None]
    # JAX would make int32 of them.
    halves = np.ascontiguousarray(counts).reshape(-1).view(np.uint32)
    return multihost_utils.process_allgather(halves).view(np.int64).reshape(-1, *counts.shape)


def anyone(says_so: bool) -> bool:
    """Whether any process says so, on each of them."""
    return largest(says_so) > 0


def check_agreement(what: str, value: Any) -> None:
    """Holds a value, by its `repr`, against that of the first process.

    Raises:
        ValueError: they differ.
    """
    if jax.process_count() == 1:
        return
    mine = np.frombuffer(hashlib.sha256(repr(value).encode()).digest(), np.uint32)
    everybody = multihost_utils.process_allgather(mine)
    others = np.flatnonzero((everybody != everybody[0]).any(-1))
    if others.size:
        raise ValueError(f"processes {', '.join(map(str, others))} have other {what} than process 0")
