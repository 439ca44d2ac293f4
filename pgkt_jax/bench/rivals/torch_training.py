"""Training in PyTorch as its users do: channels_last, bfloat16 by autocast, fused optimisers, compiled on a GPU.

A rival's modules are named as ours, so that it takes our parameters by their paths.
"""

import os
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import torch
import torch.nn.functional as F
from flax import nnx

from pgkt_jax.bench.measure import MIB
from pgkt_jax.skeleton import IGNORE


def device() -> str:
    """Where JAX computes, if PyTorch can be there."""
    return "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"


def prepare() -> None:
    """All cores, and on a GPU what JAX does by default: TF32, convolutions chosen by trial."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = True


def load(network: torch.nn.Module, params: Any) -> None:
    """Copies our parameters (a state of flax) into a network of the same names.

    Raises:
        RuntimeError: a name or a shape differs.
    """
    tensors = {}
    for path, variable in nnx.to_flat_state(params):
        *parents, leaf = map(str, path)
        value = torch.tensor(np.asarray(variable[...]))
        if leaf == "kernel":
            transposed = isinstance(network.get_submodule(".".join(parents)), torch.nn.ConvTranspose2d)
            value, leaf = value.permute((2, 3, 0, 1) if transposed else (3, 2, 0, 1)), "weight"
        tensors[".".join([*parents, leaf])] = value
    network.load_state_dict(tensors)


def in_full(layer: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """A layer in float32, whatever autocast says."""
    with torch.autocast(x.device.type, enabled=False):
        return layer(x.float())


def continued(x: torch.Tensor, multiple: int) -> torch.Tensor:
    """Rows and columns continued by the edge until their numbers are multiples."""
    return F.pad(x, (0, -x.shape[3] % multiple, 0, -x.shape[2] % multiple), mode="replicate")


def resized(x: torch.Tensor, size: list[int]) -> torch.Tensor:
    """`nets.layers.resize` of [B, C, h, w]."""
    if list(x.shape[2:]) == size:
        return x
    return F.interpolate(x, size, mode="bilinear", antialias=x.shape[2] > size[0] or x.shape[3] > size[1])


def cross_entropy(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """`train.losses.cross_entropy` of [B, C, H, W] and int64[B, H, W]."""
    return F.cross_entropy(logits, classes, ignore_index=IGNORE)


def mask_l1(masks: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """`train.losses.mask_l1` of [B, M, H, W] and int64[B, H, W]."""
    weight = (classes != IGNORE).float()
    target = (classes[:, None] == torch.arange(1, masks.shape[1] + 1, device=masks.device)[:, None, None]).float()
    return ((masks - target).abs().mean(1) * weight).sum() / weight.sum().clamp(min=1)


def adam(network: torch.nn.Module, learning_rate: float, *, beta1: float, weight_decay: float = 0.0) -> Any:
    """`train.optim.adam` at a constant rate; of kernels alone the weights decay."""
    groups = [
        {"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in network.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], learning_rate, (beta1, 0.999), fused=True)


def sgd(
    network: torch.nn.Module, learning_rate: float, *, momentum: float, weight_decay: float, classifier: float
) -> Any:
    """`train.optim.sgd` at a constant rate."""

    def group(name: str, parameter: torch.Tensor) -> dict[str, Any]:
        bias = parameter.ndim == 1
        rate = (classifier if "classifier" in name.split(".") else 1) * (2 if name.endswith("bias") else 1)
        return {"params": [parameter], "lr": learning_rate * rate, "weight_decay": 0.0 if bias else weight_decay}

    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for one in (group(name, parameter) for name, parameter in network.named_parameters()):
        groups.setdefault((one["lr"], one["weight_decay"]), {**one, "params": []})["params"].extend(one["params"])
    return torch.optim.SGD(list(groups.values()), learning_rate, momentum, fused=True)


def to_torch(images: np.ndarray, *, channels_last: bool = True) -> torch.Tensor:
    """[B, H, W, C] -> a tensor [B, C, H, W] on the device, laid out as said."""
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2).to(device())
    return tensor.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


class TorchTraining:
    """Training steps of a network on one batch that lies ready. Calling it makes `steps` and waits for them.

    Args:
        network: of the same parameters as ours; here it moves to the device.
        optimizer: makes its optimiser.
        loss: of its outputs and classes int64[B, h, w].
        inputs, classes: float32[B, H, W, I] and uint8[B, h, w].
        dtype: of the arithmetic, `float32` or `bfloat16`.
        channels_last: the memory format.
        steps: a call.

    Attributes:
        told: on a GPU the seconds until the first step is done, and the memory at its peak.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        optimizer: Callable[[torch.nn.Module], Any],
        loss: Callable[[Any, torch.Tensor], torch.Tensor],
        inputs: np.ndarray,
        classes: np.ndarray,
        *,
        dtype: str,
        channels_last: bool = True,
        steps: int = 1,
    ):
        layout = torch.channels_last if channels_last else torch.contiguous_format
        # `to` leaves the layout of kernels with one row and column as it is, which does no harm.
        self.network = network.to(device()).to(memory_format=layout).train()
        self._optimizer, self._loss, self._steps = optimizer(self.network), loss, steps
        self._inputs = to_torch(inputs, channels_last=channels_last)
        self._classes = torch.from_numpy(classes).to(device(), torch.int64)
        self._dtype = dtype
        self._value = torch.compile(self._loss_of) if device() == "cuda" else self._loss_of
        self.told = self._first() if device() == "cuda" else {}

    def __call__(self) -> torch.Tensor:
        for _ in range(self._steps):
            value = self._value(self._inputs, self._classes)
            value.backward()
            self._optimizer.step()
            self._optimizer.zero_grad(set_to_none=True)
        if device() == "cuda":
            torch.cuda.synchronize()
        return value.detach()

    def _loss_of(self, inputs: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device(), torch.bfloat16, enabled=self._dtype == "bfloat16"):
            outputs = self.network(inputs)
        return self._loss(outputs, classes)

    def _first(self) -> dict[str, float]:
        torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        self()
        return {
            "compile_s": time.perf_counter() - start,
            "peak_mib": torch.cuda.max_memory_allocated() / MIB,
        }


def inference(network: torch.nn.Module, inputs: np.ndarray, *, dtype: str) -> Callable[[], Any]:
    """A call of the network on one batch, channels_last, without dropout and gradients."""
    network = network.to(device()).to(memory_format=torch.channels_last).eval()
    forward = torch.compile(network) if device() == "cuda" else network
    images = to_torch(inputs)

    def call() -> Any:
        with torch.inference_mode(), torch.autocast(device(), torch.bfloat16, enabled=dtype == "bfloat16"):
            outputs = forward(images)
        if device() == "cuda":
            torch.cuda.synchronize()
        return outputs

    return call


def trainings(make: Callable[..., TorchTraining]) -> dict[str, TorchTraining]:
    """A training by its name: channels_last and, on a CPU, where neither is always faster, NCHW as well.

    Args:
        make: takes `channels_last` and `steps`.
    """
    prepare()
    if device() == "cuda":
        from pgkt_jax.train.loop import STEPS_PER_CALL

        return {"torch (cuda, compiled)": make(channels_last=True, steps=STEPS_PER_CALL)}
    return {
        "torch (cpu, channels_last)": make(channels_last=True, steps=1),
        "torch (cpu, NCHW)": make(channels_last=False, steps=1),
    }
