"""The parsing network: photographs in, class labels out, no keypoints (paper, section 3.7)."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from pgkt_jax.config import ParseConfig
from pgkt_jax.data.batch import People
from pgkt_jax.data.person import Person
from pgkt_jax.data.splits import Splits
from pgkt_jax.nets.attention import AttentionToScale, Logits
from pgkt_jax.nets.deeplab import DeepLab
from pgkt_jax.nets.dense_crf import crf_of, mean_field
from pgkt_jax.nets.grid import Grid, flipped, regridded
from pgkt_jax.nets.parser import parser
from pgkt_jax.nets.pretrained import check_weights, copy_weights, load_weights
from pgkt_jax.skeleton import IGNORE, Skeleton
from pgkt_jax.stages.evaluate import Labels, both_ways, labels_of, on_canvas, validation
from pgkt_jax.stages.feed import feed
from pgkt_jax.train import hosts
from pgkt_jax.train.accumulate import value_and_grad_in_parts
from pgkt_jax.train.checkpoint import latest_state
from pgkt_jax.train.identity import check_people
from pgkt_jax.train.loop import fit
from pgkt_jax.train.losses import cross_entropy
from pgkt_jax.train.optim import adam, sgd
from pgkt_jax.train.run_folder import read_config, read_skeleton, save_skeleton, training_in
from pgkt_jax.train.sharding import check_batch
from pgkt_jax.train.state import TrainState
from pgkt_jax.train.views import (
    beyond,
    color_jitter,
    fitted_box,
    jittered_box,
    random_rectangle,
    see,
    see_classes,
    turn,
    turn_classes,
    whole_box,
)
from pgkt_jax.train.watch import check_profile
from pgkt_jax.typing import Array, Float, Int, Key, Scalar, UInt8

PARSERS = ("parse-semi", "parse-full", "parse-all")
"""The parsing networks of a run folder, in the order in which they are looked for."""


def parsing_network(config: ParseConfig, skeleton: Skeleton) -> AttentionToScale | DeepLab:
    """The parsing network, freshly initialised."""
    return parser(
        config.backbone,
        config.head,
        skeleton.num_classes,
        width=config.width,
        scales=config.scales,
        attention_width=config.attention_width,
        dtype=jnp.dtype(config.dtype),
        rngs=nnx.Rngs(config.seed),
    )


def parsing_loss(logits: Logits, classes: UInt8[Array, "B h w"]) -> Float[Array, ""]:
    """The multinomial logistic loss of the fused logits and of every scale, at the logits' grid."""
    return sum((cross_entropy(scale, classes) for scale in logits.scales), cross_entropy(logits.fused, classes))


def training_view(
    config: ParseConfig,
    skeleton: Skeleton,
    person: People,
    key: Key[Array, ""],
    grid: Grid,
    outputs: tuple[int, int],
    *,
    strength: Scalar = 1.0,
) -> tuple[Float[Array, "H W 3"], UInt8[Array, "h w"]]:
    """A random view of one person, as `config` has it: the image in -1..1, and the classes on `grid`, `IGNORE` outside.

    Args:
        config, skeleton: say how.
        person: one row of a batch.
        key: one random key.
        grid, outputs: where the logits lie, and how many they are (h, w).
        strength: of stretch, turn, erase and color, 1 in full.
    """
    box_key, color_key, turn_key, erase_key = jax.random.split(key, 4)
    whole, window = fitted_box(person.sizes, config.test_size), None
    if config.image_size is not None:  # a window lies in the image, not in what pads it
        window = (whole[2:] - whole[:2]) * (np.array(config.size[::-1]) / np.array(config.test_size[::-1]))
        whole = whole_box(person.sizes)
    box = jittered_box(
        box_key, whole, config.zoom, window=window, shift=config.shift, stretch=strength * config.stretch,
        mirror=config.mirror,
    )  # fmt: skip
    image = see(person.images, person.sizes, box, config.size)
    classes = see_classes(person.label_maps, grid.box(box, outputs, config.size), outputs, skeleton)
    if config.turn:
        angle = strength * jnp.deg2rad(jax.random.uniform(turn_key, minval=-config.turn, maxval=config.turn))
        image, classes = turn(image, angle), turn_classes(classes, angle, grid.middle(config.size))
    if config.erase:
        hole, view = random_rectangle(erase_key, strength * config.erase), jnp.array([0.0, 0, 1, 1])
        image = jnp.where(beyond(hole, view, config.size)[..., None], image, 0)
        kept = beyond(hole, grid.box(view, outputs, config.size), outputs)
        classes = jnp.where(kept, classes, jnp.uint8(IGNORE))
    if config.color:
        image = color_jitter(color_key, image, strength * config.color)
    return image, classes


