"""Writes people folders, person by person or a whole data set, so that a killed run goes on where it was."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from pgkt_jax.data import checks, files, pictures
from pgkt_jax.data.digests import digest
from pgkt_jax.data.person import Person
from pgkt_jax.data.splits import Source
from pgkt_jax.skeleton import Skeleton


class PeopleWriter:
    """Writes a people folder person by person, so that a killed run goes on where it was.

    Every file appears whole or not at all, and a person's people/ID.json last. people.json is written by
    `close`, ordered by id, and taken away by the first `add`: a folder that has one is complete. Several
    writers may add different people at a time, opened before any of them adds; one opened after all are done closes.

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
        with checks.about(f"person {person.id!r}"):
            self._check_id(person.id)
            with checks.about("image"):
                data = _image_bytes(person.image, image_bytes, extension)
            record = self._record(person, split, provenance, extension)
        self._remove(person.id)
        files.write_atomically(self.root / record["image"], data)
        if person.label_map is not None:
            files.write_atomically(self.root / record["parts"], pictures.encode_png(person.label_map))
        files.write_atomically(self._sidecar(person.id), json.dumps(record).encode())
        self._records[person.id] = record
        self.finished[person.id] = record.get("provenance")
        self._added.add(person.id)

    def close(self, *, of: Collection[str] | None = None) -> None:
        """Write people.json, of everybody finished in this run or an earlier one; with `of`, of these ids alone."""
        ids = sorted(id for id in self._records if of is None or id in of)
        people = ({k: v for k, v in self._records[id].items() if k != "skeleton"} for id in ids)
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
        with checks.about("id"):
            _check_file_name(id)
            if id in self._added:
                raise ValueError("was added before")

    def _record(self, person: Person, split: str, provenance: dict[str, Any] | None, extension: str) -> dict[str, Any]:
        """What people.json will say of a person, after the checks of a reader."""
        record: dict[str, Any] = {"skeleton": self.skeleton.name, "id": person.id}
        with checks.about("split"):
            record["split"] = checks.text(split)
        record["image"] = f"images/{person.id}{extension}"
        record["parts"] = None
        if person.label_map is not None:
            with checks.about("parts"):
                checks.check_label_map(person.label_map, person.image.shape[:2], self.skeleton)
            record["parts"] = f"parts/{person.id}.png"
        with checks.about("joints"):
            labelled = person.label_map is not None
            record["joints"] = checks.rows_of_joints(person.joints, person.visible, self.skeleton, labelled=labelled)
        if provenance is not None:
            with checks.about("provenance"):
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
    data = pictures.encode_png(image) if data is None else data
    height, width = pictures.picture_size(data)
    if (height, width) != image.shape[:2]:
        raise ValueError(f"is {image.shape[1]} x {image.shape[0]} pixels, its bytes are {width} x {height}")
    return data


def _json_copy(provenance: dict[str, Any]) -> dict[str, Any]:
    """What a reader will see, and no longer the caller's objects."""
    try:
        return json.loads(json.dumps(checks.object_or_none(provenance), allow_nan=False))
    except TypeError as error:
        raise ValueError(f"cannot be written as JSON ({error})") from error


def write_people_folder(source: Source, root: Path) -> None:
    """Writes any source as a people folder; a killed run goes on where it was.

    Raises:
        ValueError: the folder holds somebody who is not in the source, or is another there.
    """
    with PeopleWriter(root, source.skeleton) as writer:
        if writer.finished:
            _check_same(source, writer)  # before anything is written
        for split, person in _everybody(source):
            if person.id not in writer.finished:
                writer.add(person, split=split, provenance=_provenance(split, person))


def _check_same(source: Source, writer: PeopleWriter) -> None:
    there = dict(writer.finished)
    for split, person in _everybody(source):
        if there.pop(person.id, found := _provenance(split, person)) != found:
            raise ValueError(
                f"{writer.root}: person {person.id!r} is another there: delete the folder or choose another"
            )
    if there:
        raise ValueError(
            f"{writer.root} holds {len(there)} people of another data set, {min(there)!r} for one: "
            "delete it or choose another"
        )


def _everybody(source: Source) -> Iterator[tuple[str, Person]]:
    for split, count in source.splits.items():
        for person in source.split(split) if count else ():
            yield split, person


def _provenance(split: str, person: Person) -> dict[str, Any]:
    content = (person.image, person.joints, person.visible, person.label_map)
    return {"digest": digest(content), "split": split}
