"""Anatomy tables, joint-order conversions and the mirror."""

import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest

from pgkt_jax.data.person import Person, mirror_person
from pgkt_jax.joint_orders import (
    JOINT_ORDERS,
    JointOrder,
    to_pascal16,
    visible_from_coco,
    visible_from_confidence,
)
from pgkt_jax.skeleton import COW, HORSE, IGNORE, PASCAL_PERSON, SKELETONS, Part, Skeleton

DATA = Path(__file__).parents[1] / ".." / "shared" / "data"
real_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the sample data in {DATA}")
each_skeleton = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
each_order = pytest.mark.parametrize("order", JOINT_ORDERS.values(), ids=JOINT_ORDERS)


def opposite(name):
    """The mirrored name, written unlike the package does it."""
    return name.replace("left_", "?").replace("right_", "left_").replace("?", "right_")


# --- Skeletons ------------------------------------------------------------------------------------


@each_skeleton
def test_mirror_swaps_sides_and_twice_is_the_identity(skeleton):
    mirror, lut = skeleton.joint_mirror, skeleton.part_mirror_lut
    assert [skeleton.joints[i] for i in mirror] == [opposite(name) for name in skeleton.joints]
    np.testing.assert_array_equal(mirror[mirror], np.arange(skeleton.num_joints))
    np.testing.assert_array_equal(lut[lut], np.arange(256))
    assert lut[0] == 0
    assert lut[IGNORE] == IGNORE


@each_skeleton
def test_a_mirrored_part_has_the_mirrored_limb_and_the_same_class(skeleton):
    mirrored = skeleton.part_mirror_lut[1 : skeleton.num_parts + 1].astype(int) - 1
    np.testing.assert_array_equal(skeleton.limbs[mirrored], skeleton.joint_mirror[skeleton.limbs])
    np.testing.assert_array_equal(skeleton.part_classes[mirrored], skeleton.part_classes)


def test_person_has_the_limbs_and_classes_of_the_original_code():
    assert PASCAL_PERSON.limbs.tolist() == [
        [8, 9], [6, 8], [13, 14], [12, 11], [14, 15], [11, 10], [3, 4], [2, 1], [4, 5], [1, 0],
    ]  # fmt: skip
    assert PASCAL_PERSON.class_lut[:11].tolist() == [0, 1, 2, 3, 3, 4, 4, 5, 5, 6, 6]
    assert (PASCAL_PERSON.class_lut[11:] == IGNORE).all()
    assert PASCAL_PERSON.torso_joints == (6, 8)


def test_horse_and_cow_have_the_benchmark_classes_and_differ_in_name_alone():
    assert HORSE.classes == ("background", "head", "body", "leg", "tail")
    assert (HORSE.num_joints, HORSE.num_parts) == (20, 12)
    class_of = {part.name: part.class_name for part in HORSE.parts}
    assert class_of["neck"] == class_of["torso"] == "body"
    assert [name for name, c in class_of.items() if c == "leg"] == [
        f"{side}_{end}_{segment}_leg"
        for end in ("front", "back")
        for segment in ("upper", "lower")
        for side in ("left", "right")
    ]
    assert COW != HORSE
    assert replace(COW, name="horse") == HORSE
    np.testing.assert_array_equal(COW.limbs, HORSE.limbs)


@each_skeleton
def test_a_skeleton_is_a_valid_static_argument(skeleton):
    twin = replace(skeleton)
    assert twin == skeleton
    assert hash(twin) == hash(skeleton)
    assert len(np.unique(skeleton.palette, axis=0)) == skeleton.num_classes
    with pytest.raises(FrozenInstanceError):
        skeleton.name = "other"


FISH = Skeleton(
    name="fish",
    joints=("nose", "tail", "left_fin", "right_fin"),
    parts=(
        Part("trunk", ("nose", "tail"), "body"),
        Part("left_fin", ("nose", "left_fin"), "fins"),
        Part("right_fin", ("nose", "right_fin"), "fins"),
    ),
    torso=("tail", "nose"),
)


