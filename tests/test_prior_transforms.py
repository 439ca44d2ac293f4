"""The prior and its gradient are the same under every transformation of JAX, and a spread batch stays spread."""

import re
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from pgkt_jax import Part, PoseBank, Skeleton, make_prior, nearest_poses, skeleton_label_map

SEMAPHORE = Skeleton(
    "semaphore",
    ("foot", "head", "left_hand", "right_hand"),
    (Part("left_arm", ("head", "left_hand"), "arms"), Part("right_arm", ("head", "right_hand"), "arms")),
    ("foot", "head"),
)
BATCH, PEOPLE, SIZE = 8, 6, (4, 3)


def people(count, seed):
    pose = np.array([(8, 20), (8, 6), (14, 3), (2, 10)])
    return np.float32(pose + np.random.default_rng(seed).normal(0, 1.5, (count, 4, 2)))


def make_bank(seed=0, count=PEOPLE):
    label_maps = [np.random.default_rng(seed + i).integers(1, 3, (22, 16)).astype(np.uint8) for i in range(count)]
    return PoseBank.create(SEMAPHORE, label_maps, people(count, seed), np.ones((count, 4), bool))


def make_batch():
    joints, visible = people(BATCH, 9), np.ones((BATCH, 4), bool)
    visible[2, 3] = False
    box = np.float32(BATCH * [(-0.5, -0.5, 15.5, 21.5)])
    box[1] = box[1, [2, 1, 0, 3]]
    keys = jax.random.split(jax.random.key(0), BATCH)
    arrays = map(jnp.asarray, (joints, visible, box))
    return *arrays, keys, jnp.arange(-1, BATCH - 1, dtype=jnp.int32)


def exact(bank, joints, visible, box, key, exclude, method="exact"):
    return make_prior(bank, joints, visible, box, size=SIZE, k=2, n=3, key=key, exclude=exclude, method=method)


limb_frames = partial(exact, method="limb_frames")


def prior_and_gradient(prior, bank, joints, *rest):
    """The prior of one target, and the gradient of a weighted sum of it."""

    def score(joints):
        found = prior(bank, joints, *rest)
        return jnp.sum(found * jnp.arange(12.0).reshape(*SIZE, 1)), found

    gradient, found = jax.grad(score, has_aux=True)(joints)
    return found, gradient


def vmapped(one):
    return jax.vmap(one, in_axes=(None, 0, 0, 0, 0, 0))


def rows(batch):
    return [jax.tree.map(lambda leaf: leaf[i], batch) for i in range(BATCH)]  # noqa: B023


def stack(results):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *results)


@pytest.fixture(scope="module", params=[exact, limb_frames], ids=["exact", "limb_frames"])
def one_by_one(request):
    """A prior, bank, batch, and for each of the batch what a call of its own gives and its gradient."""
    prior, bank, batch = request.param, make_bank(), make_batch()
    expected = by_jit(prior, bank, batch)
    # An eager call compiles its loops anew each time: one of them is enough.
    np.testing.assert_allclose(prior(bank, *rows(batch)[1]), expected[0][1], rtol=1e-4, atol=1e-4)
    assert all(np.abs(leaf).sum(axis=tuple(range(1, leaf.ndim))).all() for leaf in expected), "each must show something"
    return prior, bank, batch, expected


def by_jit(prior, bank, batch):
    one = jax.jit(partial(prior_and_gradient, prior))
    return stack([one(bank, *row) for row in rows(batch)])


def by_vmap(prior, bank, batch):
    return jax.jit(vmapped(partial(prior_and_gradient, prior)))(bank, *batch)


def by_scan(prior, bank, batch):
    def scanned(bank, batch):
        return jax.lax.scan(lambda _, row: (None, prior_and_gradient(prior, bank, *row)), None, batch)[1]

    return jax.jit(scanned)(bank, batch)


def by_remat(prior, bank, batch):
    remade = partial(prior_and_gradient, jax.checkpoint(prior))
    return jax.jit(vmapped(remade))(bank, *batch)


def by_shard_map(prior, bank, batch):
    mesh = jax.make_mesh((BATCH,), ("data",), axis_types=(AxisType.Auto,))
    spread = jax.shard_map(
        vmapped(partial(prior_and_gradient, prior)),
        mesh=mesh,
        in_specs=(P(), *(P("data") for _ in batch)),
        out_specs=P("data"),
    )
    return jax.jit(spread)(bank, *batch)


