"""Puppets: drawn, articulated people, made on the spot, so that everything runs without a data set.

A puppet is a body in three dimensions, seen from any side, dressed at random and painted piece by piece from
far to near; foreshortening, left and right, and what hides what follow from that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from pgkt_jax.data.person import LazyPeople, Person
from pgkt_jax.data.puppet_body import SIDES, Body, Build, Pose, pick
from pgkt_jax.data.puppet_drawing import (
    Canvas,
    Cloth,
    Piece,
    disc,
    ellipsoid,
    hull,
    paint_background,
    paint_foreground,
    photograph,
    random_colour,
    ring,
    skin_colour,
    wrinkled,
)
from pgkt_jax.skeleton import PASCAL_PERSON, Skeleton

_PART_IDS = {part.name: i for i, part in enumerate(PASCAL_PERSON.parts, start=1)}
_SPLITS = ("train", "val", "test", "poses")


@dataclass(frozen=True)
class Outfit:
    """Who wears what. Lengths count limb segments: 1 reaches the elbow or knee, 2 the wrist or ankle."""

    skin: Cloth
    hair: Cloth
    top: Cloth
    bottom: Cloth
    shoes: Cloth
    bag: Cloth
    sleeve: float
    trouser: float
    skirt: float
    sleeve_ease: float
    trouser_ease: float
    top_ease: float
    tucked: bool
    coat: float
    long_hair: float
    fringe: bool
    hat: str
    bag_kind: str

    @staticmethod
    def random(rng: np.random.Generator) -> "Outfit":
        """Tight and loose, long and short, plain and loud."""
        top, skin = Cloth.random(rng), skin_colour(rng)
        skirt = rng.uniform(0.45, 1.8) if rng.random() < 0.25 else 0.0
        dress = skirt > 0 and rng.random() < 0.5
        hair_colour = _hair_colour(rng) if rng.random() < 0.9 else skin
        loose = rng.random() < 0.4
        return Outfit(
            skin=Cloth.plain(np.clip(skin, 0, 255)),
            hair=Cloth.random(rng, hair_colour) if rng.random() < 0.4 else Cloth.plain(hair_colour),
            top=top,
            bottom=top if dress or rng.random() < 0.08 else Cloth.random(rng),
            shoes=Cloth.plain(random_colour(rng)),
            bag=Cloth.random(rng),
            sleeve=float(rng.choice([0, rng.uniform(0.4, 1.2), 1.9], p=[0.15, 0.4, 0.45])),
            trouser=0.25 if skirt else float(rng.choice([rng.uniform(0.4, 1.4), 1.95], p=[0.35, 0.65])),
            skirt=skirt,
            sleeve_ease=rng.uniform(0.012, 0.035) if loose else rng.uniform(0.002, 0.012),
            trouser_ease=rng.uniform(0.012, 0.045) if rng.random() < 0.4 else rng.uniform(0.002, 0.012),
            top_ease=rng.uniform(0.01, 0.04) if loose else rng.uniform(0, 0.012),
            tucked=bool(rng.random() < 0.4),
            coat=rng.uniform(0.25, 1.1) if rng.random() < 0.2 else 0.0,
            long_hair=rng.uniform(0.01, 0.2) if rng.random() < 0.35 else 0.0,
            fringe=bool(rng.random() < 0.7),
            hat=pick(rng, ("none", "none", "none", "cap", "brim")),
            bag_kind=pick(rng, ("none",) * 6 + ("left", "right", "back", "back", "chest")),
        )


def _hair_colour(rng: np.random.Generator) -> np.ndarray:
    """From black over brown to blond; one in eight dyed."""
    if rng.random() < 1 / 8:
        return random_colour(rng)
    tone = rng.uniform(0, 1) ** 2
    return (1 - tone) * np.array([25, 20, 18]) + tone * np.array([190, 145, 85]) + rng.normal(0, 6, 3)


# --- from a body and an outfit to pieces


def _trunk_pieces(body: Body, outfit: Outfit) -> Iterator[Piece]:
    points, scale = body.points, body.scale
    girth = body.build.trunk_girth
    wide, deep = scale * (0.075 * girth + outfit.top_ease), scale * (0.06 * girth + outfit.top_ease)
    shoulders = [disc(points[f"{side}_shoulder"], 0.028 * scale) for side, _ in SIDES]
    chest = points["thorax"] + body.frames["chest"] @ [0, 0.08 * scale, 0.005 * scale]
    upper = hull(
        *shoulders,
        disc(points["thorax"], 0.035 * scale),
        ellipsoid(chest, body.frames["chest"], (1.15 * wide, 0.04 * scale, 1.1 * deep)),
        ellipsoid(points["waist"], body.frames["chest"], (wide, 0.02 * scale, deep)),
    )
    seat = max(wide, scale * (body.build.hips + 0.03))
    lower = hull(
        ellipsoid(points["waist"], body.frames["chest"], (wide, 0.02 * scale, deep)),
        ellipsoid(points["pelvis"], body.frames["hips"], (seat, 0.035 * scale, 1.1 * deep)),
    )
    axis = _axis(points["thorax"], points["pelvis"])
    label = _PART_IDS["torso"]
    depth = _depth(points["thorax"], points["pelvis"])
    yield Piece(lower, label, depth, outfit.top, axis)
    yield Piece(upper, label, depth, outfit.top, axis)
    neck = hull(disc(points["thorax"], 0.03 * scale), disc(points["neck"], 0.028 * scale))
    yield Piece(neck, label, depth + 0.001 * scale, outfit.skin, _axis(points["thorax"], points["neck"]))


class _Limb(NamedTuple):
    """An arm or a leg, dressed. Lengths and half widths are fractions of the standing height."""

    points: tuple[str, str, str, str]
    labels: tuple[int, int]
    girths: tuple[float, float, float]
    skin: Cloth
    garment: Cloth
    length: float
    ease: float
    end: Cloth
    end_girths: tuple[float, float]
    nearer: float


def _limb_pieces(body: Body, limb: _Limb) -> Iterator[Piece]:
    """Skin, the garment over it, and the hand or foot."""
    places = [body.points[name] for name in limb.points]
    girths = [girth * body.scale * body.build.limb_girth for girth in limb.girths]
    for i, label in enumerate(limb.labels):
        a, b = places[i], places[i + 1]
        depth = _depth(a, b) + limb.nearer * body.scale
        yield Piece(hull(disc(a, girths[i]), disc(b, girths[i + 1])), label, depth, limb.skin, _axis(a, b))
        share = min(max(limb.length - i, 0.0), 1.0)
        if share > 0:
            # A garment is widest at its hem, so how far it stands off depends on how near that is.
            top, low = (0.4 + 0.6 * np.array([i, i + share]) / max(limb.length, 0.5)) * limb.ease * body.scale
            end, girth = a + share * (b - a), girths[i] + share * (girths[i + 1] - girths[i]) + low
            hem = disc(end, girth) if limb.length > i + 1 else ring(end, girth, b - a)
            outline = hull(disc(a, girths[i] + top), hem)
            yield Piece(outline, label, depth + 0.002 * body.scale, limb.garment, _axis(a, b))
    root, tip = (girth * body.scale for girth in limb.end_girths)
    outline = hull(disc(places[2], root), disc(places[3], tip))
    depth = _depth(places[1], places[2]) + (limb.nearer + 0.001) * body.scale
    yield Piece(outline, limb.labels[1], depth, limb.end, _axis(places[2], places[3]))


def _arm(side: str, outfit: Outfit) -> _Limb:
    return _Limb(
        points=(f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist", f"{side}_hand"),
        labels=(_PART_IDS[f"{side}_upper_arm"], _PART_IDS[f"{side}_lower_arm"]),
        girths=(0.03, 0.024, 0.017),
        skin=outfit.skin,
        garment=outfit.top,
        length=outfit.sleeve,
        ease=outfit.sleeve_ease,
        end=outfit.skin,
        end_girths=(0.018, 0.021),
        nearer=0.012,
    )


def _leg(side: str, outfit: Outfit) -> _Limb:
    return _Limb(
        points=(f"{side}_hip", f"{side}_knee", f"{side}_ankle", f"{side}_toe"),
        labels=(_PART_IDS[f"{side}_upper_leg"], _PART_IDS[f"{side}_lower_leg"]),
        girths=(0.052, 0.036, 0.024),
        skin=outfit.skin,
        garment=outfit.bottom,
        length=outfit.trouser,
        ease=outfit.trouser_ease,
        end=outfit.shoes,
        end_girths=(0.027, 0.02),
        nearer=0.015 if outfit.tucked else -0.015,
    )


def _skirt_pieces(body: Body, cloth: Cloth, length: float, flare: float, nearer: float) -> Iterator[Piece]:
    """A skirt or the tails of a coat: each leg's half reaches to the middle and takes that leg's labels."""
    points, scale = body.points, body.scale
    axis = _axis(points["pelvis"], (points["left_knee"] + points["right_knee"]) / 2)
    for side, _ in SIDES:
        for i, (a, b, part) in enumerate((("hip", "knee", "upper_leg"), ("knee", "ankle", "lower_leg"))):
            share = min(max(length - i, 0.0), 1.0)
            if share == 0:
                continue
            start, direction = points[f"{side}_{a}"], points[f"{side}_{b}"] - points[f"{side}_{a}"]
            middle = (points[f"left_{a}"] + points[f"right_{a}"]) / 2
            middle_end = (points[f"left_{b}"] + points[f"right_{b}"]) / 2
            radius = scale * (0.06 * body.build.limb_girth + np.array([i, i + share]) * flare)
            outline = hull(
                ring(start, radius[0], direction),
                ring(start + share * direction, radius[1], direction),
                disc(middle, 0.01 * scale),
                disc(middle + share * (middle_end - middle), 0.005 * scale),
            )
            depth = _depth(start, start + direction) + nearer * scale
            yield Piece(outline, _PART_IDS[f"{side}_{part}"], depth, cloth, axis)


def _head_pieces(body: Body, outfit: Outfit) -> Iterator[Piece]:
    frame = body.frames["head"]
    length = body.scale * body.build.head
    centre = (body.points["neck"] + body.points["head_top"]) / 2
    nearer = 0.03 * body.scale
    axis = _axis(body.points["neck"], body.points["head_top"])
    label = _PART_IDS["head"]

    def blob(
        place: tuple[float, float, float], radii: tuple[float, float, float], cloth: Cloth, lift: float = 0
    ) -> Piece:
        """An ellipsoid, in heads from the head's centre; `lift` keeps it out of a larger one around it."""
        middle = centre + frame @ place * length
        outline = ellipsoid(middle, frame, np.multiply(radii, length))
        depth = middle[2] + nearer + lift * length * np.sign(middle[2] - centre[2])
        return Piece(outline, label, depth, cloth, axis)

    dark = Cloth.plain(outfit.skin.colours[0] * 0.35)
    yield blob((0, 0, 0), (0.36, 0.47, 0.4), outfit.skin)
    if outfit.long_hair:
        yield _long_hair(body, outfit, centre - 0.1 * length * frame[:, 2])
    yield blob((0, -0.08, -0.1), (0.42, 0.46, 0.4), outfit.hair)
    if outfit.fringe:
        yield blob((0, -0.33, 0.12), (0.36, 0.2, 0.32), outfit.hair)
    for place, radii in (
        ((0.14, -0.03, 0.36), (0.06, 0.04, 0.02)),
        ((-0.14, -0.03, 0.36), (0.06, 0.04, 0.02)),
        ((0, 0.25, 0.34), (0.1, 0.02, 0.02)),
    ):
        yield blob(place, radii, dark, lift=0.1)
    if outfit.hat != "none":
        yield blob((0, -0.36, 0.125), (0.43, 0.22, 0.42), outfit.bag)
        reach = (0.7, 0.05, 0.7) if outfit.hat == "brim" else (0.33, 0.04, 0.4)
        yield blob((0, -0.25, 0.13 if outfit.hat == "brim" else 0.35), reach, outfit.bag)


