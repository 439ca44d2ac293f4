"""People side by side in arrays: what a training step eats, and how a whole small data set lives on the device."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np

from pgkt_jax.data.person import Person
from pgkt_jax.skeleton import IGNORE
from pgkt_jax.typing import Array, Int, Leaf


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class People:
    """B people on canvases of one size (a pytree).

    Attributes:
        images: uint8[B, H, W, 3], RGB; right of and below a smaller image its last pixels repeat.
        label_maps: uint8[B, H, W], part ids; 255 outside the image and where nobody labelled.
        sizes: int32[B, 2], the (height, width) of each image within its canvas.
        joints: float32[B, J, 2], (x, y) in pixels of the image.
        visible: bool[B, J].
        bank_rows: int32[B], the person's own row in the pose bank, -1 if it is not there.
    """

    images: Leaf
    label_maps: Leaf
    sizes: Leaf
    joints: Leaf
    visible: Leaf
    bank_rows: Leaf

    @property
    def size(self) -> int:
        return self.images.shape[0]


def canvas_of(people: Sequence[Person]) -> tuple[int, int]:
    """The (H, W) that holds every image of these people."""
    height, width = np.max([person.image.shape[:2] for person in people], axis=0)
    return int(height), int(width)


def stack_people(people: Sequence[Person], canvas: tuple[int, int], bank_rows: Sequence[int] | None = None) -> People:
    """Puts people on canvases of (H, W), as numpy arrays.

    Raises:
        ValueError: an image is larger than the canvas.
    """
    for person in people:
        if person.image.shape[0] > canvas[0] or person.image.shape[1] > canvas[1]:
            raise ValueError(f"person {person.id}: an image of {person.image.shape[:2]} exceeds the canvas {canvas}")
    rows = [-1] * len(people) if bank_rows is None else bank_rows
    return People(
        images=np.stack([_on_canvas(person.image, canvas) for person in people]),
        label_maps=np.stack([_label_on_canvas(person.label_map, canvas) for person in people]),
        sizes=np.array([person.image.shape[:2] for person in people], np.int32),
        joints=np.stack([np.where(person.visible[:, None], person.joints, 0) for person in people]).astype(np.float32),
        visible=np.stack([person.visible for person in people]),
        bank_rows=np.asarray(rows, np.int32),
    )


def _on_canvas(image: np.ndarray, canvas: tuple[int, int]) -> np.ndarray:
    height, width = image.shape[:2]
    # The last pixels repeat so that a resize does not mix the photograph's border with black.
    return np.pad(image, ((0, canvas[0] - height), (0, canvas[1] - width), (0, 0)), mode="edge")


def _label_on_canvas(label_map: np.ndarray | None, canvas: tuple[int, int]) -> np.ndarray:
    full = np.full(canvas, IGNORE, np.uint8)
    if label_map is not None:
        full[: label_map.shape[0], : label_map.shape[1]] = label_map
    return full


def take(people: People, rows: Int[Array, "R"] | Int[np.ndarray, "R"]) -> People:
    """The given rows, in that order."""
    return jax.tree.map(lambda leaf: leaf[rows], people)
