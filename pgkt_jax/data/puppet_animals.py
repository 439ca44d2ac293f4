"""Puppet animals: drawn four-legged animals, made on the spot, for the horse-and-cow experiment without a data set.

An animal is a body in three dimensions, seen from about its side, painted piece by piece from far to near. In its own
frame x points forward, y down and z to its right, and 1 is about the length of its trunk: seen from its right
side, x and y are those of the picture and z points to the viewer.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from pgkt_jax.data.person import Person
from pgkt_jax.data.puppet_drawing import (
    Canvas,
    Cloth,
    Piece,
    disc,
    hull,
    paint_background,
    paint_foreground,
    photograph,
    random_colour,
    wrinkled,
)
from pgkt_jax.data.puppets import Puppets
from pgkt_jax.skeleton import HORSE, Skeleton

_PART_IDS = {part.name: row for row, part in enumerate(HORSE.parts, start=1)}
_SIDES = (("left", -1.0), ("right", 1.0))

Points = Mapping[str, np.ndarray]
"""The joints of `HORSE` and the ends `tail` and `poll` (between the ears), float[3] each."""


def _turned(radians: float, length: float) -> np.ndarray:
    """A step of this length in the plane of the trunk: 0 is straight down, a quarter turn forward."""
    return length * np.array([np.sin(radians), np.cos(radians), 0.0])


def _posed(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A standing, walking or grazing animal in its own frame."""
    legs, neck, head = rng.uniform(0.75, 1.15), rng.uniform(0.35, 0.6), rng.uniform(0.32, 0.42)
    points = {"withers": np.array([0.42, -0.08, 0.0]), "tail_base": np.array([-0.5, -0.06, 0.0])}
    rise = rng.uniform(np.radians(25), np.radians(75)) if rng.random() < 0.35 else np.radians(rng.uniform(95, 150))
    points["throat"] = points["withers"] + np.array([0.05, 0.1, 0.0]) + _turned(rise, neck)
    nod = np.radians(rng.uniform(15, 80))
    points["nose"] = points["throat"] + _turned(nod, head)
    points["poll"] = points["throat"] - _turned(nod, 0.3 * head) + _turned(nod + np.pi / 2, 0.3 * head)
    points["tail"] = points["tail_base"] + _turned(-np.radians(rng.uniform(5, 45)), rng.uniform(0.35, 0.7))
    for side, z in _SIDES:
        points[f"{side}_eye"] = points["poll"] + _turned(nod, 0.3 * head) + [0, 0, 0.07 * z]
        points[f"{side}_ear_base"] = points["poll"] + [0, 0, 0.05 * z]
        for end, root in (("front", 0.32), ("back", -0.42)):
            swing, bend = np.radians(rng.normal(0, 18)), np.radians(rng.uniform(0, 35))
            elbow = np.array([root, 0.3, 0.11 * z])
            knee = elbow + _turned(swing, 0.33 * legs)
            # Front legs fold backwards below the knee, and so do back legs below the hock.
            paw = knee + _turned(swing - bend, 0.36 * legs)
            points |= {f"{side}_{end}_elbow": elbow, f"{side}_{end}_knee": knee, f"{side}_{end}_paw": paw}
    return points


def _seen(points: Points, size: tuple[int, int], rng: np.random.Generator) -> tuple[dict[str, np.ndarray], float]:
    """The points in the picture (x, y in pixels; z in pixels, larger is nearer), and how many pixels 1 is."""
    side = 0.0 if rng.random() < 0.5 else np.pi
    yaw, tilt = side + np.radians(rng.uniform(-50, 50)), np.radians(rng.uniform(-5, 15))
    around = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    over = np.array([[1, 0, 0], [0, np.cos(tilt), np.sin(tilt)], [0, -np.sin(tilt), np.cos(tilt)]])
    turned = {name: over @ around @ point for name, point in points.items()}
    outer = np.stack([point[:2] for point in turned.values()])
    low, high = outer.min(axis=0) - 0.12, outer.max(axis=0) + 0.12
    frame = np.array([size[1], size[0]])
    scale = rng.uniform(0.8, 0.95) * min(frame / (high - low))
    slack = frame - scale * (high - low)
    offset = np.append((frame - 1) / 2 + rng.uniform(-0.4, 0.4, 2) * slack - scale * (low + high) / 2, 0)
    return {name: scale * point + offset for name, point in turned.items()}, scale


