"""The refinement network: trained to make a part-level prior and a photograph into a label (paper 3.5, 3.6)."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from pgkt_jax.config import RefineConfig
from pgkt_jax.data.batch import People
from pgkt_jax.data.digests import digest
from pgkt_jax.data.person import Person
from pgkt_jax.data.splits import Splits
from pgkt_jax.nets.pretrained import load_weights
from pgkt_jax.nets.unet import UNet
from pgkt_jax.prior import PoseBank, make_prior, skeleton_label_map
from pgkt_jax.skeleton import Skeleton
from pgkt_jax.stages.evaluate import Labels, both_ways, labels_of, on_canvas, validation
from pgkt_jax.stages.feed import feed
from pgkt_jax.train import hosts
from pgkt_jax.train.checkpoint import latest_state
from pgkt_jax.train.identity import check_people
from pgkt_jax.train.loop import fit
from pgkt_jax.train.losses import cross_entropy, mask_l1
from pgkt_jax.train.optim import adam
from pgkt_jax.train.run_folder import read_bank, save_bank
from pgkt_jax.train.sharding import check_batch
from pgkt_jax.train.state import TrainState
from pgkt_jax.train.views import color_jitter, jittered_box, mirrored_classes, see, see_classes, whole_box
from pgkt_jax.train.watch import check_profile
from pgkt_jax.typing import Array, Bool, Float, Int, Key

REFINERS = ("refine-part-level", "refine-skeleton", "refine-none")
"""The refinement networks of a run folder, in the order in which they are looked for."""


def bank_of(people: Sequence[Person], skeleton: Skeleton) -> PoseBank:
    """The pose bank of people, in their order.

    Raises:
        ValueError: somebody has no label map.
    """
    label_maps, joints, visible = [], [], []
    for person in people:  # one after the other: with their photographs they may be more than memory holds
        if person.label_map is None:
            raise ValueError(f"person {person.id}: parts: a person of a pose bank needs a label map")
        label_maps.append(person.label_map)
        joints.append(person.joints)
        visible.append(person.visible)
    return PoseBank.create(skeleton, label_maps, np.stack(joints), np.stack(visible))


def _bank_in(folder: Path, people: Sequence[Person], skeleton: Skeleton) -> PoseBank:
    """The bank that the training in the folder has begun with, or one of these people, read by the first process."""

    def make() -> None:
        if not ((folder / "bank.npz").exists() and (folder / "checkpoints").exists()):
            save_bank(folder, bank_of(people, skeleton))

    hosts.first_alone(f"{folder}: its pose bank", make)
    bank = read_bank(folder)
    if jax.process_count() > 1:  # a shared file system may still show a host what was there before
        hosts.check_agreement(f"pose bank in {folder}", digest((bank.label_maps, bank.joints, bank.visible)))
    return bank


def refinement_network(config: RefineConfig, skeleton: Skeleton) -> UNet:
    """The U-Net, freshly initialised: image and prior in, part masks (L1) or class logits (cross entropy) out."""
    masks = skeleton.num_classes - 1
    return UNet(
        3 if config.prior == "none" else 3 + masks,
        masks if config.loss == "l1" else masks + 1,
        depth=config.depth,
        width=config.width,
        dropout_blocks=config.dropout_blocks,
        input_skip=config.input_skip,
        dtype=jnp.dtype(config.dtype),
        rngs=nnx.Rngs(config.seed),
    )


def network_input(
    config: RefineConfig,
    bank: PoseBank,
    image: Float[Array, "H W 3"],
    joints: Float[Array, "J 2"],
    visible: Bool[Array, "J"],
    box: Float[Array, "4"],
    *,
    key: Key[Array, ""] | None = None,
    exclude: Int[Array, ""] | None = None,
) -> Float[Array, "H W I"]:
    """One person's view: the image and the prior in the same box, each in -1..1. Without a key the k nearest count."""
    if config.prior == "none":
        return image
    if config.prior == "skeleton":
        prior = skeleton_label_map(bank.skeleton, joints, visible, box, size=config.size)
    else:
        n = config.n if key is not None else config.k
        prior = make_prior(
            bank, joints, visible, box, size=config.size, k=config.k, n=n, key=key, exclude=exclude,
            method=config.method,
        )  # fmt: skip
    # A mirrored view is one of the mirrored person: left and right change their names with the picture.
    prior = jnp.where(box[2] < box[0], mirrored_classes(prior, bank.skeleton), prior)
    return jnp.concatenate([image, 2 * prior - 1], -1)


def refinement_loss(config: RefineConfig) -> Callable[[Array, Array], Array]:
    """The loss of the network's outputs and classes uint8[B, H, W]."""
    return mask_l1 if config.loss == "l1" else cross_entropy


