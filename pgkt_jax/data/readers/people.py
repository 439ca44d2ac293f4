"""What every reader gives and what all of them need: the people, the files they lie in, and the crop around one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from pgkt_jax.data import checks, files, pictures
from pgkt_jax.data.person import LazyPeople, Person
from pgkt_jax.skeleton import PASCAL_PERSON, Skeleton

CROP_PADDING = 0.25
"""How far a crop reaches beyond the joints on each side, as a share of their extent (that of the paper's authors)."""

Body = Literal["full", "upper"]
_UPPER = ("head_top", "neck", *(f"{side}_{j}" for side in ("left", "right") for j in ("shoulder", "elbow", "wrist")))
_NEEDED = {
    # Nothing hangs on the thorax: no limb, no normalisation; the authors' pose file leaves it out.
    "full": [joint for joint in PASCAL_PERSON.joints if joint != "thorax"],
    "upper": _UPPER,
}


@dataclass(frozen=True)
class ReadPeople:
    """A data set on disk: its people by split, decoded whenever one of them is looked at."""

    skeleton: Skeleton
    groups: Mapping[str, LazyPeople]

    @property
    def splits(self) -> dict[str, int]:
        """The number of people of every split; splits without people are left out."""
        return {name: len(people) for name, people in self.groups.items() if len(people)}

    def split(self, name: str) -> LazyPeople:
        """The people of a split.

        Raises:
            ValueError: there is no such split.
        """
        if name not in self.splits:
            raise ValueError(f"there is nobody in a split {name!r}; the splits are: {', '.join(self.splits)}")
        return self.groups[name]


def has_body(visible: np.ndarray, body: Body) -> bool:
    """Whether a person of `PASCAL_PERSON` (visible bool[16]) shows all joints of the whole or of the upper body."""
    return all(visible[PASCAL_PERSON.joint(name)] for name in _NEEDED[body])


def has_limb(visible: np.ndarray, skeleton: Skeleton) -> bool:
    """Whether a part can be placed: both joints of its limb are visible (bool[J])."""
    return bool(visible[skeleton.limbs].all(axis=-1).any())


def find(root: Path, *names: str) -> Path | None:
    """The first of these files or folders in `root` or up to two folders below, where archives unpack them."""
    for name in names:
        for pattern in (name, f"*/{name}", f"*/*/{name}"):
            if found := sorted(root.glob(pattern)):
                return found[0]
    return None


def need(root: Path, guide: str, wanted: Mapping[str, Sequence[str]]) -> dict[str, Path]:
    """Finds all that a reader wants, or says in one message what to get, where it goes and what is missing.

    Args:
        root: the folder of all that was fetched by hand.
        guide: what to get and where it goes.
        wanted: what it is -> file or folder names, any of which will do.

    Returns:
        What it is -> where it lies.

    Raises:
        ValueError: something is missing.
    """
    found = {what: find(root, *names) for what, names in wanted.items()}
    missing = [f"  {what}: {' or '.join(wanted[what])}" for what, path in found.items() if path is None]
    if missing:
        raise ValueError("\n".join([f"under {root}, or up to two folders below it, is missing", *missing, "", guide]))
    return {what: path for what, path in found.items() if path is not None}


def check_there(paths: Iterable[Path]) -> None:
    """Raises ValueError, with their number and the first of them, if files are missing."""
    paths = list(dict.fromkeys(paths))
    missing = [path for path in paths if not files.is_there(path)]
    if missing:
        shown = ", ".join(str(path)[:500] for path in missing[:3]) + ", ..." * (len(missing) > 3)
        raise ValueError(f"{len(missing)} of {len(paths)} files are missing: {shown}")


def read_image(path: Path, *, upright: bool = False) -> np.ndarray:
    """uint8[H, W, 3], RGB; raises ValueError naming the file. `upright`: turned by its EXIF orientation."""
    with checks.about(str(path)):
        return pictures.decode_image(files.read_bytes(path), upright=upright)


def read_label_map(path: Path, size: tuple[int, int], largest: int) -> np.ndarray:
    """uint8[H, W] of `size` with values to `largest`, or 255; raises ValueError naming the file."""
    with checks.about(str(path)):
        label_map = pictures.decode_label_map(files.read_bytes(path))
        if label_map.shape != size:
            raise ValueError("is {1} x {0} pixels, its image {3} x {2}".format(*label_map.shape, *size))
        checks.check_ids(label_map, largest)
        return label_map


def read_ids(path: Path) -> list[str]:
    """The lines of a list of image ids, without file extensions; raises ValueError if they are no file names."""
    with checks.about(str(path)):
        lines = files.read_text(path).splitlines()
        ids = [line.split()[0].removesuffix(".jpg") for line in lines if line.strip()]
        for id in ids:
            if Path(id).name != id:
                raise ValueError(f"{id!r} is not an image id")
        return ids


def held_out(people: LazyPeople, count: int) -> tuple[LazyPeople, LazyPeople]:
    """The people less `count` of them, and these, picked at random but always the same; both keep their order."""
    picked = set(np.random.default_rng(0).permutation(len(people))[:count].tolist())
    rest = [row for row in range(len(people)) if row not in picked]
    return LazyPeople(rest, people.__getitem__), LazyPeople(sorted(picked), people.__getitem__)


def crop_of(person: Person) -> tuple[int, int, int, int]:
    """The columns x0 to x1 and rows y0 to y1, ends left out, that `cropped` keeps; raises as it does."""
    height, width = person.image.shape[:2]
    seen = person.joints[person.visible]
    pad = CROP_PADDING * (seen.max(axis=0) - seen.min(axis=0) + 1)
    x0, y0 = np.maximum(np.floor(seen.min(axis=0) - pad), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(seen.max(axis=0) + pad) + 1, (width, height)).astype(int)
    if x0 >= x1 or y0 >= y1:
        raise ValueError(f"person {person.id}: joints: all lie outside the image of {width} x {height} pixels")
    return int(x0), int(y0), int(x1), int(y1)


def cropped(person: Person) -> Person:
    """The person cut out of the picture: the box around the visible joints, padded by `CROP_PADDING`.

    Joints outside the image do not widen the box beyond it.

    Raises:
        ValueError: no part of that box lies in the image.
    """
    x0, y0, x1, y1 = crop_of(person)
    return replace(
        person,
        image=person.image[y0:y1, x0:x1],
        joints=person.joints - np.array([x0, y0], np.float32),
        label_map=None if person.label_map is None else person.label_map[y0:y1, x0:x1],
    )
