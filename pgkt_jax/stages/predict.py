"""The trained networks for photographs: numpy in, numpy out, every image at its own size.

    refiner = Refiner.from_checkpoint("runs/quickstart")
    label_maps = refiner(images, joints, visible)

Images of any sizes go together. Each lies on the smallest canvas that holds it, whose sides are 64, 128, 256, 512 or
1024 pixels; a longer image is reduced to 1024 on the way in and its labels enlarged on the way out. Only the light
steps, looking through a box and back, are compiled once a canvas. The network sees one size and one number of people,
and so is compiled once.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from pgkt_jax.config import ParseConfig, RefineConfig
from pgkt_jax.data import checks
from pgkt_jax.data.batch import People, stack_people
from pgkt_jax.data.person import Person
from pgkt_jax.data.sources import reduced
from pgkt_jax.nets.attention import AttentionToScale
from pgkt_jax.nets.deeplab import DeepLab
from pgkt_jax.nets.dense_crf import CRF, crf_of, mean_field
from pgkt_jax.nets.unet import UNet
from pgkt_jax.prior import PoseBank
from pgkt_jax.skeleton import Skeleton
from pgkt_jax.stages.evaluate import BATCH, both_ways, decided, inside_image
from pgkt_jax.stages.parse import parsed_outputs, parser_of_run
from pgkt_jax.stages.refine import REFINERS, refined_outputs, trained_refiner
from pgkt_jax.train.run_folder import read_bank, read_config, training_in
from pgkt_jax.train.views import fitted_box, see, unsee, whole_box
from pgkt_jax.typing import Array, Float, Int, UInt8

SMALLEST_SIDE, LARGEST_SIDE = 64, 1024
"""Canvas sides, in pixels, are the powers of two between these."""


class Prediction(NamedTuple):
    """What a network says of one image.

    Attributes:
        label_map: uint8[H, W], class ids, 0 background.
        evidence: float32[H, W], the probability of the likeliest class that is not background.
        probabilities: float32[H, W, C], of all classes, background first, summing to 1; None where not asked for.
    """

    label_map: np.ndarray
    evidence: np.ndarray
    probabilities: np.ndarray | None


class Refiner:
    """The refinement network and its pose bank: labels of people whose joints are known.

    Attributes:
        config: what the network was trained with.
        skeleton: names joints and classes.
        batch: people that the network sees at once.
        outputs: the network with its priors, jitted: `refined_outputs` of images, joints, visible and boxes.
    """

    def __init__(self, config: RefineConfig, network: UNet, bank: PoseBank, *, batch: int = BATCH):
        self.config, self.skeleton, self.batch = config, bank.skeleton, batch
        graph, params = nnx.split(network)
        outputs = jax.jit(
            lambda params, bank, *seen: refined_outputs(config, nnx.merge(graph, params, copy=True), bank, *seen)
        )
        self.outputs = partial(outputs, params, bank)

    @classmethod
    def from_checkpoint(cls, folder: str | Path, *, batch: int = BATCH) -> "Refiner":
        """The latest checkpoint of a run, with the bank that the run has left beside it (`train.run_folder`).

        Args:
            folder: of a run, as `pgkt quickstart` and `pgkt refine` leave it (the first of
                `stages.refine.REFINERS` in it is taken), or of one refinement training.
            batch: people that the network sees at once.

        Raises:
            ValueError: there is no checkpoint, or a file of the run is missing or of another version.
        """
        run = training_in(Path(folder), REFINERS, "refine")
        config = read_config(run, RefineConfig)
        bank = read_bank(run, limb_frames=config.method == "limb_frames")
        return cls(config, trained_refiner(config, bank, run).network(), bank, batch=batch)

    def __call__(
        self, images: Sequence[np.ndarray], joints: Sequence[np.ndarray], visible: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """Label maps of people, one person an image.

        Args:
            images: B arrays uint8[H, W, 3], RGB, of any sizes: each a crop around its person (the network was trained
                on such; `data.readers.people.cropped` cuts one).
            joints: B arrays float[J, 2], (x, y) in pixels of the person's image, y down, pixel centres at integers.
            visible: B arrays bool[J]; a joint that is not visible may be anywhere, or NaN.

        Returns:
            B arrays uint8[H, W] of class ids: rows of `skeleton.classes`, 0 background.

        Raises:
            ValueError: an image is no uint8[H, W, 3], joints or visible do not fit the skeleton, or their numbers
                differ; names which.
            TypeError: one of the three has no length, or an image is no array.
        """
        return [found.label_map for found in self.predictions(_people(images, joints, visible, self.skeleton))]

    def probabilities(
        self,
        images: Sequence[np.ndarray],
        joints: Sequence[np.ndarray],
        visible: Sequence[np.ndarray],
        *,
        dtype: Any = np.float32,
    ) -> list[np.ndarray]:
        """As the call, but B arrays float[H, W, C] of class probabilities that sum to 1, background first.

        Args:
            images, joints, visible: as for the call.
            dtype: np.float32, or np.float16 for half the memory.

        Raises:
            ValueError, TypeError: as the call.
        """
        return _shares(self.predictions(_people(images, joints, visible, self.skeleton), probabilities=True), dtype)

    def predictions(self, people: Iterable[Person], *, probabilities: bool = False) -> Iterator[Prediction]:
        """What the network says of each person, in order; `people` may be endless and is read a batch ahead."""

        def outputs(views: _Views) -> tuple[Array, Array]:
            joints = jnp.concatenate([row.joints for row in views.rows])
            visible = jnp.concatenate([row.visible for row in views.rows])
            boxes = jax.vmap(whole_box)(views.sizes)
            return both_ways(
                lambda boxes: self.outputs(views.look(boxes, self.config.size), joints, visible, boxes),
                boxes,
                self.skeleton,
                mirror=self.config.mirror_test,
            ), boxes

        config = self.config
        return _predictions(
            people, outputs, self.batch,
            masks=config.loss == "l1", outline=config.outline, probabilities=probabilities,
        )  # fmt: skip


class Parser:
    """The parsing network: labels of photographs, no joints needed.

    Attributes:
        config: what the network was trained with.
        skeleton: names the classes.
        grid: where the logits lie on what the network sees.
        batch: images that the network sees at once.
        logits: the network, jitted: float[B, H, W, 3], -1..1, to its fused logits float32[B, h, w, C].
    """

    def __init__(
        self, config: ParseConfig, network: AttentionToScale | DeepLab, skeleton: Skeleton, *, batch: int = BATCH
    ):
        self.config, self.skeleton, self.grid, self.batch = config, skeleton, network.grid, batch
        graph, params = nnx.split(network)
        self.logits = partial(jax.jit(lambda params, seen: nnx.merge(graph, params, copy=True)(seen).fused), params)

    @classmethod
    def from_checkpoint(cls, folder: str | Path, *, batch: int = BATCH) -> "Parser":
        """The latest checkpoint of a run.

        Args:
            folder: of a run, as `pgkt quickstart` and `pgkt parse` leave it (the first of `stages.parse.PARSERS` in
                it is taken), or of one training of a parsing network.
            batch: images that the network sees at once.

        Raises:
            ValueError: there is no checkpoint, or a file of the run is missing or of another version.
        """
        config, skeleton, network = parser_of_run(Path(folder))
        return cls(config, network, skeleton, batch=batch)

    def __call__(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Label maps of photographs.

        Args:
            images: B arrays uint8[H, W, 3], RGB, of any sizes.

        Returns:
            B arrays uint8[H, W] of class ids: rows of `skeleton.classes`, 0 background.

        Raises:
            ValueError: an image is no uint8[H, W, 3]; names which.
            TypeError: `images` has no length, or an image is no array.
        """
        return [found.label_map for found in self.predictions(map(np.asarray, _checked(images)))]

    def probabilities(self, images: Sequence[np.ndarray], *, dtype: Any = np.float32) -> list[np.ndarray]:
        """As the call, but B arrays float[H, W, C] of class probabilities that sum to 1, background first.

        Args:
            images: as for the call.
            dtype: np.float32, or np.float16 for half the memory.

        Raises:
            ValueError, TypeError: as the call.
        """
        return _shares(self.predictions(map(np.asarray, _checked(images)), probabilities=True), dtype)

    def predictions(self, images: Iterable[np.ndarray], *, probabilities: bool = False) -> Iterator[Prediction]:
        """What the network says of each image, in order; `images` may be endless and is read a batch ahead."""

        def outputs(views: _Views) -> tuple[Array, Array]:
            boxes = jax.vmap(partial(fitted_box, output=self.config.test_size))(views.sizes)
            return parsed_outputs(self.config, self.skeleton, self.grid, self.logits, views.look, boxes)

        # No joints are looked at; the record wants some.
        joints, visible = np.zeros((self.skeleton.num_joints, 2), np.float32), np.zeros(self.skeleton.num_joints, bool)
        people = (Person("image", image, joints, visible) for image in images)
        crf = crf_of(self.config.backbone) if self.config.crf else None
        return _predictions(
            people, outputs, self.batch,
            masks=False, outline=self.config.outline, crf=crf, probabilities=probabilities,
        )  # fmt: skip


