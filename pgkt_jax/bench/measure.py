"""Timing that survives a noisy machine: rivals take turns, call by call, and are compared by their medians."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

MIB = 2**20
TURN = 1.0
"""Seconds that what runs over and over is timed for on CPUs: after a pause threads sleep and caches are cold."""
SPINNING = 0.25
"""Seconds; Intel's and LLVM's OpenMP spin for .2 (KMP_BLOCKTIME)."""


def in_turns(
    calls: Mapping[str, Callable[[], Any]], *, seconds: float, least: int = 3, turn: float = 0.0
) -> dict[str, float]:
    """The median seconds of every call over turns that go round until the time is over.

    Args:
        calls: what takes turns, by name.
        seconds: to spend, but every call gets `least` turns.
        least: see there.
        turn: for so many seconds a call is repeated, and the mean counts; 0: once.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    # The threads of OpenMP (PyTorch's, say) spin for a while after their work, on the cores of whoever comes next.
    pause = SPINNING if len(calls) > 1 and seconds and jax.default_backend() == "cpu" else 0
    for call in calls.values():
        jax.block_until_ready(call())
    spent = 0.0
    while spent < seconds or min(map(len, times.values())) < least:
        for name, call in calls.items():
            time.sleep(pause)
            start = time.perf_counter()
            times[name].append(consecutive(call, seconds=turn, skip=0, least=1))
            spent += time.perf_counter() - start
    return {name: statistics.median(measured) for name, measured in times.items()}


def copy_call(mebibytes: int) -> tuple[Callable[[], jax.Array], int]:
    """A call that copies a large array, the measure of memory bandwidth, and the bytes that it reads and writes."""
    source = jnp.ones(mebibytes * MIB // 4, jnp.float32)
    copy = jax.jit(jnp.copy)
    return lambda: copy(source), 2 * source.nbytes


def matrix_call(side: int, dtype: DTypeLike) -> tuple[Callable[[], jax.Array], int]:
    """A call that multiplies two square matrices, the measure of what a device computes at most, and its FLOPs."""
    left, right = jax.random.normal(jax.random.key(0), (2, side, side), dtype)
    product = jax.jit(jnp.dot)
    return lambda: product(left, right), 2 * side**3


def consecutive(call: Callable[[], Any], *, seconds: float, skip: int, least: int = 3) -> float:
    """The mean seconds of calls one after the other.

    Args:
        call: what is timed.
        seconds: for how long, but `least` calls.
        skip: calls that are not timed first: where other threads work ahead, what they had done before the clock ran.
    """
    for _ in range(skip):
        jax.block_until_ready(call())
    count, start = 0, time.perf_counter()
    while time.perf_counter() < start + seconds or count < least:
        jax.block_until_ready(call())
        count += 1
    return (time.perf_counter() - start) / count


def compiled(function: Callable[..., Any], *arguments: Any) -> tuple[Callable[[], Any], dict[str, float]]:
    """A call of the compiled function with these arguments; what compiling it told, see `build`."""
    program, told = build(jax.jit(function), *arguments)
    return lambda: program(*arguments), told


def build(function: Any, *arguments: Any) -> tuple[Callable[..., Any], dict[str, float]]:
    """A jitted function's program, and what compiling it told.

    Told are `compile_s`; `temporary_mib`, the memory besides both ends; `peak_mib`, that and both ends; and
    `program_gflop`, XLA's own count of everything, which leaves out what it hands to libraries. What the compiler does
    not tell is not a number.
    """
    start = time.perf_counter()
    program = function.lower(*arguments).compile()
    seconds = time.perf_counter() - start
    memory, cost = program.memory_analysis(), program.cost_analysis()
    return program, {
        "compile_s": seconds,
        "temporary_mib": memory.temp_size_in_bytes / MIB if memory else float("nan"),
        "peak_mib": _whole_bytes(memory) / MIB if memory else float("nan"),
        "program_gflop": (cost or {}).get("flops", float("nan")) / 1e9,
    }


def _whole_bytes(memory: Any) -> int:
    ends = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return ends + memory.temp_size_in_bytes
