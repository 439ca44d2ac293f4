"""What every tensor of ours is called where it comes from, and how it is turned into ours.

A dialect is a function from the path of one of our parameters (`backbone.fc6.kernel`) to its `Source`, or to None where
files of this kind have no such tensor. Kernels: PyTorch and Caffe keep them as [out, in, height, width], TensorFlow and
we as [height, width, in, out].
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

TENSORFLOW_EPSILON, EPSILON = 1e-3, 1e-5
"""slim.batch_norm's default, and that of Caffe, PyTorch and ours."""
BGR_MEAN = (104.00698793, 116.66876762, 122.67891434)
"""What Caffe's and TensorFlow's DeepLab subtract from 0..255 (MVIG-SJTU/WSHP, parsing_network/train.py)."""
RGB_MEAN, RGB_DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
"""torchvision's, of 0..1 (torchvision/transforms/_presets.py)."""
VGG_CONVOLUTIONS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
"""Their places in torchvision's `vgg16().features` (torchvision/models/vgg.py, configuration D)."""


@dataclass(frozen=True)
class Source:
    """Tensors of a file, and what makes ours of them.

    Attributes:
        names: of the tensors; none: a constant of the recipe.
        make: ours, of theirs.
    """

    names: tuple[str, ...]
    make: Callable[..., np.ndarray] = np.asarray


Dialect = Callable[[str, Iterable[str]], Source | None]


def torchvision_vgg(path: str, _: Iterable[str]) -> Source | None:
    """vgg16: `features.0.weight`; fc6 and fc7 out of its fully connected layers.

    These are 4096 wide and 7 x 7: every fourth filter and every third tap is kept, the decimation that DeepLab's paper
    describes, as sgrvinod/a-PyTorch-Tutorial-to-Object-Detection does it for the same layers (model.py, `decimate`).
    """
    if constant := _torchvision_scaling(path):
        return constant
    leaf = _torch_leaf(path)
    if match := re.match(r"backbone\.stages\.(\d)\.(\d)\.", path):
        place = VGG_CONVOLUTIONS[int(match[1])][int(match[2])]
        return Source((f"features.{place}.{leaf}",), _kernel_of_torch if leaf == "weight" else np.asarray)
    if match := re.match(r"backbone\.fc([67])\.", path):
        name = f"classifier.{ {'6': 0, '7': 3}[match[1]] }.{leaf}"
        return Source((name,), (_fc6 if match[1] == "6" else _fc7) if leaf == "weight" else lambda bias: bias[::4])
    return None


def torchvision_resnet(path: str, _: Iterable[str]) -> Source | None:
    """resnet101: `layer1.0.conv1.weight`, `bn1`, `downsample.0`."""
    if constant := _torchvision_scaling(path):
        return constant
    if not path.startswith("backbone."):
        return None
    block, layer, leaf = _resnet_place(path)
    prefix = "" if block is None else f"layer{block[0] + 1}.{block[1]}."
    layer = {"shortcut": "downsample.0", "shortcut_norm": "downsample.1"}.get(layer, layer.replace("norm", "bn"))
    if leaf == "kernel":
        return Source((f"{prefix}{layer}.weight",), _kernel_of_torch)
    leaf = {"scale": "weight", "bias": "bias", "mean": "running_mean", "variance": "running_var"}[leaf]
    return Source((f"{prefix}{layer}.{leaf}",))


def torchvision_convnext(path: str, _: Iterable[str]) -> Source | None:
    """convnext_tiny: `features.0` is the stem, then stages (odd) and reductions (even) take turns."""
    if constant := _torchvision_scaling(path):
        return constant
    match = re.fullmatch(r"backbone\.(entries|entry_norms|stages)\.(\d)\.(.+)", path)
    if match is None:
        return None  # norms and projections of the stages' results are ours
    kind, level, rest = match[1], int(match[2]), match[3]
    leaf = _torch_leaf(path)
    if kind != "stages":
        # The stem is convolution, norm; a reduction is norm, convolution.
        place = int((kind == "entries") != (level == 0))
        make = _kernel_of_torch if kind == "entries" and leaf == "weight" else np.asarray
        return Source((f"features.{2 * level}.{place}.{leaf}",), make)
    block, layer = rest.split(".")[:2]
    name = f"features.{2 * level + 1}.{block}."
    if layer == "gamma":
        return Source((name + "layer_scale",), np.ravel)
    place = {"depthwise": 0, "norm": 2, "expand": 3, "project": 5}[layer]
    makes = {0: _kernel_of_torch, 3: _kernel_of_linear, 5: _kernel_of_linear}
    return Source((f"{name}block.{place}.{leaf}",), makes.get(place, np.asarray) if leaf == "weight" else np.asarray)


