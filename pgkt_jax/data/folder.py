"""The people folder, the form in which to bring one's own data: everything checked before anything trains.

    people.json   {"skeleton": "pascal16", "people": [{"id", "split", "image", "parts", "joints"}, ...]}
    images/...    JPEG or PNG, 8-bit; pixels as stored, an EXIF orientation is ignored
    parts/...     label maps: 8-bit single-channel or palette PNG, the image's size; 0 background, 255 ignored

`parts` is null where only joints are known; `joints` may be null where only parts are, for parsing networks.
`joints` has a row [x, y, v] for every joint of the skeleton, in pixels of the stored image, y down, pixel
centres at integers; v is a confidence in 0..1 (or COCO's 2), and a joint is visible from .15 on. Paths are
relative to the folder, and stay in it. A "provenance", any JSON object, may say how the labels came about.
`PeopleWriter` adds people/ID.json, a small file a person.
"""

import json
import reprlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pgkt_jax.data import checks, files, pictures
from pgkt_jax.data.person import LazyPeople, Person
from pgkt_jax.skeleton import SKELETONS, Skeleton

MAX_PEOPLE_BYTES = 512 * 2**20
"""The largest people.json that is read: about a million people."""

_PRINTED_PROBLEMS = 50

T = TypeVar("T")


class PeopleError(ValueError):
    """All that is wrong with a people folder, one line a problem: the file, the person and the field.

    Attributes:
        root: the folder.
        problems: every line; the message prints the first fifty.
    """

    def __init__(self, root: Path, problems: Sequence[str]) -> None:
        super().__init__(root, problems)  # the arguments themselves, so that the error can be pickled
        self.root, self.problems = root, tuple(problems)

    def __str__(self) -> str:
        shown = self.problems[:_PRINTED_PROBLEMS]
        more = len(self.problems) - len(shown)
        count = f"{len(self.problems)} problem" + "s" * (len(self.problems) != 1)
        return "\n  ".join([f"{self.root}: {count}", *shown, *([f"... and {more} more"] if more else [])])


@dataclass(frozen=True, eq=False)
class Entry:
    """A person of a people folder whose pictures are still on disk.

    Attributes:
        id: unique in the folder.
        split: the name of the split it belongs to.
        image_path: JPEG or PNG.
        parts_path: the label map's PNG, or None where only joints are known.
        joints: float32[J, 2], (x, y) in pixels of the image, y down, pixel centres at integers.
        visible: bool[J].
        provenance: how the labels came about, as it was written; None where nothing was.
    """

    id: str
    split: str
    image_path: Path
    parts_path: Path | None
    joints: np.ndarray
    visible: np.ndarray
    provenance: dict[str, Any] | None = None

    def read(self) -> Person:
        """Decode the pictures.

        Raises:
            PeopleError: a picture cannot be read or decoded.
        """
        image = self._decode("image", self.image_path, pictures.decode_image)
        label_map = None
        if self.parts_path is not None:
            label_map = self._decode("parts", self.parts_path, pictures.decode_label_map)
        return Person(self.id, image, self.joints, self.visible, label_map)

    def _decode(self, field: str, path: Path, decode: Callable[[bytes], np.ndarray]) -> np.ndarray:
        try:
            return decode(files.read_bytes(path))
        except ValueError as error:
            raise PeopleError(path.parent, [f"{path.name}: person {self.id!r}: {field}: {error}"]) from None


@dataclass(frozen=True, eq=False)
class PeopleFolder:
    """A people folder, checked by `read_people_folder`; its entries stand in the order of people.json."""

    root: Path
    skeleton: Skeleton
    entries: tuple[Entry, ...]

    @cached_property
    def splits(self) -> dict[str, int]:
        """The number of people of every split, in the order in which the splits first occur."""
        return dict(Counter(entry.split for entry in self.entries))

    def split(self, name: str) -> Sequence[Person]:
        """The people of a split; their pictures are decoded when a person is asked for.

        Raises:
            ValueError: the folder has nobody in a split of that name.
        """
        if name not in self.splits:
            there = ", ".join(f"{split} ({count})" for split, count in self.splits.items()) or "none at all"
            raise ValueError(f"{self.root} has nobody in a split {name!r}; its splits are: {there}")
        return LazyPeople([entry for entry in self.entries if entry.split == name], Entry.read)


