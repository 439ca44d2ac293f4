"""Backbones of parsing networks in PyTorch: what `nets.fcn`, `nets.vgg`, `nets.resnet` and `nets.convnext` do.

Modules are named as ours are.
"""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from pgkt_jax.bench.rivals.torch_training import continued, resized
from pgkt_jax.nets.grid import Grid
from pgkt_jax.nets.vgg import DEPTHS


class SmallFCN(nn.Module):
    """[B, 3, H, W] -> [B, width, ceil(H / 2), ceil(W / 2)]; see `nets.fcn.SmallFCN`."""

    def __init__(self, *, width: int = 24, depth: int = 3):
        super().__init__()
        widths = [width * 2**level for level in range(depth + 1)]
        pairs = list(itertools.pairwise(widths))

        def conv(features_in: int, features: int) -> nn.Conv2d:
            return nn.Conv2d(features_in, features, 3, padding=1, bias=False)

        self.stem = nn.Conv2d(3, width, 4, 2, 1, bias=False)
        self.downs: Any = nn.ModuleList(nn.ModuleList([conv(a, b), conv(b, b)]) for a, b in [(width, width), *pairs])
        self.narrows = nn.ModuleList(nn.Conv2d(b, a, 1, bias=False) for a, b in pairs)
        self.ups = nn.ModuleList(conv(a, a) for a, _ in pairs)
        self.depth, self.features, self.grid = depth, width, Grid.of_cells(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height, width = (-(-length // 2) for length in x.shape[2:])
        x, skips = _normalised(self.stem(continued(x, 2 ** (self.depth + 1)))), []
        for level, (first, second) in enumerate(self.downs):
            x = x if level == 0 else F.avg_pool2d(x, 2)
            x = _normalised(second(_normalised(first(x))))
            skips.append(x)
        x = F.dropout(skips.pop(), training=self.training)
        for narrow, up in reversed(list(zip(self.narrows, self.ups, strict=True))):
            x = _normalised(up(F.interpolate(narrow(x), scale_factor=2) + skips.pop()))
        return x[:, :, :height, :width]


def _normalised(x: torch.Tensor) -> torch.Tensor:
    return F.instance_norm(x).relu()


class InputScaling(nn.Module):
    """(x - center) * gain a channel; buffers, as ours never learn."""

    center: torch.Tensor
    gain: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(3))
        self.register_buffer("gain", torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.center[:, None, None]) * self.gain[:, None, None]


class LargeFOV(nn.Module):
    """[B, 3, H, W] -> [B, 16 width, h, w]; see `nets.vgg.LargeFOV`."""

    def __init__(self, *, width: int = 64, average_pool: bool = False):
        super().__init__()
        widths = [3] + [width * min(2**level, 8) for level in range(len(DEPTHS))]

        def stage(level: int) -> nn.ModuleList:
            channels, dilation = [widths[level], *DEPTHS[level] * [widths[level + 1]]], 2 if level == 4 else 1
            return nn.ModuleList(
                nn.Conv2d(a, b, 3, padding=dilation, dilation=dilation) for a, b in itertools.pairwise(channels)
            )

        self.features, self.grid, self.average_pool = 16 * width, Grid(0, 8), average_pool
        self.scaling = InputScaling()
        self.stages: Any = nn.ModuleList(stage(level) for level in range(len(DEPTHS)))
        self.fc6 = nn.Conv2d(8 * width, self.features, 3, padding=12, dilation=12)
        self.fc7 = nn.Conv2d(self.features, self.features, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.scaling(x)
        for level, stage in enumerate(self.stages):
            for conv in stage:
                x = conv(x).relu()
            x = F.max_pool2d(x, 3, 2 if level < 3 else 1, 1, ceil_mode=True)
        x = F.avg_pool2d(x, 3, 1, 1) if self.average_pool else x
        x = F.dropout(self.fc6(x).relu(), training=self.training)
        return F.dropout(self.fc7(x).relu(), training=self.training)


class FrozenBatchNorm(nn.Module):
    """Nothing of it learns: buffers; see `nets.resnet.FrozenBatchNorm`."""

    def __init__(self, features: int):
        super().__init__()
        for name in ("scale", "bias", "mean", "variance"):
            self.register_buffer(name, torch.zeros(features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean, variance, scale, bias = (getattr(self, name) for name in ("mean", "variance", "scale", "bias"))
        return F.batch_norm(x, mean, variance, scale, bias, eps=1e-5)


class Bottleneck(nn.Module):
    """See `nets.resnet.Bottleneck`."""

    def __init__(
        self, features_in: int, width: int, *, stride: int, dilation: int, projected: bool, stride_in_3x3: bool
    ):
        super().__init__()
        first, second = (1, stride) if stride_in_3x3 else (stride, 1)
        self.conv1 = nn.Conv2d(features_in, width, 1, first, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, second, dilation, dilation, bias=False)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.norm1, self.norm2, self.norm3 = FrozenBatchNorm(width), FrozenBatchNorm(width), FrozenBatchNorm(4 * width)
        self.projected = projected
        if projected:
            self.shortcut = nn.Conv2d(features_in, 4 * width, 1, stride, bias=False)
            self.shortcut_norm = FrozenBatchNorm(4 * width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.norm1(self.conv1(x)).relu()
        out = self.norm3(self.conv3(self.norm2(self.conv2(out)).relu()))
        return (out + (self.shortcut_norm(self.shortcut(x)) if self.projected else x)).relu()


class ResNet(nn.Module):
    """[B, 3, H, W] -> [B, 32 width, h, w]; see `nets.resnet.ResNet`."""

    def __init__(
        self, *, width: int = 64, blocks: tuple[int, int, int, int] = (3, 4, 23, 3), stride_in_3x3: bool = False
    ):
        super().__init__()

        def stage(level: int) -> nn.ModuleList:
            inner, stride, dilation = width * 2**level, (1, 2, 1, 1)[level], (1, 1, 2, 4)[level]
            return nn.ModuleList(
                Bottleneck(
                    4 * inner if block else (2 * inner if level else width), inner, stride=1 if block else stride,
                    dilation=dilation, projected=block == 0, stride_in_3x3=stride_in_3x3,
                )
                for block in range(blocks[level])
            )  # fmt: skip

        self.features, self.grid = 32 * width, Grid(0, 8)
        self.scaling = InputScaling()
        self.conv1, self.norm1 = nn.Conv2d(3, width, 7, 2, 3, bias=False), FrozenBatchNorm(width)
        self.stages: Any = nn.ModuleList(stage(level) for level in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(self.norm1(self.conv1(self.scaling(x))).relu(), 3, 2, 1, ceil_mode=True)
        for stage in self.stages:
            for block in stage:
                x = block(x)
        return x


class ChannelNorm(nn.Module):
    """A layer norm of every pixel's channels; parameters are named as those of flax."""

    def __init__(self, features: int):
        super().__init__()
        self.norm = nn.ParameterDict({"scale": torch.ones(features), "bias": torch.zeros(features)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        last = x.permute(0, 2, 3, 1)
        return F.layer_norm(last, last.shape[3:], self.norm["scale"], self.norm["bias"], 1e-6).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    """See `nets.convnext.Block`."""

    def __init__(self, width: int, *, drop: float):
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = ChannelNorm(width)
        self.expand, self.project = nn.Conv2d(width, 4 * width, 1), nn.Conv2d(4 * width, width, 1)
        self.gamma = nn.Parameter(torch.full((width,), 1e-6))
        self.drop = drop

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.project(F.gelu(self.expand(self.norm(self.depthwise(x))))) * self.gamma[:, None, None]
        return x + out * F.dropout(x.new_ones(x.shape[0], 1, 1, 1), self.drop, self.training)


class ConvNeXt(nn.Module):
    """[B, 3, H, W] -> [B, features, ceil(H / 8), ceil(W / 8)]; see `nets.convnext.ConvNeXt`."""

    def __init__(
        self,
        *,
        width: int = 96,
        blocks: tuple[int, int, int, int] = (3, 3, 9, 3),
        features: int = 256,
        drop_path: float = 0.1,
    ):
        super().__init__()
        widths = [width * 2**level for level in range(4)]
        rates = iter(np.linspace(0, drop_path, sum(blocks)).tolist())
        self.features, self.grid = features, Grid.of_cells(8)
        self.scaling = InputScaling()
        self.entries = nn.ModuleList(
            [nn.Conv2d(3, width, 4, 4), *(nn.Conv2d(a, b, 2, 2) for a, b in itertools.pairwise(widths))]
        )
        self.entry_norms = nn.ModuleList(map(ChannelNorm, (width, *widths[:3])))
        self.stages: Any = nn.ModuleList(
            nn.ModuleList(ConvNeXtBlock(w, drop=next(rates)) for _ in range(count))
            for w, count in zip(widths, blocks, strict=True)
        )
        self.out_norms = nn.ModuleList(map(ChannelNorm, widths))
        self.laterals = nn.ModuleList(nn.Conv2d(w, features, 1) for w in widths)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height, width = (-(-length // 8) for length in x.shape[2:])
        x, seen = continued(self.scaling(x), 32), []
        for level, stage in enumerate(self.stages):
            entry, norm = self.entries[level], self.entry_norms[level]
            x = norm(entry(x)) if level == 0 else entry(norm(x))
            for block in stage:
                x = block(x)
            seen.append(self.laterals[level](self.out_norms[level](x)))
        grid = list(seen[1].shape[2:])
        fused = torch.stack([resized(features, grid) for features in seen]).sum(0).relu()
        return F.dropout(fused, 0.1, self.training)[:, :, :height, :width]


Backbone = SmallFCN | LargeFOV | ResNet | ConvNeXt
BACKBONES: dict[str, Callable[..., Backbone]] = {
    "fcn.SmallFCN": SmallFCN,
    "vgg.LargeFOV": LargeFOV,
    "resnet.ResNet": ResNet,
    "convnext.ConvNeXt": ConvNeXt,
}
"""By the place of ours, see `nets.backbones`."""