def caffe_vgg(path: str, names: Iterable[str]) -> Source | None:
    """vgg16_20M and the DeepLab-LargeFOV models: `conv1_1`, `fc6`, `fc7`, `fc8_` and what it was trained on."""
    if constant := _caffe_scaling(path):
        return constant
    blob = 0 if path.endswith("kernel") else 1
    if match := re.match(r"backbone\.stages\.(\d)\.(\d)\.", path):
        layer = f"conv{int(match[1]) + 1}_{int(match[2]) + 1}"
    elif match := re.match(r"backbone\.(fc[67])\.", path):
        layer = match[1]
    else:
        return _classifier(names, rf"fc8(_\w+)?\.{blob}", path) if path.startswith("classifier.") else None
    make = _kernel_of_bgr if path == "backbone.stages.0.0.kernel" else _kernel_of_torch
    return Source((f"{layer}.{blob}",), make if blob == 0 else np.asarray)


def caffe_resnet(path: str, names: Iterable[str]) -> Source | None:
    """deeplab_aspp_resnet101: `res2a_branch2a`, `bn2a_branch2a`, `scale2a_branch2a`, `fc1_voc12_c0`."""
    if constant := _caffe_scaling(path):
        return constant
    if match := re.match(r"classifier\.branches\.(\d)\.", path):
        return _classifier(names, rf"fc1_\w+_c{match[1]}\.{0 if path.endswith('kernel') else 1}", path)
    if not path.startswith("backbone."):
        return None
    layer, leaf = _caffe_layer(path)
    if leaf == "kernel":
        first = path == "backbone.conv1.kernel"
        return Source((f"{layer}.0",), _kernel_of_bgr if first else _kernel_of_torch)
    if leaf in ("scale", "bias"):
        return Source((f"{_beside(layer, 'scale')}.{0 if leaf == 'scale' else 1}",))
    norm = _beside(layer, "bn")
    return Source((f"{norm}.{0 if leaf == 'mean' else 1}", f"{norm}.2"), _averaged)


def tensorflow_resnet(path: str, names: Iterable[str]) -> Source | None:
    """tensorflow-deeplab-resnet: Caffe's layers, `res2a_branch2a/weights`, `bn2a_branch2a/moving_mean`."""
    if constant := _caffe_scaling(path):
        return constant
    if match := re.match(r"classifier\.branches\.(\d)\.", path):
        leaf = "weights" if path.endswith("kernel") else "biases"
        return _classifier(names, rf"fc1_\w+_c{match[1]}/{leaf}", path, make=np.asarray)
    if not path.startswith("backbone."):
        return None
    layer, leaf = _caffe_layer(path)
    if leaf == "kernel":
        first = path == "backbone.conv1.kernel"
        return Source((f"{layer}/weights",), (lambda kernel: kernel[:, :, ::-1]) if first else np.asarray)
    name = {"scale": "gamma", "bias": "beta", "mean": "moving_mean", "variance": "moving_variance"}[leaf]
    return Source((f"{_beside(layer, 'bn')}/{name}",), _with_epsilon if leaf == "variance" else np.asarray)


def pix2pix_unet(path: str, names: Iterable[str]) -> Source | None:
    """net_G of pix2pix: each level is nested in the one before (models/networks.py, UnetSkipConnectionBlock).

    Its biases before an instance normalisation have no effect, and we have none there.
    """
    match = re.fullmatch(r"(downs|ups)\.(\d+)\.(kernel|bias)", path)
    if match is None:
        return None
    level, leaf = int(match[2]), _torch_leaf(path)
    innermost = max((name.count("model.") for name in names), default=0) - 2
    # A level: (activation,) down, (norm,) the next level, activation, up; the outermost begins with its convolution,
    # the innermost has no next level.
    down, up = (0, 3) if level == 0 else (1, 3 if level == innermost else 5)
    inner = "model." * 2 + "".join(f"{1 if i == 0 else 3}.model." for i in range(level))
    name = f"{inner}{down if match[1] == 'downs' else up}.{leaf}"
    if leaf == "bias":
        return Source((name,))
    return Source((name,), _kernel_of_torch if match[1] == "downs" else lambda kernel: kernel.transpose(2, 3, 0, 1))


