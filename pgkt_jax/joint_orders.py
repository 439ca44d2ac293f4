"""Joint orders of other data sets and pose estimators, and their conversion into the person's (PASCAL-16).

An order is a table: the names of its joints, row by row, and a recipe for every PASCAL-16 joint that it
lacks. Joints of the same name are copied. A recipe is a weighted sum; its joint is visible only where all
joints in it are. Derived joints by order:

* `mpii16`: none, the orders are the same.
* `alphapose15`: pelvis.
* `halpe26`: thorax.
* `lsp14`: pelvis, thorax.
* `coco17`, `openpose18`, `openpose25`, `blazepose33`: pelvis, thorax, neck, head_top.

And how, wherever they are derived:

* pelvis: the middle of the hips.
* thorax: the middle of the shoulders.
* neck: beyond the thorax on the line from the pelvis; needs both hips and both shoulders.
* head_top: from the thorax towards nose and neck; needs the nose, both hips and both shoulders, so people
  seen from behind and upper bodies have none.

Left and right are the person's own in all of them. An order of your own is one `JointOrder(...)`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pgkt_jax.skeleton import PASCAL_PERSON

MIN_CONFIDENCE = 0.15
"""The confidence from which on a joint counts as visible, that of the paper's authors."""

Recipe = Mapping[str, float]
"""Source joint -> weight. Weights sum to one, so that a recipe moves, turns and scales with the person."""


@dataclass(frozen=True)
class JointOrder:
    """How a source lists its joints, and what the PASCAL-16 joints that it lacks are made of.

    Attributes:
        name: the key under which `JOINT_ORDERS` holds it.
        joints: the names of the source's joints, row by row; `left_` and `right_` are the person's own.
        derived: PASCAL-16 joint -> recipe; it goes before a source joint of the same name.

    Raises:
        ValueError: a joint occurs twice, a PASCAL-16 joint is neither listed nor derived, or a recipe is for
            or of an unknown joint, or its weights do not sum to one.
    """

    name: str
    joints: tuple[str, ...]
    derived: Mapping[str, Recipe] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if len(set(self.joints)) != len(self.joints):
            raise ValueError(f"joint order {self.name}: a joint occurs twice in {self.joints}")
        for joint in self.derived:
            if joint not in PASCAL_PERSON.joints:
                raise ValueError(f"joint order {self.name}: {joint!r} is derived but is no PASCAL-16 joint")
        for joint in PASCAL_PERSON.joints:
            recipe = self._recipe(joint)
            for source in recipe:
                if source not in self.joints:
                    raise ValueError(f"joint order {self.name}: {joint} needs {source!r}, not listed")
            if not np.isclose(sum(recipe.values()), 1):
                raise ValueError(f"joint order {self.name}: the weights of {joint} do not sum to one")

    def _recipe(self, joint: str) -> Recipe:
        return self.derived.get(joint, {joint: 1.0})

    @property
    def num_joints(self) -> int:
        return len(self.joints)

    @cached_property
    def weights(self) -> np.ndarray:
        """float64[16, num_joints]: PASCAL-16 joint = the weighted sum of the source's joints."""
        recipes = [self._recipe(joint) for joint in PASCAL_PERSON.joints]
        return np.array([[recipe.get(source, 0.0) for source in self.joints] for recipe in recipes])


def to_pascal16(
    joints: npt.ArrayLike, visible: npt.ArrayLike, order: JointOrder | str
) -> tuple[np.ndarray, np.ndarray]:
    """Joints in another order as PASCAL-16 joints, in the same frame and units.

    Args:
        joints: float[..., N, 2], (x, y); anything, NaN too, where not visible.
        visible: bool[..., N], see `visible_from_confidence` and `visible_from_coco`.
        order: a `JointOrder`, or the name of one in `JOINT_ORDERS`.

    Returns:
        joints float32[..., 16, 2], (0, 0) where not visible, and visible bool[..., 16].

    Raises:
        ValueError: the order is unknown, or the shapes are not those of its joints.
    """
    order = _named(order) if isinstance(order, str) else order
    joints, visible = np.asarray(joints), np.asarray(visible, bool)
    if joints.shape[-2:] != (order.num_joints, 2) or visible.shape != joints.shape[:-1]:
        raise ValueError(
            f"{order.name} wants joints [..., {order.num_joints}, 2] and visible [..., {order.num_joints}], "
            f"got {list(joints.shape)} and {list(visible.shape)}"
        )
    summed = order.weights @ np.where(visible[..., None], joints, 0.0)
    # A joint is seen unless it has a share in something unseen.
    seen = ~((order.weights != 0) & ~visible[..., None, :]).any(-1)
    return np.where(seen[..., None], summed, 0.0).astype(np.float32), seen


