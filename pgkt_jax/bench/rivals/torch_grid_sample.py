"""The exact prior with PyTorch: `grid_sample` over the part masks of one neighbour after the other."""

from typing import Any

import numpy as np
import torch
from torch.nn.functional import grid_sample

from pgkt_jax.geometry import MIN_LIMB
from pgkt_jax.prior import PoseBank


class TorchPriors:
    """Priors of a batch whose neighbours are known, on `device`. Label maps and joints lie there beforehand."""

    def __init__(self, bank: PoseBank, *, size: tuple[int, int], device: str):
        def put(array: Any) -> torch.Tensor:
            return torch.as_tensor(np.array(array), device=device)

        self.skeleton, self.size, self.device = bank.skeleton, size, device
        self.label_maps, self.joints, self.visible = map(put, (bank.label_maps, bank.joints, bank.visible))
        self.limbs = put(np.array(bank.skeleton.limbs))
        self.ids = torch.arange(1, bank.skeleton.num_parts + 1, device=device)[:, None, None]

    @torch.inference_mode()
    def __call__(
        self, neighbours: np.ndarray, joints: np.ndarray, visible: np.ndarray, boxes: np.ndarray
    ) -> torch.Tensor:
        """float32[B, H, W, C] of int32[B, k], float32[B, J, 2], bool[B, J], float32[B, 4]."""
        (height, width), device = self.size, self.device
        rows, target, seen, box = (
            torch.as_tensor(np.array(a), device=device) for a in (neighbours, joints, visible, boxes)
        )
        target, seen = target[:, self.limbs], seen[:, self.limbs].all(-1)
        span = box[:, 2:] - box[:, :2]
        x = box[:, :1] + (torch.arange(width, device=device) + 0.5) / width * span[:, :1]
        y = box[:, 1:2] + (torch.arange(height, device=device) + 0.5) / height * span[:, 1:]
        x, y = x[:, None, None, :], y[:, None, :, None]
        total = torch.zeros((len(rows), height, width, self.skeleton.num_classes - 1), device=device)
        for row in rows.T.long():
            source, has = self.joints[row][:, self.limbs], self.visible[row][:, self.limbs].all(-1) & seen
            along, across = target[:, :, 1] - target[:, :, 0], source[:, :, 1] - source[:, :, 0]
            has &= (along.norm(dim=-1) >= MIN_LIMB) & (across.norm(dim=-1) >= MIN_LIMB)
            turn = torch.complex(*across.unbind(-1)) / torch.complex(*along.unbind(-1))
            real, imag = turn.real[..., None, None], turn.imag[..., None, None]
            dx, dy = x - target[:, :, 0, 0, None, None], y - target[:, :, 0, 1, None, None]
            u = source[:, :, 0, 0, None, None] + real * dx - imag * dy
            v = source[:, :, 0, 1, None, None] + imag * dx + real * dy
            maps = self.label_maps[row]
            # grid_sample's frame with align_corners=False: -1 and 1 are the outer edges of the border pixels.
            grid = torch.stack([(2 * u + 1) / maps.shape[2] - 1, (2 * v + 1) / maps.shape[1] - 1], -1)
            masks = (maps[:, None] == self.ids).float()
            pulled = grid_sample(masks.flatten(0, 1)[:, None], grid.flatten(0, 1), align_corners=False)
            pulled = pulled.view(*has.shape, height, width) * has[..., None, None]
            classes = [
                pulled[:, [part for part, c in enumerate(self.skeleton.part_classes) if c == class_id]].amax(1)
                for class_id in range(1, self.skeleton.num_classes)
            ]
            total += torch.stack(classes, -1)
        priors = total / len(rows.T)
        if device != "cpu":
            torch.cuda.synchronize()
        return priors