def test_a_skeleton_of_ones_own():
    assert FISH.classes == ("background", "body", "fins")
    assert FISH.class_lut[:5].tolist() == [0, 1, 2, 2, IGNORE]
    assert FISH.limbs.tolist() == [[0, 1], [0, 2], [0, 3]]
    assert FISH.part_mirror_lut[:5].tolist() == [0, 1, 3, 2, 4]
    assert FISH.torso_joints == (1, 0)


def test_classes_of_one_side_are_each_others_mirror_images_and_merged_ones_their_own():
    sided = replace(FISH, parts=(FISH.parts[0], *(replace(part, class_name=part.name) for part in FISH.parts[1:])))
    assert sided.class_mirror.tolist() == [0, 1, 3, 2]
    for skeleton in (FISH, *SKELETONS.values()):
        assert skeleton.class_mirror.tolist() == list(range(skeleton.num_classes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joints": (*FISH.joints, "nose")}, "joint occurs twice"),
        ({"parts": (*FISH.parts, FISH.parts[0])}, "part occurs twice"),
        ({"joints": FISH.joints[:3]}, "joint left_fin has no right_fin"),
        ({"parts": FISH.parts[:2]}, "part left_fin has no right_fin"),
        (
            {"parts": (FISH.parts[0], replace(FISH.parts[1], class_name="body"), FISH.parts[2])},
            "class body mirrors into",
        ),
        ({"torso": ("tail", "heart")}, "torso names an unknown joint 'heart'"),
        ({"parts": (Part("trunk", ("nose", "gill"), "body"),)}, "trunk names an unknown joint 'gill'"),
        ({"parts": tuple(Part(f"p{i}", ("nose", "tail"), f"c{i}") for i in range(9))}, "too many"),
    ],
)
def test_bad_skeletons_raise(change, message):
    with pytest.raises(ValueError, match=message):
        replace(FISH, **change)


# --- Joint orders ---------------------------------------------------------------------------------


def source_rows(order, places):
    """Joints float[N, 2] of a source, far away (and unseen) except those in `places`."""
    joints = np.full((order.num_joints, 2), np.nan)
    for name, place in places.items():
        joints[order.joints.index(name)] = place
    return joints, ~np.isnan(joints).any(-1)


def by_name(converted):
    return {name: xy for name, xy, seen in zip(PASCAL_PERSON.joints, *converted) if seen}


@each_order
def test_mirroring_and_converting_commute(order):
    rng = np.random.default_rng(0)
    joints, visible = rng.uniform(0, 300, (50, order.num_joints, 2)), rng.random((50, order.num_joints)) < 0.8
    swap = [order.joints.index(opposite(name)) for name in order.joints]

    def mirrored(joints, visible, swap):
        return np.where(visible[:, swap, None], [300, 0] + joints[:, swap] * [-1, 1], 0), visible[:, swap]

    there = to_pascal16(*mirrored(joints, visible, swap), order)
    back = mirrored(*to_pascal16(joints, visible, order), PASCAL_PERSON.joint_mirror)
    np.testing.assert_allclose(there[0], back[0], atol=1e-3)
    np.testing.assert_array_equal(there[1], back[1])
    assert there[1].any()
    assert not there[1].all()


@each_order
def test_joints_of_the_same_name_are_copied_and_batches_are_loops(order):
    rng = np.random.default_rng(1)
    joints = rng.uniform(0, 300, (2, 3, order.num_joints, 2)).astype(np.float32)
    visible = rng.random((2, 3, order.num_joints)) < 0.8
    converted, seen = to_pascal16(joints, visible, order.name)
    assert (converted.dtype, converted.shape, seen.shape) == (np.float32, (2, 3, 16, 2), (2, 3, 16))
    for name in set(order.joints) & set(PASCAL_PERSON.joints) - set(order.derived):
        source, target = order.joints.index(name), PASCAL_PERSON.joint(name)
        np.testing.assert_array_equal(seen[..., target], visible[..., source])
        shown = np.where(visible[..., source, None], joints[..., source, :], 0)
        np.testing.assert_array_equal(converted[..., target, :], shown)
    one = to_pascal16(joints[1, 2], visible[1, 2], order)
    np.testing.assert_array_equal(converted[1, 2], one[0])
    np.testing.assert_array_equal(seen[1, 2], one[1])


