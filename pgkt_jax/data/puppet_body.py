"""The bodies of puppets: poses, builds and a kinematic tree in three dimensions.

Lengths are fractions of a standing height. The columns of a body's frames point to the person's left, down
and forward; the camera looks along -z, x is to the right and y down.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pgkt_jax.skeleton import PASCAL_PERSON

SIDES = (("left", 1), ("right", -1))

Range = tuple[float, float]
Angles = tuple[float, float, float]
_Leg = tuple[Range, Range, Range]

# Degrees. Flexion swings a limb forward, abduction outward. A lower arm bends towards (out, down, forward).
_ARMS: dict[str, tuple[Range, Range, Range, Angles]] = {
    "hanging": ((-15, 20), (3, 18), (0, 35), (0, 0, 1)),
    "swinging": ((-45, 50), (3, 20), (15, 70), (-0.2, -0.3, 1)),
    "pumping": ((-65, 45), (5, 25), (70, 115), (-0.3, -0.5, 1)),
    "raised": ((130, 185), (0, 45), (0, 80), (-1, -1, 0.3)),
    "spread": ((-10, 30), (55, 110), (0, 90), (0, -0.8, 0.5)),
    "on hips": ((-30, 0), (35, 58), (80, 112), (-1, 0.6, 0.2)),
    "crossed": ((15, 40), (5, 15), (85, 112), (-1, -0.1, 0.5)),
    "reaching": ((45, 115), (-10, 30), (0, 65), (-0.5, -1, 0.3)),
    "to head": ((60, 140), (15, 65), (105, 145), (-1, -1, 0)),
    "behind": ((-45, -20), (5, 25), (15, 70), (-1, 0.1, -0.1)),
    "telephoning": ((0, 45), (3, 25), (115, 145), (-0.1, -0.5, 1)),
}

_STANDING_ARMS = ("hanging",) * 4 + ("swinging", "on hips", "crossed", "behind", "telephoning")

# Flexion, abduction and knee of the leading and of the trailing leg, the trunk's lean, arms that go with it.
_ACTIONS: dict[str, tuple[_Leg, _Leg, Range, tuple[str, ...]]] = {
    "standing": (((-5, 12), (0, 12), (0, 12)), ((-8, 8), (0, 12), (0, 12)), (-6, 10), _STANDING_ARMS),
    "astride": (((-5, 25), (12, 32), (0, 30)), ((-15, 10), (12, 32), (0, 20)), (-6, 20), tuple(_ARMS)),
    "walking": (((15, 40), (0, 8), (0, 25)), ((-32, -8), (0, 8), (5, 50)), (0, 10), ("hanging", "swinging")),
    "running": (((35, 85), (0, 10), (50, 115)), ((-40, -5), (0, 10), (20, 110)), (5, 25), ("pumping",)),
    "sitting": (((72, 100), (0, 28), (65, 105)), ((72, 100), (0, 28), (65, 105)), (-18, 20), tuple(_ARMS)),
    "squatting": (((80, 125), (8, 40), (90, 140)), ((80, 125), (8, 40), (90, 140)), (8, 40), tuple(_ARMS)),
    "kneeling": (((60, 100), (0, 15), (70, 105)), ((-15, 10), (0, 12), (80, 112)), (0, 25), tuple(_ARMS)),
    "kicking": (((40, 100), (0, 35), (0, 45)), ((-8, 8), (0, 10), (0, 20)), (-22, 8), ("spread", "swinging")),
    "bending": (((0, 20), (0, 15), (0, 30)), ((-5, 15), (0, 15), (0, 30)), (40, 95), ("hanging", "reaching")),
}
_ACTION_SHARES = (0.45, 0.1, 0.27, 0.05, 0.04, 0.02, 0.02, 0.03, 0.02)


@dataclass(frozen=True)
class Pose:
    """Angles in degrees; of every pair the person's left comes first.

    Attributes:
        arms: flexion, abduction and elbow; and the direction (out, down, forward) in which the elbow bends.
        legs: flexion, abduction, knee.
        trunk: lean forward, lean sideways, twist.
        head: nod, turn.
        camera: yaw (0 from the front, 180 from the back), pitch, roll.
    """

    arms: tuple[tuple[Angles, Angles], tuple[Angles, Angles]] = (((0, 8, 10), (0, 0, 1)),) * 2
    legs: tuple[Angles, Angles] = ((0, 4, 0), (0, 4, 0))
    trunk: Angles = (0, 0, 0)
    head: tuple[float, float] = (0, 0)
    camera: Angles = (0, 0, 0)

    @staticmethod
    def random(rng: np.random.Generator) -> "Pose":
        """What people do, seen from any side."""
        action = rng.choice(list(_ACTIONS), p=_ACTION_SHARES)
        lead, trail, lean_range, usual_arms = _ACTIONS[action]
        legs = (_drawn(rng, lead), _drawn(rng, trail))
        first = pick(rng, usual_arms if rng.random() < 0.9 else tuple(_ARMS))
        modes = (first, first if rng.random() < 0.55 else pick(rng, tuple(_ARMS)))
        lean = rng.uniform(*lean_range)
        side_of_camera = rng.choice([0, 180, 90, -90, rng.uniform(-180, 180)], p=[0.6, 0.2, 0.06, 0.06, 0.08])
        return Pose(
            arms=(_drawn_arm(rng, modes[0]), _drawn_arm(rng, modes[1])),
            legs=legs if rng.random() < 0.5 else legs[::-1],
            trunk=(lean, rng.normal(0, 7), rng.normal(0, 15)),
            head=(rng.normal(5 - 0.3 * lean, 12), rng.normal(0, 25)),
            camera=(side_of_camera + rng.normal(0, 18), rng.normal(-4, 9), rng.normal(0, 5)),
        )


@dataclass(frozen=True)
class Build:
    """Lengths and half widths of a body, as fractions of its standing height."""

    head: float = 0.16
    trunk: float = 0.28
    neck: float = 0.045
    upper_arm: float = 0.165
    lower_arm: float = 0.145
    upper_leg: float = 0.245
    lower_leg: float = 0.235
    shoulders: float = 0.115
    hips: float = 0.055
    limb_girth: float = 1.0
    trunk_girth: float = 1.0

    @staticmethod
    def random(rng: np.random.Generator) -> "Build":
        """Tall and short, slim and stout, now and then with a child's large head."""
        usual = Build()
        child = 1.35 if rng.random() < 0.15 else 1.0
        arm, leg = rng.normal(1, 0.07, 2)
        return Build(
            head=usual.head * child * rng.uniform(0.85, 1.2),
            trunk=usual.trunk * rng.normal(1, 0.06),
            neck=usual.neck * rng.uniform(0.7, 1.3),
            upper_arm=usual.upper_arm * arm,
            lower_arm=usual.lower_arm * arm * rng.normal(1, 0.04),
            upper_leg=usual.upper_leg * leg,
            lower_leg=usual.lower_leg * leg * rng.normal(1, 0.04),
            shoulders=usual.shoulders * rng.uniform(0.85, 1.2),
            hips=usual.hips * rng.uniform(0.85, 1.25),
            limb_girth=rng.uniform(0.85, 1.5),
            trunk_girth=rng.uniform(0.8, 1.4),
        )


