"""What can be set, and the paper's settings as defaults. Frozen; read from the command line by tyro."""

import runpy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pgkt_jax.nets.backbones import BACKBONES

PriorKind = Literal["part-level", "skeleton", "none"]
HeadName = Literal["attention", "aspp", "plain", "subpixel"]
if TYPE_CHECKING:
    BackboneName = str
else:
    BackboneName = Literal[tuple(BACKBONES)]

_MANY = 10**9
BOUNDS: dict[str, tuple[float, float]] = {
    "max_side": (8, 16_384),
    "size": (8, 4096),
    "image_size": (8, 4096),
    "zoom": (0.01, 100),
    "shift": (0, 10),
    "stretch": (0, 2),
    "turn": (0, 180),
    "erase": (0, 1),
    "color": (0, 2),
    "calm_from": (0, 1),
    "k": (1, 1000),
    "n": (1, 1000),
    "depth": (1, 12),
    "width": (1, 1024),
    "dropout_blocks": (0, 12),
    "scales": (0.05, 10),
    "attention_width": (1, 16_384),
    "learning_rate": (1e-12, 100),
    "beta1": (0, 0.9999),
    "momentum": (0, 0.9999),
    "weight_decay": (0, 10),
    "decay_from": (0, 1),
    "drops": (0, _MANY),
    "drop": (0, 1),
    "poly": (0, 100),
    "classifier": (0, 10_000),
    "test_scales": (0.05, 10),
    "outline": (0, 256),
    "batch": (1, 2**20),
    "accumulate": (1, 2**20),
    "epochs": (1, _MANY),
    "steps": (1, _MANY),
    "every": (1, _MANY),
    "seed": (0, 2**32 - 1),
    "profile": (0, _MANY),
}
"""The least and the most that make sense, by field, whichever config has it; of a tuple, each of its numbers."""


class _Bounded:
    """A config whose numbers make sense.

    Raises:
        ValueError: one is out of `BOUNDS`; names the field.
    """

    def __post_init__(self) -> None:
        for name, (low, high) in BOUNDS.items():
            value = getattr(self, name, None)
            numbers = value if isinstance(value, tuple) else (value,)
            if not all(number is None or low <= number <= high for number in numbers):
                raise ValueError(f"{name}: is {value}, not {low:,} to {high:,}")


@dataclass(frozen=True)
class DataConfig(_Bounded):
    """Which people.

    Attributes:
        people: `puppets`, `puppet_animals`, or the path of a people folder or of what `pgkt build-data` wrote.
        poses: more data sets of the same forms; everybody in them counts as known by keypoints only.
        parse_people: a data set of the same forms whose train, val and test the parsing network has in place of those
            of `people`, for instance whole pictures; joints it needs none. All of its masks are kept.
        labels: how many people of split train keep their masks, in file order; None: all.
        max_side: larger images are reduced to this longer side, in pixels.
        all_visible: take every joint as visible, whatever its confidence.
        streamed: read the people to train on a batch at a time, for data sets larger than memory.
    """

    people: str = "puppets"
    poses: tuple[str, ...] = ()
    parse_people: str | None = None
    labels: int | None = None
    max_side: int = 512
    all_visible: bool = False
    streamed: bool = False


@dataclass(frozen=True)
class RefineConfig(_Bounded):
    """Training the refinement network (paper, sections 3.5, 3.6, 4.2).

    Attributes:
        size: (H, W) of the network's input, in pixels.
        zoom: the range of random zooms; the paper's "resize to 286, crop 256" is 286 / 256, both ends.
        mirror: mirror half of the time.
        color: strength of random variation of the colours, see `train.views.color_jitter`; the paper has none.
        prior: what the network sees besides the image.
        k, n: the prior averages k people, picked at random out of the n nearest.
        method: how the prior is made, see `make_prior`.
        depth, width, dropout_blocks, input_skip: of the U-Net; the paper's has no input skip.
        mirror_test: outside of training, take the mean of what the network says of an image and of its mirror image.
        outline: outside of training, the outline of a person follows the image's edges by a guided filter of this
            radius in pixels of the image (after a CRF), see `nets.guided_filter`; 0: none (paper).
        loss: `l1` on part masks (paper), or `cross-entropy` over the classes.
        learning_rate, beta1: Adam's.
        decay_from: after this share of the steps the learning rate falls linearly to zero; 1: never.
        batch: people a step.
        epochs: how often every labelled person is seen.
        steps: in place of epochs.
        every: evaluate and save every so many steps.
        dtype: of the network's arithmetic; parameters and losses are float32.
        seed: of everything random.
        weights: a file that `pgkt import-weights` wrote, to start from.
    """

    size: tuple[int, int] = (256, 256)
    zoom: tuple[float, float] = (286 / 256, 286 / 256)
    mirror: bool = True
    color: float = 0.0
    prior: PriorKind = "part-level"
    k: int = 3
    n: int = 5
    method: Literal["exact", "limb_frames"] = "limb_frames"
    depth: int = 8
    width: int = 64
    dropout_blocks: int = 3
    input_skip: bool = False
    mirror_test: bool = False
    outline: int = 0
    loss: Literal["l1", "cross-entropy"] = "l1"
    learning_rate: float = 2e-4
    beta1: float = 0.5
    decay_from: float = 1.0
    batch: int = 1
    epochs: int = 200
    steps: int | None = None
    every: int = 2000
    dtype: Literal["float32", "bfloat16"] = "float32"
    seed: int = 0
    weights: str | None = None


