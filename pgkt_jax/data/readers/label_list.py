"""Images and label maps named side by side in a text file, as the 150,000 synthesised labels were released."""

from functools import partial
from pathlib import Path

import numpy as np

from pgkt_jax.data import checks, files
from pgkt_jax.data.person import LazyPeople, Person
from pgkt_jax.data.readers.people import ReadPeople, check_there, need, read_image, read_label_map
from pgkt_jax.data.readers.regions import first_parts
from pgkt_jax.skeleton import PASCAL_PERSON

GUIDE = """\
label_list wants, under --manual-dir:
  train*.txt, val*.txt and test*.txt, or those of them that there are, one a split; other names by --train NAME, --val
                           NAME, --test NAME. A line for each image: IMAGE LABELS, separated by a space, both paths
                           from the list's folder (a leading / is dropped); labels are PNG, indices 0 to 6 (head,
                           torso, upper and lower arms, upper and lower legs), 255 ignored. train_all.txt of the
                           authors' archive (github MVIG-SJTU/WSHP, parsing_network) is of this form
  whatever they name"""

_LISTS = {"train": "train*.txt", "val": "val*.txt", "test": "test*.txt"}


def read_label_list(
    root: Path, *, train: str = _LISTS["train"], val: str = _LISTS["val"], test: str = _LISTS["test"]
) -> ReadPeople:
    """Splits `train`, `val` and `test`, a list each: whole images with merged classes and no joints, for parsing.

    Args:
        root: the folder of what `GUIDE` lists.
        train, val, test: file names, or patterns of names, of which none or one is there.

    Raises:
        ValueError: files are missing or are not of their form, or several lists are of one split.
    """
    names = {"train": train, "val": val, "test": test}
    for split, name in names.items():
        if not name or Path(name).name != name:
            raise ValueError(f"--{split}: {name!r} is not the name of a file")
    asked = {f"list for {split}": [name] for split, name in names.items() if name != _LISTS[split]}
    root = next(iter(need(root, GUIDE, asked or {"a list": [*names.values()]}).values())).parent
    lists = {split: found for split, name in names.items() if (found := sorted(root.glob(name)))}
    for split, found in lists.items():
        if len(found) > 1:
            shown = ", ".join(path.name for path in found)
            raise ValueError(f"{root}: {len(found)} lists for {split}: {shown}; choose one with --{split} NAME")
    return ReadPeople(PASCAL_PERSON, {split: _read_list(path) for split, (path,) in lists.items()})


def _read_list(path: Path) -> LazyPeople:
    with checks.about(str(path)):
        lines = enumerate(files.read_text(path).splitlines(), start=1)
        pairs = [_pair(path.parent, number, line) for number, line in lines if line.strip()]
        check_there(name for pair in pairs for name in pair)
    return LazyPeople(pairs, partial(_person, path.parent))


def _pair(root: Path, number: int, line: str) -> tuple[Path, Path]:
    with checks.about(f"line {number}"):
        names = line.split()
        if len(names) != 2:
            raise ValueError(f"has {len(names)} names, not two (image and labels)")
        image, labels = (files.inside(root, name.removeprefix("/")) for name in names)
        return image, labels


def _person(root: Path, pair: tuple[Path, Path]) -> Person:
    image = read_image(pair[0])
    labels = read_label_map(pair[1], image.shape[:2], PASCAL_PERSON.num_classes - 1)
    joints, visible = np.zeros((PASCAL_PERSON.num_joints, 2), np.float32), np.zeros(PASCAL_PERSON.num_joints, bool)
    # Lists join folders, whose images may share a name: the folder is a part of the id.
    id = "_".join(pair[0].relative_to(root).with_suffix("").parts)
    return Person(id, image, joints, visible, first_parts(labels))
