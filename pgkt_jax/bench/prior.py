"""`pgkt bench prior`: priors a second, beside rivals in the same run, and against batch, k, bank and output size.

Targets are real or drawn poses, each seen through the square box around its joints. Rivals are told the neighbours;
`make_prior` finds them.
"""

import functools
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from html import escape
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pgkt_jax.bench.measure import MIB, compiled, copy_call, in_turns
from pgkt_jax.bench.people import open_people
from pgkt_jax.prior import PoseBank, make_prior, nearest_poses
from pgkt_jax.skeleton import Skeleton
from pgkt_jax.train.sharding import local_mesh, replicate, split
from pgkt_jax.typing import Leaf


@dataclass(frozen=True)
class Setting:
    """What is measured.

    Attributes:
        people: `puppets` (stick people where OpenCV is missing), or a people folder;
            split train is the bank, split test the targets.
        poses: an .npy of float32[M, J, 2], targets in place of split test, every joint visible.
        bank: people in the bank; those of split train, repeated.
        batch: targets a call.
        size: (H, W) of a prior, in pixels.
        k: neighbours.
        dtype: of the priors.
        method: of `make_prior`.
        seconds: to spend on every comparison.
        sweep: measure also against batch, k, bank and size.
    """

    people: str = "puppets"
    poses: str | None = None
    bank: int = 200
    batch: int = 32
    size: tuple[int, int] = (256, 256)
    k: int = 3
    dtype: Literal["float32", "bfloat16"] = "float32"
    method: Literal["limb_frames", "exact"] = "limb_frames"
    seconds: float = 10.0
    sweep: bool = True


class Targets(NamedTuple):
    """float32[B, J, 2], bool[B, J], float32[B, 4]."""

    joints: Leaf
    visible: Leaf
    boxes: Leaf


def bank_of_size(bank: PoseBank, size: int) -> PoseBank:
    """The people of a bank, repeated until there are `size`; patches of their own stay shared."""
    rows = np.arange(size) % bank.size
    frames = bank.frames
    repeated = replace(frames, **{name: getattr(frames, name)[rows] for name in ("patches", "reach", "own")})
    people = {name: getattr(bank, name)[rows] for name in ("label_maps", "joints", "visible", "valid", "features")}
    return replace(bank, **people, frames=repeated)


def read_poses(people: str, poses: str | None) -> tuple[Skeleton, np.ndarray, np.ndarray]:
    """The skeleton, float32[M, J, 2] and bool[M, J]: of split test, or of an .npy, every joint visible.

    Raises:
        ValueError: the array does not fit the skeleton.
    """
    source = open_people(people)
    if poses is None:
        test = list(source.split("test"))
        return source.skeleton, np.stack([p.joints for p in test]), np.stack([p.visible for p in test])
    joints = np.load(poses).astype(np.float32)
    wanted = (source.skeleton.num_joints, 2)
    if joints.ndim != 3 or joints.shape[1:] != wanted or not np.isfinite(joints).all():
        raise ValueError(f"{poses}: finite [M, {wanted[0]}, 2] is wanted, not {list(joints.shape)}")
    return source.skeleton, joints, np.ones(joints.shape[:2], bool)


def read_people(setting: Setting) -> tuple[PoseBank, Targets]:
    """A bank of all of split train, and all targets."""
    train = list(open_people(setting.people).split("train"))
    skeleton, joints, visible = read_poses(setting.people, setting.poses)
    bank = PoseBank.create(
        skeleton,
        [person.label_map for person in train if person.label_map is not None],
        np.stack([person.joints for person in train]),
        np.stack([person.visible for person in train]),
    )
    low, high = joints.min(1), joints.max(1)
    middle, half = (low + high) / 2, 0.6 * (high - low).max(1, keepdims=True)
    return bank, Targets(joints, visible, np.concatenate([middle - half, middle + half], 1).astype(np.float32))