@dataclass(frozen=True)
class Body:
    """A posed body in the camera's frame.

    Attributes:
        points: float[3] of every joint by name, and of left_hand, right_hand, left_toe, right_toe, waist.
        frames: float[3, 3] of hips, chest and head; columns to the person's left, down, forward.
        scale: pixels in a standing height.
        build: the lengths it was made with.
    """

    points: dict[str, np.ndarray]
    frames: dict[str, np.ndarray]
    scale: float
    build: Build

    @staticmethod
    def posed(pose: Pose, build: Build) -> "Body":
        """The body around its own pelvis, at scale 1."""
        yaw, pitch, roll = pose.camera
        lean, sideways, twist = pose.trunk
        world = _turn(2, roll) @ _turn(0, pitch) @ _turn(1, yaw)
        hips = world @ _turn(0, -0.35 * lean)
        chest = world @ _turn(0, -lean) @ _turn(2, sideways) @ _turn(1, twist)
        head = chest @ _turn(1, pose.head[1]) @ _turn(0, -pose.head[0])

        points = {"pelvis": np.zeros(3)}
        points["waist"] = hips @ [0, -0.4 * build.trunk, 0]
        points["thorax"] = points["waist"] + chest @ [0, -0.6 * build.trunk, 0]
        points["neck"] = points["thorax"] + chest @ [0, -build.neck, 0.2 * build.neck]
        points["head_top"] = points["neck"] + head @ [0, -build.head, 0]
        for (side, sign), arm, leg in zip(SIDES, pose.arms, pose.legs):
            upper, lower = _arm_directions(sign, *arm[0], arm[1])
            points[f"{side}_shoulder"] = points["thorax"] + chest @ [sign * build.shoulders, 0.015, 0]
            points[f"{side}_elbow"] = points[f"{side}_shoulder"] + chest @ upper * build.upper_arm
            points[f"{side}_wrist"] = points[f"{side}_elbow"] + chest @ lower * build.lower_arm
            points[f"{side}_hand"] = points[f"{side}_wrist"] + chest @ lower * 0.35 * build.lower_arm
            upper, lower, foot = _leg_directions(sign, *leg)
            points[f"{side}_hip"] = hips @ [sign * build.hips, 0.01, 0]
            points[f"{side}_knee"] = points[f"{side}_hip"] + world @ upper * build.upper_leg
            points[f"{side}_ankle"] = points[f"{side}_knee"] + world @ lower * build.lower_leg
            points[f"{side}_toe"] = points[f"{side}_ankle"] + world @ foot * 0.4 * build.lower_leg
        return Body(points, {"hips": hips, "chest": chest, "head": head}, 1.0, build)

    def placed(self, scale: float, offset: np.ndarray) -> "Body":
        """The same body `scale` times as large with its pelvis at `offset`, (x, y) in pixels."""
        moved = {name: point * scale + np.array([*offset, 0]) for name, point in self.points.items()}
        return Body(moved, self.frames, self.scale * scale, self.build)

    def framed(self, size: tuple[int, int], rng: np.random.Generator) -> "Body":
        """The body at about its place in a crop of (height, width) around a person; one in twenty comes too close."""
        frame = np.array([size[1], size[0]])
        outer = np.stack([point[:2] for point in self.points.values()])
        low, high = outer.min(axis=0), outer.max(axis=0)
        filled = rng.uniform(0.95, 1.2) if rng.random() < 1 / 20 else rng.uniform(0.78, 0.92)
        scale = min(filled * frame / np.maximum(high - low, 0.3))
        slack = np.maximum(frame - scale * (high - low), 0)
        middle = (frame - 1) / 2 + rng.uniform(-0.25, 0.25, 2) * slack
        return self.placed(scale, middle - scale * (low + high) / 2)

    def joints(self) -> np.ndarray:
        """float[16, 2] in the order of `PASCAL_PERSON`."""
        return np.stack([self.points[name][:2] for name in PASCAL_PERSON.joints])


