"""Timing that survives a noisy machine: rivals take turns, call by call, and are compared by their medians."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

MIB = 2**20


def in_turns(calls: Mapping[str, Callable[[], Any]], *, seconds: float, least: int = 3) -> dict[str, float]:
    """The median seconds of every call, each called in turn until the time is over, but `least` times."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        jax.block_until_ready(call())
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or min(map(len, times.values())) < least:
        for name, call in calls.items():
            start = time.perf_counter()
            jax.block_until_ready(call())
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(measured) for name, measured in times.items()}


def copy_call(mebibytes: int) -> tuple[Callable[[], jax.Array], int]:
    """A call that copies a large array, the measure of memory bandwidth, and the bytes that it reads and writes."""
    source = jnp.ones(mebibytes * MIB // 4, jnp.float32)
    copy = jax.jit(jnp.copy)
    return lambda: copy(source), 2 * source.nbytes


def compiled(function: Callable[..., Any], *arguments: Any) -> tuple[Callable[[], Any], dict[str, float]]:
    """A call of the compiled function with these arguments; what compiling took, and the memory besides both ends."""
    start = time.perf_counter()
    program = jax.jit(function).lower(*arguments).compile()
    seconds = time.perf_counter() - start
    memory = program.memory_analysis()
    return lambda: program(*arguments), {
        "compile_s": seconds,
        "temporary_mib": memory.temp_size_in_bytes / MIB if memory else float("nan"),
    }
