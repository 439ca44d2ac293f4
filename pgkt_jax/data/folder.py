"""The people folder, the form in which to bring one's own data: everything checked before anything trains.

    people.json   {"skeleton": "pascal16", "people": [{"id", "split", "image", "parts", "joints"}, ...]}
    images/...    JPEG or PNG, 8-bit; pixels as stored, an EXIF orientation is ignored
    parts/...     label maps: 8-bit single-channel or palette PNG, the image's size; 0 background, 255 ignored

`parts` is null where only joints are known. `joints` has a row [x, y, v] for every joint of the skeleton, in
pixels of the stored image, y down, pixel centres at integers; v is a confidence in 0..1 (or COCO's 2), and a
joint is visible from .15 on. Paths are relative to the folder, and stay in it. A "provenance", any JSON
object, may say how the labels came about. `PeopleWriter` adds people/ID.json, a small file a person.
"""

import json
import reprlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, overload

import numpy as np

from pgkt_jax import skeleton as anatomy
from pgkt_jax.data import files
from pgkt_jax.data.person import Person
from pgkt_jax.skeleton import IGNORE, Skeleton

VISIBLE_FROM = 0.15
"""The confidence from which a joint counts as visible."""
MAX_PEOPLE_BYTES = 512 * 2**20
"""The largest people.json that is read: about a million people."""

_MAX_COORDINATE = 1e6  # pixels; excludes NaN and infinities as well
_PRINTED_PROBLEMS = 50
_KNOWN = {s.name: s for s in vars(anatomy).values() if isinstance(s, Skeleton)}

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
        image = self._decode("image", self.image_path, files.decode_image)
        label_map = None
        if self.parts_path is not None:
            label_map = self._decode("parts", self.parts_path, files.decode_label_map)
        return Person(self.id, image, self.joints, self.visible, label_map)

    def _decode(self, field: str, path: Path, decode: Callable[[bytes], np.ndarray]) -> np.ndarray:
        try:
            return decode(files.read_bytes(path))
        except ValueError as error:
            raise PeopleError(path.parent, [f"{path.name}: person {self.id!r}: {field}: {error}"]) from None


@dataclass(frozen=True, eq=False)
class _Split(Sequence[Person]):
    """The people of one split; pictures are decoded at every access and never kept."""

    entries: tuple[Entry, ...]

    def __len__(self) -> int:
        return len(self.entries)

    @overload
    def __getitem__(self, index: int) -> Person: ...
    @overload
    def __getitem__(self, index: slice) -> "_Split": ...
    def __getitem__(self, index: int | slice) -> "Person | _Split":
        if isinstance(index, slice):
            return _Split(self.entries[index])
        return self.entries[index].read()


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
        return _Split(tuple(entry for entry in self.entries if entry.split == name))


def read_people_folder(root: str | Path, *, skeleton: Skeleton | None = None) -> PeopleFolder:
    """Check a whole people folder and give its people.

    Label maps are decoded to see their ids; of images only the size is read and that the file is complete.

    Args:
        root: the folder that holds people.json.
        skeleton: needed where people.json names a skeleton that this package does not know.

    Raises:
        PeopleError: with all problems at once. Where people.json itself cannot be read, or its skeleton is
            unknown, the people cannot be judged and only that is said.
    """
    root = Path(root)
    records, skeleton = _read_document(root, skeleton)
    with ThreadPoolExecutor() as pool:
        readings = list(pool.map(lambda record: _Reading(root, skeleton, record), records))
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


