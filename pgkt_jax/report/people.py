"""Pictures of people as data sets have them: enlarged, with their masks and joints."""

import numpy as np

from pgkt_jax.data.person import Person
from pgkt_jax.data.sources import resized
from pgkt_jax.report.figures import draw_joints, overlay
from pgkt_jax.skeleton import Skeleton


def person_picture(
    person: Person,
    skeleton: Skeleton,
    *,
    palette: np.ndarray | None = None,
    joints: bool = True,
    height: int = 384,
) -> np.ndarray:
    """A person's photograph, the masks and the joints over it. It is scaled before anything is drawn on it.

    Args:
        person: a label map, if there is one, holds part ids.
        skeleton: names the limbs and their sides.
        palette: uint8[P + 1, 3], RGB, of background and the parts, see `figures.side_palette`; None: no masks.
        joints: draw them, where visible.
        height: of the picture, in pixels; its width follows.

    Returns:
        uint8[height, W, 3].

    Raises:
        ValueError: the label map holds an id without a colour.
    """
    h, w = person.image.shape[:2]
    person = resized(person, (height, max(1, round(w * height / h))))
    picture = person.image
    if palette is not None and person.label_map is not None:
        picture = overlay(picture, person.label_map, palette)
    return draw_joints(picture, person.joints, person.visible, skeleton) if joints else picture