@each_order
def test_conversion_moves_turns_and_scales_with_the_person(order):
    joints = np.random.default_rng(2).uniform(0, 300, (order.num_joints, 2))
    visible = np.ones(order.num_joints, bool)
    matrix, offset = np.array([[1.5, -0.7], [0.7, 1.5]]), np.array([40.0, -9.0])
    moved, _ = to_pascal16(joints @ matrix.T + offset, visible, order)
    np.testing.assert_allclose(moved, to_pascal16(joints, visible, order)[0] @ matrix.T + offset, atol=1e-3)


def test_mpii_is_already_pascal16():
    joints = np.random.default_rng(3).uniform(0, 300, (16, 2)).astype(np.float32)
    np.testing.assert_array_equal(to_pascal16(joints, np.ones(16, bool), "mpii16")[0], joints)


def test_alphapose_rows_go_where_the_original_code_puts_them():
    joints = np.stack([np.arange(15.0), 100 + np.arange(15.0)], -1)
    converted, seen = to_pascal16(joints, np.ones(15, bool), "alphapose15")
    rows = [9, 8, 12, 11, 10, 13, 14, 15, 2, 1, 0, 3, 4, 5, 7]
    np.testing.assert_array_equal(converted[rows], joints)
    np.testing.assert_array_equal(converted[6], (joints[8] + joints[11]) / 2)  # the pelvis, which it lacks
    assert seen.all()


def test_lsp_lacks_pelvis_and_thorax():
    order = JOINT_ORDERS["lsp14"]
    joints, visible = np.stack([np.arange(14.0), 10 * np.arange(14.0)], -1), np.ones(14, bool)
    converted, seen = to_pascal16(joints, visible, order)
    assert seen.all()
    # LSP numbers the legs like PASCAL-16, then wrists to shoulders from 6 and the head from 12.
    np.testing.assert_array_equal(converted[:6], joints[:6])
    np.testing.assert_array_equal(converted[[10, 11, 12, 13, 14, 15]], joints[6:12])
    np.testing.assert_array_equal(converted[[8, 9]], joints[12:14])
    np.testing.assert_array_equal(converted[6], [2.5, 25])
    np.testing.assert_array_equal(converted[7], [8.5, 85])


# An upright person of torso length 100, facing us: the person's left is on the right of the picture.
UPRIGHT = {
    "nose": (100, 60), "left_shoulder": (130, 100), "right_shoulder": (70, 100), "left_hip": (120, 200),
    "right_hip": (80, 200), "left_knee": (120, 260), "right_ankle": (80, 320),
}  # fmt: skip


@pytest.mark.parametrize("name", ["coco17", "openpose18", "openpose25", "blazepose33"])
def test_orders_without_trunk_and_head(name):
    order = JOINT_ORDERS[name]
    person = by_name(to_pascal16(*source_rows(order, UPRIGHT), order))
    expected = {joint: place for joint, place in UPRIGHT.items() if joint != "nose"}
    expected |= {"pelvis": (100, 200), "thorax": (100, 100), "neck": (100, 88), "head_top": (100, 25)}
    assert person.keys() == expected.keys()
    for joint, place in expected.items():
        np.testing.assert_allclose(person[joint], place, atol=1e-4, err_msg=joint)


