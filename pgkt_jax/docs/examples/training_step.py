"""Priors inside a training step of your own: fresh boxes and fresh neighbours at every step, no prior stored.

python pgkt_jax/docs/examples/training_step.py
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import pgkt_jax as pgkt
from pgkt_jax.data.puppets import Puppets
from pgkt_jax.geometry import crop_image, crop_label_map

SIZE, BATCH, STEPS = (64, 32), 8, 40

people = Puppets(train=16).split("train")  # or labelled people of your own
images, label_maps, joints, visible = (
    np.stack([getattr(person, name) for person in people]) for name in ("image", "label_map", "joints", "visible")
)
bank = pgkt.PoseBank.create(pgkt.PASCAL_PERSON, list(label_maps), joints, visible)
data = jax.tree.map(jnp.asarray, (images, pgkt.PASCAL_PERSON.class_lut[label_maps], joints, visible))
whole = jnp.array([-0.5, -0.5, images.shape[2] - 0.5, images.shape[1] - 0.5])

channels, rngs = 3 + 6, nnx.Rngs(0)  # image and prior
network = nnx.Sequential(nnx.Conv(channels, 16, (5, 5), rngs=rngs), jax.nn.relu, nnx.Conv(16, 7, (5, 5), rngs=rngs))
graph, params = nnx.split(network)
optimizer = optax.adam(1e-2)


def view(bank, person, row, key):
    """Image, prior and classes of one person, moved by up to four pixels and mirrored half of the time."""
    image, classes, joints, visible = person
    move_key, mirror_key, prior_key = jax.random.split(key, 3)
    box = whole + jnp.tile(jax.random.uniform(move_key, (2,), minval=-4, maxval=4), 2)
    box = jnp.where(jax.random.bernoulli(mirror_key), box[jnp.array([2, 1, 0, 3])], box)
    # 3 out of the 5 nearest, nobody a neighbour of himself.
    prior = pgkt.make_prior(bank, joints, visible, box, size=SIZE, k=3, n=5, key=prior_key, exclude=row)
    return jnp.concatenate([crop_image(image, box, SIZE), prior], -1), crop_label_map(classes, box, SIZE, 0)


@jax.jit
def step(params, opt_state, bank, data, key):
    rows_key, view_key = jax.random.split(key)
    rows = jax.random.randint(rows_key, (BATCH,), 0, bank.size)
    batch = jax.tree.map(lambda leaf: leaf[rows], data)
    seen, classes = jax.vmap(view, (None, 0, 0, 0))(bank, batch, rows, jax.random.split(view_key, BATCH))

    def loss(params):
        logits = nnx.merge(graph, params)(seen)
        return optax.softmax_cross_entropy_with_integer_labels(logits, classes.astype(jnp.int32)).mean()

    value, gradients = jax.value_and_grad(loss)(params)
    updates, opt_state = optimizer.update(gradients, opt_state)
    return optax.apply_updates(params, updates), opt_state, value


opt_state, losses = optimizer.init(params), []
for key in jax.random.split(jax.random.key(0), STEPS):
    params, opt_state, value = step(params, opt_state, bank, data, key)
    losses.append(float(value))
print(f"loss {losses[0]:.2f} -> {np.mean(losses[-5:]):.2f}")