@dataclass(frozen=True)
class ParseConfig(_Bounded):
    """Training the parsing network (paper, sections 3.7, 4.2).

    Attributes:
        size: (H, W) of the network's input in training, in pixels.
        image_size: (H, W) that an image is resized and padded to: a view of zoom 1 shows a window of `size` of it, and
            outside of training the network sees all of it. None: `size`.
        zoom, shift, stretch, mirror, color: random variation of the view, see `train.views`.
        turn: the view is turned by up to so many degrees.
        erase: a random rectangle of the view is blotted out, its sides up to this share of the view's; 0: none.
        calm_from: after this share of the steps stretch, turn, erase and color fall linearly to zero; 1: never.
        backbone: the network below; the paper's is `vgg` and, for its best scores, `resnet101`.
        head: `attention` to scale (paper), or one scale: `aspp` (DeepLabv2), a `plain` classifier (DeepLab-LargeFOV),
            or `subpixel`, a classifier of 2 x 2 pixels a feature, for `small`.
        width: of the backbone's first stage; None: its own.
        scales: at which the attention model sees the image.
        attention_width: channels of the attention head.
        optimizer: `sgd` (paper), or `adam` with a rate that falls as for `RefineConfig`.
        learning_rate, decay_from: of the optimiser; `decay_from` is Adam's.
        momentum: SGD's, or Adam's beta1.
        weight_decay: of kernels; SGD's is part of the gradient, Adam's decoupled from it.
        drops, drop: SGD's rate is multiplied by `drop` after each of the steps `drops`.
        poly: in place of drops: the rate falls as (1 - step / steps) to this power.
        classifier: how much faster the last layer learns, by SGD (whose biases learn twice as fast as kernels).
        test_scales, test_fusion: outside of training, what is taken pixel by pixel from the logits at these scales.
        crf: outside of training, labels follow the image's edges by a dense CRF, see `nets.dense_crf`; not exported.
        accumulate: a batch goes through the network in so many parts, whose gradients add up: less memory.
        mirror_test, outline, batch, steps, every, dtype, seed: as for `RefineConfig`.
        weights: a file that `pgkt import-weights` wrote, or the folder of a run, to start from.
    """

    size: tuple[int, int] = (320, 320)
    image_size: tuple[int, int] | None = None
    zoom: tuple[float, float] = (1.0, 1.0)
    shift: float = 1.0
    stretch: float = 0.0
    turn: float = 0.0
    erase: float = 0.0
    mirror: bool = True
    color: float = 0.0
    calm_from: float = 1.0
    backbone: BackboneName = "small"
    head: HeadName = "attention"
    width: int | None = None
    scales: tuple[float, ...] = (1.0, 0.75, 0.5)
    attention_width: int = 512
    optimizer: Literal["sgd", "adam"] = "sgd"
    learning_rate: float = 1e-3
    decay_from: float = 1.0
    drops: tuple[int, ...] = (2000,)
    drop: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    poly: float | None = None
    classifier: float = 10.0
    test_scales: tuple[float, ...] = (1.0,)
    test_fusion: Literal["max", "mean"] = "max"
    crf: bool = False
    mirror_test: bool = False
    outline: int = 0
    batch: int = 30
    accumulate: int = 1
    steps: int = 15000
    every: int = 1000
    dtype: Literal["float32", "bfloat16"] = "float32"
    seed: int = 0
    weights: str | None = None

    @property
    def test_size(self) -> tuple[int, int]:
        """(H, W) of the network's input outside of training, at test scale 1."""
        return self.image_size or self.size


@dataclass(frozen=True)
class Config(_Bounded):
    """A whole run of the method: whose people, and how both networks train.

    Attributes:
        data, refine, parse: see there.
        profile: write a JAX trace of the steps from the first to the second number, of every training in the run.
    """

    data: DataConfig = field(default_factory=DataConfig)
    refine: RefineConfig = field(default_factory=RefineConfig)
    parse: ParseConfig = field(default_factory=ParseConfig)
    profile: tuple[int, int] | None = None


def load_config(name: str) -> tuple[Path, Config]:
    """The file of a config and its `CONFIG`.

    Raises:
        ValueError: there is no such file, it cannot be run, or it holds no `CONFIG`.
    """
    path = next((p for p in (Path(name), Path("configs") / f"{name}.py") if p.is_file()), None)
    if path is None:
        known = ", ".join(sorted(p.stem for p in Path("configs").glob("*.py"))) or "none here"
        raise ValueError(f"there is no config {name!r}: give a Python file, or one of configs/ ({known})")
    try:
        config = runpy.run_path(str(path)).get("CONFIG")
    except Exception as error:  # anything that the code in the file can raise
        raise ValueError(f"{path}: {type(error).__name__}: {error}") from error
    if not isinstance(config, Config):
        raise ValueError(f"{path}: CONFIG = pgkt_jax.config.Config(...) is missing")
    return path, config