@pytest.mark.parametrize(
    ("unseen", "lost"),
    [
        ("nose", {"head_top"}),
        ("left_hip", {"left_hip", "pelvis", "neck", "head_top"}),
        ("right_shoulder", {"right_shoulder", "thorax", "neck", "head_top"}),
        ("left_knee", {"left_knee"}),
    ],
)
def test_a_derived_joint_is_seen_only_with_all_that_it_is_made_of(unseen, lost):
    order = JOINT_ORDERS["coco17"]
    joints, visible = source_rows(order, UPRIGHT)
    everything = by_name(to_pascal16(joints, visible, order)).keys()
    visible[order.joints.index(unseen)] = False
    assert everything - by_name(to_pascal16(joints, visible, order)).keys() == lost


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("coco17", {"nose": 0, "left_shoulder": 5, "right_wrist": 10, "left_hip": 11, "right_ankle": 16}),
        ("halpe26", {"left_ankle": 15, "head_top": 17, "neck": 18, "pelvis": 19, "left_heel": 24, "right_heel": 25}),
        (
            "openpose18",
            {"right_wrist": 4, "left_shoulder": 5, "right_hip": 8, "left_ankle": 13, "left_ear": 17},
        ),
        (
            "blazepose33",
            {"nose": 0, "left_shoulder": 11, "right_wrist": 16, "left_hip": 23, "right_ankle": 28},
        ),
    ],
)
def test_rows_are_those_of_the_published_orders(name, rows):
    order = JOINT_ORDERS[name]
    assert {joint: order.joints.index(joint) for joint in rows} == rows
    assert order.num_joints == int(name[-2:])


def test_halpe_has_a_head_a_neck_and_a_pelvis_of_its_own():
    own = {"head_top": (90, 20), "neck": (95, 80), "pelvis": (105, 205)}
    person = by_name(to_pascal16(*source_rows(JOINT_ORDERS["halpe26"], UPRIGHT | own), "halpe26"))
    assert {joint: tuple(person[joint]) for joint in own} == own
    assert tuple(person["thorax"]) == (100, 100)


def test_an_order_of_ones_own_may_derive_anything():
    rows = tuple(name for name in PASCAL_PERSON.joints if name != "head_top")
    order = JointOrder("mine", (*rows, "chin", "hat"), {"head_top": {"hat": 0.75, "chin": 0.25}})
    joints, visible = source_rows(order, {"chin": (0, 40), "hat": (8, 0)})
    assert by_name(to_pascal16(joints, visible, order))["head_top"].tolist() == [6, 10]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x", PASCAL_PERSON.joints[1:]), "right_ankle needs 'right_ankle', not listed"),
        (("x", (*PASCAL_PERSON.joints, "pelvis")), "occurs twice"),
        (("x", PASCAL_PERSON.joints, {"tail": {"pelvis": 1}}), "'tail' is derived but is no PASCAL-16 joint"),
        (("x", PASCAL_PERSON.joints, {"neck": {"chin": 1}}), "neck needs 'chin'"),
        (("x", PASCAL_PERSON.joints, {"neck": {"thorax": 0.9}}), "do not sum to one"),
    ],
)
def test_bad_orders_raise(arguments, message):
    with pytest.raises(ValueError, match=message):
        JointOrder(*arguments)


@pytest.mark.parametrize(
    ("joints", "visible", "order", "message"),
    [
        (np.zeros((17, 2)), np.ones(17), "coco", "unknown joint order 'coco'; known are mpii16, coco17"),
        (np.zeros((16, 2)), np.ones(16), "coco17", r"coco17 wants joints \[..., 17, 2\]"),
        (np.zeros((17, 3)), np.ones(17), "coco17", "coco17 wants joints"),
        (np.zeros((4, 17, 2)), np.ones(17), "coco17", r"got \[4, 17, 2\] and \[17\]"),
    ],
)
def test_wrong_input_raises(joints, visible, order, message):
    with pytest.raises(ValueError, match=message):
        to_pascal16(joints, visible, order)


def test_visibility_flags():
    assert visible_from_confidence([0.0, 0.149, 0.15, 1.0]).tolist() == [False, False, True, True]
    assert visible_from_coco([0, 1, 2]).tolist() == [False, True, True]


# --- Real annotations -----------------------------------------------------------------------------


