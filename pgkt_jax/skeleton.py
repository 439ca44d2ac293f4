"""Anatomy as tables: joints, parts and their limbs, merged classes, mirror pairs and colours.

Everything that the package knows about a body stands here; all else reads these tables. A skeleton of your
own is one `Skeleton(...)`, see `PASCAL_PERSON` for the form:

* *joints* are named; `left_x` and `right_x` are each other's mirror images, any other name is its own.
* A *part* is what a label map shows (ids from 1 in this order; 0 is background), the *limb* that carries it
  through a change of pose (two joints), and the *class* it merges into for the networks. Left and right parts
  of one class merge by max (paper, section 4.2). A part without a limb of its own borrows another's.
* The *torso* (origin, end) fixes the size and place of a pose before two poses are compared (paper, section
  3.3).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

IGNORE = 255
"""The label of pixels that neither train nor count: padding, and people nobody has labelled."""

# One colour a class: Okabe and Ito's set (jfly.uni-koeln.de/color), distinguishable by colour-blind readers.
_PALETTE = (
    (0, 0, 0), (213, 94, 0), (0, 114, 178), (0, 158, 115), (240, 228, 66),
    (204, 121, 167), (86, 180, 233), (230, 159, 0), (160, 160, 160),
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One part of a label map: its name, the two joints of its limb, and the class it merges into."""

    name: str
    limb: tuple[str, str]
    class_name: str


@dataclass(frozen=True)
class Skeleton:
    """A kind of body. Hashable, so it can be a static argument of `jax.jit`; `name` identifies it in files.

    Raises:
        ValueError: a name occurs twice, a limb or the torso names an unknown joint, a left has no right, or the mirror
            images of a class' parts are of several classes.
    """

    name: str
    joints: tuple[str, ...]
    parts: tuple[Part, ...]
    torso: tuple[str, str]

    def __post_init__(self) -> None:
        for kind, names in (("joint", self.joints), ("part", tuple(p.name for p in self.parts))):
            if len(set(names)) != len(names):
                raise ValueError(f"skeleton {self.name}: a {kind} occurs twice in {names}")
            for name in names:
                if _mirrored(name) not in names:
                    raise ValueError(f"skeleton {self.name}: {kind} {name} has no {_mirrored(name)}")
        for owner, limb in [("the torso", self.torso), *((f"part {p.name}", p.limb) for p in self.parts)]:
            for joint in limb:
                if joint not in self.joints:
                    raise ValueError(f"skeleton {self.name}: {owner} names an unknown joint {joint!r}")
        for class_name in self.classes[1:]:
            mirrored = self._mirrored_classes(class_name)
            if len(mirrored) > 1 or self._mirrored_classes(mirrored[0]) != (class_name,):
                raise ValueError(f"skeleton {self.name}: class {class_name} mirrors into several classes")
        if len(self.parts) >= IGNORE or self.num_classes > len(_PALETTE):
            raise ValueError(f"skeleton {self.name}: too many parts or classes ({len(_PALETTE) - 1} at most)")

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class names, `background` first, then in the order in which the parts name them."""
        return ("background", *dict.fromkeys(p.class_name for p in self.parts))

    @property
    def num_joints(self) -> int:
        return len(self.joints)

    @property
    def num_parts(self) -> int:
        return len(self.parts)

    @property
    def num_classes(self) -> int:
        """Number of classes, background among them."""
        return len(self.classes)

    def joint(self, name: str) -> int:
        """The row of a joint."""
        return self.joints.index(name)

    @cached_property
    def limbs(self) -> np.ndarray:
        """int[num_parts, 2]: the joint rows of every part's limb."""
        return np.array([[self.joint(a), self.joint(b)] for a, b in (p.limb for p in self.parts)])

    @cached_property
    def torso_joints(self) -> tuple[int, int]:
        """The joint rows of the torso: origin, end."""
        return self.joint(self.torso[0]), self.joint(self.torso[1])

    @cached_property
    def part_classes(self) -> np.ndarray:
        """uint8[num_parts]: the class of every part."""
        return np.array([self.classes.index(p.class_name) for p in self.parts], np.uint8)

    @cached_property
    def class_lut(self) -> np.ndarray:
        """uint8[256]: part id -> class id; 0 and `IGNORE` stay; ids that do not exist become `IGNORE`."""
        lut = np.full(256, IGNORE, np.uint8)
        lut[0] = 0
        lut[1 : self.num_parts + 1] = self.part_classes
        return lut

    @cached_property
    def joint_mirror(self) -> np.ndarray:
        """int[num_joints]: the row that holds each joint's mirror image."""
        return np.array([self.joint(_mirrored(name)) for name in self.joints])

    @cached_property
    def part_mirror_lut(self) -> np.ndarray:
        """uint8[256]: part id -> id of the mirrored part; every other value stays."""
        names = [p.name for p in self.parts]
        lut = np.arange(256, dtype=np.uint8)
        lut[1 : self.num_parts + 1] = [names.index(_mirrored(name)) + 1 for name in names]
        return lut

    @cached_property
    def class_mirror(self) -> np.ndarray:
        """int[num_classes]: the class of each class' mirror image: its own where left and right merge."""
        return np.array([0, *(self.classes.index(self._mirrored_classes(name)[0]) for name in self.classes[1:])])

    def _mirrored_classes(self, class_name: str) -> tuple[str, ...]:
        class_of = {part.name: part.class_name for part in self.parts}
        parts = [name for name, own in class_of.items() if own == class_name]
        return tuple(dict.fromkeys(class_of[_mirrored(name)] for name in parts))

    @cached_property
    def palette(self) -> np.ndarray:
        """uint8[num_classes, 3]: an RGB colour for every class, black for background."""
        return np.array(_PALETTE[: self.num_classes], np.uint8)


