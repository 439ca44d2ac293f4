"""The exact prior with OpenCV: one `warpAffine` a part and neighbour, the targets spread over the cores by threads."""

import os
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from pgkt_jax.geometry import MIN_LIMB
from pgkt_jax.prior import PoseBank


class OpenCVPriors:
    """Priors of a batch whose neighbours are known. The bank's part masks are cut once, as uint8, not in every call."""

    def __init__(self, bank: PoseBank, *, size: tuple[int, int]):
        self.skeleton, self.size = bank.skeleton, size
        self.limbs = np.array(self.skeleton.limbs)
        self.joints, self.visible = np.asarray(bank.joints), np.asarray(bank.visible)
        ids = np.arange(1, self.skeleton.num_parts + 1)[:, None, None]
        self.masks = [((label_map == ids) * 255).astype(np.uint8) for label_map in np.asarray(bank.label_maps)]
        self.workers = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
        cv2.setNumThreads(1)

    def __call__(
        self, neighbours: np.ndarray, joints: np.ndarray, visible: np.ndarray, boxes: np.ndarray
    ) -> np.ndarray:
        """float32[B, H, W, C] of int32[B, k], float32[B, J, 2], bool[B, J], float32[B, 4]."""
        return np.stack(list(self.workers.map(self._one, neighbours, joints, visible, boxes)))

    def _one(self, neighbours: np.ndarray, joints: np.ndarray, visible: np.ndarray, box: np.ndarray) -> np.ndarray:
        (height, width), classes = self.size, self.skeleton.num_classes - 1
        total = np.zeros((classes, height, width), np.float32)
        step = (box[2:] - box[:2]) / (width, height)
        for row in neighbours:
            merged = np.zeros((classes, height, width), np.uint8)
            for part, limb in enumerate(self.limbs):
                target, source = joints[limb], self.joints[row][limb]
                lengths = [np.linalg.norm(ends[1] - ends[0]) for ends in (target, source)]
                if not (visible[limb].all() and self.visible[row][limb].all() and min(lengths) >= MIN_LIMB):
                    continue
                # As complex numbers: a source point is source[0] + turn (target point - target[0]).
                turn = complex(*(source[1] - source[0])) / complex(*(target[1] - target[0]))
                linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
                first = box[:2] + step / 2
                offset = source[0] + linear @ (first - target[0])
                matrix = np.column_stack([linear * step, offset])
                mask = cv2.warpAffine(
                    self.masks[row][part], matrix, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
                )
                into = merged[self.skeleton.part_classes[part] - 1]
                np.maximum(into, mask, out=into)
            total += merged
        return np.moveaxis(total / np.float32(255 * len(neighbours)), 0, -1)