# --- kinematics


def pick(rng: np.random.Generator, names: Sequence[str]) -> str:
    """One of the names."""
    return names[int(rng.integers(len(names)))]


def _drawn(rng: np.random.Generator, limits: tuple[Range, Range, Range]) -> Angles:
    first, second, third = (rng.uniform(low, high) for low, high in limits)
    return first, second, third


def _drawn_arm(rng: np.random.Generator, mode: str) -> tuple[Angles, Angles]:
    return _drawn(rng, _ARMS[mode][:3]), _ARMS[mode][3]


def _turn(axis: int, degrees: float) -> np.ndarray:
    """float[3, 3]: a rotation about one axis."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(3)
    i, j = [k for k in range(3) if k != axis]
    matrix[i, i] = matrix[j, j] = cos
    matrix[i, j], matrix[j, i] = (sin, -sin) if axis == 1 else (-sin, sin)
    return matrix


def _swung(sign: int, flexion: float, abduction: float) -> np.ndarray:
    """float[3]: where a limb points that hung down, swung forward and out to its side (left: sign 1)."""
    f, a = np.radians(flexion), np.radians(abduction)
    return np.array([sign * np.sin(a), np.cos(a) * np.cos(f), np.cos(a) * np.sin(f)])


def _bent(upper: np.ndarray, towards: np.ndarray, degrees: float) -> np.ndarray:
    """float[3]: the direction of a lower limb, bent by `degrees` out of the upper one's."""
    sideways = towards - (towards @ upper) * upper
    sideways = sideways / (np.linalg.norm(sideways) + 1e-9)
    return np.cos(np.radians(degrees)) * upper + np.sin(np.radians(degrees)) * sideways


def _arm_directions(
    sign: int, flexion: float, abduction: float, elbow: float, towards: Angles
) -> tuple[np.ndarray, np.ndarray]:
    upper = _swung(sign, flexion, abduction)
    return upper, _bent(upper, np.array(towards) * np.array([sign, 1, 1]), elbow)


def _leg_directions(
    sign: int, flexion: float, abduction: float, knee: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    upper = _swung(sign, flexion, abduction)
    lower = _bent(upper, _swung(sign, flexion - 90, 0), knee)
    foot = _bent(lower, _swung(sign, flexion - knee + 90, 10), 75)
    return upper, lower, foot
