"""Whether a folder's training is the one asked for: `config.json` says its settings, `trained_on.json` its people.

Both are written when a training begins; one that goes on must find what it would have written.
"""

import dataclasses
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from pgkt_jax.data import checks
from pgkt_jax.data.files import write_atomically
from pgkt_jax.data.person import Person
from pgkt_jax.train import hosts
from pgkt_jax.train.run_folder import read_object


def check_config(path: Path, config: Any) -> None:
    """Writes a run's config, or holds it against the one that is there.

    Raises:
        ValueError: they differ; the fields are named.
    """
    if not path.exists():
        if hosts.is_first():
            write_atomically(path, json.dumps(plain(config), indent=1).encode())
    elif differing := _differing(path, config):
        raise ValueError(
            f"{path}: this folder holds another run ({'; '.join(differing)}): choose another folder, "
            "or --accept-changes"
        )


def accept_config(path: Path, config: Any) -> None:
    """Has a run go on with this config, and says which fields change."""
    for change in _differing(path, config):
        print(f"{path}: {change}: accepted", file=sys.stderr)
    write_atomically(path, json.dumps(plain(config), indent=1).encode())


def _differing(path: Path, config: Any) -> list[str]:
    with checks.about(str(path)):
        found, wanted = read_object(path), plain(config)
    return [
        f"{name} = {found.get(name)!r} there, {wanted.get(name)!r} here"
        for name in sorted({*found, *wanted})
        if found.get(name) != wanted.get(name)
    ]


def plain(config: Any) -> dict[str, Any]:
    """What a reader of the JSON will see."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


@dataclasses.dataclass(frozen=True)
class _TrainedOn:
    people: int
    digest: str


def check_people(folder: Path, people: Sequence[Person]) -> None:
    """Writes whom a run trains on to `folder`/trained_on.json, or holds them against whom the run there trained on.

    Raises:
        ValueError: they differ.
    """
    if hosts.is_first() and not (folder / "checkpoints").exists():
        (folder / "trained_on.json").unlink(missing_ok=True)  # of a run that never began
    folder.mkdir(parents=True, exist_ok=True)
    check_config(folder / "trained_on.json", _TrainedOn(len(people), people_digest(people)))


def has_trained_on(folder: Path, people: Sequence[Person]) -> bool:
    """Whether the run in `folder` trained on these people, in this order."""
    path = folder / "trained_on.json"
    return path.is_file() and read_object(path) == plain(_TrainedOn(len(people), people_digest(people)))


def people_digest(people: Sequence[Person]) -> str:
    """Twelve hexadecimal digits that stand for photographs, label maps and joints, in this order of people."""
    hasher = hashlib.sha256()
    for person in people:  # one after the other: they may be more than memory holds
        _update(hasher, (person.image, person.label_map, person.joints, person.visible))
    return _short(hasher)


def digest(tree: Any) -> str:
    """Twelve hexadecimal digits that stand for the values of a pytree."""
    hasher = hashlib.sha256()
    _update(hasher, tree)
    return _short(hasher)


def content_digest(path: Path) -> str:
    """Twelve hexadecimal digits that stand for the bytes of a file, or of all files of a folder and their names."""
    hasher = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as stream:
                hasher.update(hashlib.file_digest(stream, "sha256").digest())
            hasher.update(file.relative_to(path).as_posix().encode())
    return _short(hasher)


def _update(hasher: Any, tree: Any) -> None:
    for leaf in jax.tree.leaves(tree):
        hasher.update(np.asarray(leaf).tobytes())


def _short(hasher: Any) -> str:
    return hasher.hexdigest()[:12]