def spread(bank, batch, mesh):
    """The bank on every device, the batch over all of them."""
    return jax.device_put(bank, NamedSharding(mesh, P())), *jax.device_put(batch, NamedSharding(mesh, P("data")))


def by_auto_mesh(prior, bank, batch):
    mesh = jax.make_mesh((BATCH,), ("data",), axis_types=(AxisType.Auto,))
    arguments = spread(bank, batch, mesh)
    program = jax.jit(vmapped(partial(prior_and_gradient, prior))).lower(*arguments).compile()
    assert_nothing_is_exchanged(program, prior)
    return program(*arguments)


def by_explicit_mesh(prior, bank, batch):
    mesh = jax.make_mesh((BATCH,), ("data",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        arguments = spread(bank, batch, mesh)
        program = jax.jit(vmapped(partial(prior_and_gradient, prior))).lower(*arguments).compile()
        assert_nothing_is_exchanged(program, prior)
        return program(*arguments)


def assert_nothing_is_exchanged(program, prior):
    """Limb frames exchange one number, the length of the batch's loop."""
    assert len(program.input_shardings[0][-1].device_set) == BATCH
    text = program.as_text()
    for collective in ("all-gather", "all-to-all", "collective-permute", "reduce-scatter"):
        assert collective not in text
    reduced = re.findall(r"= (\S+) all-reduce\(", text)
    assert {shape[: shape.index("]") + 1] for shape in reduced} <= {"s32[]"}
    assert prior is limb_frames or "all-reduce" not in text


ways = [by_vmap, by_scan, by_remat, by_shard_map, by_auto_mesh, by_explicit_mesh]


@pytest.mark.parametrize("way", ways, ids=lambda way: way.__name__)
def test_prior_and_gradient_are_those_of_calls_one_by_one(one_by_one, way):
    prior, bank, batch, expected = one_by_one
    found = way(prior, bank, batch)
    if way in (by_shard_map, by_auto_mesh, by_explicit_mesh):
        for leaf in found:
            assert leaf.sharding.spec[0] == "data"
    for name, result, wanted in zip(("prior", "gradient"), found, expected):
        np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-4, err_msg=name)


def test_sticks_are_drawn_on_an_explicit_mesh_too():
    draw = jax.jit(jax.vmap(partial(skeleton_label_map, SEMAPHORE, size=SIZE, width=3.0)))
    arguments = make_batch()[:3]
    expected = draw(*arguments)
    mesh = jax.make_mesh((BATCH,), ("data",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        found = draw(*jax.device_put(arguments, NamedSharding(mesh, P("data"))))
        assert found.sharding.spec[0] == "data"
    assert expected.any()
    np.testing.assert_array_equal(found, expected)


def test_another_bank_of_the_same_shape_is_not_traced_again():
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def find(bank, joints, visible):
        return nearest_poses(bank, joints, visible, k=2)

    joints, visible, *_ = rows(make_batch())[0]
    near = [find(make_bank(seed), joints, visible) for seed in (0, 100)]
    assert not np.array_equal(near[0].distances, near[1].distances)
    with pytest.raises(AssertionError, match="traced > 1 times"):
        find(make_bank(count=PEOPLE + 1), joints, visible)


def test_a_bank_survives_what_jax_does_to_a_pytree():
    bank = make_bank()
    shapes = jax.eval_shape(lambda bank: bank, bank)
    assert shapes.joints.shape == (PEOPLE, 4, 2)
    assert jax.tree.map(lambda _: None, bank).skeleton == SEMAPHORE
    chex.assert_trees_all_equal(jax.tree.unflatten(jax.tree.structure(bank), jax.tree.leaves(bank)), bank)


class Choice(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_a_key_chooses_alike_with_and_without_jit(self):
        bank, (joints, visible, _, key, exclude) = make_bank(), rows(make_batch())[0]
        find = self.variant(lambda *args: nearest_poses(*args[:3], k=2, n=4, key=args[3], exclude=args[4]))
        found = find(bank, joints, visible, key, exclude)
        four = nearest_poses(bank, joints, visible, k=4)
        # The last two of the n by the same random order that any batch would use.
        order = np.argsort(-np.asarray(jax.random.uniform(key, (4,))))[:2]
        np.testing.assert_array_equal(found.indices, np.asarray(four.indices)[order])
