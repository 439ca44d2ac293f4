"""Puppets are people whom nobody had to photograph: repeatable, varied, and right about left and right."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from pgkt_jax.data.person import Person
from pgkt_jax.data.puppet_body import Body, Build, Pose
from pgkt_jax.data.puppets import Puppets, draw_puppet
from pgkt_jax.skeleton import PASCAL_PERSON


@pytest.fixture(scope="module")
def people() -> list[Person]:
    return [draw_puppet(index, seed=7) for index in range(80)]


def _labels(person: Person) -> np.ndarray:
    assert person.label_map is not None
    return person.label_map


def _same(a: Person, b: Person) -> bool:
    pairs = ((a.image, b.image), (_labels(a), _labels(b)), (a.joints, b.joints), (a.visible, b.visible))
    return a.id == b.id and all(np.array_equal(x, y) for x, y in pairs)


def test_same_arguments_give_the_same_bytes() -> None:
    assert _same(draw_puppet(3), draw_puppet(3))
    assert not np.array_equal(draw_puppet(3).image, draw_puppet(4).image)
    assert not np.array_equal(draw_puppet(3).image, draw_puppet(3, seed=1).image)


@pytest.mark.parametrize("size", [(128, 96), (64, 80), (200, 100)])
def test_person_record(size: tuple[int, int]) -> None:
    person = draw_puppet(12, size=size)
    assert person.id == "puppet_00012"
    assert (person.image.shape, person.image.dtype) == ((*size, 3), np.uint8)
    assert (_labels(person).shape, _labels(person).dtype) == (size, np.uint8)
    assert (person.joints.shape, person.joints.dtype) == ((16, 2), np.float32)
    assert (person.visible.shape, person.visible.dtype) == ((16,), np.bool_)


def test_negative_index_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        draw_puppet(-1)


def test_every_part_is_frequent(people: Sequence[Person]) -> None:
    maps = np.stack([_labels(person) for person in people])
    shares = np.bincount(maps.ravel(), minlength=11) / maps.size
    assert len(shares) == 11, "ids beyond the ten parts"
    assert 0.55 < shares[0] < 0.9
    assert shares[1:].min() > 0.003
    present = np.stack([(maps == part).any(axis=(1, 2)).mean() for part in range(1, 11)])
    assert present.min() > 0.85


def test_joints_are_mostly_visible_and_always_inside_when_visible(people: Sequence[Person]) -> None:
    visible = np.stack([p.visible for p in people])
    joints = np.stack([p.joints for p in people])[visible]
    assert 0.9 < visible.mean() < 1
    assert (joints > -0.5001).all()
    assert (joints < (63.5001, 127.5001)).all()


def test_limbs_lie_in_their_parts(people: Sequence[Person]) -> None:
    """A limb's middle hits its own part unless something hides it; a part that shows is around its limb."""
    hits, distances = [], []
    for person in people:
        for part, (a, b) in enumerate(PASCAL_PERSON.limbs, start=1):
            mask = _labels(person) == part
            if mask.sum() < 30 or not person.visible[[a, b]].all():
                continue
            x, y = np.round((person.joints[a] + person.joints[b]) / 2).astype(int)
            near = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8))
            hits.append(near[y, x] > 0)
            centroid = np.argwhere(mask).mean(axis=0)[::-1]
            distances.append(np.linalg.norm(centroid - (x, y)))
    assert np.mean(hits) > 0.85
    assert np.median(distances) < 4


def test_elbows_lie_at_arms(people: Sequence[Person]) -> None:
    names = [part.name for part in PASCAL_PERSON.parts]
    near = []
    for person in people:
        for side in ("left", "right"):
            row = PASCAL_PERSON.joint(f"{side}_elbow")
            parts = [names.index(f"{side}_{half}_arm") + 1 for half in ("upper", "lower")]
            if person.visible[row]:
                mask = np.isin(_labels(person), parts).astype(np.uint8)
                x, y = np.round(person.joints[row]).astype(int)
                near.append(cv2.dilate(mask, np.ones((5, 5), np.uint8))[y, x] > 0)
    assert np.mean(near) > 0.85


def test_left_is_the_persons_own() -> None:
    """In front of us the person's left is at our right, from behind at our left; toes point at us or away."""
    pairs = [(PASCAL_PERSON.joint(f"left_{n}"), PASCAL_PERSON.joint(f"right_{n}")) for n in ("shoulder", "hip")]
    for yaw, sign in ((0, 1), (180, -1)):
        body = Body.posed(Pose(camera=(yaw, 0, 0)), Build())
        joints = body.joints()
        assert all(sign * (joints[left, 0] - joints[right, 0]) > 0.05 for left, right in pairs)
        assert sign * (body.points["left_toe"][2] - body.points["left_ankle"][2]) > 0.05
    side_view = Body.posed(Pose(camera=(90, 0, 0)), Build()).points
    faces_right = side_view["left_toe"][0] > side_view["left_ankle"][0]
    left_is_nearer = side_view["left_shoulder"][2] > side_view["right_shoulder"][2]
    assert faces_right != left_is_nearer, "who looks to our right shows the right side"


def test_a_body_stands_on_its_feet_at_scale_one() -> None:
    points = Body.posed(Pose(), Build()).points
    assert points["left_ankle"][1] - points["head_top"][1] == pytest.approx(0.97, abs=0.04)
    limb = np.linalg.norm(points["left_knee"] - points["left_hip"])
    assert limb == pytest.approx(Build().upper_leg)


def test_splits_are_disjoint_lazy_and_grow_at_the_end() -> None:
    puppets = Puppets(train=3, val=2, test=4, poses=5, size=(32, 24))
    ids = {name: [p.id for p in puppets.split(name)] for name in ("train", "val", "test", "poses")}
    assert [len(v) for v in ids.values()] == [3, 2, 4, 5]
    assert len(set().union(*ids.values())) == 14
    assert [p.id for p in Puppets(train=5, size=(32, 24)).split("train")][:3] == ids["train"]
    assert [p.id for p in puppets.split("test")[1:3]] == ids["test"][1:3]
    assert _same(puppets.split("test")[-1], puppets.split("test")[3])
    assert len(Puppets(poses=10**9).split("poses")) == 10**9
    with pytest.raises(IndexError):
        puppets.split("val")[2]


def test_unknown_split_is_named() -> None:
    with pytest.raises(ValueError, match="'trian'"):
        Puppets().split("trian")
