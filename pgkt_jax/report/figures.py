"""Pictures of label maps, priors and poses. Numpy in, `uint8` RGB out; the arguments are never written to."""

from collections.abc import Sequence
from itertools import cycle

import cv2
import numpy as np

from pgkt_jax.skeleton import IGNORE, Skeleton

IGNORE_COLOR = (128, 128, 128)
"""What `IGNORE` looks like."""

# Sky blue and orange of Okabe and Ito's set: colour-blind readers tell them apart, even on a photograph.
LEFT_COLOR, RIGHT_COLOR, MIDDLE_COLOR = (86, 180, 233), (230, 159, 0), (255, 255, 255)
"""The person's own left limbs, right limbs, and limbs of neither side."""

# Of the same set, so that parts side by side differ and a side keeps its hue: blues, oranges, and neither.
_LEFT_PARTS, _RIGHT_PARTS = (LEFT_COLOR, (0, 114, 178)), (RIGHT_COLOR, (213, 94, 0))
_MIDDLE_PARTS = ((0, 158, 115), (204, 121, 167), (240, 228, 66))

_FAR = 1e5  # pixels; beyond it OpenCV's fixed-point coordinates would overflow
_SUBPIXEL_BITS = 4


def colorize(label_map: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Paint every pixel in its label's colour, `IGNORE` in mid grey.

    Args:
        label_map: uint8[H, W], rows of `palette` or `IGNORE`.
        palette: uint8[C, 3], RGB.

    Returns:
        uint8[H, W, 3].

    Raises:
        ValueError: a label has no colour.
    """
    label_map, palette = np.asarray(label_map), np.asarray(palette)
    unknown = np.setdiff1d(label_map, [*range(len(palette)), IGNORE])
    if unknown.size:
        raise ValueError(f"the label map holds {unknown.tolist()}, the palette only 0 to {len(palette) - 1}")
    colors = np.full((256, 3), IGNORE_COLOR, np.uint8)
    colors[: len(palette)] = palette
    return colors[label_map]


def side_palette(skeleton: Skeleton) -> np.ndarray:
    """uint8[P + 1, 3]: an RGB colour for background and every part: blues for left parts, oranges for right ones."""
    turns = {"left": cycle(_LEFT_PARTS), "right": cycle(_RIGHT_PARTS), "": cycle(_MIDDLE_PARTS)}
    return np.array([(0, 0, 0), *(next(turns[_side(part.name)]) for part in skeleton.parts)], np.uint8)


def overlay(image: np.ndarray, label_map: np.ndarray, palette: np.ndarray, *, opacity: float = 0.55) -> np.ndarray:
    """Lay the labels over the photograph, each region inside a thin line of its full colour.

    Background pixels stay as they are: the line runs inside the regions.

    Args:
        image: uint8[H, W, 3], RGB.
        label_map: uint8[H, W], rows of `palette` (0 background) or `IGNORE`.
        palette: uint8[C, 3], RGB.
        opacity: 0 shows the photograph, 1 the labels.

    Returns:
        uint8[H, W, 3].

    Raises:
        ValueError: the two differ in size, or a label has no colour.
    """
    image, label_map = np.asarray(image), np.asarray(label_map)
    if image.shape[:2] != label_map.shape:
        raise ValueError(f"the image is {image.shape[:2]} pixels, the label map {label_map.shape}")
    color = colorize(label_map, palette)
    alpha = np.where(_edges(label_map), 1.0, opacity)[..., None]
    mixed = np.rint(image * (1 - alpha) + color * alpha).astype(np.uint8)
    return np.where((label_map == 0)[..., None], image, mixed)


def draw_joints(image: np.ndarray, joints: np.ndarray, visible: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Draw a pose: a stick for every limb whose two joints are visible, a dot for every visible joint.

    Args:
        image: uint8[H, W, 3], RGB.
        joints: float32[J, 2], (x, y) in pixels of `image`, pixel centres at integers.
        visible: bool[J]; a joint that is not visible, or not finite, is not drawn.
        skeleton: names the limbs and their sides.

    Returns:
        uint8[H, W, 3].

    Raises:
        ValueError: there are not as many joints as the skeleton has.
    """
    joints, visible = np.asarray(joints), np.asarray(visible, bool)
    if joints.shape != (skeleton.num_joints, 2) or visible.shape != (skeleton.num_joints,):
        raise ValueError(f"{skeleton.name} has {skeleton.num_joints} joints, given: {joints.shape} and {visible.shape}")
    drawn = visible & np.isfinite(joints).all(axis=1)
    clipped = np.clip(np.where(drawn[:, None], joints, 0), -_FAR, _FAR)
    points = [tuple(map(int, point)) for point in np.rint(clipped * 2**_SUBPIXEL_BITS)]
    sides = [_side_color(name) for name in skeleton.joints]

    picture = np.array(image, np.uint8, order="C")
    width = max(2, round(min(picture.shape[:2]) / 45))
    limbs = [(a, b) for a, b in dict.fromkeys(map(tuple, skeleton.limbs.tolist())) if drawn[a] and drawn[b]]
    rim = (0, 0, 0)
    for grow, fill in ((2, rim), (0, None)):  # the dark rim below keeps the sticks apart from the photograph
        for a, b in limbs:
            color = fill or (sides[a] if sides[a] == sides[b] else MIDDLE_COLOR)
            cv2.line(picture, points[a], points[b], color, width + grow, cv2.LINE_AA, _SUBPIXEL_BITS)
        for j in np.flatnonzero(drawn):
            radius = int((0.8 * width + grow / 2) * 2**_SUBPIXEL_BITS)
            color = fill or sides[j]
            cv2.circle(picture, points[j], radius, color, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL_BITS)
    return picture


def prior_picture(prior: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Mix the class colours by the prior, over black.

    Args:
        prior: float[H, W, C - 1] in 0..1, the classes without background. Where a pixel's sum exceeds 1 it is
            scaled to 1.
        palette: uint8[C, 3], RGB, background first.

    Returns:
        uint8[H, W, 3].

    Raises:
        ValueError: prior and palette differ in their number of classes.
    """
    prior, palette = np.asarray(prior, np.float32), np.asarray(palette)
    if prior.ndim != 3 or prior.shape[-1] != len(palette) - 1:
        raise ValueError(f"a prior of shape {prior.shape} does not fit {len(palette) - 1} class colours")
    weights = prior / np.maximum(prior.sum(axis=-1, keepdims=True), 1)
    return np.rint(np.clip(weights @ palette[1:].astype(np.float32), 0, 255)).astype(np.uint8)


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]], *, height: int = 192, gap: int = 4, captions: Sequence[str] = ()
) -> np.ndarray:
    """Put rows of pictures on one white sheet, in columns, with an optional line of column captions.

    Args:
        rows: pictures uint8[h, w, 3], RGB, of any sizes; rows may differ in length.
        height: of every picture on the sheet, in pixels; the aspect is kept.
        gap: pixels between pictures and around them.
        captions: one for each column, ASCII, or none.

    Returns:
        uint8[H, W, 3].

    Raises:
        ValueError: there is no picture.
    """
    scaled = [[_to_height(picture, height) for picture in row] for row in rows]
    columns = max((len(row) for row in scaled), default=0)
    if not columns:
        raise ValueError("a contact sheet needs at least one picture")
    widths = [max(row[c].shape[1] for row in scaled if c < len(row)) for c in range(columns)]
    lefts = gap + np.concatenate([[0], np.cumsum(np.array(widths) + gap)])
    top = gap + (20 if captions else 0)
    sheet = np.full((top + len(rows) * (height + gap), lefts[-1], 3), 255, np.uint8)
    for left, width, caption in zip(lefts, widths, captions):
        _center_text(sheet[:top, left : left + width], caption)
    for r, row in enumerate(scaled):
        for left, width, picture in zip(lefts, widths, row):
            x, y = left + (width - picture.shape[1]) // 2, top + r * (height + gap)
            sheet[y : y + height, x : x + picture.shape[1]] = picture
    return sheet


def _edges(label_map: np.ndarray) -> np.ndarray:
    """bool[H, W]: pixels with a neighbour, of four, of another label."""
    edges = np.zeros(label_map.shape, bool)
    down, right = label_map[1:] != label_map[:-1], label_map[:, 1:] != label_map[:, :-1]
    edges[1:] |= down
    edges[:-1] |= down
    edges[:, 1:] |= right
    edges[:, :-1] |= right
    return edges


def _side_color(joint: str) -> tuple[int, int, int]:
    return {"left": LEFT_COLOR, "right": RIGHT_COLOR, "": MIDDLE_COLOR}[_side(joint)]


def _side(name: str) -> str:
    """The side of a joint or part: left, right, or nothing."""
    side = name.partition("_")[0]
    return side if side in ("left", "right") else ""


def _to_height(picture: np.ndarray, height: int) -> np.ndarray:
    h, w = picture.shape[:2]
    interpolation = cv2.INTER_AREA if height < h else cv2.INTER_LINEAR
    return cv2.resize(picture, (max(1, round(w * height / h)), height), interpolation=interpolation)


def _center_text(strip: np.ndarray, text: str) -> None:
    """Write into the strip, in place, as large as fits but never above the size of small print."""
    font, ink = cv2.FONT_HERSHEY_SIMPLEX, (40, 40, 40)
    full_width = cv2.getTextSize(text, font, 1.0, 1)[0][0]
    scale = min(0.45, strip.shape[1] / max(full_width, 1))
    x = int(strip.shape[1] - full_width * scale) // 2
    canvas = np.ascontiguousarray(strip)
    cv2.putText(canvas, text, (max(x, 0), strip.shape[0] - 8), font, scale, ink, 1, cv2.LINE_AA)
    strip[:] = canvas