class _Views:
    """A batch of people, each on a canvas of their own (`People` of one)."""

    def __init__(self, rows: Sequence[People]):
        self.rows = rows
        self.sizes = jnp.concatenate([row.sizes for row in rows])

    def look(self, boxes: Float[Array, "B 4"], output: tuple[int, int]) -> Float[Array, "B H W 3"]:
        """Everybody seen through their box, in one size."""
        seen = [_see(row.images[0], row.sizes[0], box, output) for row, box in zip(self.rows, np.asarray(boxes))]
        return jnp.stack(seen)


_see = jax.jit(see, static_argnames="output")


@partial(jax.jit, static_argnames=("masks", "outline", "crf", "probabilities"))
def _decide(
    outputs: Float[Array, "h w C"],
    box: Float[Array, "4"],
    image: UInt8[Array, "H W 3"],
    size: Int[Array, "2"],
    *,
    masks: bool,
    outline: int,
    crf: CRF | None,
    probabilities: bool,
) -> tuple[UInt8[Array, "H W"], Float[Array, "H W"], Float[Array, "H W K"] | None]:
    """The fields of a `Prediction` on the canvas, of a network's outputs through one box."""
    full = unsee(outputs, box, (image.shape[0], image.shape[1]))
    if crf is not None:
        full = mean_field(full, image, size, crf=crf)
    inside = inside_image(size, image.shape[:2])
    label_map, shares = decided(full, image, inside, masks=masks, outline=outline)
    return label_map, jnp.max(shares[..., 1:], -1), shares if probabilities else None