def view_strength(config: ParseConfig, step: Int[Array, ""]) -> Float[Array, ""]:
    """How strongly views vary at a step: 1 until the share `calm_from` of the steps, then on a line to 0 at the end."""
    left = 1 - step.astype(jnp.float32) / config.steps
    return jnp.minimum(1, left / max(1 - config.calm_from, 1 / config.steps))


def parse_step(config: ParseConfig, skeleton: Skeleton) -> Any:
    """The training step: fresh views of every sample, one update by `parsing_loss`. Pure; jit it."""

    def step(state: TrainState, _: None, batch: People) -> tuple[TrainState, dict[str, jax.Array]]:
        keys = state.sample_keys(batch.size)
        view_keys, dropout_keys = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
        shape = (batch.size, *config.size, 3)
        network = state.network()
        outputs = jax.eval_shape(network, jax.ShapeDtypeStruct(shape, jnp.float32)).fused.shape[1:3]
        strength = view_strength(config, state.step)
        view = partial(training_view, config, skeleton, grid=network.grid, outputs=outputs, strength=strength)
        images, classes = jax.vmap(view)(batch, view_keys)

        def loss(params: Any, images: Array, dropout_keys: Array, classes: Array) -> jax.Array:
            return parsing_loss(state.network(params)(images, dropout_keys), classes)

        labelled = jnp.sum(classes != IGNORE, (1, 2), dtype=jnp.float32)
        value, grads = value_and_grad_in_parts(
            loss, state.params, (images, dropout_keys, classes), labelled, parts=config.accumulate
        )
        return state.updated(grads), {"loss": value}

    return step


def parsed_outputs(
    config: ParseConfig,
    skeleton: Skeleton,
    grid: Grid,
    logits: Callable[[Float[Array, "B H W 3"]], Float[Array, "B h w C"]],
    look: Callable[[Float[Array, "B 4"], tuple[int, int]], Float[Array, "B H W 3"]],
    boxes: Float[Array, "B 4"],
) -> tuple[Float[Array, "B h w C"], Float[Array, "B 4"]]:
    """The logits of what lies in boxes, over the test scales and both ways, and the boxes that the logits cover.

    Args:
        config: says the scales.
        skeleton: names the classes.
        grid: where its logits lie.
        logits: the network.
        look: (boxes, (H, W)) -> images of that size seen through the boxes, -1..1.
        boxes: of the aspect of the config's `test_size`.
    """
    size = config.test_size
    sizes = [(round(size[0] * scale), round(size[1] * scale)) for scale in config.test_scales]

    def outputs(boxes: Float[Array, "B 4"]) -> Float[Array, "B h w C"]:
        seen = [logits(look(boxes, size)) for size in sizes]
        return fused(seen, grid, sizes, onto=size, how=config.test_fusion)

    turned_over = partial(flipped, grid=grid, width=size[1])
    seen = both_ways(outputs, boxes, skeleton, mirror=config.mirror_test, flipped=turned_over)
    return seen, grid.box(boxes, seen.shape[1:3], size)


def parsed_labels(config: ParseConfig, skeleton: Skeleton, state: TrainState, people: People) -> Labels:
    """Labels of people by the parsing network, at their images' own size. Looks at nothing but the images."""

    network = state.network()

    def look(boxes: Float[Array, "B 4"], output: tuple[int, int]) -> Float[Array, "B H W 3"]:
        return jax.vmap(partial(see, output=output))(people.images, people.sizes, boxes)

    boxes = jax.vmap(partial(fitted_box, output=config.test_size))(people.sizes)
    seen = parsed_outputs(config, skeleton, network.grid, lambda images: network(images).fused, look, boxes)
    logits = on_canvas(*seen, people.images.shape[1:3])
    if config.crf:
        crf = crf_of(config.backbone)
        logits = jax.lax.map(lambda row: mean_field(*row, crf=crf), (logits, people.images, people.sizes))
    return labels_of(logits, people, masks=False, outline=config.outline)