def priors_of(setting: Setting, bank: PoseBank, targets: Targets) -> tuple[Callable[[], jax.Array], dict[str, float]]:
    """A call of `make_prior` for a batch of targets, spread over devices that divide it, and what compiling it told."""
    one = functools.partial(
        make_prior, size=setting.size, k=setting.k, dtype=jnp.dtype(setting.dtype), method=setting.method
    )
    batch, mesh = first(targets, setting.batch), local_mesh()
    if setting.batch % mesh.size == 0:
        bank, batch = replicate(bank, mesh), split(batch, mesh)
    return compiled(jax.vmap(one, (None, 0, 0, 0)), bank, *batch)


def first(targets: Targets, batch: int) -> Targets:
    """The first `batch` targets on the device, from the start again where there are fewer."""
    rows = np.arange(batch) % len(targets.joints)
    return Targets(*(jnp.asarray(leaf[rows]) for leaf in targets))


def opencv_of(setting: Setting, bank: PoseBank, targets: Targets) -> dict[str, Callable[[], Any]]:
    """A call of the OpenCV loop, where OpenCV is installed."""
    try:
        from pgkt_jax.bench.rivals.opencv import OpenCVPriors
    except ImportError:
        return {}
    return {"OpenCV loop": functools.partial(OpenCVPriors(bank, size=setting.size), *_told(setting, bank, targets))}


def torch_of(setting: Setting, bank: PoseBank, targets: Targets) -> dict[str, Callable[[], Any]]:
    """A call of PyTorch's `grid_sample`, where PyTorch is installed."""
    try:
        import torch

        from pgkt_jax.bench.rivals.torch_grid_sample import TorchPriors
    except ImportError:
        return {}
    device = "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"
    rival: Any = TorchPriors(bank, size=setting.size, device=device)  # its types are unknown where PyTorch is missing
    return {f"torch grid_sample ({device})": functools.partial(rival, *_told(setting, bank, targets))}


def _told(setting: Setting, bank: PoseBank, targets: Targets) -> list[np.ndarray]:
    """What rivals are told: the neighbours, and the targets."""
    targets = first(targets, setting.batch)
    near = jax.vmap(functools.partial(nearest_poses, k=setting.k), (None, 0, 0))(bank, *targets[:2])
    return [np.asarray(leaf) for leaf in (near.indices, *targets)]


def compare(setting: Setting, people: PoseBank, targets: Targets) -> list[dict[str, Any]]:
    """One row for every method and rival, all timed in turns."""
    bank = bank_of_size(people, setting.bank)
    exact, exact_told = priors_of(replace(setting, method="exact"), bank, targets)
    framed, framed_told = priors_of(replace(setting, method="limb_frames"), bank, targets)
    ours: dict[str, Callable[[], Any]] = {"make_prior, limb_frames": framed, "make_prior, exact": exact}
    told = {"make_prior, limb_frames": framed_told, "make_prior, exact": exact_told}
    copy, copied = copy_call(256 if jax.default_backend() == "cpu" else 2048)
    opencv = opencv_of(setting, bank, targets)
    seconds = in_turns({**ours, **opencv, "copy": copy}, seconds=setting.seconds)
    # PyTorch by itself, and last: its threads and gigabytes slow down whoever takes turns with it (measured on two
    # cores: limb frames make a third fewer then).
    torch = torch_of(setting, bank, targets)
    seconds |= in_turns(torch, seconds=setting.seconds) if torch else {}
    calls = {**ours, **opencv, **torch}
    truth = np.asarray(exact(), np.float32)
    written = truth.size * jnp.dtype(setting.dtype).itemsize
    rows = []
    for name, call in calls.items():
        found = call()
        found = np.asarray(found.cpu() if hasattr(found, "cpu") else found, np.float32)
        rows.append(
            {
                "name": name,
                "priors_per_s": setting.batch / seconds[name],
                "mean_difference_from_exact": float(np.abs(found - truth).mean()),
                "written_mib": written / MIB,
                "written_share_of_copy_bandwidth": written / seconds[name] / (copied / seconds["copy"]),
                **told.get(name, {}),
            }
        )
    rows.append({"name": "copy", "gib_per_s": copied / seconds["copy"] / 2**30})
    return rows


