"""Where the people of a run are read from, and who of them keeps a mask."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from pgkt_jax.config import DataConfig
from pgkt_jax.data import checks
from pgkt_jax.data.batch import canvas_of
from pgkt_jax.data.folder import read_people_folder
from pgkt_jax.data.person import Person, changed, joined
from pgkt_jax.data.puppet_animals import PuppetAnimals
from pgkt_jax.data.puppets import Puppets
from pgkt_jax.data.splits import Source, Splits
from pgkt_jax.skeleton import Skeleton


def open_people(data: str, *, share: tuple[int, int] = (0, 1)) -> Source:
    """Opens `puppets` or `puppet_animals` (drawn), a people folder, checked whole, or what `pgkt build-data` wrote.

    Args:
        data: which of them.
        share: of a folder's pictures, those to check: see `read_people_folder`.

    Raises:
        ValueError: the folder has problems; all of them are named.
    """
    if data in ("puppets", "puppet_animals"):
        return Puppets() if data == "puppets" else PuppetAnimals()
    root = Path(data)
    if any(root.glob("*/*/dataset_info.json")) or (root / "dataset_info.json").is_file():
        from pgkt_jax.data.builders.array_record import ArrayRecordPeople  # TFDS: only where its files are

        return ArrayRecordPeople(root)
    return read_people_folder(root, share=share)


@dataclass(frozen=True)
class Few:
    """The first `most` people of every split of a data set."""

    source: Source
    most: int

    @property
    def skeleton(self) -> Skeleton:
        return self.source.skeleton

    @property
    def splits(self) -> Mapping[str, int]:
        return {name: min(count, self.most) for name, count in self.source.splits.items()}

    def split(self, name: str) -> Sequence[Person]:
        return self.source.split(name)[: self.most]


def splits_of(config: DataConfig, *, most: int | None = None, share: tuple[int, int] = (0, 1)) -> Splits:
    """The people that a run is set to.

    Args:
        config: says whose.
        most: of every split of every data set, take the first so many at most.
        share: see `open_people`.

    Raises:
        ValueError: as `open_people`, `read_splits` and `with_parsing`; or a field does not go with another.
    """
    if config.parse_people is not None and config.labels is not None:
        raise ValueError(
            f"data.labels = {config.labels} hides masks of data.people, and the parsing network would see all of "
            f"data.parse_people = {config.parse_people}: set one of the two"
        )

    def opened(data: str) -> Source:
        source = open_people(data, share=share)
        return source if most is None else Few(source, most)

    source = opened(config.people)
    more = [(data, opened(data)) for data in config.poses]
    splits = read_splits(
        source,
        more_poses=joined(*(group for data, other in more for group in _everybody(data, other, source.skeleton))),
        labels=config.labels,
        max_side=config.max_side,
        all_visible=config.all_visible,
        streamed=config.streamed,
    )
    if config.parse_people is None:
        return splits
    with checks.about(config.parse_people):
        return with_parsing(splits, opened(config.parse_people), name=config.parse_people, max_side=config.max_side)


def _everybody(data: str, source: Source, skeleton: Skeleton) -> Iterator[Sequence[Person]]:
    """All splits of a further data set."""
    with checks.about(data):
        _check_skeleton(source, skeleton)
    for name, count in source.splits.items():
        if count:
            yield source.split(name)


def _check_skeleton(source: Source, skeleton: Skeleton) -> None:
    if source.skeleton != skeleton:
        raise ValueError(f"skeleton: is {source.skeleton.name!r}, that of --data.people {skeleton.name!r}")


def read_splits(
    source: Source,
    *,
    more_poses: Sequence[Person] = (),
    labels: int | None = None,
    max_side: int = 512,
    all_visible: bool = False,
    streamed: bool = False,
) -> Splits:
    """Reads splits train, val, test and poses; the first `labels` people of train keep their masks.

    All but train may be absent: what uses them says so (`Splits.need`).

    To those known by keypoints only come `more_poses`, people of other data sets.

    Images whose longer side exceeds `max_side` pixels are reduced with their joints and label maps. With `streamed`,
    the people to train on are not kept in memory but read a batch at a time, on canvases of `max_side` squared; here
    nobody looks at them, and whoever uses them says who lacks a mask. With `all_visible` every joint counts as visible.

    Raises:
        ValueError: split train is missing or empty, `labels` exceeds train, or a person who must have a mask has none.
    """

    def prepared(person: Person) -> Person:
        person = reduced(person, max_side)
        return replace(person, visible=np.ones_like(person.visible)) if all_visible else person

    train: Sequence[Person] = changed(source.split("train"), prepared)
    val, test = (list(changed(_group(source, name), prepared)) for name in ("val", "test"))
    poses: Sequence[Person] = changed(joined(_group(source, "poses"), more_poses), prepared)
    if not streamed:
        train, poses = list(train), list(poses)
    labels = len(train) if labels is None else labels
    if not 1 <= labels <= len(train):
        raise ValueError(f"labels = {labels}: split train has {len(train)} people, choose 1 to {len(train)}")
    labelled, hidden = train[:labels], joined(train[labels:], poses)
    _check_masks({"train": [] if streamed else labelled, "val": val, "test": test})
    keypoints_only = changed(hidden, lambda person: replace(person, label_map=None))
    canvas = (max_side, max_side) if streamed else canvas_of([*labelled, *hidden, *val, *test])
    return Splits(source.skeleton, labelled, keypoints_only, hidden, val, test, canvas, streamed)


def _group(source: Source, split: str) -> Sequence[Person]:
    return source.split(split) if source.splits.get(split) else []


def _check_masks(splits: Mapping[str, Sequence[Person]]) -> None:
    for split, people in splits.items():
        for person in people:
            if person.label_map is None:
                raise ValueError(f"person {person.id}: parts: a person of split {split} needs a label map")


def with_parsing(splits: Splits, source: Source, *, name: str, max_side: int) -> Splits:
    """These splits, with train, val and test of another data set for the parsing network; joints it needs none.

    Synthesised labels are still of the keypoints-only people of `splits`, and so are the masks of an upper bound.

    Raises:
        ValueError: another skeleton, no split train, or a person without a mask.
    """
    _check_skeleton(source, splits.skeleton)
    prepared = partial(reduced, max_side=max_side)
    train = changed(source.split("train"), prepared)
    labelled: Sequence[Person] = train if splits.streamed else list(train)
    val, test = (list(changed(_group(source, name), prepared)) for name in ("val", "test"))
    _check_masks({"train": [] if splits.streamed else labelled, "val": val, "test": test})
    canvas = splits.canvas
    if not splits.streamed:
        height, width = np.maximum(canvas, canvas_of([*labelled, *val, *test]))
        canvas = int(height), int(width)
    own = replace(splits, labelled=labelled, val=val, test=test, canvas=canvas, name=name)
    return replace(splits, own_parsing=own)


def reduced(person: Person, max_side: int) -> Person:
    """The person with the image's longer side brought down to `max_side` pixels, joints and label map with it."""
    height, width = person.image.shape[:2]
    ratio = max_side / max(height, width)
    return person if ratio >= 1 else resized(person, (max(1, round(height * ratio)), max(1, round(width * ratio))))


def resized(person: Person, size: tuple[int, int]) -> Person:
    """The person with an image of `size` (H, W), joints and label map with it."""
    (height, width), (old_height, old_width) = size, person.image.shape[:2]
    smaller = height * width < old_height * old_width
    scale = np.array([width / old_width, height / old_height], np.float32)
    label_map = person.label_map
    if label_map is not None:
        label_map = cv2.resize(label_map, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return replace(
        person,
        image=cv2.resize(person.image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR),
        joints=(person.joints + np.float32(0.5)) * scale - np.float32(0.5),
        label_map=label_map,
    )