def assert_upright(joints, visible):
    """Head over neck over pelvis over ankles, in every person of whom these are seen."""
    chain = [PASCAL_PERSON.joint(name) for name in ("head_top", "neck", "pelvis", "left_ankle")]
    whole = visible[:, chain].all(-1)
    assert whole.sum() >= 4
    assert (np.diff(joints[whole][:, chain, 1], axis=-1) > 0).all()


@real_data
def test_people_of_alphapose_stand_upright():
    content = json.loads((DATA / "alphapose_sample" / "alphapose-results.json").read_text())
    bodies = [body["joints"] for picture in content.values() for body in picture["bodies"]]
    found = np.array(bodies, float).reshape(len(bodies), 15, 3)
    assert_upright(*to_pascal16(found[..., :2], visible_from_confidence(found[..., 2]), "alphapose15"))


@real_data
def test_people_of_coco_stand_upright():
    content = json.loads((DATA / "coco_keypoints_sample" / "person_keypoints.json").read_text())
    assert tuple(content["categories"][0]["keypoints"]) == JOINT_ORDERS["coco17"].joints
    labelled = np.array([a["keypoints"] for a in content["annotations"]], float).reshape(-1, 17, 3)
    assert_upright(*to_pascal16(labelled[..., :2], visible_from_coco(labelled[..., 2]), "coco17"))


@real_data
def test_derived_trunk_agrees_with_the_annotators_of_mpii():
    joints = np.load(DATA / "mpii_poses" / "joints.npy")
    order = JointOrder("trunk", PASCAL_PERSON.joints, {
        name: JOINT_ORDERS["coco17"].derived[name] for name in ("pelvis", "thorax", "neck")
    })  # fmt: skip
    derived, _ = to_pascal16(joints, np.ones(joints.shape[:-1], bool), order)
    torso = np.linalg.norm(joints[:, 7] - joints[:, 6], axis=-1)
    for name, limit in (("pelvis", 0.01), ("thorax", 0.01), ("neck", 0.1)):
        row = PASCAL_PERSON.joint(name)
        miss = np.linalg.norm(derived[:, row] - joints[:, row], axis=-1)
        assert np.median(miss[torso > 30] / torso[torso > 30]) < limit, name


# --- The mirror of a person -----------------------------------------------------------------------


def fish():
    """A 3 x 5 picture; the label map is symmetric in no way and holds every part, and ignored pixels."""
    label_map = np.zeros((3, 5), np.uint8)
    label_map[0, :4] = 1
    label_map[1, 0], label_map[2, 1], label_map[1, 4] = 2, 3, IGNORE
    image = np.arange(45, dtype=np.uint8).reshape(3, 5, 3)
    joints = np.array([[0, 0], [3, 0], [0, 1], [1, 2]], np.float32)
    return Person("a", image, joints, np.array([True, True, True, False]), label_map)


def test_mirrored_person():
    person, mirrored = fish(), mirror_person(fish(), FISH)
    np.testing.assert_array_equal(mirrored.image, person.image[:, ::-1])
    expected = [[0, 1, 1, 1, 1], [IGNORE, 0, 0, 0, 3], [0, 0, 0, 2, 0]]
    np.testing.assert_array_equal(mirrored.label_map, expected)
    # What was the left fin at (0, 1) is now the right one, at (4, 1): the pixel that its label went to.
    np.testing.assert_array_equal(mirrored.joints, [[4, 0], [1, 0], [3, 2], [4, 1]])
    np.testing.assert_array_equal(mirrored.visible, [True, True, False, True])
    assert (mirrored.id, mirrored.joints.dtype) == ("a", np.float32)


def test_mirroring_a_person_twice_is_the_identity():
    person = fish()
    twice = mirror_person(mirror_person(person, FISH), FISH)
    for name in ("image", "joints", "visible", "label_map"):
        np.testing.assert_array_equal(getattr(twice, name), getattr(person, name))
    assert mirror_person(replace(person, label_map=None), FISH).label_map is None