def refine_step(config: RefineConfig, network_input: Callable[..., Array] = network_input) -> Any:
    """The training step: fresh views and fresh neighbours for every sample, one update. Pure; jit it.

    `network_input` can be another, for a bank of another kind with a `skeleton`: the benchmark reads ready priors so.
    """
    loss_of = refinement_loss(config)

    def view(bank: Any, person: People, key: Key[Array, ""]) -> tuple[Array, Array]:
        box_key, color_key, prior_key = jax.random.split(key, 3)
        box = jittered_box(box_key, whole_box(person.sizes), config.zoom, mirror=config.mirror)
        image = see(person.images, person.sizes, box, config.size)
        if config.color:
            image = color_jitter(color_key, image, config.color)
        seen = network_input(
            config, bank, image, person.joints, person.visible, box, key=prior_key, exclude=person.bank_rows
        )
        return seen, see_classes(person.label_maps, box, config.size, bank.skeleton)

    def step(state: TrainState, bank: Any, batch: People) -> tuple[TrainState, dict[str, jax.Array]]:
        keys = state.sample_keys(batch.size)
        view_keys, dropout_keys = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
        seen, classes = jax.vmap(view, (None, 0, 0))(bank, batch, view_keys)

        def loss(params: Any) -> jax.Array:
            return loss_of(state.network(params)(seen, dropout_keys), classes)

        value, grads = jax.value_and_grad(loss)(state.params)
        return state.updated(grads), {"loss": value}

    return step


def refined_outputs(
    config: RefineConfig,
    network: UNet,
    bank: PoseBank,
    images: Float[Array, "B H W 3"],
    joints: Float[Array, "B J 2"],
    visible: Bool[Array, "B J"],
    boxes: Float[Array, "B 4"],
    *,
    exclude: Int[Array, "B"] | None = None,
) -> Float[Array, "B H W C"]:
    """What the network says of images seen through boxes (-1..1, of its size) and of their priors, the k nearest."""
    seen = jax.vmap(partial(network_input, config, bank))(images, joints, visible, boxes, exclude=exclude)
    return network(seen)


def refined_labels(config: RefineConfig, state: TrainState, bank: PoseBank, people: People) -> Labels:
    """Labels of people by the refinement network, at their images' own size; no dropout, the k nearest people."""
    network = state.network()

    def outputs(boxes: Float[Array, "B 4"]) -> Float[Array, "B h w C"]:
        images = jax.vmap(partial(see, output=config.size))(people.images, people.sizes, boxes)
        return refined_outputs(
            config, network, bank, images, people.joints, people.visible, boxes, exclude=people.bank_rows
        )

    boxes = jax.vmap(whole_box)(people.sizes)
    seen = both_ways(outputs, boxes, bank.skeleton, mirror=config.mirror_test)
    full = on_canvas(seen, boxes, people.images.shape[1:3])
    return labels_of(full, people, masks=config.loss == "l1", outline=config.outline)


def check_refinement(
    config: RefineConfig, labelled: Sequence[Person], *, profile: tuple[int, int] | None = None
) -> None:
    """Says before anything starts what would fail later.

    Raises:
        ValueError: fewer labelled people than the prior needs (n and the person itself), an indivisible batch, or steps
            to trace that there are not.
    """
    check_batch(config.batch, "refine.batch")
    check_profile(profile, _steps(config, len(labelled)), "refine")
    needed = config.n + 1 if config.prior == "part-level" else 1
    if not 1 <= config.k <= config.n or len(labelled) < needed:
        raise ValueError(
            f"a prior of k = {config.k} out of n = {config.n} people wants k <= n and {needed} labelled people, "
            f"not {len(labelled)} (n, and the person itself): set refine.k and refine.n"
        )


def _steps(config: RefineConfig, people: int) -> int:
    return config.epochs * people // config.batch if config.steps is None else config.steps


def _fresh(config: RefineConfig, bank: PoseBank, *, weights: str | None = None) -> TrainState:
    network = refinement_network(config, bank.skeleton)
    if weights is not None:
        load_weights(network, Path(weights))
    steps = _steps(config, bank.size)
    tx = adam(config.learning_rate, beta1=config.beta1, steps=steps, decay_from=config.decay_from)
    return TrainState.create(network, tx, config.seed)


def trained_refiner(config: RefineConfig, bank: PoseBank, folder: Path) -> TrainState:
    """The latest state of the training in `folder`, whose priors are made of `bank`.

    Raises:
        ValueError: there is none, none can be read, or it is one with another config.
    """
    return latest_state(folder, config, _fresh(config, bank))


def train_refinement(
    config: RefineConfig, splits: Splits, folder: Path, *, profile: tuple[int, int] | None = None
) -> tuple[TrainState, PoseBank]:
    """Trains on labelled people, each person's prior made of the others; returns the trained state and the bank.

    Leaves in the folder what `trained_refiner` needs, the bank among it.

    Raises:
        ValueError: nobody to validate on, or as `check_refinement`; a folder of another run, or weights to start from
            that do not fit.
    """
    labelled, skeleton = splits.labelled, splits.skeleton
    splits.need("val")
    check_refinement(config, labelled, profile=profile)
    hosts.first_alone(f"{folder}: its people", lambda: check_people(folder, labelled))
    bank = _bank_in(folder, labelled, skeleton)
    data = feed(labelled, splits, batch=config.batch, seed=config.seed, bank_rows=range(len(labelled)))
    state = _fresh(config, bank, weights=config.weights)

    label = jax.jit(lambda bank, state, people: refined_labels(config, state, bank, people))
    state = fit(
        state, refine_step(config), bank, data,
        title=f"refine ({config.prior} prior)", config=config, folder=folder, steps=_steps(config, len(labelled)),
        every=config.every, evaluate=validation(partial(label, bank), splits), profile=profile,
    )  # fmt: skip
    return state, bank
