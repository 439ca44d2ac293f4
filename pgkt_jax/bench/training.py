"""A training step, measured: call by call, in a `lax.scan`, streamed, and its network alone beside PyTorch's.

On accelerators a call of the clock is 20 steps and one wait, as in training, where the host runs ahead; on CPUs it is a
second of steps. `network` is the update alone, on inputs that lie ready: forward, backward, optimiser. That is what
PyTorch is given to do, too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from pgkt_jax.bench.flops import TRAINING, forward_flops
from pgkt_jax.bench.measure import TURN, build, consecutive, in_turns, matrix_call
from pgkt_jax.bench.people import open_people
from pgkt_jax.data.batch import People, canvas_of, stack_people
from pgkt_jax.data.order import batch_rows
from pgkt_jax.data.person import LazyPeople, Person
from pgkt_jax.skeleton import Skeleton
from pgkt_jax.train.loop import STEPS_PER_CALL, Step, scanned
from pgkt_jax.train.state import TrainState

Scan = Literal["accelerators", "always", "never"]
READ_AHEAD = 6
"""Batches not timed: more than `data.loader` holds ready."""


@dataclass(frozen=True)
class Labelled:
    """The people with masks of split train.

    Attributes:
        skeleton: the kind of body.
        people: read already.
        arrays: the same, side by side, as numpy's.
        source: the same, each read when it is asked for, as a loader does.
    """

    skeleton: Skeleton
    people: list[Person]
    arrays: People
    source: LazyPeople

    @classmethod
    def open(cls, name: str) -> "Labelled":
        """Those of `open_people(name)`."""
        opened = open_people(name)
        train = opened.split("train")
        found = [(row, person) for row, person in enumerate(train) if person.label_map is not None]
        rows, people = [row for row, _ in found], [person for _, person in found]
        arrays = stack_people(people, canvas_of(people), range(len(people)))
        return cls(opened.skeleton, people, arrays, LazyPeople(rows, train.__getitem__))


@dataclass(frozen=True)
class Training:
    """What is measured.

    Attributes:
        step: the stage's own.
        context: what it sees besides its batch.
        state: to begin with.
        labelled: whom the batches are of.
        loss: of the network's outputs and classes.
        inputs: float32[B, H, W, I], made up, for the network alone.
        classes: uint8[B, h, w], made up.
        dtype: of the network's arithmetic.
    """

    step: Step
    context: Any
    state: TrainState
    labelled: Labelled
    loss: Callable[[Any, Any], jax.Array]
    inputs: np.ndarray
    classes: np.ndarray
    dtype: str

    @property
    def batch(self) -> int:
        return len(self.inputs)


class Chain:
    """Calls of a step, each on the state that the call before left: donated, as `train.loop.fit` does.

    Attributes:
        told: what compiling told, see `measure.build`.
    """

    def __init__(self, step: Callable[..., Any], state: TrainState, *arguments: Any, calls: int = 1):
        self._program, self.told = build(jax.jit(step, donate_argnums=0), state, *arguments)
        self._state, self._arguments, self._calls = jax.tree.map(jnp.copy, state), arguments, calls

    def __call__(self) -> jax.Array:
        for _ in range(self._calls - 1):
            self.advance(*self._arguments)
        return self.advance(*self._arguments)

    def advance(self, *arguments: Any) -> jax.Array:
        """One call with other arguments of the same shapes; its loss."""
        self._state, metrics = self._program(self._state, *arguments)
        return metrics["loss"]


def made_up(shape: tuple[int, ...], grid: tuple[int, ...], num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """float32[B, H, W, I] in -1..1 and uint8[B, *grid]: what a network is fed where its time alone counts."""
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, shape).astype(np.float32), rng.integers(0, num_classes, (shape[0], *grid), np.uint8)


def people_of_step(training: Training, step: int) -> People:
    """The batch of a step, as numpy's arrays."""
    arrays = training.labelled.arrays
    rows = batch_rows(step, training.batch, arrays.size, 0)
    return jax.tree.map(lambda leaf: leaf[rows], arrays)


def network_step(loss: Callable[[Any, Any], jax.Array]) -> Callable[..., Any]:
    """(state, inputs, classes) -> (state, metrics): a stage's step without the making of its inputs."""

    def step(state: TrainState, inputs: jax.Array, classes: jax.Array) -> tuple[TrainState, dict[str, jax.Array]]:
        keys = state.sample_keys(len(inputs))
        value, grads = jax.value_and_grad(lambda params: loss(state.network(params)(inputs, keys), classes))(
            state.params
        )
        return state.updated(grads), {"loss": value}

    return step


