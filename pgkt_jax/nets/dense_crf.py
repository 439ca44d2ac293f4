"""Dense CRF: labels that follow the edges of the photograph (DeepLab-LargeFOV with CRF, the paper's Table 3).

Krähenbühl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials" (NIPS 2011): mean
field with Potts potentials between all pairs of pixels. As in the code that they published and DeepLab uses, what a
pixel hears from the others is a weighted mean (its kernel's values sum to 1), itself among them.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pgkt_jax.typing import Array, Bool, Float, Int, UInt8


@dataclass(frozen=True)
class CRF:
    """Weights and widths of the two kernels; the defaults are those of DeepLab-LargeFOV (v1).

    Chen et al., "Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected CRFs" (ICLR 2015),
    section 4.1, searched them on PASCAL VOC's val. Those of other networks: `crf_of`.

    Attributes:
        near_weight, near_pixels: of the kernel of distances alone; its standard deviation in pixels.
        similar_weight, similar_pixels, similar_colors: of the kernel of distances and colours; its standard deviations
            in pixels and in colours of 0..255.
        rounds: of mean field.
    """

    near_weight: float = 3.0
    near_pixels: float = 3.0
    similar_weight: float = 4.0
    similar_pixels: float = 121.0
    similar_colors: float = 5.0
    rounds: int = 10


_VGG_V2 = CRF(near_weight=2.0, near_pixels=2.0, similar_pixels=65.0, similar_colors=3.0)
_RESNET = CRF(near_weight=3.0, near_pixels=1.0, similar_pixels=67.0, similar_colors=3.0)

PUBLISHED = {"vgg": _VGG_V2, "resnet101": _RESNET, "resnet101-torchvision": _RESNET}


def crf_of(backbone: str) -> CRF:
    """The kernels for a parsing network of this backbone: those that DeepLabv2 was released with, or LargeFOV's (v1).

    LargeFOV's stand for whatever nobody has searched any for, such as `small` and `convnext`.
    """
    return PUBLISHED.get(backbone, CRF())


def mean_field(
    logits: Float[Array, "H W C"], image: UInt8[Array, "H W 3"], size: Int[Array, "2"], *, crf: CRF = CRF()
) -> Float[Array, "H W C"]:
    """Logits after mean field. Pure: jit it, or run it in `lax.map`.

    Args:
        logits: of a network, at the image's own size; their softmax is the unary term.
        image: RGB, on a canvas.
        size: (height, width) of the image itself; the canvas around it says nothing.
        crf: the two kernels.
    """
    height, width, classes = logits.shape
    unary = jax.nn.log_softmax(logits, -1).reshape(-1, classes)
    rows, columns = (axis.reshape(-1, 1) for axis in jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij"))
    places = jnp.concatenate([rows, columns], 1).astype(jnp.float32)
    colors = image.reshape(-1, 3).astype(jnp.float32)
    inside = (rows < size[0]) & (columns < size[1])
    similar = jnp.concatenate([places / crf.similar_pixels, colors / crf.similar_colors], 1)
    kernels = [
        (crf.near_weight, lattice(places / crf.near_pixels, inside[:, 0])),
        (crf.similar_weight, lattice(similar, inside[:, 0])),
    ]
    speaks = inside.astype(jnp.float32)
    sums = [jnp.maximum(filtered(grid, speaks), 1e-20) for _, grid in kernels]

    def update(_: Any, beliefs: Array) -> Array:
        shares = speaks * jax.nn.softmax(beliefs, -1)
        heard = [weight * filtered(grid, shares) / total for (weight, grid), total in zip(kernels, sums)]
        return unary + heard[0] + heard[1]

    return jax.lax.fori_loop(0, crf.rounds, update, unary).reshape(height, width, classes)


class Lattice(NamedTuple):
    """Points of N pixels in a permutohedral lattice of D dimensions, see `lattice`.

    Attributes:
        vertices: int32[N, D + 1], rows of the corners of the simplex around every pixel.
        weights: float32[N, D + 1], barycentric; they sum to 1.
        neighbours: int32[D + 1, 2, M], rows on both sides along every axis; M: nobody's.
    """

    vertices: Int[Array, "N K"]
    weights: Float[Array, "N K"]
    neighbours: Int[Array, "K 2 M"]


def lattice(features: Float[Array, "N D"], inside: Bool[Array, "N"]) -> Lattice:
    """Where pixels lie in the permutohedral lattice in which a Gaussian of standard deviation 1 is a blur of 1 2 1.

    Adams, Baek and Davis, "Fast High-Dimensional Filtering Using the Permutohedral Lattice" (Eurographics 2010),
    section 3. Lattice points are told apart by a hash of 32 bits that is linear in their coordinates, so that a
    neighbour's is theirs plus a constant. Of 100,000 points about one pair shares a hash, which blends the two.

    Args:
        features: of every pixel, divided by the standard deviations.
        inside: which pixels there are; the others make no lattice points.
    """
    count, dims = features.shape
    side = dims + 1
    elevated = jnp.dot(features, jnp.asarray(_elevation(dims).T, jnp.float32), precision=jax.lax.Precision.HIGHEST)
    nearest = jnp.round(elevated / side)
    excess = jnp.sum(nearest, 1, keepdims=True).astype(jnp.int32)
    rest = elevated - nearest * side
    axis = jnp.arange(side)
    above = (rest[:, None] > rest[:, :, None]) | ((rest[:, None] == rest[:, :, None]) & (axis[None] < axis[:, None]))
    rank = jnp.sum(above, 2, dtype=jnp.int32) + excess
    # The multiples of `side` nearest to the coordinates need not lie in the plane: the outermost ranks move by one.
    shift = (rank < 0).astype(jnp.int32) - (rank > dims).astype(jnp.int32)
    rank, nearest = rank + shift * side, nearest.astype(jnp.int32) + shift
    offset = jnp.sort(elevated / side - nearest.astype(jnp.float32), 1)  # by falling rank
    weights = jnp.concatenate([offset[:, :1] - offset[:, -1:] + 1, jnp.diff(offset, axis=1)], 1)
    corner = jnp.arange(side)[:, None]
    keys = side * nearest[:, None] + corner - jnp.where(rank[:, None] > dims - corner, side, 0)

    mix = jnp.asarray(np.random.default_rng(0).integers(0, 2**32, side, np.uint32) | 1)
    hashes = jnp.sum(keys.astype(jnp.uint32) * mix, 2, dtype=jnp.uint32)
    nobody = jnp.uint32(2**32 - 1)
    hashes = jnp.where(inside[:, None], hashes, nobody)
    known = jnp.unique(hashes, size=count * side, fill_value=nobody)

    def row_of(wanted: Array) -> Array:
        row = jnp.searchsorted(known, wanted, method="sort").astype(jnp.int32)
        return jnp.where(known[jnp.minimum(row, len(known) - 1)] == wanted, row, len(known))

    step = side * mix - jnp.sum(mix, dtype=jnp.uint32)
    neighbours = jnp.stack([jnp.stack([row_of(known + s), row_of(known - s)]) for s in step])
    return Lattice(row_of(hashes.reshape(-1)).reshape(count, side), weights, neighbours)


def _elevation(dims: int) -> np.ndarray:
    """float64[D + 1, D]: from features into the plane of coordinates that sum to 0, at the scale of 1 2 1."""
    matrix = np.vstack([np.zeros(dims), -np.diag(np.arange(1.0, dims + 1))]) + np.triu(np.ones((dims + 1, dims)))
    return matrix / np.linalg.norm(matrix, axis=0) * np.sqrt(2 / 3) * (dims + 1)


def filtered(grid: Lattice, values: Float[Array, "N C"]) -> Float[Array, "N C"]:
    """The sums of all pixels' values, weighted by the Gaussian of their distances; up to a constant factor."""
    size = grid.neighbours.shape[2]
    spread = (grid.weights[..., None] * values[:, None]).reshape(-1, values.shape[1])
    points = jnp.zeros((size + 1, values.shape[1])).at[grid.vertices.reshape(-1)].add(spread)
    for before, after in grid.neighbours:
        points = points.at[:size].add((points[before] + points[after]) / 2)
    return jnp.sum(grid.weights[..., None] * points[grid.vertices], 1)