DIALECTS: dict[str, dict[str, Dialect]] = {
    "vgg": {"torch": torchvision_vgg, "caffe": caffe_vgg},
    "resnet101": {"caffe": caffe_resnet, "tensorflow": tensorflow_resnet},
    "resnet101-torchvision": {"torch": torchvision_resnet},
    "convnext": {"torch": torchvision_convnext},
    "unet": {"torch": pix2pix_unet},
}
"""Network -> framework -> dialect. What is made for `vgg` fits `vgg-v1` too."""


def _kernel_of_torch(kernel: np.ndarray) -> np.ndarray:
    return kernel.transpose(2, 3, 1, 0)


def _kernel_of_bgr(kernel: np.ndarray) -> np.ndarray:
    return _kernel_of_torch(kernel)[:, :, ::-1]


def _kernel_of_linear(kernel: np.ndarray) -> np.ndarray:
    return kernel.T[None, None]


def _fc6(kernel: np.ndarray) -> np.ndarray:
    return _kernel_of_torch(kernel.reshape(len(kernel), -1, 7, 7)[::4, :, ::3, ::3])


def _fc7(kernel: np.ndarray) -> np.ndarray:
    return _kernel_of_linear(kernel[::4, ::4])


def _averaged(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Caffe keeps sums and by what to divide them (batch_norm_layer.cpp); 0 means none."""
    return total * np.float32(0 if count[0] == 0 else 1 / count[0])


def _with_epsilon(variance: np.ndarray) -> np.ndarray:
    """As large as makes the same normalisation with our epsilon."""
    return variance + np.float32(TENSORFLOW_EPSILON - EPSILON)


def _torchvision_scaling(path: str) -> Source | None:
    values = {"center": 2 * RGB_MEAN - 1, "gain": 0.5 / RGB_DEVIATION}
    return _scaling(path, values)


def _caffe_scaling(path: str) -> Source | None:
    values = {"center": np.array(BGR_MEAN[::-1]) / 127.5 - 1, "gain": np.full(3, 127.5)}
    return _scaling(path, values)


def _scaling(path: str, values: dict[str, np.ndarray]) -> Source | None:
    prefix, _, leaf = path.rpartition(".")
    return Source((), lambda: values[leaf]) if prefix == "backbone.scaling" else None


def _torch_leaf(path: str) -> str:
    return {"kernel": "weight", "scale": "weight"}.get(leaf := path.rpartition(".")[2], leaf)


def _resnet_place(path: str) -> tuple[tuple[int, int] | None, str, str]:
    """((stage, block) or None for the stem, layer, leaf) of `backbone.stages.1.0.conv1.kernel`."""
    *stage, layer, leaf = path.split(".")[1:]
    return (int(stage[1]), int(stage[2])) if stage else None, layer, leaf


def _caffe_layer(path: str) -> tuple[str, str]:
    """Caffe's name of a convolution (or of the one before a norm), and the leaf: ("res4b22_branch2c", "kernel")."""
    block, layer, leaf = _resnet_place(path)
    if block is None:
        return "conv1", leaf
    stage, number = block
    # Blocks are a, b, c in the first and last stage, a, b1, b2 ... in the others.
    letter = "abc"[number] if stage in (0, 3) else ("a" if number == 0 else f"b{number}")
    branch = "branch1" if layer.startswith("shortcut") else f"branch2{'abc'[int(layer[-1]) - 1]}"
    return f"res{stage + 2}{letter}_{branch}", leaf


def _beside(layer: str, kind: str) -> str:
    """The norm or scale layer behind a convolution: `bn_conv1`, `bn2a_branch1`."""
    return f"{kind}_{layer}" if layer == "conv1" else layer.replace("res", kind, 1)


def _classifier(
    names: Iterable[str], pattern: str, path: str, *, make: Callable[..., np.ndarray] | None = None
) -> Source | None:
    """The file's own classifier where it has one: its name ends in what it was trained on."""
    found = next((name for name in names if re.fullmatch(pattern, name)), None)
    if found is None:
        return None
    return Source((found,), make or (_kernel_of_torch if path.endswith("kernel") else np.asarray))