def visible_from_confidence(confidence: npt.ArrayLike) -> np.ndarray:
    """bool[...]: which joints an estimator with these confidences (float[...], 0..1) has found."""
    return np.asarray(confidence) >= MIN_CONFIDENCE


def visible_from_coco(flags: npt.ArrayLike) -> np.ndarray:
    """bool[...]: which joints are labelled, by COCO's flags (int[...]): 0 no, 1 yes but hidden, 2 yes."""
    return np.asarray(flags) > 0


def _named(name: str) -> JointOrder:
    if name not in JOINT_ORDERS:
        raise ValueError(f"unknown joint order {name!r}; known are {', '.join(JOINT_ORDERS)}")
    return JOINT_ORDERS[name]


# MPII annotates them all. In 7,965 of its poses (8,000, less those with a torso, thorax to pelvis, under 30
# px) pelvis and thorax lie within .004 torso lengths of the middle of the hips and of the shoulders
# (median).
_PELVIS = {"left_hip": 0.5, "right_hip": 0.5}
_THORAX = {"left_shoulder": 0.5, "right_shoulder": 0.5}

# thorax + .12 (thorax - pelvis). In the same poses the neck lies .118 torso lengths beyond the thorax
# (median). This misses it by .08 torso lengths (median), the bare thorax by .135.
_NECK = {"left_shoulder": 0.56, "right_shoulder": 0.56, "left_hip": -0.06, "right_hip": -0.06}

# thorax + .75 (nose - thorax) + .45 (thorax - pelvis), a rough rule: fitted by least squares (.74, .46) to
# head tops marked once, by eye, on eleven people of COCO. Each, left out of the fit, was missed by .17 of
# its distance from the thorax (median; mean .22); with (nose - thorax) alone by .48, with (thorax - pelvis)
# alone by .30. It was the choice among several such sums on these same people, and not the best of them:
# where both eyes are labelled (ten people) thorax + 1.04 (eyes - thorax) + 4.35 (eyes - nose) missed by .16
# (mean .15) against .20 (mean .24), but it multiplies every error of nose and eyes by more than four, which
# an estimator's joints on small people are not expected to bear (not measured).
_HEAD_TOP = {
    "nose": 0.75, "left_shoulder": 0.35, "right_shoulder": 0.35, "left_hip": -0.225, "right_hip": -0.225,
}  # fmt: skip

_WITHOUT_TRUNK_AND_HEAD = {"pelvis": _PELVIS, "thorax": _THORAX, "neck": _NECK, "head_top": _HEAD_TOP}

_COCO = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip

_ORDERS = (
    JointOrder("mpii16", PASCAL_PERSON.joints),
    JointOrder("coco17", _COCO, _WITHOUT_TRUNK_AND_HEAD),
    JointOrder(
        "halpe26",
        # Head and neck are those of MPII: MMPose trains them on its head top and upper neck (KeypointConverter, mapping
        # of MPII in its configurations of body_2d_keypoint/rtmpose/body8 with halpe26).
        (
            *_COCO, "head_top", "neck", "pelvis", "left_big_toe", "right_big_toe", "left_small_toe",
            "right_small_toe", "left_heel", "right_heel",
        ),
        {"thorax": _THORAX},
    ),
    JointOrder(
        "openpose18",
        # Its neck is the middle of the shoulders (it learnt from COCO), our thorax: hence our own recipe.
        (
            "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
            "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
            "right_eye", "left_eye", "right_ear", "left_ear",
        ),
        _WITHOUT_TRUNK_AND_HEAD,
    ),
    JointOrder(
        "openpose25",
        # Its neck is a thorax, as above.
        (
            "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
            "left_wrist", "mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee",
            "left_ankle", "right_eye", "left_eye", "right_ear", "left_ear", "left_big_toe", "left_small_toe",
            "left_heel", "right_big_toe", "right_small_toe", "right_heel",
        ),
        _WITHOUT_TRUNK_AND_HEAD,
    ),
    JointOrder(
        "blazepose33",
        (
            "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye",
            "right_eye_outer", "left_ear", "right_ear", "left_mouth", "right_mouth", "left_shoulder",
            "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_pinky",
            "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb", "left_hip", "right_hip",
            "left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel", "right_heel",
            "left_foot_index", "right_foot_index",
        ),
        _WITHOUT_TRUNK_AND_HEAD,
    ),
    JointOrder(
        "lsp14",
        (
            "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist",
            "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head_top",
        ),
        {"pelvis": _PELVIS, "thorax": _THORAX},
    ),
    JointOrder(
        "alphapose15",
        # Its thorax is found with low confidence even where it is right (.18 to .27 in all sample people).
        (
            "head_top", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
            "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
            "thorax",
        ),
        {"pelvis": _PELVIS},
    ),
)  # fmt: skip

JOINT_ORDERS = {order.name: order for order in _ORDERS}
"""The joint orders that files and commands know by name."""
