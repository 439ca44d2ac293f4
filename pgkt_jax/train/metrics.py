"""Intersection over union, from confusion matrices that are summed first and divided once."""

from collections.abc import Iterable
from typing import TypedDict

import numpy as np

from pgkt_jax.skeleton import IGNORE


class Score(TypedDict):
    """One row of results: mean IoU over the classes, and every class' own; 0..1."""

    miou: float
    iou: dict[str, float]


def confusion_matrix(predicted: np.ndarray, true: np.ndarray, num_classes: int) -> np.ndarray:
    """int64[C, C]: pixels of true class (row) by predicted class (column); pixels whose truth is ignored are left out.

    Args:
        predicted, true: uint8 of one shape, class ids.
    """
    counts = true != IGNORE
    pairs = true[counts].astype(np.int64) * num_classes + predicted[counts]
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def score(matrices: Iterable[np.ndarray], classes: tuple[str, ...]) -> Score:
    """IoU of the summed matrices; a class that is neither there nor predicted is NaN and left out of the mean."""
    total = np.sum(list(matrices), axis=0)
    hit = np.diag(total).astype(float)
    union = total.sum(0) + total.sum(1) - hit
    iou = np.divide(hit, union, out=np.full(len(classes), np.nan), where=union > 0)
    return {"miou": float(np.nanmean(iou)), "iou": dict(zip(classes, iou.tolist()))}
