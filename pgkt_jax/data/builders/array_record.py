"""People as ArrayRecord, through TFDS and without TensorFlow: one builder writes any data set, one class reads any."""

import contextlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from pgkt_jax.data import checks, files, pictures
from pgkt_jax.data.person import LazyPeople, Person
from pgkt_jax.skeleton import SKELETONS, Skeleton

_INFO = "dataset_info.json"
_NO_PARTS = pictures.encode_png(np.zeros((1, 1), np.uint8))
_AS_BYTES = {"image": tfds.decode.SkipDecoding(), "parts": tfds.decode.SkipDecoding()}


class _Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]  # TFDS is untyped
    """Writes people in their order; a subclass is named like its data set, since TFDS names files by the class."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, skeleton: Skeleton, splits: Mapping[str, Iterable[Person]], root: Path) -> None:
        self._skeleton, self._people = skeleton, splits
        super().__init__(data_dir=str(root), file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        joints = self._skeleton.num_joints
        features = {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "labelled": tfds.features.Scalar(np.bool_),
            "parts": tfds.features.Image(shape=(None, None, 1), encoding_format="png"),
            "joints": tfds.features.Tensor(shape=(joints, 2), dtype=np.float32),
            "visible": tfds.features.Tensor(shape=(joints,), dtype=np.bool_),
        }
        # Without shuffling "the first 25 people of train" are those of the data set's own order.
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            metadata=tfds.core.MetadataDict(skeleton=self._skeleton.name),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[tuple[int, Any]]]:
        ids: set[str] = set()
        return {name: self._generate_examples(people, ids) for name, people in self._people.items()}

    def _generate_examples(self, people: Iterable[Person], ids: set[str]) -> Iterator[tuple[int, Any]]:
        for row, person in enumerate(people):
            with checks.about(f"person {person.id!r}"):
                if person.id in ids:
                    raise ValueError("id: is that of another person already")
                ids.add(person.id)
                _check(person, self._skeleton)
                yield row, _record(person)


def _check(person: Person, skeleton: Skeleton) -> None:
    """What the writer of people folders checks, too."""
    labelled = person.label_map is not None
    with checks.about("parts"):
        if person.label_map is not None:
            checks.check_label_map(person.label_map, person.image.shape[:2], skeleton)
    with checks.about("joints"):
        checks.rows_of_joints(person.joints, person.visible, skeleton, labelled=labelled)


def _record(person: Person) -> dict[str, Any]:
    """Pictures go in encoded: TFDS encodes arrays by means of TensorFlow alone."""
    return {
        "id": person.id,
        "image": pictures.encode_png(person.image),
        "labelled": person.label_map is not None,
        "parts": _NO_PARTS if person.label_map is None else pictures.encode_png(person.label_map),
        "joints": person.joints,
        "visible": person.visible,
    }


def write_array_record(name: str, skeleton: Skeleton, splits: Mapping[str, Iterable[Person]], root: Path) -> None:
    """Writes a data set as root/NAME/1.0.0/*.array_record; it appears whole or not at all.

    Args:
        name: of the data set, letters, digits and underscores.
        skeleton: the kind of body.
        splits: people by the name of their split, none of them empty.
        root: the folder.

    Raises:
        ValueError: the folder holds a data set already, or a person is not what the skeleton allows.
    """
    if (there := _find(root)) is not None:
        raise ValueError(f"{there} holds a data set already: delete it or choose another folder")
    builder = type(name, (_Builder,), {"name": name}, skip_registration=True)(skeleton, splits, root)
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS speaks of downloads, which there are none
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=str(root)))


class ArrayRecordPeople:
    """People written by `write_array_record`, read whenever one of them is looked at.

    Args:
        root: the folder that was written to.

    Raises:
        ValueError: there is no such data set, or its skeleton is unknown.
    """

    def __init__(self, root: str | Path) -> None:
        folder = _find(Path(root))
        if folder is None:
            raise ValueError(f"{root} holds no ArrayRecord data set ({_INFO} is missing)")
        _check_files(folder)
        with _readable(folder):
            self._builder = tfds.builder_from_directory(str(folder))
            name = dict(self._builder.info.metadata or {}).get("skeleton")
        if not isinstance(name, str) or name not in SKELETONS:
            raise ValueError(f"{folder}: skeleton: is {name!r}; known are {', '.join(SKELETONS)}")
        self.skeleton = SKELETONS[name]

    @cached_property
    def splits(self) -> dict[str, int]:
        """The number of people of every split."""
        return {name: split.num_examples for name, split in self._builder.info.splits.items()}

    def split(self, name: str) -> Sequence[Person]:
        """The people of a split.

        Raises:
            ValueError: there is no such split.
        """
        if name not in self.splits:
            raise ValueError(f"there is nobody in a split {name!r}; the splits are: {', '.join(self.splits)}")
        with _readable(self._builder.data_dir):
            source = self._builder.as_data_source(name, decoders=_AS_BYTES)
            count = len(source)

        def read(row: int) -> Person:
            where = f"{self._builder.data_dir}: split {name}, row {row}"
            with _readable(where):
                record = source[row]
            with checks.about(where):
                return _person(record, self.skeleton)

        return LazyPeople(range(count), read)


def _check_files(folder: Path) -> None:
    """TFDS would wait at a pipe and read a device without end."""
    for path in sorted(folder.iterdir()):
        with checks.about(str(path)):
            if path.suffix == ".json":
                files.read_bytes(path)
            elif not files.is_there(path):
                raise ValueError("is not a file")


@contextlib.contextmanager
def _readable(what: object) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # TFDS raises anything over files that are missing or damaged, long texts with it
        raise ValueError(f"{what}: cannot be read as a data set of TFDS ({type(error).__name__})") from error


def _person(record: Mapping[str, Any], skeleton: Skeleton) -> Person:
    if missing := {"id", "image", "labelled", "parts", "joints", "visible"} - record.keys():
        raise ValueError(f"{', '.join(sorted(missing))}: is missing")
    with checks.about("id"):
        id = checks.text(_decoded(record["id"]))
    with checks.about(f"person {id!r}"):
        with checks.about("image"):
            image = pictures.decode_image(_bytes(record["image"]))
        with checks.about("parts"):
            label_map = pictures.decode_label_map(_bytes(record["parts"])) if record["labelled"] else None
        person = Person(id, image, np.asarray(record["joints"]), np.asarray(record["visible"]), label_map)
        _check(person, skeleton)
        return person


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError(f"is a {type(value).__name__}, not bytes")
    return value


def _decoded(value: object) -> str:
    try:
        return _bytes(value).decode()
    except UnicodeDecodeError:
        raise ValueError("is not a UTF-8 text") from None


def _find(root: Path) -> Path | None:
    """The folder of the data set in `root`: itself, or NAME/VERSION in it."""
    found = sorted(path.parent for pattern in (_INFO, f"*/*/{_INFO}") for path in root.glob(pattern))
    return found[0] if found else None
