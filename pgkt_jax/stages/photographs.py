"""Photographs with several people: who is in which, and how the labels of their crops come together again."""

import glob
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from pgkt_jax.data import checks
from pgkt_jax.data.person import Person
from pgkt_jax.data.readers.people import crop_of, cropped, has_limb, read_image
from pgkt_jax.data.readers.poses import Pose, read_poses
from pgkt_jax.skeleton import Skeleton
from pgkt_jax.stages.predict import Parser, Prediction, Refiner

MAX_PEOPLE = 255
"""Instance maps have 8 bits."""

Box = tuple[int, int, int, int]
Item = TypeVar("Item")
Seen = TypeVar("Seen")


@dataclass(frozen=True, eq=False)
class Photograph:
    """A photograph and the poses in it, of which nothing is decoded yet."""

    path: Path
    poses: Sequence[Pose]


@dataclass(frozen=True, eq=False)
class Found:
    """One person found in a photograph.

    Attributes:
        pose: whose joints are in pixels of the photograph.
        box: columns x0 to x1 and rows y0 to y1 of the crop that the network saw, ends left out; None: it saw none.
        reason: why it saw none.
    """

    pose: Pose
    box: Box | None
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Scene:
    """A labelled photograph.

    Attributes:
        photograph: which.
        image: uint8[H, W, 3], RGB.
        label_map: uint8[H, W], class ids, 0 background.
        instances: uint8[H, W], 1 for the pixels of the first of `people`, and so on; 0 for nobody's.
        evidence: float32[H, W], the probability of the likeliest class that is not background.
        probabilities: float32[H, W, C], background first, or None where not asked for.
        people: of the photograph, empty where only the parsing network has seen it.
    """

    photograph: Photograph
    image: np.ndarray
    label_map: np.ndarray
    instances: np.ndarray
    evidence: np.ndarray
    probabilities: np.ndarray | None
    people: Sequence[Found]


@dataclass(frozen=True, eq=False)
class Unreadable:
    """A photograph that cannot be decoded, and a sentence that names it and says why."""

    photograph: Photograph
    reason: str


def find_photographs(names: Sequence[str]) -> list[Path]:
    """The photographs that files, folders (their JPEGs and PNGs) and globs stand for, each once; none is read yet.

    Raises:
        ValueError: a name stands for nothing, or two files have one stem.
    """
    paths = list(dict.fromkeys(path for name in names for path in _standing_for(name)))
    stems: dict[str, Path] = {}
    for path in paths:
        with checks.about(str(path)):
            if stems.setdefault(path.stem, path) != path:
                raise ValueError(f"has the stem of {stems[path.stem]}: their results would overwrite each other")
    return paths


def _standing_for(name: str) -> list[Path]:
    path = Path(name)
    if path.is_dir():
        found = [file for file in sorted(path.iterdir()) if file.suffix.lower() in (".jpg", ".jpeg", ".png")]
    else:
        found = [path] if path.exists() else [Path(match) for match in sorted(glob.glob(name, recursive=True))]
    if not found:
        raise ValueError(f"{name}: {'no JPEG or PNG in this folder' if path.is_dir() else 'no such file'}")
    return found


def with_poses(paths: Sequence[Path], poses: Path, *, upright: bool = False) -> list[Photograph]:
    """Photographs with those poses of a file (see `data.readers.poses`) that name them.

    Args:
        paths: of the photographs, all in one folder.
        poses: the file.
        upright: they are turned by their EXIF orientation.

    Raises:
        ValueError: the file cannot be read, names none of the photographs, or these lie in several folders.
    """
    folders = sorted({path.parent for path in paths})
    if len(folders) > 1:
        shown = ", ".join(map(str, folders[:3]))
        raise ValueError(f"{poses} names photographs of one folder, but these lie in {len(folders)}: {shown}")
    everybody = defaultdict(list)
    for pose in read_poses(poses, folders[0], upright=upright):
        everybody[pose.image].append(pose)
    found = [Photograph(path, everybody[path.name]) for path in paths if path.name in everybody]
    if not found:
        named = next(iter(everybody), "nobody")
        raise ValueError(f"{poses}: image: names {named}, but none of the photographs, {paths[0].name} and so on")
    for photograph in found:
        if len(photograph.poses) > MAX_PEOPLE:
            count = len(photograph.poses)
            raise ValueError(f"{poses}: {photograph.path.name}: {count} people, {MAX_PEOPLE} at most")
    return [Photograph(path, everybody.get(path.name, ())) for path in paths]


def parsed(
    photographs: Iterable[Photograph], parser: Parser, *, upright: bool = False, probabilities: bool = False
) -> Iterator[Scene | Unreadable]:
    """The photographs, labelled whole by the parsing network, in order.

    Args:
        photographs: read one batch ahead.
        parser: the network.
        upright: turn photographs by their EXIF orientation.
        probabilities: keep them.
    """

    def read(photograph: Photograph) -> tuple[tuple[Photograph, np.ndarray] | Unreadable, Sequence[np.ndarray]]:
        try:
            image = read_image(photograph.path, upright=upright)
        except ValueError as error:
            return Unreadable(photograph, str(error)), ()
        return (photograph, image), (image,)

    for item, found in _answered(map(read, photographs), partial(parser.predictions, probabilities=probabilities)):
        if isinstance(item, Unreadable):
            yield item
        else:
            (labelled,) = found
            yield Scene(*item, labelled.label_map, np.zeros_like(labelled.label_map), *labelled[1:], people=())