class PeopleWriter:
    """Writes a people folder person by person, so that a killed run goes on where it was.

    Every file appears whole or not at all, and a person's people/ID.json last. people.json is written by
    `close`, ordered by id, and taken away by the first `add`: a folder that has one is complete. One writer a
    folder at a time.

        with PeopleWriter("labels", skeleton) as writer:  # closes, unless an error leaves the block
            for person in people:
                if person.id not in writer.finished:
                    writer.add(person, split="train", provenance={"k": 3})

    Attributes:
        finished: id -> provenance of everybody who is completely written, by earlier runs too.

    Raises:
        ValueError: the folder is another's: a people.json that no writer wrote, or another skeleton.
    """

    def __init__(self, root: str | Path, skeleton: Skeleton) -> None:
        self.root, self.skeleton = Path(root), skeleton
        self._sidecars = self.root / "people"
        if self._people_json.exists() and not self._sidecars.exists():
            raise ValueError(f"{self.root} holds a people folder that no PeopleWriter wrote; choose another")
        for folder in (self.root, self._sidecars, self.root / "images", self.root / "parts"):
            folder.mkdir(parents=True, exist_ok=True)
            files.remove_unfinished(folder)
        sidecars = (self._read_sidecar(path) for path in sorted(self._sidecars.glob("*.json")))
        self._records = {record["id"]: record for record in sidecars if self._is_complete(record)}
        self.finished: dict[str, dict[str, Any] | None] = {
            id: record.get("provenance") for id, record in self._records.items()
        }
        self._added: set[str] = set()

    def add(
        self,
        person: Person,
        *,
        split: str,
        provenance: dict[str, Any] | None = None,
        image_bytes: bytes | None = None,
        extension: str = ".png",
    ) -> None:
        """Write one person; one whom an earlier run has finished is replaced.

        Args:
            person: its id becomes the name of its files.
            split: any name.
            provenance: anything that JSON can say.
            image_bytes: the encoded JPEG or PNG of `person.image`, copied as it is; None encodes a PNG.
            extension: that of `image_bytes`: .png, .jpg or .jpeg.

        Raises:
            ValueError: the id cannot be a file name or was added before, or `read_people_folder` would refuse
                the person; nothing is written then.
        """
        with _about(f"person {person.id!r}"):
            self._check_id(person.id)
            with _about("image"):
                data = _image_bytes(person.image, image_bytes, extension)
            record = self._record(person, split, provenance, extension)
        self._remove(person.id)
        files.write_atomically(self.root / record["image"], data)
        if person.label_map is not None:
            files.write_atomically(self.root / record["parts"], files.encode_png(person.label_map))
        files.write_atomically(self._sidecar(person.id), json.dumps(record).encode())
        self._records[person.id] = record
        self.finished[person.id] = record.get("provenance")
        self._added.add(person.id)

    def close(self) -> None:
        """Write people.json, of everybody finished in this run or an earlier one."""
        people = ({k: v for k, v in self._records[id].items() if k != "skeleton"} for id in sorted(self._records))
        lines = ",\n".join(f"    {json.dumps(record)}" for record in people)
        text = f'{{\n  "skeleton": {json.dumps(self.skeleton.name)},\n  "people": [\n{lines}\n  ]\n}}\n'
        files.write_atomically(self._people_json, text.encode())

    def __enter__(self) -> "PeopleWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()

    @property
    def _people_json(self) -> Path:
        return self.root / "people.json"

    def _sidecar(self, id: str) -> Path:
        return self._sidecars / f"{id}.json"

    def _check_id(self, id: str) -> None:
        with _about("id"):
            _check_file_name(id)
            if id in self._added:
                raise ValueError("was added before")

    def _record(self, person: Person, split: str, provenance: dict[str, Any] | None, extension: str) -> dict[str, Any]:
        """What people.json will say of a person, after the checks of a reader."""
        record: dict[str, Any] = {"skeleton": self.skeleton.name, "id": person.id}
        with _about("split"):
            record["split"] = _text(split)
        record["image"] = f"images/{person.id}{extension}"
        record["parts"] = None
        if person.label_map is not None:
            with _about("parts"):
                _check_label_map(person.label_map, person.image.shape[:2], self.skeleton)
            record["parts"] = f"parts/{person.id}.png"
        with _about("joints"):
            record["joints"] = _joint_rows(person.joints, person.visible, self.skeleton)
        if provenance is not None:
            with _about("provenance"):
                record["provenance"] = _json_copy(provenance)
        return record

    def _remove(self, id: str) -> None:
        """Take back a person, and people.json first, since the folder is not complete from here on."""
        self._people_json.unlink(missing_ok=True)
        self._sidecar(id).unlink(missing_ok=True)
        self.finished.pop(id, None)
        record = self._records.pop(id, {})
        for name in (record.get("image"), record.get("parts")):
            if name is not None:
                (self.root / name).unlink(missing_ok=True)

    def _read_sidecar(self, path: Path) -> dict[str, Any]:
        try:
            record = json.loads(files.read_bytes(path))
            name = record["skeleton"]
            if record["id"] != path.stem:
                raise ValueError
            for field in ("image", "parts"):
                if record[field] is not None:
                    files.inside(self.root, record[field])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{path} is damaged; delete it to have its person written again") from error
        if name != self.skeleton.name:
            raise ValueError(f"{path} is of skeleton {name!r}, not {self.skeleton.name!r}; choose another folder")
        return record

    def _is_complete(self, record: dict[str, Any]) -> bool:
        return all((self.root / name).is_file() for name in (record["image"], record["parts"]) if name is not None)


