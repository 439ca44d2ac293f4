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
  NAME.txt                 a line for each image: IMAGE LABELS, separated by a space, both paths from the list's
                           folder (a leading / is dropped); labels are PNG, indices 0 to 6 (head, torso, upper and
                           lower arms, upper and lower legs), 255 ignored. NAME becomes the split; train_all.txt of
                           the authors' archive (github MVIG-SJTU/WSHP, parsing_network) is of this form
  whatever it names"""


def read_label_list(root: Path) -> ReadPeople:
    """A split for every list: whole images with merged classes and no joints, for parsing.

    Args:
        root: the folder of what `GUIDE` lists.

    Raises:
        ValueError: files are missing or are not of their form.
    """
    root = need(root, GUIDE, {"a list": ["*.txt"]})["a list"].parent
    groups = {}
    for path in sorted(root.glob("*.txt")):
        with checks.about(str(path)):
            lines = enumerate(files.read_text(path).splitlines(), start=1)
            pairs = [_pair(root, number, line) for number, line in lines]
            check_there(name for pair in pairs for name in pair)
        groups[path.stem] = LazyPeople(pairs, partial(_person, root))
    return ReadPeople(PASCAL_PERSON, groups)


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