def _long_hair(body: Body, outfit: Outfit, root: np.ndarray) -> Piece:
    """Hair that falls down the back: whole from behind, at both sides of the neck from the front."""
    half = 0.36 * body.scale * body.build.head
    back = body.points["thorax"] - 0.075 * body.scale * body.frames["chest"][:, 2]
    along_the_back = 0.6 * body.frames["chest"][:, 1] + 0.4 * np.array([0, 1, 0])
    tip = back + outfit.long_hair * body.scale * along_the_back
    outline = hull(disc(root, half), disc(tip, 0.65 * half))
    return Piece(outline, _PART_IDS["head"], _depth(root, tip), outfit.hair, _axis(root, tip))


def _bag_pieces(body: Body, outfit: Outfit) -> Iterator[Piece]:
    """A bag in a hand, on the back or held before the chest; background to the label map."""
    scale = body.scale
    if outfit.bag_kind in ("left", "right"):
        hand = body.points[f"{outfit.bag_kind}_hand"]
        middle = hand + np.array([0, 0.07 * scale, 0])
        outline = hull(disc(hand, 0.01 * scale), ellipsoid(middle, body.frames["hips"], [0.05 * scale] * 3))
        yield Piece(outline, 0, hand[2] + 0.02 * scale, outfit.bag, _axis(hand, middle))
    elif outfit.bag_kind in ("back", "chest"):
        reach = -0.13 if outfit.bag_kind == "back" else 0.13
        middle = body.points["thorax"] + body.frames["chest"] @ [0, 0.11 * scale, reach * scale]
        radii = (0.08 * scale, 0.1 * scale, 0.06 * scale)
        outline = ellipsoid(middle, body.frames["chest"], radii)
        yield Piece(outline, 0, middle[2], outfit.bag, _axis(body.points["thorax"], body.points["pelvis"]))