def _pieces(points: Points, scale: float, rng: np.random.Generator) -> Iterator[Piece]:
    """The whole animal; a hide of one or two colours."""
    hide = Cloth.random(rng, random_colour(rng))
    hair = Cloth.plain(np.clip(random_colour(rng), 0, 255)) if rng.random() < 0.6 else hide
    girth = rng.uniform(0.85, 1.2) * scale

    def piece(part: str, a: str, b: str, radii: tuple[float, float], *, cloth: Cloth, nearer: float = 0.0) -> Piece:
        ends = (points[a], points[b])
        outline = hull(*(disc(end, radius * girth) for end, radius in zip(ends, radii)))
        depth = float(ends[0][2] + ends[1][2]) / 2 + nearer * scale
        axis = np.stack([end[:2] for end in ends])
        return Piece(wrinkled(outline, 0.006 * scale, rng), _PART_IDS[part], depth, cloth, axis)

    yield _trunk(points, girth, hide)
    yield piece("neck", "withers", "throat", (0.17, 0.09), cloth=hide, nearer=0.01)
    yield piece("head", "poll", "nose", (0.085, 0.055), cloth=hide, nearer=0.02)
    yield piece("head", "poll", "throat", (0.07, 0.08), cloth=hide, nearer=0.02)
    yield piece("tail", "tail_base", "tail", (0.035, 0.05), cloth=hair, nearer=-0.02)
    for side, _ in _SIDES:
        ear = points[f"{side}_ear_base"]
        tip = ear + 0.5 * (points["poll"] - points["nose"]) * 0.4
        outline = hull(disc(ear, 0.03 * girth), disc(tip, 0.01 * girth))
        yield Piece(outline, _PART_IDS["head"], float(ear[2]) + 0.02 * scale, hair, np.stack([ear[:2], tip[:2]]))
        for end in ("front", "back"):
            upper, lower = f"{side}_{end}_upper_leg", f"{side}_{end}_lower_leg"
            elbow, knee, paw = (f"{side}_{end}_{joint}" for joint in ("elbow", "knee", "paw"))
            yield piece(upper, elbow, knee, (0.1, 0.05), cloth=hide)
            yield piece(lower, knee, paw, (0.048, 0.038), cloth=hide, nearer=0.001)


def _trunk(points: Points, girth: float, hide: Cloth) -> Piece:
    """From the chest over the belly to the hips, as deep as the elbows reach."""
    down = 0.16 * girth * np.array([0.0, 1.0, 0.0])
    ends = (points["tail_base"] + down, points["withers"] + 1.2 * down)
    depth = float(ends[0][2] + ends[1][2]) / 2
    axis = np.stack([end[:2] for end in ends])
    return Piece(hull(disc(ends[0], 0.19 * girth), disc(ends[1], 0.23 * girth)), _PART_IDS["torso"], depth, hide, axis)


def draw_animal(index: int, *, seed: int = 0, size: tuple[int, int] = (96, 128)) -> Person:
    """One animal, the same for the same arguments.

    Args:
        index: which one; not negative.
        seed: of the whole population; not negative.
        size: (height, width) of the picture in pixels.

    Returns:
        A record with uint8[H, W, 3] picture, uint8[H, W] label map of the twelve parts of `HORSE`, and its 20 joints
        with small errors, not visible where they lie outside the picture.

    Raises:
        ValueError: index or seed is negative.
    """
    if index < 0 or seed < 0:
        raise ValueError(f"animals have no negative index or seed, got index {index}, seed {seed}")
    rng = np.random.default_rng([seed, index, 4])  # 4 legs: other numbers than those of a puppet
    points, scale = _seen(_posed(rng), size, rng)
    pieces = sorted(_pieces(points, scale, rng), key=lambda piece: piece.depth)
    palette = [piece.cloth.colours[0] for piece in pieces]
    canvas = Canvas(size, light=rng.uniform(-1, 1))
    paint_background(canvas, palette, rng)
    for piece in pieces:
        canvas.paint(piece)
    paint_foreground(canvas, palette, rng)
    joints = np.stack([points[name][:2] for name in HORSE.joints]) + rng.normal(0, 0.01 * scale, (HORSE.num_joints, 2))
    column, row = np.round(joints).astype(int).T
    visible = (column >= 0) & (column < size[1]) & (row >= 0) & (row < size[0])
    picture = photograph(canvas.image(), rng)
    return Person(f"animal_{index:05d}", picture, joints.astype(np.float32), visible, canvas.label_map())


@dataclass(frozen=True)
class PuppetAnimals(Puppets):
    """A data set of animals, in all else like `Puppets`."""

    size: tuple[int, int] = (96, 128)
    _draw = staticmethod(draw_animal)

    @property
    def skeleton(self) -> Skeleton:
        """The joints and parts of every animal."""
        return HORSE
