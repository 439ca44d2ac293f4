"""Short digests that stand for arrays, people and files: equal where nothing has changed."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from pgkt_jax.data.person import Person


class Digest:
    """Takes in values of pytrees, one after the other; as a text twelve hexadecimal digits."""

    def __init__(self) -> None:
        self._hasher = hashlib.sha256()

    def add(self, tree: Any) -> "Digest":
        for leaf in jax.tree.leaves(tree):
            self._hasher.update(np.asarray(leaf).tobytes())
        return self

    def __str__(self) -> str:
        return self._hasher.hexdigest()[:12]


def digest(tree: Any) -> str:
    """Stands for the values of a pytree."""
    return str(Digest().add(tree))


def content_of(person: Person) -> tuple[Any, ...]:
    """What a training sees of a person; his id is only a name."""
    return person.image, person.label_map, person.joints, person.visible


def people_digest(people: Iterable[Person]) -> str:
    """Stands for photographs, label maps and joints, in this order of people."""
    whole = Digest()
    for person in people:  # one after the other: they may be more than memory holds
        whole.add(content_of(person))
    return str(whole)


def content_digest(path: Path) -> str:
    """Stands for the bytes of a file, or of all files of a folder and their names."""
    whole = Digest()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").digest()
            whole.add(np.frombuffer(content + file.relative_to(path).as_posix().encode(), np.uint8))
    return str(whole)
