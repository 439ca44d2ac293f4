"""A pose fitted to labels: `make_prior` is differentiated with respect to the joints.

    python pgkt_jax/docs/examples/fit_pose.py

The labels of a person are known, the joints are not. From the mean pose on they move downhill until the prior shows the
labels. There is no gradient through the choice of neighbours: they are looked for again at every step.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import pgkt_jax as pgkt
from pgkt_jax.data.puppets import Puppets

SIZE, STEPS = (64, 32), 80

people = Puppets(train=20).split("train")  # or labelled people of your own
label_maps, joints, visible = (
    np.stack([getattr(person, name) for person in people]) for name in ("label_map", "joints", "visible")
)
bank = pgkt.PoseBank.create(pgkt.PASCAL_PERSON, list(label_maps), joints, visible)
mean_pose = (joints * visible[..., None]).sum(0) / visible.sum(0)[:, None]

classes = pgkt.PASCAL_PERSON.class_lut[Puppets().split("test")[1].label_map][::2, ::2]  # what the pose is fitted to
masks = jax.nn.one_hot(classes, 7)[..., 1:]
box = jnp.array([-0.5, -0.5, 63.5, 127.5])  # the whole of 128 x 64 pixels, seen at half their size


@jax.jit
def prior_of(bank, pose):
    return pgkt.make_prior(bank, pose, jnp.ones(len(pose), bool), box, size=SIZE, k=3)


def blurred(masks, cell):
    return masks.reshape(SIZE[0] // cell, cell, SIZE[1] // cell, cell, -1).mean((1, 3))


def loss(pose, bank):
    """Coarse cells pull a limb over a distance, fine ones put it in its place."""
    prior = prior_of(bank, pose)
    return sum(jnp.mean((blurred(prior, cell) - blurred(masks, cell)) ** 2) for cell in (1, 4, 8))


def iou(bank, pose):
    """The mean over classes of the prior's labels against the person's."""
    label_map = np.asarray(pgkt.label_of_prior(prior_of(bank, pose)))
    both, either = (
        [f(label_map == c, classes == c).sum() for c in range(1, 7)] for f in (np.logical_and, np.logical_or)
    )
    return np.mean(np.divide(both, either))


optimizer = optax.adam(0.7)


@jax.jit
def step(pose, state, bank):
    updates, state = optimizer.update(jax.grad(loss)(pose, bank), state)
    return optax.apply_updates(pose, updates), state


pose = jnp.asarray(mean_pose, jnp.float32)
state, before = optimizer.init(pose), iou(bank, pose)
for _ in range(STEPS):
    pose, state = step(pose, state, bank)
print(f"mean IoU {before:.2f} -> {iou(bank, pose):.2f}")
