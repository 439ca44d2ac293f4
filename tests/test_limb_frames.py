"""Limb frames paint by tiles what their plain form gives at every pixel, and that is near the exact prior."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pgkt_jax import PASCAL_PERSON, PoseBank, limb_frames, make_prior, tiles
from pgkt_jax.data.puppets import draw_puppet
from pgkt_jax.prior import label_of_prior

SIZE = (64, 48)
PEOPLE = [draw_puppet(row, size=SIZE) for row in range(14)]
TARGETS = PEOPLE[10:]
WHOLE = (-0.5, -0.5, SIZE[1] - 0.5, SIZE[0] - 0.5)


def create(people):
    joints, visible = np.stack([p.joints for p in people]), np.stack([p.visible for p in people])
    return PoseBank.create(PASCAL_PERSON, [p.label_map for p in people], joints, visible)


@pytest.fixture(scope="module")
def bank():
    return create(PEOPLE[:10])


def target(person):
    return jnp.asarray(person.joints), jnp.asarray(person.visible), jnp.array(WHOLE)


def box_around_forearm(person):
    a, b = person.joints[list(PASCAL_PERSON.limbs[4])]
    middle, half = (a + b) / 2, np.linalg.norm(b - a) / 3 + 1
    return (*(middle - half), *(middle + half))


def painted(bank, person, box, size, dense=False):
    paint = partial(make_prior, size=size, k=3)
    with pytest.MonkeyPatch.context() as patch:
        if dense:
            patch.setattr(limb_frames, "paint", tiles.dense)
        return np.asarray(jax.jit(paint)(bank, person.joints, person.visible, jnp.array(box, jnp.float32)))


@pytest.mark.parametrize(
    ("box", "size"),
    [
        (WHOLE, SIZE),
        ((WHOLE[2], WHOLE[1], WHOLE[0], WHOLE[3]), (40, 56)),
        ((-30.0, -45.0, 20.0, 9.0), (33, 17)),
        ((1000.0, 1000.0, 1050.0, 1050.0), (16, 16)),
        ("forearm", SIZE),
        ("forearm", (256, 300)),
    ],
)
def test_tiles_leave_nothing_out(bank, box, size):
    for person in TARGETS[:2]:
        edges = box_around_forearm(person) if box == "forearm" else box
        found, plain = (painted(bank, person, edges, size, dense) for dense in (False, True))
        assert found.shape == (*size, 6)
        np.testing.assert_allclose(found, plain, atol=1e-4)
        assert found.any() == (box[0] != 1000.0)


def test_a_batch_is_painted_as_its_examples_are(bank):
    """More examples than devices: they are painted in turns."""
    people, boxes = (PEOPLE * 2)[:16], [WHOLE, (-9.0, -9.0, 20.0, 31.0)] * 8
    joints, visible = (jnp.stack([jnp.asarray(getattr(p, name)) for p in people]) for name in ("joints", "visible"))
    paint = partial(make_prior, size=SIZE, k=3)
    found = jax.jit(jax.vmap(paint, (None, 0, 0, 0)))(bank, joints, visible, jnp.array(boxes))
    alone = jax.jit(paint)
    for row, arguments in zip(found, zip(joints, visible, jnp.array(boxes))):
        np.testing.assert_allclose(row, alone(bank, *arguments), atol=1e-5)


def test_a_source_limb_of_two_pixels_is_painted_whole():
    """Foreshortened, its mask reaches many of its lengths: an extent of its own, and a large part of the picture."""
    wrist, elbow = (PASCAL_PERSON.joint(f"left_{name}") for name in ("wrist", "elbow"))
    short = PEOPLE[0]
    joints = short.joints.copy()
    joints[wrist] = joints[elbow] + (2, 0)
    people = [*PEOPLE[:10] * 20, type(short)("short", short.image, joints, short.visible, short.label_map)]
    bank = create(people)
    row = len(people) - 1
    assert bank.frames.own[row, 4] >= 0
    person = TARGETS[0]
    only = [i != row for i in range(len(people))]
    alone = replace(bank, valid=bank.valid & ~jnp.array(only))
    found, plain = (painted(alone, person, WHOLE, SIZE, dense) for dense in (False, True))
    np.testing.assert_allclose(found, plain, atol=1e-4)
    exact = np.asarray(jax.jit(partial(make_prior, size=SIZE, k=3, method="exact"))(alone, *target(person)))
    arms = PASCAL_PERSON.classes.index("lower arms") - 1
    assert exact[..., arms].mean() > 0.03
    assert np.abs(found[..., arms] - exact[..., arms]).mean() < 0.02


def test_the_difference_from_the_exact_prior_is_small(bank):
    agree, there = 0, 0
    both = {method: jax.jit(partial(make_prior, size=SIZE, k=3, method=method)) for method in ("exact", "limb_frames")}
    for person in TARGETS:
        arguments = (bank, *target(person))
        exact, framed = (np.asarray(both[method](*arguments)) for method in ("exact", "limb_frames"))
        assert np.abs(exact - framed).mean() < 0.01
        a, b = np.asarray(label_of_prior(jnp.asarray(exact))), np.asarray(label_of_prior(jnp.asarray(framed)))
        agree, there = agree + ((a == b) & (a > 0)).sum(), there + ((a > 0) | (b > 0)).sum()
    assert agree / there > 0.9


def test_values_stay_in_the_unit_interval_and_gradients_finite_wherever_joints_are(bank):
    rng = np.random.default_rng(0)
    score = jax.jit(
        jax.value_and_grad(
            lambda joints, visible, box: jnp.sum(make_prior(bank, joints, visible, box, size=(20, 12), k=3) ** 2)
        )
    )
    for scale in (0, 1e-3, 5, 50, 1e4):
        joints = jnp.asarray(rng.normal(20, scale, (16, 2)), jnp.float32)
        value, gradient = score(joints, jnp.asarray(rng.random(16) < 0.8), jnp.array(WHOLE))
        assert jnp.isfinite(value)
        assert jnp.isfinite(gradient).all()
        assert 0 <= value <= 20 * 12 * 6


def test_a_bank_without_patches_is_refused():
    plain = replace(create(PEOPLE[:3]), frames=None)
    with pytest.raises(ValueError, match="limb_frames = False"):
        make_prior(plain, *target(TARGETS[0]))
