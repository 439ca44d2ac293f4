"""Where on an image the outputs of a network lie: labels are taken there, and outputs are brought back from there."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pgkt_jax.typing import Array, Float


class Grid(NamedTuple):
    """Output i of a row or a column looks at pixel `origin + stride * i` of the input, pixel centres at integers.

    Padded pools and strided convolutions have their first output on the first pixel; where every output stands for a
    cell, a block of pixels, it lies in the middle of it.
    """

    origin: float
    stride: float

    @classmethod
    def of_cells(cls, side: int) -> "Grid":
        """Cells of so many pixels, the first in the image's corner."""
        return cls((side - 1) / 2, side)

    @property
    def edge(self) -> float:
        """Where the first output's share begins, in pixels from the input's edge; that of cells is 0."""
        return self.origin + 0.5 - self.stride / 2

    def halved(self) -> "Grid":
        """Two outputs in the place of each."""
        return Grid(self.origin - self.stride / 4, self.stride / 2)

    def middle(self, size: tuple[int, int]) -> tuple[float, float]:
        """The middle (row, column) of an input of `size` (H, W), counted in outputs."""
        row, column = (((side - 1) / 2 - self.origin) / self.stride for side in size)
        return row, column

    def covering(self, size: tuple[int, int]) -> tuple[int, int]:
        """How many outputs (h, w) cover an input of `size` (H, W)."""
        height, width = (math.ceil((side - self.edge) / self.stride) for side in size)
        return height, width

    def box(self, box: Float[Array, "*B 4"], outputs: tuple[int, ...], size: tuple[int, int]) -> Float[Array, "*B 4"]:
        """The box of `outputs` (h, w) of an input of `size` (H, W) that is seen through `box`."""
        count, pixels = np.array(outputs[::-1]), np.array(size[::-1])
        start = np.float32(self.edge / pixels)
        beyond = np.float32((self.edge + self.stride * count) / pixels - 1)
        sides = box[..., 2:] - box[..., :2]
        return jnp.concatenate([box[..., :2] + start * sides, box[..., 2:] + beyond * sides], -1)


def regridded(
    x: Float[Array, "B h w C"],
    grid: Grid,
    size: tuple[int, ...],
    *,
    onto: tuple[int, ...],
    outputs: tuple[int, ...],
) -> Float[Array, "B H W C"]:
    """Outputs at one size of an image, interpolated where those at another lie; continued by their edge.

    Args:
        x: the outputs.
        grid: where they lie.
        size: (H, W) of the image that they were made of.
        onto, outputs: (H, W) of the image at the other size, and how many outputs (h, w) are wanted there.
    """
    if size == onto and x.shape[1:3] == outputs:
        return x
    rows, columns = (
        jnp.asarray(interpolation(grid, x.shape[1 + axis], size[axis] / onto[axis], outputs[axis]), x.dtype)
        for axis in (0, 1)
    )
    return jnp.einsum("ih,jw,bhwc->bijc", rows, columns, x, precision=jax.lax.Precision.HIGHEST)


def interpolation(grid: Grid, count: int, scale: float, outputs: int) -> Float[np.ndarray, "H h"]:
    """The weights of `count` outputs of a row or column in `outputs` others, on an image 1 / `scale` times as large.

    Linear, and antialiased where it shrinks.
    """
    places = scale * (grid.edge / grid.stride + np.arange(outputs) + 0.5) - grid.edge / grid.stride - 0.5
    return _weights(places, count, reach=max(scale, 1))


def flipped(x: Float[Array, "B h w C"], grid: Grid, width: int) -> Float[Array, "B h w C"]:
    """Outputs on a mirrored image of `width` pixels, interpolated where those of the image itself lie."""
    count = x.shape[2]
    first = (width - 1 - 2 * grid.origin) / grid.stride
    if first == count - 1:
        return x[:, :, ::-1]
    columns = jnp.asarray(_weights(first - np.arange(count), count, reach=1), x.dtype)
    return jnp.einsum("jw,bhwc->bhjc", columns, x, precision=jax.lax.Precision.HIGHEST)


def _weights(places: Float[np.ndarray, "H"], count: int, *, reach: float) -> Float[np.ndarray, "H h"]:
    places = np.clip(places, 0, count - 1)
    weights = np.maximum(1 - np.abs(places[:, None] - np.arange(count)) / reach, 0)
    return weights / weights.sum(1, keepdims=True)