class _Reading:
    """What one record of people.json says, and every problem that it has ("field: problem")."""

    def __init__(self, root: Path, skeleton: Skeleton, record: object) -> None:
        self.problems: list[str] = []
        self.id: str | None = None
        if not isinstance(record, dict):
            self.problems.append(f"is {reprlib.repr(record)}, not an object")
            return
        self._record = record
        self.id = self._field("id", _text)
        self.split = self._field("split", _text)
        self.image = self._field("image", lambda name: _read_picture(root, name, files.picture_size))
        self.parts = self._field("parts", lambda name: self._read_parts(root, name, skeleton))
        self.joints = self._field("joints", lambda rows: _joints(rows, skeleton))
        self.provenance = self._field("provenance", _object_or_none) if "provenance" in record else None

    def entry(self) -> Entry:
        """The entry of a record without problems."""
        assert self.id is not None
        assert self.split is not None
        assert self.image is not None
        assert self.joints is not None
        joints, visible = self.joints
        return Entry(self.id, self.split, self.image[0], self.parts, joints, visible, self.provenance)

    def _field(self, name: str, read: Callable[[Any], T]) -> T | None:
        if name not in self._record:
            self.problems.append(f"{name}: is missing")
            return None
        try:
            return read(self._record[name])
        except ValueError as error:
            self.problems.append(f"{name}: {error}")
            return None

    def _read_parts(self, root: Path, name: object, skeleton: Skeleton) -> Path | None:
        if name is None:
            return None
        path, label_map = _read_picture(root, name, files.decode_label_map)
        with _about(str(name)):
            _check_label_map(label_map, self.image and self.image[1], skeleton)
        return path


def _read_document(root: Path, skeleton: Skeleton | None) -> tuple[list[object], Skeleton]:
    """The records and the skeleton of people.json."""
    document = _read_json(root)
    name, records = document.get("skeleton"), document.get("people")
    known = {**_KNOWN, **({skeleton.name: skeleton} if skeleton else {})}
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
        with _about("people.json"):
            data = files.read_bytes(root / "people.json", limit=MAX_PEOPLE_BYTES)
            with _about("is not JSON"):
                document = json.loads(data)
            if not isinstance(document, dict):
                raise ValueError('is not an object {"skeleton": ..., "people": [...]}')
            return document
    except ValueError as error:
        raise PeopleError(root, [str(error)]) from None


def _read_picture(root: Path, name: object, read: Callable[[bytes], T]) -> tuple[Path, T]:
    with _about(name if isinstance(name, str) and name.isprintable() else reprlib.repr(name)):
        path = files.inside(root, name)
        return path, read(files.read_bytes(path))


@contextmanager
def _about(subject: str) -> Iterator[None]:
    """Say of what a ValueError speaks."""
    try:
        yield
    except (ValueError, RecursionError) as error:  # json recurses over what it reads and writes
        raise ValueError(f"{subject}: {error}") from None


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"is {reprlib.repr(value)}, not a text")
    return value


def _object_or_none(value: object) -> dict[str, Any] | None:
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"is {reprlib.repr(value)}, not an object")
    return value