def body_pieces(body: Body, outfit: Outfit, rng: np.random.Generator) -> list[Piece]:
    """All pieces of a dressed body, the farthest first."""
    pieces = [*_trunk_pieces(body, outfit), *_head_pieces(body, outfit), *_bag_pieces(body, outfit)]
    for side, _ in SIDES:
        pieces += [*_limb_pieces(body, _arm(side, outfit)), *_limb_pieces(body, _leg(side, outfit))]
    if outfit.skirt:
        nearer = 0.02 if outfit.tucked else -0.012
        pieces += _skirt_pieces(body, outfit.bottom, outfit.skirt, 0.01 + outfit.trouser_ease, nearer)
    if outfit.coat:
        pieces += _skirt_pieces(body, outfit.top, outfit.coat, 0.01 + outfit.top_ease, 0.022)
    dent = 0.004 * body.scale
    pieces = [
        Piece(wrinkled(p.outline, dent, rng), p.label, p.depth, p.cloth, p.axis) if p.label != 1 else p for p in pieces
    ]
    return sorted(pieces, key=lambda piece: piece.depth)


# --- the people


def draw_puppet(index: int, *, seed: int = 0, size: tuple[int, int] = (128, 64)) -> Person:
    """One puppet, the same for the same arguments.

    Args:
        index: which one; not negative.
        seed: of the whole population; not negative.
        size: (height, width) of the picture in pixels.

    Returns:
        A person with uint8[H, W, 3] picture, uint8[H, W] label map of the ten parts of `PASCAL_PERSON`, and
        its 16 joints with the small errors of human annotators. Joints outside the picture, and some behind
        things, are not visible.

    Raises:
        ValueError: index or seed is negative.
    """
    if index < 0 or seed < 0:
        raise ValueError(f"puppets have no negative index or seed, got index {index}, seed {seed}")
    rng = np.random.default_rng([seed, index])
    body = Body.posed(Pose.random(rng), Build.random(rng)).framed(size, rng)
    outfit = Outfit.random(rng)
    palette = [c.colours[0] for c in (outfit.skin, outfit.skin, outfit.top, outfit.bottom, outfit.hair)]

    canvas = Canvas(size, light=rng.uniform(-1, 1))
    paint_background(canvas, palette, rng)
    for piece in body_pieces(body, outfit, rng):
        canvas.paint(piece)
    unhidden = canvas.label_map()
    paint_foreground(canvas, palette, rng)
    label_map = canvas.label_map()

    joints = body.joints() + rng.normal(0, 0.008 * body.scale, (PASCAL_PERSON.num_joints, 2))
    visible = _visible(joints, (unhidden > 0) & (label_map == 0), rng)
    picture = photograph(canvas.image(), rng)
    return Person(f"puppet_{index:05d}", picture, joints.astype(np.float32), visible, label_map)