def refined(
    photographs: Iterable[Photograph], refiner: Refiner, *, upright: bool = False, probabilities: bool = False
) -> Iterator[Scene | Unreadable]:
    """The photographs, everybody in them cut out, labelled by the refinement network and pasted back, in order.

    Args:
        photographs: with poses; read one batch of people ahead.
        refiner, upright, probabilities: as for `parsed`.
    """
    cuts = (_cut(photograph, refiner.skeleton, upright) for photograph in photographs)
    classes = refiner.skeleton.num_classes if probabilities else None
    for item, labelled in _answered(cuts, partial(refiner.predictions, probabilities=probabilities)):
        if isinstance(item, Unreadable):
            yield item
            continue
        photograph, image, people = item
        if image is None:
            image = read_image(photograph.path, upright=upright)
        numbers = [number for number, found in enumerate(people, start=1) if found.box is not None]
        boxes = [found.box for found in people if found.box is not None]
        size = (image.shape[0], image.shape[1])
        yield Scene(photograph, image, *paste(labelled, boxes, numbers, size, classes=classes), people=people)


def _answered(
    asked: Iterable[tuple[Item, Sequence[Seen]]], predictions: Callable[[Iterable[Seen]], Iterator[Prediction]]
) -> Iterator[tuple[Item, list[Prediction]]]:
    """Every item with what a network says of its images, in order; those that wait hold one batch of images.

    Args:
        asked: items, each with its images. Any number of items without images may wait: they must be small.
        predictions: of a stream of images, read a batch ahead.
    """
    waiting: deque[tuple[Item, int]] = deque()

    def images() -> Iterator[Seen]:
        for item, seen in asked:
            waiting.append((item, len(seen)))
            yield from seen

    results = predictions(images())
    for first in results:
        while not waiting[0][1]:
            yield waiting.popleft()[0], []
        item, count = waiting.popleft()
        yield item, [first, *islice(results, count - 1)]
    yield from ((item, []) for item, _ in waiting)


def _cut(
    photograph: Photograph, skeleton: Skeleton, upright: bool
) -> tuple[tuple[Photograph, np.ndarray | None, Sequence[Found]] | Unreadable, Sequence[Person]]:
    """The photograph and who is in it, and the crops of those whom the network is to see.

    The image is not held where there are none: a thousand photographs of nobody may wait for the next crop.
    """
    try:
        image = read_image(photograph.path, upright=upright)
    except ValueError as error:
        return Unreadable(photograph, str(error)), ()
    found, crops = [], []
    for pose in photograph.poses:
        person = Person(pose.id, image, pose.joints, pose.visible)
        if not has_limb(pose.visible, skeleton):
            found.append(Found(pose, None, "no limb has both its joints visible"))
            continue
        try:
            found.append(Found(pose, crop_of(person)))
            crops.append(cropped(person))
        except ValueError:
            found.append(Found(pose, None, "all visible joints lie outside of the photograph"))
    return (photograph, image if crops else None, found), crops


def paste(
    crops: Sequence[Prediction],
    boxes: Sequence[Box],
    numbers: Sequence[int],
    size: tuple[int, int],
    *,
    classes: int | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Puts labelled crops back in their places. A pixel that two people claim goes to the more probable part.

    Where nobody claims a pixel, what is kept of it is of whoever comes closest to; outside of all crops it is
    background. Of equals the first wins.

    Args:
        crops: what the network says of each person.
        boxes: (x0, y0, x1, y1) of every crop, ends left out, within the photograph.
        numbers: of the people, 1 to 255, for the instance map.
        size: (H, W) of the photograph.
        classes: the number of them, if probabilities are to be put together too.

    Returns:
        label_map uint8[H, W], instances uint8[H, W], evidence float32[H, W], probabilities float32[H, W, C] or None.
    """
    label_map, instances = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    evidence, best = np.zeros(size, np.float32), np.zeros(size, np.float32)
    shares = None
    if classes is not None:
        shares = np.zeros((*size, classes), np.float32)
        shares[..., 0] = 1
    for crop, (x0, y0, x1, y1), number in zip(crops, boxes, numbers):
        place = (slice(y0, y1), slice(x0, x1))
        claimed = crop.label_map > 0
        strength = crop.evidence + claimed  # every claim is above every pixel that is not claimed
        wins = strength > best[place]
        best[place][wins] = strength[wins]
        evidence[place][wins] = crop.evidence[wins]
        label_map[place][wins] = crop.label_map[wins]
        instances[place][wins] = np.where(claimed, number, 0)[wins]
        if shares is not None and crop.probabilities is not None:
            shares[place][wins] = crop.probabilities[wins]
    return label_map, instances, evidence, shares
