"""Parsing networks and their training in PyTorch: what `nets.attention` and `nets.deeplab` do, over any backbone."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from pgkt_jax.bench.rivals import torch_training
from pgkt_jax.bench.rivals.torch_backbones import BACKBONES, Backbone
from pgkt_jax.bench.rivals.torch_training import in_full, resized
from pgkt_jax.bench.training import Training
from pgkt_jax.config import ParseConfig
from pgkt_jax.nets import backbones
from pgkt_jax.nets.deeplab import RATES
from pgkt_jax.nets.grid import Grid, interpolation


class Logits(NamedTuple):
    """float32[B, classes, h, w] each, as in `nets.attention.Logits`."""

    fused: torch.Tensor
    scales: tuple[torch.Tensor, ...]


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
        seen = [self.backbone(resized(x, size)) for size in sizes]
        grid, outputs = self.backbone.grid, seen[0].shape[2:]
        seen = [_regridded(f, grid, size, list(x.shape[2:]), outputs) for f, size in zip(seen, sizes, strict=True)]
        logits = tuple(in_full(self.classifier, features) for features in seen)
        attended = F.dropout(self.attention(torch.cat(seen, 1)).relu(), training=self.training)
        weights = in_full(self.attention_out, attended).softmax(1)
        fused = (torch.stack(logits) * weights.transpose(0, 1)[:, :, None]).sum(0)
        return Logits(fused, logits)


def _regridded(x: torch.Tensor, grid: Grid, size: list[int], onto: list[int], outputs: torch.Size) -> torch.Tensor:
    """See `nets.grid.regridded`."""
    if size == onto:
        return x
    if grid.edge == 0:
        return resized(x, list(outputs))
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


class ASPP(nn.Module):
    """[B, F, h, w] -> [B, classes, h, w]; see `nets.deeplab.ASPP`."""

    def __init__(self, features: int, num_classes: int):
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(features, num_classes, 3, padding=rate, dilation=rate) for rate in RATES
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([branch(x) for branch in self.branches]).sum(0)


class DeepLab(nn.Module):
    """[B, 3, H, W] -> `Logits` of one scale; see `nets.deeplab.DeepLab`."""

    def __init__(self, backbone: Backbone, num_classes: int, *, head: str):
        super().__init__()
        self.backbone = backbone
        heads: dict[str, Callable[[], nn.Module]] = {
            "plain": lambda: nn.Conv2d(backbone.features, num_classes, 1),
            "aspp": lambda: ASPP(backbone.features, num_classes),
            "subpixel": lambda: Subpixel(backbone.features, num_classes),
        }
        self.classifier = heads[head]()

    def forward(self, x: torch.Tensor) -> Logits:
        logits = in_full(self.classifier, self.backbone(x))
        return Logits(logits[:, :, : x.shape[2], : x.shape[3]], ())


def parser(config: ParseConfig, training: Training) -> AttentionToScale | DeepLab:
    """The network of a training, with its parameters."""
    place, own = backbones.BACKBONES[config.backbone]
    below = BACKBONES[place](**own, **({} if config.width is None else {"width": config.width}))
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
    """The same updates on the same inputs, by name; none where nobody wrote the backbone in PyTorch."""
    if backbones.BACKBONES[config.backbone][0] not in BACKBONES:
        return {}
    return torch_training.trainings(
        lambda **how: torch_training.TorchTraining(
            parser(config, training), lambda network: optimizer(config, network), loss,
            training.inputs, training.classes, dtype=config.dtype, **how,
        )
    )  # fmt: skip