def compare(training: Training, rivals: Mapping[str, Any], *, seconds: float, scan: Scan) -> dict[str, Any]:
    """Rows of all ways to train and of the rivals, timed in turns, and their ratios.

    Args:
        training: what is measured.
        rivals: name -> `rivals.torch_training.TorchTraining`: the network's update on the same inputs.
        seconds: to spend on the turns, and again on streaming.
        scan: where to measure a `lax.scan` as well. On CPUs XLA runs loops far slower than calls.
    """
    cpu = jax.default_backend() == "cpu"
    steps = 1 if cpu else STEPS_PER_CALL
    chains, per_call = _chains(training, steps, scan=scan == "always" or (scan == "accelerators" and not cpu))
    product, product_flops = matrix_call(1024 if cpu else 8192, jnp.dtype(training.dtype))
    measured = in_turns({**chains, **rivals, "product": product}, seconds=seconds, turn=TURN if cpu and seconds else 0)
    peak = product_flops / measured.pop("product")
    flops = TRAINING * forward_flops(training.state.network(), training.inputs) / training.batch
    per_step = {name: value / per_call.get(name, steps) for name, value in measured.items()}
    told = {name: call.told for name, call in {**chains, **rivals}.items()}
    streamed = _streamed(training, chains["step"], seconds=seconds)
    per_step |= streamed
    rows = [
        {
            "name": name,
            "people_per_s": training.batch / value,
            **({} if name == "loader alone" else share_of(flops * training.batch / value, peak)),
            **told.get(name, {}),
        }
        for name, value in per_step.items()
    ]
    return {
        "matrix_tflop_per_s": peak / 1e12,
        "training_gflop_per_person": flops / 1e9,
        "steps_per_scan": STEPS_PER_CALL,
        "rows": rows,
        "ratios": _ratios(per_step, list(rivals)),
    }


def planned(training: Training) -> dict[str, Any]:
    """A row of what compiling the step told, its memory above all; no step is run."""
    batch = people_of_step(training, 0)
    _, told = build(jax.jit(training.step, donate_argnums=0), training.state, training.context, batch)
    return {"rows": [{"name": "step, compiled", **told}]}


def _chains(training: Training, steps: int, *, scan: bool) -> tuple[dict[str, Chain], dict[str, int]]:
    """Ways to train, each of so many steps a call, and where a call is of another number of steps, that number."""
    state, context, arrays = training.state, training.context, training.labelled.arrays
    rows = np.stack([batch_rows(step, training.batch, arrays.size, 0) for step in range(STEPS_PER_CALL)])
    batch = jax.device_put(people_of_step(training, 0))
    chains = {"step": Chain(training.step, state, context, batch, calls=steps)}
    if scan:
        chains["steps in a scan"] = Chain(scanned(training.step), state, context, jax.device_put(arrays), rows)
    ready = jax.device_put((training.inputs, training.classes))
    chains["network"] = Chain(network_step(training.loss), state, *ready, calls=steps)
    return chains, {"steps in a scan": STEPS_PER_CALL}


def _streamed(training: Training, chain: Chain, *, seconds: float) -> dict[str, float]:
    """Seconds a step whose batches the loader reads, and a batch of the loader alone; nothing without grain.

    Not in turns with others: in their turns it would read ahead for free.
    """
    try:
        from pgkt_jax.data.loader import stream
    except ImportError:
        return {}
    labelled = training.labelled
    batches = stream(
        labelled.source, batch=training.batch, canvas=labelled.arrays.images.shape[1:3], seed=0,
        bank_rows=range(len(labelled.source)), steps=10**6,
    )  # fmt: skip
    step = consecutive(lambda: chain.advance(training.context, next(batches)), seconds=seconds, skip=READ_AHEAD)
    alone = consecutive(lambda: next(batches), seconds=seconds, skip=READ_AHEAD)
    return {"step, streamed": step, "loader alone": alone}


def share_of(flops_per_s: float, peak: float) -> dict[str, float]:
    """FLOP/s as a row tells them: on their own, and as a share of the device's matrix rate."""
    return {"tflop_per_s": flops_per_s / 1e12, "share_of_matrix_rate": flops_per_s / peak}


def _ratios(seconds: Mapping[str, float], rivals: list[str]) -> dict[str, float]:
    """Speeds, each as a multiple of another; of several rivals the fastest counts."""
    best = min((seconds[name] for name in rivals), default=None)
    pairs = {
        "network / PyTorch": (seconds["network"], best),
        "step / PyTorch's network": (seconds["step"], best),
        "step / network": (seconds["step"], seconds["network"]),
        "scan / step": (seconds.get("steps in a scan"), seconds["step"]),
        "streamed / step": (seconds.get("step, streamed"), seconds["step"]),
    }
    return {name: theirs / ours for name, (ours, theirs) in pairs.items() if ours is not None and theirs is not None}


def format_rows(result: Mapping[str, Any], *, unit: str = "people/s") -> str:
    """A result as lines of text."""
    lines = [
        f"{'':36}{unit:>10}{'TFLOP/s':>10}{'of matrix rate':>16}{'peak MiB':>10}{'temporary':>11}{'compile s':>11}"
    ]
    for row in result["rows"]:
        cells = ((10, ".3f"), (16, ".1%"), (10, ".0f"), (11, ".0f"), (11, ".1f"))
        names = ("tflop_per_s", "share_of_matrix_rate", "peak_mib", "temporary_mib", "compile_s")
        rest = "".join(
            f"{row[name]:{wide}{form}}" if name in row else " " * wide for name, (wide, form) in zip(names, cells)
        )
        speed = f"{row['people_per_s']:10.1f}" if "people_per_s" in row else " " * 10
        lines.append(f"{row['name']:36}{speed}{rest}")
    if "matrix_tflop_per_s" in result:
        lines.append(f"{'matrix product':46}{result['matrix_tflop_per_s']:10.3f}")
    return "\n".join(lines + [f"{name:36}{value:10.2f}" for name, value in result.get("ratios", {}).items()])
