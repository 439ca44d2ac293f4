"""Which part a pixel of a merged class is of: left and right are told apart by the joints."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pgkt_jax.skeleton import PASCAL_PERSON
from pgkt_jax.stages.synthesize import parts_of_classes

to_parts = jax.jit(partial(parts_of_classes, skeleton=PASCAL_PERSON))
rng = np.random.default_rng(0)
LOWER_LEGS = PASCAL_PERSON.classes.index("lower legs")


def part(name):
    return [p.name for p in PASCAL_PERSON.parts].index(name) + 1


def shins(*unseen):
    """Two upright lower legs, the right one in column 2, the left one in column 8; all but `unseen` visible."""
    joints = np.zeros((PASCAL_PERSON.num_joints, 2), np.float32)
    for side, x in (("right", 2), ("left", 8)):
        joints[PASCAL_PERSON.joint(f"{side}_knee")] = x, 0
        joints[PASCAL_PERSON.joint(f"{side}_ankle")] = x, 5
    visible = np.ones(PASCAL_PERSON.num_joints, bool)
    visible[[PASCAL_PERSON.joint(name) for name in unseen]] = False
    return jnp.asarray(joints), jnp.asarray(visible)


LEGS = jnp.full((6, 11), LOWER_LEGS, jnp.uint8).at[0].set(0)


def test_a_pixel_of_a_merged_class_goes_to_the_part_with_the_nearest_limb():
    parts = np.asarray(to_parts(LEGS, *shins()))
    assert (parts[0] == 0).all()
    assert (parts[1:, :5] == part("right_lower_leg")).all()
    assert (parts[1:, 6:] == part("left_lower_leg")).all()


def test_a_part_whose_limb_is_unseen_gets_nothing():
    parts = np.asarray(to_parts(LEGS, *shins("right_ankle")))
    assert (parts[1:] == part("left_lower_leg")).all()


@pytest.mark.parametrize("chance", [0, 0.5, 1])
def test_parts_merge_back_to_exactly_the_classes(chance):
    classes = rng.integers(0, PASCAL_PERSON.num_classes, (6, 11), np.uint8)
    joints = rng.uniform(-5, 15, (PASCAL_PERSON.num_joints, 2)).astype(np.float32)
    visible = rng.random(PASCAL_PERSON.num_joints) < chance
    parts = to_parts(jnp.asarray(classes), jnp.asarray(joints), jnp.asarray(visible))
    np.testing.assert_array_equal(PASCAL_PERSON.class_lut[np.asarray(parts)], classes)
