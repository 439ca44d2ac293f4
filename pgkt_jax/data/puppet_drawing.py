"""Cutting and painting: outlines, cloths, and a canvas on which picture and label map always agree.

Outlines are `float[n, 2]` polygons, (x, y) in pixels of the finished picture, pixel centres at integers.
Colours are float RGB in 0..255.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

_FINE = 3  # odd, so that the centre of every finished pixel is the centre of a fine one
_AROUND = np.linspace(0, 1, 48, endpoint=False)
_KNOTS = np.linspace(0, 1, 13)
_CIRCLE = np.stack([np.cos(a := np.linspace(0, 2 * np.pi, 20, endpoint=False)), np.sin(a)], axis=1)
_PATTERNS = ("plain", "gradient", "stripes", "checks", "dots", "noise", "blotches")


# --- outlines


def hull(*outlines: np.ndarray) -> np.ndarray:
    """The convex outline around all of them."""
    return cv2.convexHull(np.concatenate(outlines).astype(np.float32))[:, 0]


def disc(centre: np.ndarray, radius: float) -> np.ndarray:
    """The outline of a ball; of `centre` only x and y count."""
    return centre[:2] + radius * _CIRCLE


def ring(centre: np.ndarray, radius: float, axis: np.ndarray) -> np.ndarray:
    """The outline of a hoop around `axis` (float[3]): a line from the side, a circle from its end."""
    length = np.linalg.norm(axis) + 1e-9
    across = np.array([-axis[1], axis[0]]) / (np.hypot(axis[0], axis[1]) + 1e-9)
    along = np.array([across[1], -across[0]]) * axis[2] / length
    return centre[:2] + radius * _CIRCLE @ np.stack([across, along])


def ellipsoid(centre: np.ndarray, frame: np.ndarray, radii: Sequence[float] | np.ndarray) -> np.ndarray:
    """The outline of an ellipsoid whose half-axes lie along the columns of `frame` (float[3, 3])."""
    half_axes = (frame * np.asarray(radii))[:2]
    root = np.linalg.cholesky(half_axes @ half_axes.T + 1e-6 * np.eye(2))
    return centre[:2] + _CIRCLE @ root.T


def wrinkled(outline: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """The outline with smooth random dents of about `amount` pixels."""
    corners = np.concatenate([outline, outline[:1]]) @ np.array([1, 1j])
    travelled = np.concatenate([[0], np.abs(np.diff(corners)).cumsum()])
    dents = amount * rng.standard_normal((len(_KNOTS), 2)) @ np.array([1, 1j])
    dents[-1] = dents[0]
    points = np.interp(_AROUND * travelled[-1], travelled, corners) + np.interp(_AROUND, _KNOTS, dents)
    return np.stack([points.real, points.imag], axis=1)


# --- colours and cloths


def random_colour(rng: np.random.Generator) -> np.ndarray:
    """float[3]: greys, dull and loud colours, as clothes and rooms have them."""
    saturation = rng.choice([0, 60, 130, 220]) * rng.uniform(0.6, 1)
    hsv = np.array([[[rng.integers(180), saturation, rng.uniform(25, 245)]]], np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].astype(float)


def skin_colour(rng: np.random.Generator) -> np.ndarray:
    """float[3]: from dark to pale."""
    tone = rng.uniform(0, 1)
    return (1 - tone) * np.array([75, 48, 34]) + tone * np.array([244, 208, 178]) + rng.normal(0, 8, 3)


@dataclass(frozen=True)
class Cloth:
    """What a surface is made of: two colours mixed by a pattern.

    Attributes:
        pattern: one of plain, gradient, stripes, checks, dots, noise, blotches.
        colours: float[2, 3].
        period: of the pattern, as a fraction of the picture's height.
        angle: of the pattern against the surface's axis, in radians.
        grain: float32[64, 64] in 0..1, what noise and blotches are looked up in.
    """

    pattern: str
    colours: np.ndarray
    period: float
    angle: float
    grain: np.ndarray

    @staticmethod
    def random(rng: np.random.Generator, colour: np.ndarray | None = None) -> "Cloth":
        """Any pattern, in `colour` or a random one; the second colour is often close to the first."""
        first = random_colour(rng) if colour is None else colour
        second = first + rng.normal(0, 40, 3) if rng.random() < 0.7 else random_colour(rng)
        grain = rng.random((12, 12), np.float32) if rng.random() < 0.5 else rng.random((32, 32), np.float32)
        return Cloth(
            pattern=str(rng.choice(_PATTERNS, p=[0.5, 0.1, 0.13, 0.08, 0.07, 0.08, 0.04])),
            colours=np.clip([first, second], 0, 255).astype(np.float32),
            period=float(np.exp(rng.uniform(np.log(0.025), np.log(0.12)))),
            angle=float(rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)])),
            grain=cv2.resize(grain, (64, 64), interpolation=cv2.INTER_LINEAR),
        )

    @staticmethod
    def plain(colour: np.ndarray) -> "Cloth":
        """One colour."""
        return Cloth("plain", np.array([colour, colour], np.float32), 1.0, 0.0, np.zeros((64, 64), np.float32))

    def pattern_frame(self) -> np.ndarray:
        """float[2, 2]: its rows give a pattern's u and v from (along, across) the surface's axis.

        Along and across are fractions of the picture's height; u and v count periods.
        """
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return np.array([[cos, -sin], [sin, cos]]) / self.period

    def mix(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """float32[h, w] in 0..1: the share of the second colour, from the pattern's u and v, float32[h, w].

        A plain cloth gives float32[1, 1].
        """
        if self.pattern == "plain":
            return np.zeros((1, 1), np.float32)
        if self.pattern == "gradient":
            return np.clip(0.5 + 0.2 * u, 0, 1)
        if self.pattern == "stripes":
            return (u - np.floor(u) < 0.5).astype(np.float32)
        if self.pattern == "checks":
            return (u - np.floor(u) < 0.5) * np.float32(0.5) + (v - np.floor(v) < 0.5) * np.float32(0.5)
        if self.pattern == "dots":
            return ((u - np.rint(u)) ** 2 + (v - np.rint(v)) ** 2 < 0.09).astype(np.float32)
        looked_up = cv2.remap(self.grain, u * 8, v * 8, cv2.INTER_NEAREST, borderMode=cv2.BORDER_WRAP)
        return looked_up if self.pattern == "noise" else (looked_up > 0.5).astype(np.float32)


# --- the canvas


@dataclass(frozen=True)
class Piece:
    """One flat piece of a picture.

    Attributes:
        outline: float[n, 2].
        label: part id of its pixels.
        depth: larger is nearer to the viewer; only the order counts.
        cloth: what it is made of.
        axis: float[2, 2], two points (x, y) along which the cloth runs and around which the piece is rounded.
    """

    outline: np.ndarray
    label: int
    depth: float
    cloth: Cloth
    axis: np.ndarray


class Canvas:
    """A picture and its label map, painted together, finer than they are returned.

    Attributes:
        size: (height, width) of the finished picture.
    """

    def __init__(self, size: tuple[int, int], light: float) -> None:
        """`light` in -1..1: from which side of its axis a piece is lit."""
        self.size = size
        self._light = light
        fine = (size[0] * _FINE, size[1] * _FINE)
        self._planes = np.zeros((3, *fine), np.float32)
        self._labels = np.zeros(fine, np.uint8)

    def paint(self, piece: Piece, *, rounded: bool = True) -> None:
        """Cover what is there; `rounded` shades the piece like a cylinder."""
        points = np.clip(piece.outline, -4096, 4096) * _FINE + _FINE // 2
        low = np.maximum(np.floor(points.min(axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(points.max(axis=0)).astype(int) + 1, self._labels.shape[::-1])
        if (high <= low).any():
            return
        mask = np.zeros((high - low)[::-1], np.uint8)
        cv2.fillPoly(mask, [np.round((points - low) * 16).astype(np.int32)], 1, shift=4)
        inside = mask.view(bool)
        box = np.s_[low[1] : high[1], low[0] : high[0]]
        np.copyto(self._labels[box], np.uint8(piece.label), where=inside)
        mix, shade = self._surface(piece, low, high, rounded)
        for plane, first, second in zip(self._planes, *piece.cloth.colours):
            np.copyto(plane[box], (first + mix * (second - first)) * shade, where=inside)

    def _surface(self, piece: Piece, low: np.ndarray, high: np.ndarray, rounded: bool) -> tuple[np.ndarray, np.ndarray]:
        """float32[h, w] each: the cloth's second colour and the light, at the fine pixels of a box."""
        start, end = piece.axis
        direction = (end - start) / (np.linalg.norm(end - start) + 1e-6)
        frame = np.stack([direction, [-direction[1], direction[0]]]) / self.size[0]
        x, y = ((np.arange(low[i], high[i]) - _FINE // 2) / _FINE - start[i] for i in (0, 1))

        def coordinate(row: np.ndarray) -> np.ndarray:
            return (row[0] * x).astype(np.float32) + (row[1] * y).astype(np.float32)[:, None]

        u, v = piece.cloth.pattern_frame() @ frame
        mix = piece.cloth.mix(coordinate(u), coordinate(v))
        if not rounded:
            return mix, np.ones((1, 1), np.float32)
        half_width = np.abs((piece.outline - start) @ frame[1]).max() + 1e-6
        bend = coordinate(frame[1] / half_width) - np.float32(0.5 * self._light)
        return mix, np.float32(1.08) - np.float32(0.3) * bend * bend

    def label_map(self) -> np.ndarray:
        """uint8[H, W]: what is painted at the centre of every pixel."""
        return self._labels[_FINE // 2 :: _FINE, _FINE // 2 :: _FINE].copy()

    def image(self) -> np.ndarray:
        """float32[H, W, 3]: the mean over every pixel."""
        width_height = self.size[::-1]
        return cv2.merge([cv2.resize(p, width_height, interpolation=cv2.INTER_AREA) for p in self._planes])


# --- all around the figure


def paint_background(canvas: Canvas, palette: Sequence[np.ndarray], rng: np.random.Generator) -> None:
    """A wall, often a floor, some furniture, and things in the colours of the figure that look like limbs."""
    height, width = canvas.size
    _paint_box(canvas, (-1, -1, width, height), _scenery(palette, rng), rng)
    if rng.random() < 0.6:
        horizon = height * rng.uniform(0.35, 0.95)
        _paint_box(canvas, (-1, horizon, width, height), _scenery(palette, rng), rng)
    for _ in range(rng.integers(0, 4)):
        centre, half = rng.uniform(0, 1, 2) * (width, height), rng.uniform(0.04, 0.3, 2) * height
        _paint_box(canvas, (*(centre - half), *(centre + half)), _scenery(palette, rng), rng)
    for _ in range(rng.integers(0, 2)):
        canvas.paint(_stick(canvas.size, palette, rng))


def paint_foreground(canvas: Canvas, palette: Sequence[np.ndarray], rng: np.random.Generator) -> None:
    """Now and then a pole, a branch or a box in front of the figure; background to the label map."""
    height, width = canvas.size
    kind = rng.random()
    if kind < 0.05:
        canvas.paint(_stick(canvas.size, palette, rng))
    elif kind < 0.1:
        x = width * rng.uniform(0.1, 0.9)
        half = height * rng.uniform(0.008, 0.03)
        _paint_box(canvas, (x - half, -1, x + half, height), _scenery(palette, rng), rng)
    elif kind < 0.15:
        left, top = width * rng.uniform(-0.4, 0.8), height * rng.uniform(0.75, 0.95)
        right = left + width * rng.uniform(0.3, 0.7)
        _paint_box(canvas, (left, top, right, height), _scenery(palette, rng), rng)


def _scenery(palette: Sequence[np.ndarray], rng: np.random.Generator) -> Cloth:
    """A cloth for a thing, duller than clothes; one in ten has about the colour of the figure's clothes or skin."""
    alike = palette[int(rng.integers(len(palette)))] + rng.normal(0, 15, 3)
    colour = random_colour(rng)
    dull = 0.4 * colour + 0.6 * colour.mean()
    cloth = Cloth.random(rng, alike if rng.random() < 0.1 else dull)
    return Cloth(cloth.pattern, cloth.colours, cloth.period * rng.uniform(1, 5), cloth.angle, cloth.grain)


def _paint_box(canvas: Canvas, box: tuple[float, float, float, float], cloth: Cloth, rng: np.random.Generator) -> None:
    x0, y0, x1, y1 = box
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    middle = corners.mean(axis=0)
    piece = Piece(corners, 0, 0.0, cloth, np.stack([middle, middle + rng.normal(0, 1, 2)]))
    canvas.paint(piece, rounded=False)


def _stick(size: tuple[int, int], palette: Sequence[np.ndarray], rng: np.random.Generator) -> Piece:
    """A limb that belongs to nobody."""
    height, width = size
    start = rng.uniform(0, 1, 2) * (width, height)
    end = start + rng.normal(0, 0.2, 2) * height
    thick, thin = height * rng.uniform(0.012, 0.05, 2)
    colour = palette[int(rng.integers(len(palette)))] + rng.normal(0, 12, 3)
    cloth = Cloth.plain(np.clip(colour, 0, 255)) if rng.random() < 0.5 else Cloth.random(rng, colour)
    return Piece(hull(disc(start, thick), disc(end, thin)), 0, 0.0, cloth, np.stack([start, end]))


def photograph(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """uint8[H, W, 3]: as a camera has it, with uneven light, contrast, tint, blur, noise and compression."""
    height, width = image.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    slope = rng.normal(0, 0.08, 2).astype(np.float32)
    tint = rng.normal(1, 0.05, 3).astype(np.float32)
    contrast, brightness = np.float32(rng.uniform(0.85, 1.1)), np.float32(rng.normal(0, 10))
    lit = image * (1 + slope[0] * x + slope[1] * y)[..., None] * tint
    lit = (lit - 120) * contrast + 120 + brightness
    if rng.random() < 0.3:
        lit = cv2.GaussianBlur(lit, (0, 0), rng.uniform(0.3, 0.7) * height / 128)
    lit = lit + rng.standard_normal(lit.shape, np.float32) * np.float32(rng.uniform(1, 6))
    picture = np.clip(np.round(lit), 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        # OpenCV takes red for blue, and back again.
        _, packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 90))])
        picture = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    return picture