def _mirrored(name: str) -> str:
    side, _, rest = name.partition("_")
    return {"left": f"right_{rest}", "right": f"left_{rest}"}.get(side, name)


def _two_sided(parts: Sequence[tuple[str, str, str, str]]) -> tuple[Part, ...]:
    """Rows (name, joint, joint, class) -> a left and a right part each."""
    return tuple(
        Part(f"{side}_{name}", (f"{side}_{a}", f"{side}_{b}"), class_name)
        for name, a, b, class_name in parts
        for side in ("left", "right")
    )


PASCAL_PERSON = Skeleton(
    name="pascal16",
    joints=(
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax",
        "neck", "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow",
        "left_wrist",
    ),
    parts=(
        Part("head", ("neck", "head_top"), "head"),
        Part("torso", ("pelvis", "neck"), "torso"),
        *_two_sided(
            [
                ("upper_arm", "shoulder", "elbow", "upper arms"),
                ("lower_arm", "elbow", "wrist", "lower arms"),
                ("upper_leg", "hip", "knee", "upper legs"),
                ("lower_leg", "knee", "ankle", "lower legs"),
            ]
        ),
    ),
    torso=("pelvis", "neck"),
)  # fmt: skip
"""The 16 joints of MPII and PASCAL-Person-Part, ten parts and six classes (paper, section 4.2)."""

HORSE = Skeleton(
    name="horse",
    joints=(
        "left_eye", "right_eye", "left_ear_base", "right_ear_base", "nose", "throat", "tail_base", "withers",
        "left_front_elbow", "right_front_elbow", "left_back_elbow", "right_back_elbow",
        "left_front_knee", "right_front_knee", "left_back_knee", "right_back_knee",
        "left_front_paw", "right_front_paw", "left_back_paw", "right_back_paw",
    ),
    parts=(
        # Both ends of throat-nose lie on the skull and are seen from either side, unlike an eye or an ear.
        Part("head", ("throat", "nose"), "head"),
        # The benchmark counts the neck as body (peers print that class as "neck + torso"), but the neck of a
        # grazing animal turns against its trunk: each has its own limb, and the two meet again in the class.
        Part("neck", ("withers", "throat"), "body"),
        Part("torso", ("tail_base", "withers"), "body"),
        *_two_sided(
            [
                ("front_upper_leg", "front_elbow", "front_knee", "leg"),
                ("front_lower_leg", "front_knee", "front_paw", "leg"),
                ("back_upper_leg", "back_elbow", "back_knee", "leg"),
                ("back_lower_leg", "back_knee", "back_paw", "leg"),
            ]
        ),
        # One joint of the tail is annotated, no limb: it follows the trunk on which it hangs.
        Part("tail", ("tail_base", "withers"), "tail"),
    ),
    torso=("tail_base", "withers"),
)  # fmt: skip
"""The 20 joints of the poselet-style annotation, twelve parts, the classes of the Horse-Cow benchmark."""

COW = replace(HORSE, name="cow")
"""A cow has the joints, parts and classes of a horse; the name keeps their banks and files apart."""

SKELETONS = {skeleton.name: skeleton for skeleton in (PASCAL_PERSON, HORSE, COW)}
"""The skeletons that files and commands know by name."""
