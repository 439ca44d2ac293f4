"""Whether a folder's training is the one asked for: `config.json` says its settings, `trained_on.json` its people.

Both are written when a training begins; one that goes on must find what it would have written, or be told to accept
what has changed since.
"""

import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from pgkt_jax.data import checks
from pgkt_jax.data.digests import Digest, content_of, digest, people_digest
from pgkt_jax.data.files import write_atomically
from pgkt_jax.data.person import Person
from pgkt_jax.train import hosts
from pgkt_jax.train.run_folder import read_object

_NAMED = 3
"""People whom a sentence names."""

_accepting = ContextVar("accepting changes", default=False)


@contextlib.contextmanager
def accepting_changes() -> Iterator[None]:
    """Within it runs go on with other settings and people than theirs, and say what has changed (--accept-changes)."""
    before = _accepting.set(True)
    try:
        yield
    finally:
        _accepting.reset(before)


def check_config(path: Path, config: Any) -> None:
    """Writes a run's config, or holds it against the one that is there.

    Raises:
        ValueError: they differ; the fields are named.
    """
    if path.exists():
        changes = _config_changes(path, config)
        if not changes:
            return
        _accept_or_refuse(path, "this folder holds another run", changes)
    if hosts.is_first():
        write_atomically(path, json.dumps(plain(config), indent=1).encode())


def _config_changes(path: Path, config: Any) -> list[str]:
    with checks.about(str(path)):
        found, wanted = read_object(path), plain(config)
    return [
        f"{name} = {found.get(name)!r} there, {wanted.get(name)!r} here"
        for name in sorted({*found, *wanted})
        if found.get(name) != wanted.get(name)
    ]


def _accept_or_refuse(path: Path, what: str, changes: Sequence[str]) -> None:
    if not _accepting.get():
        raise ValueError(f"{path}: {what} ({'; '.join(changes)}): choose another folder, or --accept-changes")
    if hosts.is_first():
        for change in changes:
            print(f"{path}: {change}: accepted", file=sys.stderr)


def plain(config: Any) -> dict[str, Any]:
    """What a reader of the JSON will see."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def check_people(folder: Path, people: Sequence[Person]) -> None:
    """Writes whom a run trains on to `folder`/trained_on.json, or holds them against whom the run there trained on.

    Raises:
        ValueError: they differ, says who and in what; somebody has no label map; or the file is damaged.
    """
    path = folder / "trained_on.json"
    if hosts.is_first() and not (folder / "checkpoints").exists():
        path.unlink(missing_ok=True)  # of a run that never began
    wanted = _trained_on(map(_labelled, people))
    if path.exists():
        found = _read_trained_on(path)
        if found["digest"] == wanted["digest"]:
            return
        _accept_or_refuse(path, "this folder's run has learnt from other people", _people_changes(found, wanted))
    if hosts.is_first():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "bank.npz").unlink(missing_ok=True)  # it is made of the people
        write_atomically(path, json.dumps(wanted).encode())


def _labelled(person: Person) -> Person:
    if person.label_map is None:
        raise ValueError(f"person {person.id}: parts: a person to train on needs a label map")
    return person


def has_trained_on(folder: Path, people: Sequence[Person]) -> bool:
    """Whether the run in `folder` trained on these people, in this order.

    Raises:
        ValueError: the file that says it is damaged.
    """
    path = folder / "trained_on.json"
    return path.is_file() and _read_trained_on(path)["digest"] == people_digest(people)


def _read_trained_on(path: Path) -> dict[str, Any]:
    """What `_trained_on` gave a run; of version 0.1.0 `people` is their number."""
    with checks.about(str(path)):
        found = read_object(path)
        with checks.about("digest"):
            checks.text(found.get("digest"))
        people = found.get("people")
        if type(people) is not int and not (isinstance(people, list) and all(map(_is_told, people))):
            raise ValueError("people: are not a list of an id and three digests each")
        return found


def _is_told(person: object) -> bool:
    return isinstance(person, list) and len(person) == 4 and all(isinstance(value, str) for value in person)


def _trained_on(people: Iterable[Person]) -> dict[str, Any]:
    """A digest of everybody, and for everybody the id and digests of photograph, label map and joints."""
    whole, everybody = Digest(), []
    for person in people:  # one after the other: they may be more than memory holds
        whole.add(content_of(person))
        pose = (person.joints, person.visible)
        everybody.append([person.id, digest(person.image), digest(person.label_map), digest(pose)])
    return {"digest": str(whole), "people": everybody}


def _people_changes(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """What has changed about the people, in words."""
    if not isinstance(found["people"], list):  # of version 0.1.0: a number
        return [f"{found['people']} people there, {len(wanted['people'])} here"]
    there, here = ({id: rest for id, *rest in told["people"]} for told in (found, wanted))
    both = [id for id in here if id in there]
    groups = {
        "only there": [id for id in there if id not in here],
        "only here": [id for id in here if id not in there],
        **{
            f"with another {what}": [id for id in both if there[id][at] != here[id][at]]
            for at, what in enumerate(("photograph", "label map", "pose"))
        },
    }
    changes = [f"{how}: {_names(ids)}" for how, ids in groups.items() if ids] or ["in another order"]
    counts = f"{len(found['people'])} people there, {len(wanted['people'])} here"
    return [counts, *changes] if len(there) != len(here) else changes


def _names(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_NAMED]) + f" and {len(ids) - _NAMED} more" * (len(ids) > _NAMED)