def _predictions(
    people: Iterable[Person],
    outputs: Callable[[_Views], tuple[Float[Array, "B h w C"], Float[Array, "B 4"]]],
    batch: int,
    *,
    masks: bool,
    outline: int,
    crf: CRF | None = None,
    probabilities: bool,
) -> Iterator[Prediction]:
    waiting = iter(people)
    decide = partial(_decide, masks=masks, outline=outline, crf=crf, probabilities=probabilities)
    while chosen := list(islice(waiting, batch)):
        rows = [_on_canvas(person) for person in chosen]
        # The last batch is filled up with its first person, so that one batch size is compiled.
        seen, boxes = outputs(_Views(rows + rows[:1] * (batch - len(rows))))
        found = [decide(seen[i], boxes[i], row.images[0], row.sizes[0]) for i, row in enumerate(rows)]
        for person, row, fields in zip(chosen, rows, found):
            yield _own_size(Prediction(*jax.device_get(fields)), row.sizes[0], person.image.shape[:2])


def _on_canvas(person: Person) -> People:
    person = reduced(person, LARGEST_SIDE)
    height, width = (max(SMALLEST_SIDE, 1 << (side - 1).bit_length()) for side in person.image.shape[:2])
    return stack_people([person], (height, width))


def _own_size(found: Prediction, shown: Int[np.ndarray, "2"], size: tuple[int, ...]) -> Prediction:
    """The image without the rest of its canvas, enlarged if it was reduced to the size `shown`."""
    (height, width), own = shown, (size[1], size[0])
    label_map, evidence = found.label_map[:height, :width], found.evidence[:height, :width]
    shares = None if found.probabilities is None else found.probabilities[:height, :width]
    if size != (height, width):
        label_map = cv2.resize(label_map, own, interpolation=cv2.INTER_NEAREST_EXACT)
        evidence = cv2.resize(evidence, own, interpolation=cv2.INTER_LINEAR)
        shares = None if shares is None else cv2.resize(shares, own, interpolation=cv2.INTER_LINEAR)
    return Prediction(label_map, evidence, shares)