def fused(
    logits: Sequence[Array], grid: Grid, sizes: Sequence[tuple[int, int]], *, onto: tuple[int, int], how: str
) -> Float[Array, "B h w C"]:
    """The maximum or the mean over logits of an image at several sizes, where those at the size `onto` cover it."""
    outputs = grid.covering(onto)
    stacked = jnp.stack(
        [regridded(x, grid, size, onto=onto, outputs=outputs) for x, size in zip(logits, sizes, strict=True)]
    )
    return jnp.max(stacked, 0) if how == "max" else jnp.mean(stacked, 0)


def parsing_optimizer(config: ParseConfig) -> optax.GradientTransformation:
    """The optimiser that a config asks for."""
    if config.optimizer == "adam":
        return adam(
            config.learning_rate, beta1=config.momentum, steps=config.steps, decay_from=config.decay_from,
            weight_decay=config.weight_decay,
        )  # fmt: skip
    return sgd(
        config.learning_rate, drops=config.drops, drop=config.drop, momentum=config.momentum,
        weight_decay=config.weight_decay, poly=config.poly, steps=config.steps, classifier=config.classifier,
    )  # fmt: skip


def _fresh(config: ParseConfig, skeleton: Skeleton, *, weights: str | None = None) -> TrainState:
    network = parsing_network(config, skeleton)
    if weights is not None:
        path = Path(weights)
        if path.is_dir():
            copy_weights(network, parser_of_run(path)[2], weights)
        else:
            load_weights(network, path)
    return TrainState.create(network, parsing_optimizer(config), config.seed)


def check_start(config: ParseConfig, skeleton: Skeleton) -> None:
    """Raises ValueError before anything starts if a file of weights does not fit the network that starts from it."""
    if config.weights is not None and not Path(config.weights).is_dir():
        check_weights(nnx.eval_shape(partial(parsing_network, config, skeleton)), Path(config.weights))


def trained_parser(config: ParseConfig, skeleton: Skeleton, folder: Path) -> TrainState:
    """The latest state of the training in `folder`.

    Raises:
        ValueError: there is none, none can be read, or it is one with another config.
    """
    return latest_state(folder, config, _fresh(config, skeleton))


def parser_of_run(folder: Path) -> tuple[ParseConfig, Skeleton, AttentionToScale | DeepLab]:
    """What a network was trained with, whose parts it knows, and itself as the latest checkpoint has it.

    Args:
        folder: of a run (the first of `PARSERS` in it is taken), or of one training of a parsing network.

    Raises:
        ValueError: there is no checkpoint, or a file of the run is missing or of another version.
    """
    run = training_in(folder, PARSERS, "parse")
    config, skeleton = read_config(run, ParseConfig), read_skeleton(run)
    return config, skeleton, trained_parser(config, skeleton, run).network()


def train_parsing(
    config: ParseConfig,
    people: Sequence[Person],
    splits: Splits,
    folder: Path,
    *,
    title: str = "parse",
    profile: tuple[int, int] | None = None,
) -> TrainState:
    """Trains on `people`, masks made by hand and synthesised alike, each once an epoch; `splits.val` is watched.

    Leaves in the folder what `trained_parser` needs.

    Raises:
        ValueError: nobody to validate on, a folder of a run with another config, or weights to start from that do not
            fit.
    """
    splits.need("val")
    check_batch(config.batch, "parse.batch", parts=config.accumulate)
    check_profile(profile, config.steps, "parse")
    hosts.first_alone(f"{folder}: its people", lambda: check_people(folder, people))
    skeleton = splits.skeleton
    if hosts.is_first():
        save_skeleton(folder, skeleton)
    data = feed(people, splits, batch=config.batch, seed=config.seed)
    state = _fresh(config, skeleton, weights=config.weights)
    label = jax.jit(lambda state, people: parsed_labels(config, skeleton, state, people))
    return fit(
        state, parse_step(config, skeleton), None, data, title=title, config=config, folder=folder,
        steps=config.steps, every=config.every, evaluate=validation(label, splits), profile=profile,
    )  # fmt: skip
