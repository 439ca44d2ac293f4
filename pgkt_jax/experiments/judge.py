"""What a few seeds allow to say."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

Verdict = Literal["held", "open", "not held"]


def judge(higher: Sequence[float], lower: Sequence[float]) -> Verdict:
    """Whether what should score higher does so beyond the spread between seeds.

    The means must lie further apart than either side's seeds do (largest less smallest): `held`, or, the wrong way
    round, `not held`. All else is `open`, and so is everything where a side has fewer than two seeds.

    Args:
        higher, lower: the scores of every seed, of what the paper has higher and lower.
    """
    if min(len(higher), len(lower)) < 2:
        return "open"
    difference = np.mean(higher) - np.mean(lower)
    if not abs(difference) > max(np.ptp(higher), np.ptp(lower)):
        return "open"
    return "held" if difference > 0 else "not held"


def gap_closed(full: float, semi: float, everything: float) -> float:
    """The share of the way from `full` to `everything` that `semi` has gone; NaN where there is no way to go."""
    return (semi - full) / (everything - full) if everything > full else float("nan")