def _shares(found: Iterable[Prediction], dtype: Any) -> list[np.ndarray]:
    return [one.probabilities.astype(dtype) for one in found if one.probabilities is not None]


def _sized(name: str, values: Any) -> Any:
    """What has a length: `values` is not a single picture, or a generator that can be read only once."""
    try:
        len(values)
    except TypeError:
        raise TypeError(f"{name}: is a {type(values).__name__}, not a list of arrays, one a person or image") from None
    return values


def _checked(images: Any) -> Any:
    for row, image in enumerate(_sized("images", images)):
        if not isinstance(image, (np.ndarray, jax.Array)):
            raise TypeError(f"images[{row}]: is a {type(image).__name__}, not an array uint8[H, W, 3]")
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ValueError(f"images[{row}]: is {image.dtype}{list(image.shape)}, not uint8[H, W, 3]")
    return images


def _people(images: Any, joints: Any, visible: Any, skeleton: Skeleton) -> list[Person]:
    lengths = [len(_sized(*given)) for given in (("images", images), ("joints", joints), ("visible", visible))]
    if len(set(lengths)) > 1:
        raise ValueError("there are {} images, {} joints and {} visible".format(*lengths))
    people, count = [], skeleton.num_joints
    for row, (image, places, seen) in enumerate(zip(_checked(images), joints, visible)):
        with checks.about(f"joints[{row}]"):
            places = _array(places, "fiu", (count, 2), f"float[{count}, 2] for {skeleton.name}")
        with checks.about(f"visible[{row}]"):
            seen = _array(seen, "b", (count,), f"bool[{count}] for {skeleton.name}")
        for name, place in zip(np.array(skeleton.joints)[seen], places[seen]):
            if not (np.abs(place) <= checks.MAX_COORDINATE).all():  # NaN is not, either
                x, y = place
                raise ValueError(f"joints[{row}]: {name} is visible, but at ({x:g}, {y:g}), not a finite place")
        people.append(Person(f"images[{row}]", np.asarray(image), places.astype(np.float32), seen))
    return people


def _array(value: Any, kinds: str, shape: tuple[int, ...], wanted: str) -> np.ndarray:
    """An array of one of NumPy's kinds of dtype; lists of numbers are taken, too."""
    try:
        found = np.asarray(value)
    except (TypeError, ValueError):  # rows of different lengths, for instance
        raise ValueError(f"is a {type(value).__name__} that makes no array, not {wanted}") from None
    if found.dtype.kind not in kinds or found.shape != shape:
        raise ValueError(f"is {found.dtype}{list(found.shape)}, not {wanted}")
    return found
