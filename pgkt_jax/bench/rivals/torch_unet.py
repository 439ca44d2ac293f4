"""The refinement network and its training in PyTorch: what `nets.unet.UNet` computes."""

import torch
import torch.nn.functional as F
from torch import nn

from pgkt_jax.bench.rivals import torch_training
from pgkt_jax.bench.training import Training
from pgkt_jax.config import RefineConfig


class UNet(nn.Module):
    """[B, in, H, W] -> float32[B, out, H, W]; arguments as those of `nets.unet.UNet`."""

    def __init__(
        self,
        features_in: int,
        features_out: int,
        *,
        depth: int,
        width: int,
        dropout_blocks: int,
        input_skip: bool,
    ):
        super().__init__()
        widths = [width * min(2**level, 8) for level in range(depth)]
        befores, above = [features_in, *widths[:-1]], [features_out, *widths[:-1]]
        self.downs = nn.ModuleList(
            nn.Conv2d(befores[level], widths[level], 4, 2, 1, bias=level in (0, depth - 1)) for level in range(depth)
        )
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(widths[level] * (1 if level == depth - 1 else 2), above[level], 4, 2, 1, bias=level == 0)
            for level in range(depth)
        )
        self.input_skip = nn.Conv2d(features_in, features_out, 1, bias=False) if input_skip else None
        self.depth, self.dropout_blocks = depth, dropout_blocks

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        height, width = image.shape[2:]
        x, skips = torch_training.continued(image, 2**self.depth), []
        for level, down in enumerate(self.downs):
            x = down(x if level == 0 else F.leaky_relu(x, 0.2))
            x = F.instance_norm(x) if 0 < level < self.depth - 1 else x
            skips.append(x)
        x = skips.pop()
        for level in reversed(range(1, self.depth)):
            x = F.instance_norm(self.ups[level](x.relu()))
            if 0 < self.depth - 1 - level <= self.dropout_blocks:
                x = F.dropout(x, training=self.training)
            x = torch.cat([skips.pop(), x], 1)
        out = self.ups[0](x.relu())[:, :, :height, :width]
        return (out if self.input_skip is None else out + self.input_skip(image)).float()


def unet(config: RefineConfig, training: Training) -> UNet:
    """The network of a training, with its parameters."""
    skeleton = training.labelled.skeleton
    network = UNet(
        training.inputs.shape[3],
        skeleton.num_classes - (config.loss == "l1"),
        depth=config.depth,
        width=config.width,
        dropout_blocks=config.dropout_blocks,
        input_skip=config.input_skip,
    )
    torch_training.load(network, training.state.params)
    return network


def rivals(config: RefineConfig, training: Training) -> dict[str, torch_training.TorchTraining]:
    """The same updates on the same inputs, by name."""
    return torch_training.trainings(
        lambda **how: torch_training.TorchTraining(
            unet(config, training),
            lambda network: torch_training.adam(network, config.learning_rate, beta1=config.beta1),
            torch_training.mask_l1 if config.loss == "l1" else torch_training.cross_entropy,
            training.inputs,
            training.classes,
            dtype=config.dtype,
            **how,
        )
    )