def sweep(setting: Setting, people: PoseBank, targets: Targets) -> dict[str, list[dict[str, float]]]:
    """Priors a second against one field after the other, the values of a field timed in turns."""
    accelerator = jax.default_backend() != "cpu"
    values: dict[str, list[Any]] = {
        "batch": [1, 4, 16, 64, 256, 1024] if accelerator else [1, 4, 16, 64],
        "k": [1, 3, 5, 7],
        "bank": [200, 2_000, 20_000],
        "size": [64, 128, 256, 512],
    }
    found = {}
    for field, choices in values.items():
        changes: list[dict[str, Any]] = [{field: (v, v) if field == "size" else v} for v in choices]
        settings = [replace(setting, **change) for change in changes]
        measured = [priors_of(s, bank_of_size(people, s.bank), targets) for s in settings]
        seconds = in_turns({str(v): call for v, (call, _) in zip(choices, measured)}, seconds=setting.seconds)
        found[field] = [
            {field: v, "priors_per_s": s.batch / seconds[str(v)], **told}
            for v, s, (_, told) in zip(choices, settings, measured)
        ]
    return found


def run(setting: Setting, folder: Path) -> None:
    """Measures, prints, and writes `prior.json` and `prior.html`."""
    people, targets = read_people(setting)
    rows = compare(setting, people, targets)
    device = jax.devices()[0]
    devices = f"{jax.local_device_count()} x {device.device_kind}"
    print(f"{devices}, {setting.batch} priors of {setting.size} a call, k = {setting.k}, {setting.bank} people")
    print(format_rows(rows))
    result: dict[str, Any] = {"device": device.device_kind, "setting": asdict(setting), "rows": rows}
    if setting.sweep:
        result["sweep"] = sweep(setting, people, targets)
        for field, points in result["sweep"].items():
            print(f"{field:6}" + "".join(f"{p[field]:>9}: {p['priors_per_s']:.0f}/s" for p in points))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prior.json").write_text(json.dumps(result, indent=1))
    if setting.sweep:
        write_charts(folder / "prior.html", result)


def format_rows(rows: list[dict[str, Any]]) -> str:
    """The comparison as lines of text."""
    lines = [f"{'':28}{'priors/s':>10}{'copy bandwidth':>16}{'temporary':>12}{'compile':>10}{'from exact':>12}"]
    for row in rows[:-1]:
        memory, seconds = row.get("temporary_mib"), row.get("compile_s")
        lines.append(
            f"{row['name']:28}{row['priors_per_s']:10.0f}{row['written_share_of_copy_bandwidth']:16.1%}"
            + (f"{memory:8.0f} MiB{seconds:8.1f} s" if memory is not None else " " * 22)
            + f"{row['mean_difference_from_exact']:12.4f}"
        )
    return "\n".join([*lines, f"{'copy, read and write':28}{rows[-1]['gib_per_s']:6.1f} GiB/s"])


def write_charts(path: Path, result: dict[str, Any]) -> None:
    """The sweeps as one HTML page."""
    from pgkt_jax.report.charts import Chart, chart_figure
    from pgkt_jax.report.html import write_html

    title = f"make_prior on {result['device']}"
    figures = [
        chart_figure(
            Chart(
                f"priors a second against {field}",
                {result["setting"]["method"]: [(p[field], p["priors_per_s"]) for p in points]},
                x_label=field,
                log_x=True,
            )
        )
        for field, points in result["sweep"].items()
    ]
    write_html(
        path, title, [f"<header><h1>{escape(title)}</h1></header>", f'<div class="charts">{"".join(figures)}</div>']
    )