def _joints(rows: object, skeleton: Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """Rows [x, y, v] -> joints float32[J, 2], visible bool[J]."""
    if not isinstance(rows, list) or len(rows) != skeleton.num_joints:
        found = f"{len(rows)} rows" if isinstance(rows, list) else reprlib.repr(rows)
        raise ValueError(f"is {found}, not {skeleton.num_joints} rows [x, y, v]")
    faults = [fault for fault in map(_joint_fault, skeleton.joints, rows) if fault]
    if faults:
        raise ValueError("; ".join(faults))
    visible = np.array([row[2] >= VISIBLE_FROM for row in rows])
    if not visible[skeleton.limbs].all(axis=-1).any():
        raise ValueError(f"no part's limb has both its joints visible (v >= {VISIBLE_FROM})")
    return np.array([row[:2] for row in rows], np.float32), visible


def _joint_fault(joint: str, row: object) -> str | None:
    """What is wrong with one row; an unseen joint has v 0 and any finite place."""
    if not isinstance(row, list) or len(row) != 3 or not all(type(n) in (int, float) for n in row):
        return f"{joint} is {reprlib.repr(row)}, not three numbers [x, y, v]"
    x, y, v = row
    if not (abs(x) <= _MAX_COORDINATE and abs(y) <= _MAX_COORDINATE):
        return f"{joint} is at ({x}, {y}), not a finite place within {_MAX_COORDINATE:g} pixels"
    if not (0 <= v <= 1 or v == 2):
        return f"{joint} has v = {v}, not a confidence in 0..1"
    return None


def _check_label_map(label_map: np.ndarray, size: tuple[int, ...] | None, skeleton: Skeleton) -> None:
    """Compare a label map with its image's (height, width), where that is known, and with the part ids."""
    if label_map.dtype != np.uint8 or label_map.ndim != 2:
        raise ValueError(f"is {label_map.dtype}{list(label_map.shape)}, not uint8[H, W]")
    faults = []
    if size is not None and label_map.shape != size:
        faults.append("is {1} x {0} pixels, its image {3} x {2}".format(*label_map.shape, *size))
    known = np.zeros(256, bool)
    known[[*range(skeleton.num_parts + 1), IGNORE]] = True
    unknown = np.unique(label_map[~known[label_map]])
    if unknown.size:
        ids = ", ".join(map(str, unknown[:10])) + ", ..." * (unknown.size > 10)
        faults.append(f"has unknown part ids {ids} (0 to {skeleton.num_parts} and {IGNORE} are known)")
    if faults:
        raise ValueError("; ".join(faults))


def _check_file_name(id: str) -> None:
    """Refuse ids that are no file name on some system; 200 bytes leave room for extensions."""
    if (
        not isinstance(id, str)
        or not id.isprintable()
        or set(id) & set('/\\<>:"|?*')
        or not id.strip(". ") == id != ""
        or len(id.encode()) > 200
    ):
        raise ValueError("cannot be a file name; rename the person")


def _image_bytes(image: np.ndarray, data: bytes | None, extension: str) -> bytes:
    """The bytes to be written for an image, checked against it."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"is {image.dtype}{list(image.shape)}, not uint8[H, W, 3]")
    if extension not in ((".png",) if data is None else (".png", ".jpg", ".jpeg")):
        raise ValueError(f"cannot be written as {extension!r}")
    data = files.encode_png(image) if data is None else data
    height, width = files.picture_size(data)
    if (height, width) != image.shape[:2]:
        raise ValueError(f"is {image.shape[1]} x {image.shape[0]} pixels, its bytes are {width} x {height}")
    return data


def _joint_rows(joints: np.ndarray, visible: np.ndarray, skeleton: Skeleton) -> list[list[float]]:
    """Rows [x, y, v], checked, with the shortest decimals that give the same float32 back."""
    count = skeleton.num_joints
    if joints.shape != (count, 2) or visible.shape != (count,):
        raise ValueError(f"are {list(joints.shape)}, visible {list(visible.shape)}, not [{count}, 2] and [{count}]")
    rows = [[*(float(str(np.float32(n))) for n in xy), int(v)] for xy, v in zip(joints, visible)]
    _joints(rows, skeleton)
    return rows


def _json_copy(provenance: dict[str, Any]) -> dict[str, Any]:
    """What a reader will see, and no longer the caller's objects."""
    try:
        return json.loads(json.dumps(_object_or_none(provenance), allow_nan=False))
    except TypeError as error:
        raise ValueError(f"cannot be written as JSON ({error})") from error
