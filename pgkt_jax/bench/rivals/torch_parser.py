"""Parsing networks and their training in PyTorch: what `nets.fcn`, `nets.vgg`, `nets.attention` and `nets.deeplab` do.

Of the backbones `small`, `vgg` and `vgg-v1`, of the heads `attention`, `plain` and `subpixel`.
"""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from pgkt_jax.bench.rivals import torch_training
from pgkt_jax.bench.rivals.torch_training import in_full
from pgkt_jax.bench.training import Training
from pgkt_jax.config import ParseConfig
from pgkt_jax.nets.grid import Grid, interpolation
from pgkt_jax.nets.vgg import DEPTHS


class Logits(NamedTuple):
    """float32[B, classes, h, w] each, as in `nets.attention.Logits`."""

    fused: torch.Tensor
    scales: tuple[torch.Tensor, ...]


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
        x, skips = _normalised(self.stem(torch_training.continued(x, 2 ** (self.depth + 1)))), []
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


Backbone = SmallFCN | LargeFOV


class AttentionToScale(nn.Module):
    """[B, 3, H, W] -> `Logits`; see `nets.attention.AttentionToScale`."""

    def __init__(self, backbone: Backbone, num_classes: int, *, scales: tuple[float, ...], attention_width: int):
        super().__init__()
        self.backbone, self.scales = backbone, scales
        self.classifier = nn.Conv2d(backbone.features, num_classes, 1)
        self.attention = nn.Conv2d(backbone.features * len(scales), attention_width, 3, padding=1)
        self.attention_out = nn.Conv2d(attention_width, len(scales), 1)

    def forward(self, x: torch.Tensor) -> Logits:
        sizes = [[max(1, round(s * scale)) for s in x.shape[2:]] for scale in self.scales]
        seen = [self.backbone(_resized(x, size)) for size in sizes]
        grid, outputs = self.backbone.grid, seen[0].shape[2:]
        seen = [_regridded(f, grid, size, list(x.shape[2:]), outputs) for f, size in zip(seen, sizes, strict=True)]
        logits = tuple(in_full(self.classifier, features) for features in seen)
        attended = F.dropout(self.attention(torch.cat(seen, 1)).relu(), training=self.training)
        weights = in_full(self.attention_out, attended).softmax(1)
        fused = (torch.stack(logits) * weights.transpose(0, 1)[:, :, None]).sum(0)
        return Logits(fused, logits)


def _resized(x: torch.Tensor, size: list[int]) -> torch.Tensor:
    if list(x.shape[2:]) == size:
        return x
    return F.interpolate(x, size, mode="bilinear", antialias=x.shape[2] > size[0] or x.shape[3] > size[1])


def _regridded(x: torch.Tensor, grid: Grid, size: list[int], onto: list[int], outputs: torch.Size) -> torch.Tensor:
    """See `nets.grid.regridded`."""
    if size == onto:
        return x
    if grid.edge == 0:
        return _resized(x, list(outputs))
    rows, columns = (
        _interpolation(grid, x.shape[2 + axis], size[axis] / onto[axis], outputs[axis]).to(x) for axis in (0, 1)
    )
    return torch.einsum("ih,bchw,jw->bcij", rows, x, columns)


@torch.compiler.assume_constant_result
def _interpolation(grid: Grid, count: int, scale: float, outputs: int) -> torch.Tensor:
    return torch.tensor(interpolation(grid, count, scale, outputs))


class Subpixel(nn.Module):
    """[B, F, h, w] -> [B, classes, 2h, 2w]; see `nets.deeplab.Subpixel`."""

    def __init__(self, features: int, num_classes: int):
        super().__init__()
        self.corners = nn.Conv2d(features, 4 * num_classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Ours has the class innermost, PyTorch the corner.
        return F.pixel_shuffle(self.corners(x).unflatten(1, (4, -1)).transpose(1, 2).flatten(1, 2), 2)


class DeepLab(nn.Module):
    """[B, 3, H, W] -> `Logits` of one scale; see `nets.deeplab.DeepLab`."""

    def __init__(self, backbone: Backbone, num_classes: int, *, head: str):
        super().__init__()
        self.backbone = backbone
        heads: dict[str, Callable[[], nn.Module]] = {
            "plain": lambda: nn.Conv2d(backbone.features, num_classes, 1),
            "subpixel": lambda: Subpixel(backbone.features, num_classes),
        }
        self.classifier = heads[head]()

    def forward(self, x: torch.Tensor) -> Logits:
        logits = in_full(self.classifier, self.backbone(x))
        return Logits(logits[:, :, : x.shape[2], : x.shape[3]], ())


BACKBONES: dict[str, Callable[..., Backbone]] = {
    "small": SmallFCN,
    "vgg": LargeFOV,
    "vgg-v1": partial(LargeFOV, average_pool=True),
}


def parser(config: ParseConfig, training: Training) -> AttentionToScale | DeepLab:
    """The network of a training, with its parameters."""
    below = BACKBONES[config.backbone](**({} if config.width is None else {"width": config.width}))
    classes = training.labelled.skeleton.num_classes
    network = (
        AttentionToScale(below, classes, scales=config.scales, attention_width=config.attention_width)
        if config.head == "attention"
        else DeepLab(below, classes, head=config.head)
    )
    torch_training.load(network, training.state.params)
    return network


def loss(logits: Logits, classes: torch.Tensor) -> torch.Tensor:
    """`stages.parse.parsing_loss`."""
    scales = [torch_training.cross_entropy(scale, classes) for scale in logits.scales]
    return sum(scales, torch_training.cross_entropy(logits.fused, classes))


def optimizer(config: ParseConfig, network: nn.Module) -> torch.optim.Optimizer:
    """`stages.parse.parsing_optimizer` at its first rate."""
    rate, decay = config.learning_rate, config.weight_decay
    if config.optimizer == "adam":
        return torch_training.adam(network, rate, beta1=config.momentum, weight_decay=decay)
    return torch_training.sgd(network, rate, momentum=config.momentum, weight_decay=decay, classifier=config.classifier)


def rivals(config: ParseConfig, training: Training) -> dict[str, torch_training.TorchTraining]:
    """The same updates on the same inputs, by name; none where nobody wrote the network in PyTorch."""
    if config.backbone not in BACKBONES or config.head == "aspp":
        return {}
    return torch_training.trainings(
        lambda **how: torch_training.TorchTraining(
            parser(config, training), lambda network: optimizer(config, network), loss,
            training.inputs, training.classes, dtype=config.dtype, **how,
        )
    )  # fmt: skip