def _visible(joints: np.ndarray, hidden: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """bool[J]: inside the picture; of the joints where `hidden` (bool[H, W]) holds, only every other."""
    height, width = hidden.shape
    column, row = np.round(joints).astype(int).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    covered = hidden[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    return inside & ~(covered & (rng.random(len(joints)) < 0.5))


@dataclass(frozen=True)
class Puppets:
    """A data set of puppets: nothing to fetch, nothing stored.

    No puppet is in two splits, whatever the counts, and a split that grows keeps the puppets it had.

    Attributes:
        seed: another one gives another population.
        size: (height, width) of every picture in pixels.
        train, val, test, poses: how many people each split has. Those of `poses` have label maps too; drop
            them to play people of whom only joints are known.
    """

    seed: int = 0
    size: tuple[int, int] = (128, 64)
    train: int = 30
    val: int = 40
    test: int = 120
    poses: int = 400
    _draw = staticmethod(draw_puppet)

    @property
    def skeleton(self) -> Skeleton:
        """The joints and parts of every puppet."""
        return PASCAL_PERSON

    @property
    def splits(self) -> dict[str, int]:
        """The names of the splits, and how many people each has."""
        return {name: getattr(self, name) for name in _SPLITS}

    def split(self, name: str) -> Sequence[Person]:
        """The people of one split, drawn when they are asked for.

        Raises:
            ValueError: the split is none of train, val, test, poses.
        """
        if name not in _SPLITS:
            raise ValueError(f"puppets have no split {name!r}, only {', '.join(_SPLITS)}")
        indices = range(_SPLITS.index(name), len(_SPLITS) * getattr(self, name), len(_SPLITS))
        return LazyPeople(indices, partial(self._draw, seed=self.seed, size=self.size))


def _depth(a: np.ndarray, b: np.ndarray) -> float:
    return float(a[2] + b[2]) / 2


def _axis(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.stack([a[:2], b[:2]])
