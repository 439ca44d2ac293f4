"""What the paper prints, in per cent: Fang, Lu, Fang, Xie, Tai, Lu, CVPR 2018 (arXiv 1805.04310), section 4.3.

Tables 1 to 3 are PASCAL-Person-Part, one seed each. Class names are those of our skeletons.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Printed:
    """A row of the paper: IoU in per cent, mean and (where printed) of every class, where it stands, and a remark."""

    where: str
    miou: float
    iou: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


TABLE_1 = {0: Printed("Table 1", 56.89), 40: Printed("Table 1", 59.60), 70: Printed("Table 1", 61.44),
           100: Printed("Table 1", 62.60)}  # fmt: skip
"""By the share of the 10K people with keypoints only, in per cent (0, 4K, 7K, 10K)."""

SKELETON = Printed("Table 2", 58.26)
TABLE_2 = {k: Printed("Table 2", miou) for k, miou in {1: 60.10, 3: 61.78, 5: 61.26, 7: 60.32}.items()}
"""By k, of k nearest."""
THREE_OF_FIVE = Printed("Table 2", 62.60)

RESNET_FULL = Printed("section 4.3", 59.6)
ESTIMATED = Printed("section 4.3", 61.8)

_PERSON = ("head", "torso", "upper arms", "lower arms", "upper legs", "lower legs", "background")
_ANIMAL = ("background", "head", "body", "leg", "tail")


def _row(where: str, classes: tuple[str, ...], *values: float, note: str = "") -> Printed:
    *iou, miou = values
    return Printed(where, miou, dict(zip(classes, iou, strict=True)), note)


TABLE_3 = {
    "DeepLab-LargeFOV-CRF [4]": _row("Table 3", _PERSON, 80.13, 55.56, 36.43, 38.72, 35.50, 30.82, 93.52, 52.95),
    "Attention [5], VGG-16": _row("Table 3", _PERSON, 81.47, 59.06, 44.15, 42.50, 38.28, 35.62, 93.65, 56.39),
    "HAZN [32]": _row(
        "Table 3", _PERSON, 80.79, 80.76, 45.65, 43.11, 41.21, 37.74, 93.78, 57.54,
        note="the mean as printed; that of the printed classes is 60.43",
    ),
    "Graph LSTM [23]": _row("Table 3", _PERSON, 82.69, 62.68, 46.88, 47.71, 45.66, 40.93, 94.59, 60.16),
    "Structure-evolving LSTM [21]": _row("Table 3", _PERSON, 82.89, 67.15, 51.42, 48.72, 51.72, 45.91, 97.18, 63.57),
    "Joint (VGG-16, +ms) [33]": _row("Table 3", _PERSON, 80.21, 61.36, 47.53, 43.94, 41.77, 38.00, 93.64, 58.06),
    "Joint (ResNet-101, +ms) [33]": _row("Table 3", _PERSON, 85.50, 67.87, 54.72, 54.30, 48.25, 44.76, 95.32, 64.39),
    "Ours (VGG-16)": _row("Table 3", _PERSON, 84.06, 67.03, 51.66, 50.15, 45.33, 44.26, 95.73, 62.60),
    "Ours (ResNet-101)": _row("Table 3", _PERSON, 84.83, 68.64, 53.11, 53.01, 48.40, 46.76, 95.22, 64.28),
    "Ours (ResNet-101, +ms)": _row("Table 3", _PERSON, 87.15, 72.28, 57.07, 56.21, 52.43, 50.36, 97.72, 67.60),
}  # fmt: skip

TABLE_4 = {
    "horse": {
        "HAZN [32]": _row("Table 4", _ANIMAL, 90.94, 70.75, 84.49, 63.91, 51.73, 72.36),
        "Graph LSTM [23]": _row("Table 4", _ANIMAL, 91.73, 72.89, 86.34, 69.04, 53.76, 74.75),
        "Structure-evolving LSTM [21]": _row("Table 4", _ANIMAL, 92.51, 74.89, 87.55, 71.93, 57.45, 76.87),
        "Attention [5]": _row("Table 4", _ANIMAL, 90.48, 68.91, 83.34, 64.20, 50.74, 71.55),
        "Ours (VGG-16)": _row("Table 4", _ANIMAL, 91.62, 72.75, 87.24, 69.52, 52.32, 74.69),
        "Ours (ResNet-101)": _row("Table 4", _ANIMAL, 93.39, 75.63, 88.39, 72.61, 54.95, 76.99),
    },
    "cow": {
        "HAZN [32]": _row("Table 4", _ANIMAL, 90.71, 75.18, 83.33, 57.42, 29.37, 67.20),
        "Graph LSTM [23]": _row("Table 4", _ANIMAL, 91.54, 73.88, 85.92, 63.67, 35.22, 70.05),
        "Structure-evolving LSTM [21]": _row("Table 4", _ANIMAL, 92.88, 77.75, 87.91, 67.60, 42.86, 73.80),
        "Attention [5]": _row("Table 4", _ANIMAL, 91.06, 74.33, 84.38, 60.60, 33.85, 68.84),
        "Ours (VGG-16)": _row("Table 4", _ANIMAL, 92.27, 78.36, 88.20, 64.76, 37.58, 72.23),
        "Ours (ResNet-101)": _row("Table 4", _ANIMAL, 93.70, 80.30, 89.53, 66.92, 40.65, 74.22),
    },
}