def read_people_folder(
    root: str | Path, *, skeleton: Skeleton | None = None, share: tuple[int, int] = (0, 1)
) -> PeopleFolder:
    """Check a whole people folder and give its people.

    Label maps are decoded to see their ids; of images only the size is read and that the file is complete.

    Args:
        root: the folder that holds people.json.
        skeleton: needed where people.json names a skeleton that this package does not know.
        share: (i, n): look at the pictures of every n-th person from the i-th on; others look at the rest.

    Raises:
        PeopleError: with all problems at once. Where people.json itself cannot be read, or its skeleton is
            unknown, the people cannot be judged and only that is said.
    """
    root = Path(root)
    records, skeleton = _read_document(root, skeleton)
    with ThreadPoolExecutor() as pool:
        mine = [row % share[1] == share[0] for row in range(len(records))]
        readings = list(pool.map(partial(_Reading, root, skeleton), records, mine))
    problems: list[str] = []
    first: dict[str, int] = {}
    for row, reading in enumerate(readings):
        where = f"people.json: people[{row}]"
        if reading.id is not None:
            where = f"people.json: person {reading.id!r} (people[{row}])"
            if first.setdefault(reading.id, row) != row:
                problems.append(f"{where}: id: is that of people[{first[reading.id]}] already")
        problems += [f"{where}: {problem}" for problem in reading.problems]
    if problems:
        raise PeopleError(root, problems)
    return PeopleFolder(root, skeleton, tuple(reading.entry() for reading in readings))


class _Reading:
    """What one record of people.json says, and every problem that it has ("field: problem")."""

    def __init__(self, root: Path, skeleton: Skeleton, record: object, look: bool) -> None:
        self.problems: list[str] = []
        self.id: str | None = None
        if not isinstance(record, dict):
            self.problems.append(f"is {reprlib.repr(record)}, not an object")
            return
        self._record = record
        self.id = self._field("id", checks.text)
        self.split = self._field("split", checks.text)
        self.image = self._field("image", lambda name: _path(root, name))
        self.parts = self._field("parts", lambda name: None if name is None else _path(root, name))
        if look:
            self._look_at_pictures(skeleton)
        labelled = record.get("parts") is not None
        self.joints = self._field("joints", lambda rows: checks.joints_of_rows(rows, skeleton, labelled=labelled))
        self.provenance = self._field("provenance", checks.object_or_none) if "provenance" in record else None

    def entry(self) -> Entry:
        """The entry of a record without problems."""
        assert self.id is not None
        assert self.split is not None
        assert self.image is not None
        assert self.joints is not None
        joints, visible = self.joints
        return Entry(self.id, self.split, self.image, self.parts, joints, visible, self.provenance)

    def _field(self, name: str, read: Callable[[Any], T]) -> T | None:
        if name not in self._record:
            self.problems.append(f"{name}: is missing")
            return None
        try:
            return read(self._record[name])
        except ValueError as error:
            self.problems.append(f"{name}: {error}")
            return None

    def _look_at_pictures(self, skeleton: Skeleton) -> None:
        image, parts, size = self.image, self.parts, None
        if image is not None:
            size = self._field("image", lambda name: _looked_at(image, name, pictures.picture_size))

        def check(data: bytes) -> None:
            checks.check_label_map(pictures.decode_label_map(data), size, skeleton)

        if parts is not None:
            self._field("parts", lambda name: _looked_at(parts, name, check))


def _read_document(root: Path, skeleton: Skeleton | None) -> tuple[list[object], Skeleton]:
    """The records and the skeleton of people.json."""
    document = _read_json(root)
    name, records = document.get("skeleton"), document.get("people")
    known = {**SKELETONS, **({skeleton.name: skeleton} if skeleton else {})}
    chosen = known.get(name) if isinstance(name, str) else None
    problems = []
    if skeleton is not None and name != skeleton.name:
        problems.append(f"people.json: skeleton: is {reprlib.repr(name)}, but was to be read as {skeleton.name!r}")
    elif chosen is None:
        problems.append(f"people.json: skeleton: is {reprlib.repr(name)}; known are {', '.join(known)}")
    if not isinstance(records, list):
        problems.append(f"people.json: people: is {reprlib.repr(records)}, not a list")
    if problems or chosen is None or not isinstance(records, list):
        raise PeopleError(root, problems)
    return records, chosen


def _read_json(root: Path) -> dict[str, Any]:
    try:
        with checks.about("people.json"):
            data = files.read_bytes(root / "people.json", limit=MAX_PEOPLE_BYTES)
            with checks.about("is not JSON"):
                document = json.loads(data)
            if not isinstance(document, dict):
                raise ValueError('is not an object {"skeleton": ..., "people": [...]}')
            return document
    except ValueError as error:
        raise PeopleError(root, [str(error)]) from None


def _path(root: Path, name: object) -> Path:
    with checks.about(_shown(name)):
        return files.inside(root, name)


def _looked_at(path: Path, name: object, look: Callable[[bytes], T]) -> T:
    with checks.about(_shown(name)):
        return look(files.read_bytes(path))


def _shown(name: object) -> str:
    return name if isinstance(name, str) and name.isprintable() else reprlib.repr(name)
