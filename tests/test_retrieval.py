"""Which people count as near: against a loop over the bank in NumPy, and the rules about who never counts."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pgkt_jax import PASCAL_PERSON, PoseBank, make_prior, nearest_poses, retrieval

PELVIS, NECK = PASCAL_PERSON.torso_joints
HEAD = [PASCAL_PERSON.joint(name) for name in ("neck", "head_top")]
LEGS = [i for i, name in enumerate(PASCAL_PERSON.joints) if name.endswith(("ankle", "knee", "hip"))]
STANDING = np.float32(
    [
        (11, 46), (12, 36), (13, 26), (19, 26), (21, 36), (22, 46), (16, 26), (16, 13),
        (16, 11), (16, 3), (5, 25), (7, 18), (11, 13), (21, 13), (25, 18), (27, 25),
    ]
)  # fmt: skip
PEOPLE = 9
ALL = np.ones((PEOPLE, 16), bool)
WHOLE = jnp.ones(16, bool)


def poses(seed=0):
    moved = np.random.default_rng(seed).normal(0, 4, (PEOPLE, 16, 2)) * ~np.isin(np.arange(16), [PELVIS, NECK])[:, None]
    return (STANDING + moved).astype(np.float32)


def bank_of(joints, visible=ALL):
    return PoseBank.create(PASCAL_PERSON, [np.ones((1, 1), np.uint8)] * len(joints), joints, visible, limb_frames=False)


nearest = jax.jit(nearest_poses, static_argnames=("k", "n"))


def distances_by_loop(bank_joints, bank_visible, joints, visible):
    """The mean squared distance of joints seen in both, torso of length 1, pelvis at the origin; inf below overlap."""

    def normalised(pose):
        return (pose - pose[PELVIS]) / np.linalg.norm(pose[NECK] - pose[PELVIS])

    target, result = normalised(joints.astype(float)), []
    for other, other_visible in zip(bank_joints, bank_visible):
        both = visible & other_visible
        gap = ((normalised(other.astype(float)) - target)[both] ** 2).sum(-1)
        result.append(gap.mean() if both.sum() >= max(3, visible.sum() / 2) else np.inf)
    return np.array(result)


@pytest.mark.parametrize("seed", range(3))
def test_distances_are_those_of_a_loop_over_the_bank(seed):
    rng = np.random.default_rng(seed)
    joints, visible = poses(seed), rng.random((PEOPLE, 16)) < [[0.8]] * 6 + [[0.3]] * 3
    visible[:, [PELVIS, NECK]] = True
    target, seen = poses(seed + 50)[0], rng.random(16) < 0.7
    seen[[PELVIS, NECK]] = True
    expected = distances_by_loop(joints, visible, target, seen)
    found = nearest(bank_of(joints, visible), target, seen, k=PEOPLE)

    count = np.isfinite(expected).sum()
    assert 3 <= count < PEOPLE, "some must be near enough and some overlap too little"
    np.testing.assert_array_equal(found.valid, np.arange(PEOPLE) < count)
    np.testing.assert_array_equal(found.indices[:count], np.argsort(expected)[:count])
    np.testing.assert_allclose(found.distances, np.sort(expected), atol=1e-5)


def test_moving_and_scaling_the_target_changes_nothing():
    bank, target = bank_of(poses()), poses(50)[0]
    here, elsewhere = nearest(bank, target, WHOLE, k=4), nearest(bank, target * 3 + [700, -90], WHOLE, k=4)
    np.testing.assert_array_equal(here.indices, elsewhere.indices)
    np.testing.assert_allclose(here.distances, elsewhere.distances, atol=1e-4)


def test_joints_that_are_not_visible_may_hold_anything():
    joints, visible = poses(), ALL.copy()
    visible[:, LEGS[:2]] = False
    target = poses(50)[0]
    clean = nearest(bank_of(joints, visible), target, visible[0], k=4)
    joints[:, LEGS[0]], joints[:, LEGS[1]] = np.nan, 1e30
    target[LEGS[0]], target[LEGS[1]] = 1e30, np.nan
    for before, after in zip(clean, nearest(bank_of(joints, visible), target, visible[0], k=4)):
        np.testing.assert_array_equal(before, after)


def test_the_excluded_person_is_not_picked_and_minus_one_excludes_nobody():
    joints = poses()
    one_each = jax.vmap(lambda *args: nearest_poses(*args[:3], k=3, exclude=args[3]), (None, 0, 0, 0))
    own = jax.jit(one_each)(bank_of(joints), joints, ALL, jnp.full(PEOPLE, -1, jnp.int32))
    np.testing.assert_array_equal(own.indices[:, 0], np.arange(PEOPLE))
    np.testing.assert_allclose(own.distances[:, 0], 0, atol=1e-5)

    others = jax.jit(one_each)(bank_of(joints), joints, ALL, jnp.arange(PEOPLE, dtype=jnp.int32))
    assert (others.indices != np.arange(PEOPLE)[:, None]).all()
    np.testing.assert_array_equal(others.indices[:, :2], own.indices[:, 1:])


def test_padded_rows_never_count_and_are_not_valid():
    joints = poses()
    bank = replace(bank_of(joints), valid=jnp.arange(PEOPLE) >= PEOPLE - 2)
    found = nearest(bank, joints[0], WHOLE, k=3)
    assert set(np.asarray(found.indices[:2]).tolist()) == {PEOPLE - 2, PEOPLE - 1}
    assert found.valid.tolist() == [True, True, False]
    assert found.distances[2] == np.inf


@pytest.mark.parametrize("seen", [[], HEAD, [PELVIS]])
def test_a_target_that_shares_too_few_joints_has_no_neighbours(seen):
    visible = np.isin(np.arange(16), seen)
    found = nearest(bank_of(poses()), poses()[0], visible, k=3)
    assert not found.valid.any()
    assert (found.distances == np.inf).all()


# --- k out of n -----------------------------------------------------------------------------------


@jax.jit
def picks(bank, target):
    """k = 2 out of n = 4, with 300 keys."""
    keys = jax.random.split(jax.random.key(7), 300)
    return jax.vmap(lambda key: nearest_poses(bank, target, WHOLE, k=2, n=4, key=key))(keys)


def test_a_key_picks_every_k_of_the_n_nearest_equally_often():
    bank, target = bank_of(poses()), poses(50)[0]
    four = nearest(bank, target, WHOLE, k=4)
    found = picks(bank, target)
    assert found.valid.all()
    pairs, counts = np.unique(np.sort(found.indices, -1), axis=0, return_counts=True)
    expected = [(a, b) for a in four.indices for b in four.indices if a < b]
    assert sorted(map(tuple, pairs.tolist())) == sorted((int(a), int(b)) for a, b in expected)
    share = 1 / len(expected)
    assert (np.abs(counts / 300 - share) < 5 * np.sqrt(share * (1 - share) / 300)).all()
    # Each comes with its own distance.
    by_index = dict(zip(four.indices.tolist(), four.distances.tolist()))
    wanted = np.vectorize(by_index.get)(found.indices)
    np.testing.assert_allclose(found.distances, wanted, atol=1e-6)


def test_the_same_key_picks_the_same_people():
    bank, target = bank_of(poses()), poses(50)[0]
    once, again = picks(bank, target), picks(bank, target)
    np.testing.assert_array_equal(once.indices, again.indices)


def test_a_key_picks_whoever_counts_before_whoever_does_not():
    bank = replace(bank_of(poses()), valid=jnp.isin(jnp.arange(PEOPLE), jnp.array([2, 5])))
    found = picks(bank, poses(50)[0])
    assert found.valid.all()
    np.testing.assert_array_equal(np.sort(found.indices, -1), np.broadcast_to([2, 5], (300, 2)))


def test_without_n_a_key_changes_the_order_alone():
    bank, target = bank_of(poses()), poses(50)[0]
    found = nearest(bank, target, WHOLE, k=4, key=jax.random.key(0))
    np.testing.assert_array_equal(np.sort(found.indices), np.sort(nearest(bank, target, WHOLE, k=4).indices))


@pytest.mark.parametrize(
    ("k", "n", "message"),
    [(3, 2, "k = 3 .* n = 2"), (0, 2, "k = 0"), (10, None, "n = 10 .* bank of 9"), (2, 10, "n = 10 .* bank of 9")],
)
def test_impossible_numbers_raise(k, n, message):
    with pytest.raises(ValueError, match=message):
        nearest(bank_of(poses()), poses()[0], WHOLE, k=k, n=n)


# --- Upper bodies ---------------------------------------------------------------------------------


def test_an_upper_body_finds_the_person_that_it_was_cut_from():
    joints = poses()
    visible = ALL.copy()
    visible[:, [*LEGS, PELVIS]] = False
    find = jax.jit(jax.vmap(partial(nearest_poses, k=1), (None, 0, 0)))
    found = find(bank_of(joints), joints * 2.5 + np.float32(40), visible)
    np.testing.assert_array_equal(found.indices[:, 0], np.arange(PEOPLE))

    # The other way round: upper bodies in the bank, whole people as targets.
    seen = ALL.copy()
    seen[:4] = visible[:4]
    found = find(bank_of(joints * 2.5, seen), joints, visible)
    np.testing.assert_array_equal(found.indices[:, 0], np.arange(PEOPLE))


def test_a_large_bank_is_searched_by_tiles_with_the_same_result(monkeypatch):
    joints = np.concatenate([poses(seed) for seed in range(4)])[:33]
    bank = PoseBank.of_poses(PASCAL_PERSON, joints, np.ones((33, 16), bool))
    search = partial(nearest_poses, bank, jnp.asarray(poses(99)[0]), WHOLE, k=5, n=7, exclude=2)
    whole = search(), search(key=jax.random.key(0))
    monkeypatch.setattr(retrieval, "TILE", 8)
    for found, expected in zip((search(), search(key=jax.random.key(0))), whole):
        np.testing.assert_array_equal(found.indices, expected.indices)
        np.testing.assert_allclose(found.distances, expected.distances, rtol=1e-5)
        assert found.valid.all()


def test_a_bank_of_poses_gives_no_prior():
    bank = PoseBank.of_poses(PASCAL_PERSON, poses(), ALL)
    with pytest.raises(ValueError, match="no masks"):
        make_prior(bank, jnp.asarray(poses()[0]), WHOLE, jnp.array([0.0, 0, 9, 9]), size=(8, 8), k=1)
