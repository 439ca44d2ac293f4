"""The published networks once more, in PyTorch, by the names and layouts of their published files.

A twin takes a file's tensors as they are and an image, and follows its source layer by layer; what our tests hold
against it has gone through the file, the reader and our network. Weights are drawn by their names, so that the outputs
in data/twins.npz, which stand in where PyTorch is not installed, need no weights beside them. To make them again:

    python tests/twins.py

Sources:
    vgg        TheLegendAli/DeepLab-Context, config/DeepLab-LargeFOV/test.prototxt; torchvision/models/vgg.py
    attention  Engineering-Course/LIP_SSL, human/config/attention/train.prototxt
    resnet     kazuto1011/deeplab-pytorch, libs/models/{deeplabv2,resnet}.py, convert.py; torchvision/models/resnet.py
    tensorflow ALISCIFP/tensorflow-deeplab-resnet, kaffe/tensorflow/network.py (a fork of DrSleep's)
    convnext   torchvision/models/convnext.py
    interp     TheLegendAli/DeepLab-Context, src/caffe/layers/interp_layer.cpp: (n - 1) / (m - 1) from corner to corner
    unet       junyanz/pytorch-CycleGAN-and-pix2pix, models/networks.py
"""

import functools
import zlib
from pathlib import Path

import numpy as np

STORED = Path(__file__).parent / "data" / "twins.npz"
SIZE = (33, 46)
"""One side odd, one even: they differ in every pool."""
CLASSES = 7
VGG_PLACES = {
    "1_1": 0, "1_2": 2, "2_1": 5, "2_2": 7, "3_1": 10, "3_2": 12, "3_3": 14, "4_1": 17, "4_2": 19, "4_3": 21,
    "5_1": 24, "5_2": 26, "5_3": 28,
}  # fmt: skip
BGR_MEAN = (104.00698793, 116.66876762, 122.67891434)


# --- Tensors of published files, drawn by their names ----------------------------------------------


def draw(name, shape, scale):
    return np.random.RandomState(zlib.crc32(name.encode())).normal(0, scale, shape).astype(np.float32)


def kernel(name, shape, inputs=None):
    return draw(name, shape, (2 / (inputs or np.prod(shape[1:]))) ** 0.5)


def vector(name, length, mean=0.0):
    return mean + draw(name, (length,), 0.2).clip(-0.6, 0.6)


def image(size=SIZE):
    """float32[2, H, W, 3], RGB in -1..1."""
    return np.tanh(draw("image", (2, *size, 3), 1.0))


def vgg_channels(width):
    channels, below = {}, 3
    for place in VGG_PLACES:
        out = width * min(2 ** (int(place[0]) - 1), 8)
        channels[place], below = (below, out), out
    return channels


def vgg_torchvision(width=64, classes=1000):
    tensors = {}
    for place, (below, out) in vgg_channels(width).items():
        name = f"features.{VGG_PLACES[place]}"
        tensors |= {f"{name}.weight": kernel(name, (out, below, 3, 3)), f"{name}.bias": vector(name, out)}
    for place, out, below in ((0, 64 * width, 8 * width * 49), (3, 64 * width, 64 * width), (6, classes, 64 * width)):
        name = f"classifier.{place}"
        tensors |= {f"{name}.weight": kernel(name, (out, below)), f"{name}.bias": vector(name, out)}
    return tensors


def vgg_caffe(width=64, classes=CLASSES):
    layers = {f"conv{place}": (out, below, 3, 3) for place, (below, out) in vgg_channels(width).items()}
    layers["fc6"] = (16 * width, 8 * width, 3, 3)
    layers["fc7"] = (16 * width, 16 * width, 1, 1)
    layers["fc8_voc12"] = (classes, 16 * width, 1, 1)
    return {f"{n}.{i}": t for n, shape in layers.items() for i, t in enumerate((kernel(n, shape), vector(n, shape[0])))}


def resnet_blocks(blocks):
    """(Caffe's name, torchvision's name, stage, whether it is the stage's first) of every bottleneck."""
    for stage, count in enumerate(blocks):
        for i in range(count):
            letter = "abc"[i] if stage in (0, 3) else ("a" if i == 0 else f"b{i}")
            yield f"{stage + 2}{letter}", f"layer{stage + 1}.{i}", stage, i == 0


def resnet_convolutions(width, blocks):
    """(Caffe's name, torchvision's name, torchvision's norm, shape)."""
    yield "conv1", "conv1", "bn1", (width, 3, 7, 7)
    for caffe, torchvision, stage, first in resnet_blocks(blocks):
        inner = width * 2**stage
        below = 4 * inner if not first else (width if stage == 0 else 2 * inner)
        if first:
            yield f"res{caffe}_branch1", f"{torchvision}.downsample.0", f"{torchvision}.downsample.1", (
                4 * inner, below, 1, 1,
            )  # fmt: skip
        shapes = ((inner, below, 1, 1), (inner, inner, 3, 3), (4 * inner, inner, 1, 1))
        for i, shape in enumerate(shapes):
            yield f"res{caffe}_branch2{'abc'[i]}", f"{torchvision}.conv{i + 1}", f"{torchvision}.bn{i + 1}", shape


def norm_of(layer, kind):
    return f"{kind}_{layer}" if layer == "conv1" else layer.replace("res", kind)


def aspp(width, classes):
    return {f"fc1_voc12_c{i}": (classes, 32 * width, 3, 3) for i in range(4)}


def resnet_caffe(width=64, blocks=(3, 4, 23, 3), classes=CLASSES):
    tensors = {}
    for layer, _, _, shape in resnet_convolutions(width, blocks):
        bn, scale, n = norm_of(layer, "bn"), norm_of(layer, "scale"), shape[0]
        tensors[f"{layer}.0"] = kernel(layer, shape)
        tensors |= {f"{bn}.0": 50 * vector(bn + "mean", n), f"{bn}.1": 50 * vector(bn, n, 1)}
        tensors[f"{bn}.2"] = np.float32([50])
        tensors |= {f"{scale}.0": vector(scale, n, 1), f"{scale}.1": vector(scale + "bias", n)}
    for layer, shape in aspp(width, classes).items():
        tensors |= {f"{layer}.0": kernel(layer, shape), f"{layer}.1": vector(layer, classes)}
    return tensors


def resnet_tensorflow(width=64, blocks=(3, 4, 23, 3), classes=CLASSES):
    tensors = {}
    for layer, _, _, shape in resnet_convolutions(width, blocks):
        bn, n = norm_of(layer, "bn"), shape[0]
        tensors[f"{layer}/weights"] = kernel(layer, shape).transpose(2, 3, 1, 0)
        # Small variances: there the epsilon counts.
        tensors |= {f"{bn}/moving_mean": vector(bn + "mean", n), f"{bn}/moving_variance": 0.01 * vector(bn, n, 1)}
        tensors |= {f"{bn}/gamma": 0.1 * vector(bn + "gamma", n, 1), f"{bn}/beta": vector(bn + "beta", n)}
    for layer, shape in aspp(width, classes).items():
        tensors[f"{layer}/weights"] = kernel(layer, shape).transpose(2, 3, 1, 0)
        tensors[f"{layer}/biases"] = vector(layer, classes)
    return tensors


def resnet_torchvision(width=64, blocks=(3, 4, 23, 3), classes=1000):
    tensors = {}
    for _, layer, bn, shape in resnet_convolutions(width, blocks):
        n = shape[0]
        tensors[f"{layer}.weight"] = kernel(layer, shape)
        tensors |= {f"{bn}.weight": vector(bn, n, 1), f"{bn}.bias": vector(bn + "bias", n)}
        tensors |= {f"{bn}.running_mean": vector(bn + "mean", n), f"{bn}.running_var": vector(bn + "var", n, 1)}
        tensors[f"{bn}.num_batches_tracked"] = np.int64(1)
    return tensors | {"fc.weight": kernel("fc", (classes, 32 * width)), "fc.bias": vector("fc", classes)}


def convnext_torchvision(width=96, blocks=(3, 3, 9, 3), classes=1000):
    tensors = {}

    def layer(name, *shape):
        tensors[f"{name}.weight"] = kernel(name, shape) if len(shape) > 1 else vector(name, shape[0], 1)
        tensors[f"{name}.bias"] = vector(name + "bias", shape[0])

    layer("features.0.0", width, 3, 4, 4)
    layer("features.0.1", width)
    for stage, count in enumerate(blocks):
        n = width * 2**stage
        if stage:
            layer(f"features.{2 * stage}.0", n // 2)
            layer(f"features.{2 * stage}.1", n, n // 2, 2, 2)
        for i in range(count):
            name = f"features.{2 * stage + 1}.{i}"
            tensors[f"{name}.layer_scale"] = vector(name, n, 0.5).reshape(n, 1, 1)
            layer(f"{name}.block.0", n, 1, 7, 7)
            layer(f"{name}.block.2", n)
            layer(f"{name}.block.3", 4 * n, n)
            layer(f"{name}.block.5", n, 4 * n)
    layer("classifier.0", 8 * width)
    layer("classifier.2", classes, 8 * width)
    return tensors


def unet_pix2pix(features_in=9, features_out=6, width=64, depth=8):
    tensors = {}
    for level in range(depth):
        name = "model.model." + "".join(f"{1 if i == 0 else 3}.model." for i in range(level))
        n, below = width * min(2**level, 8), width * min(2 ** (level - 1), 8) if level else features_in
        down, up = (0, 3) if level == 0 else (1, 3 if level == depth - 1 else 5)
        above = features_out if level == 0 else below
        wide = n if level == depth - 1 else 2 * n
        tensors[f"{name}{down}.weight"] = kernel(f"{name}{down}", (n, below, 4, 4))
        tensors[f"{name}{down}.bias"] = vector(f"{name}{down}", n)
        tensors[f"{name}{up}.weight"] = kernel(f"{name}{up}", (wide, above, 4, 4), 4 * wide)
        tensors[f"{name}{up}.bias"] = vector(f"{name}{up}", above)
    return tensors


def ours(shapes):
    """What no published file has (attention, decoder, classifier), by our own paths and in our layout."""
    return {
        path: kernel(path, shape, np.prod(shape[:-1])) if path.endswith("kernel") else vector(path, shape[0], 1)
        for path, shape in shapes.items()
    }


# --- The networks, in PyTorch ----------------------------------------------------------------------


def rgb(x):
    """torchvision's input, NCHW: mean and deviation of ImageNet, of 0..1."""
    import torch

    mean, deviation = (torch.tensor(v).reshape(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return ((x.permute(0, 3, 1, 2) + 1) / 2 - mean) / deviation


def bgr(x):
    """Caffe's: 0..255, BGR, less the mean."""
    import torch

    return (x.permute(0, 3, 1, 2).flip(1) + 1) * 127.5 - torch.tensor(BGR_MEAN).reshape(3, 1, 1)


def largefov(w, x, *, average_pool):
    """fc7 of the prototxt, by its names; a pool's sizes are rounded up."""
    import torch.nn.functional as F

    def conv(x, name, dilation=1):
        weight, bias = w[f"{name}.0"], w[f"{name}.1"]
        return F.conv2d(x, weight, bias, padding=dilation * (weight.shape[-1] // 2), dilation=dilation).relu()

    for stage, depth in ((1, 2), (2, 2), (3, 3), (4, 3), (5, 3)):
        for i in range(depth):
            x = conv(x, f"conv{stage}_{i + 1}", 2 if stage == 5 else 1)
        x = F.max_pool2d(x, 3, 2 if stage < 4 else 1, 1, ceil_mode=True)
    x = F.avg_pool2d(x, 3, 1, 1) if average_pool else x
    return conv(conv(x, "fc6", 12), "fc7")


def vgg_by_caffe_names(w):
    """torchvision's tensors as DeepLab's, fc6 and fc7 decimated."""
    named = {
        f"conv{p}.{i}": w[f"features.{n}.{s}"] for p, n in VGG_PLACES.items() for i, s in enumerate(("weight", "bias"))
    }
    channels = w["features.28.weight"].shape[0]
    named["fc6.0"] = w["classifier.0.weight"].reshape(-1, channels, 7, 7)[::4, :, ::3, ::3]
    named["fc7.0"] = w["classifier.3.weight"][::4, ::4, None, None]
    return named | {"fc6.1": w["classifier.0.bias"][::4], "fc7.1": w["classifier.3.bias"][::4]}


def conv_of_ours(w, path, x, padding=0):
    import torch.nn.functional as F

    return F.conv2d(x, w[f"{path}.kernel"].permute(3, 2, 0, 1), w[f"{path}.bias"], padding=padding)


def at_places_of(full, small, size, small_size):
    """Features of a smaller image where those of the full one lie: each on every eighth pixel of its own image.

    Caffe's Interp lays corner on corner, features and images alike, which is the same idea where all sizes are 8 k + 1.
    Ours makes images smaller by areas (jax.image.resize), at any size, and this follows from that.
    """
    import torch
    import torch.nn.functional as F

    def places(axis):
        pixels = torch.arange(full.shape[2 + axis]) * 8.0
        pixels = (pixels + 0.5) * small_size[axis] / size[axis] - 0.5
        return pixels / 8 * 2 / (small.shape[2 + axis] - 1) - 1

    rows, columns = torch.meshgrid(places(0), places(1), indexing="ij")
    at = torch.stack([columns, rows], -1).expand(small.shape[0], -1, -1, -1)
    return F.grid_sample(small, at, mode="bilinear", padding_mode="border", align_corners=True)


def attention(w, x, features):
    """Attention to scale: shared features at 1, .75 and .5, their logits weighed pixel by pixel."""
    import torch
    import torch.nn.functional as F

    x, seen = x.permute(0, 3, 1, 2), []
    for scale in (1, 0.75, 0.5):
        size = tuple(round(side * scale) for side in x.shape[2:])
        smaller = F.interpolate(x, size, mode="bilinear", antialias=True) if scale < 1 else x
        found = features(smaller.permute(0, 2, 3, 1))
        seen.append(found if scale == 1 else at_places_of(seen[0], found, x.shape[2:], size))
    logits = torch.stack([conv_of_ours(w, "classifier", f) for f in seen])
    weights = conv_of_ours(w, "attention", torch.cat(seen, 1), padding=1).relu()
    weights = conv_of_ours(w, "attention_out", weights).softmax(1)
    return (logits * weights.permute(1, 0, 2, 3)[:, :, None]).sum(0)


def resnet(x, unit, blocks, *, stride_in_3x3):
    """The last stage's features; `unit(x, caffe's name, stride, dilation)` is convolution and norm."""
    import torch.nn.functional as F

    x = F.max_pool2d(unit(x, "conv1", 2, 1).relu(), 3, 2, 1, ceil_mode=True)
    for name, _, stage, first in resnet_blocks(blocks):
        stride = 2 if stage == 1 and first else 1
        dilation = (1, 1, 2, 4)[stage]
        reduced, spatial = (1, stride) if stride_in_3x3 else (stride, 1)
        out = unit(x, f"res{name}_branch2a", reduced, 1).relu()
        out = unit(unit(out, f"res{name}_branch2b", spatial, dilation).relu(), f"res{name}_branch2c", 1, 1)
        x = (out + (unit(x, f"res{name}_branch1", stride, 1) if first else x)).relu()
    return x


def unit_of(kernels, norms, epsilon):
    """Convolution and batch norm at test time, by kernels and (gamma, beta, mean, variance) of a layer."""
    import torch.nn.functional as F

    def unit(x, name, stride, dilation):
        weight, (gamma, beta, mean, variance) = kernels(name), norms(name)
        x = F.conv2d(x, weight, None, stride, dilation * (weight.shape[-1] // 2), dilation)
        return F.batch_norm(x, mean, variance, gamma, beta, False, 0, epsilon)

    return unit


def spatial_pyramid(x, kernels, biases):
    import torch.nn.functional as F

    rates = (6, 12, 18, 24)
    return sum(F.conv2d(x, k, b, padding=r, dilation=r) for k, b, r in zip(kernels, biases, rates))


def twin_vgg(w, extra, x):
    named = vgg_by_caffe_names(w)
    return attention(extra, x, lambda x: largefov(named, rgb(x), average_pool=False))


def twin_vgg_v1(w, extra, x):
    import torch.nn.functional as F

    return F.conv2d(largefov(w, bgr(x), average_pool=True), w["fc8_voc12.0"], w["fc8_voc12.1"])


def twin_resnet_caffe(w, extra, x):
    def norms(layer):
        bn, scale = norm_of(layer, "bn"), norm_of(layer, "scale")
        return w[f"{scale}.0"], w[f"{scale}.1"], w[f"{bn}.0"] / w[f"{bn}.2"], w[f"{bn}.1"] / w[f"{bn}.2"]

    x = resnet(bgr(x), unit_of(lambda n: w[f"{n}.0"], norms, 1e-5), THIN["blocks"], stride_in_3x3=False)
    return spatial_pyramid(x, *([w[f"fc1_voc12_c{i}.{blob}"] for i in range(4)] for blob in (0, 1)))


def twin_resnet_tensorflow(w, extra, x):
    def norms(layer):
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        return [w[f"{norm_of(layer, 'bn')}/{name}"] for name in names]

    def oihw(layer):
        return w[f"{layer}/weights"].permute(3, 2, 0, 1)

    x = resnet(bgr(x), unit_of(oihw, norms, 1e-3), THIN["blocks"], stride_in_3x3=False)
    layers = [f"fc1_voc12_c{i}" for i in range(4)]
    return spatial_pyramid(x, map(oihw, layers), [w[f"{layer}/biases"] for layer in layers])


def twin_resnet_torchvision(w, extra, x):
    names = {caffe: (conv, bn) for caffe, conv, bn, _ in resnet_convolutions(1, THIN["blocks"])}

    def norms(layer):
        return [w[f"{names[layer][1]}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")]

    unit = unit_of(lambda layer: w[f"{names[layer][0]}.weight"], norms, 1e-5)
    x = resnet(rgb(x), unit, THIN["blocks"], stride_in_3x3=True)
    branches = [f"classifier.branches.{i}" for i in range(4)]
    return spatial_pyramid(
        x, [extra[f"{b}.kernel"].permute(3, 2, 0, 1) for b in branches], [extra[f"{b}.bias"] for b in branches]
    )


def twin_convnext(w, extra, x):
    import torch.nn.functional as F

    def norm(x, scale, bias):
        return F.layer_norm(x.permute(0, 2, 3, 1), bias.shape, scale, bias, 1e-6).permute(0, 3, 1, 2)

    def layer(name):
        return w[f"{name}.weight"], w[f"{name}.bias"]

    height, width = x.shape[1:3]
    x, fused = F.pad(rgb(x), (0, -width % 32, 0, -height % 32), mode="replicate"), 0
    for stage, count in enumerate(THIN["blocks"]):
        if stage == 0:
            x = norm(F.conv2d(x, *layer("features.0.0"), stride=4), *layer("features.0.1"))
        else:
            x = F.conv2d(norm(x, *layer(f"features.{2 * stage}.0")), *layer(f"features.{2 * stage}.1"), stride=2)
        for i in range(count):
            name = f"features.{2 * stage + 1}.{i}"
            out = F.conv2d(x, *layer(f"{name}.block.0"), padding=3, groups=x.shape[1])
            out = norm(out, *layer(f"{name}.block.2")).permute(0, 2, 3, 1)
            out = F.linear(F.gelu(F.linear(out, *layer(f"{name}.block.3"))), *layer(f"{name}.block.5"))
            x = x + w[f"{name}.layer_scale"] * out.permute(0, 3, 1, 2)
        out_norm = (extra[f"backbone.out_norms.{stage}.norm.{leaf}"] for leaf in ("scale", "bias"))
        lateral = conv_of_ours(extra, f"backbone.laterals.{stage}", norm(x, *out_norm))
        grid = tuple(-(-side // 32) * 4 for side in (height, width))
        fused = fused + F.interpolate(lateral, grid, mode="bilinear", antialias=True)
    fused = fused.relu()[:, :, : -(-height // 8), : -(-width // 8)]
    return conv_of_ours(extra, "classifier", fused)


def twin_unet(w, extra, x):
    """Without the final tanh; odd sizes continued by the edge, as ours are."""
    import torch
    import torch.nn.functional as F

    height, width = x.shape[1:3]
    multiple, depth = 2 ** THIN["depth"], THIN["depth"]
    x = F.pad(x.permute(0, 3, 1, 2), (0, -width % multiple, 0, -height % multiple), mode="replicate")

    def block(x, name, level):
        down, below, up = (0, 1, 3) if level == 0 else (1, 3, 3 if level == depth - 1 else 5)
        inner = x if level == 0 else F.leaky_relu(x, 0.2)
        inner = F.conv2d(inner, w[f"{name}{down}.weight"], w[f"{name}{down}.bias"], 2, 1)
        if 0 < level < depth - 1:
            inner = F.instance_norm(inner)
        if level < depth - 1:
            inner = block(inner, f"{name}{below}.model.", level + 1)
        out = F.conv_transpose2d(inner.relu(), w[f"{name}{up}.weight"], w[f"{name}{up}.bias"], 2, 1)
        return out if level == 0 else torch.cat([x, F.instance_norm(out)], 1)

    return block(x, "model.model.", 0)[:, :, :height, :width]


# --- The thin versions that tests compare ----------------------------------------------------------

THIN = {"width": 4, "blocks": (1, 2, 1, 1), "depth": 3}
_VGG = functools.partial(vgg_caffe, width=THIN["width"])
_RESNET = {"width": THIN["width"], "blocks": THIN["blocks"]}
TWINS = {
    "vgg": (functools.partial(vgg_torchvision, width=THIN["width"], classes=10), twin_vgg),
    "vgg-v1": (_VGG, twin_vgg_v1),
    "resnet101 of caffe": (functools.partial(resnet_caffe, **_RESNET), twin_resnet_caffe),
    "resnet101 of tensorflow": (functools.partial(resnet_tensorflow, **_RESNET), twin_resnet_tensorflow),
    "resnet101-torchvision": (functools.partial(resnet_torchvision, **_RESNET, classes=10), twin_resnet_torchvision),
    "convnext": (functools.partial(convnext_torchvision, **_RESNET, classes=10), twin_convnext),
    "unet": (functools.partial(unet_pix2pix, width=THIN["width"], depth=THIN["depth"]), twin_unet),
}
"""Case -> (the file's tensors, its twin)."""
FRESH = {
    "vgg": {
        "classifier.kernel": (1, 1, 64, CLASSES), "classifier.bias": (CLASSES,),
        "attention.kernel": (3, 3, 192, 8), "attention.bias": (8,),
        "attention_out.kernel": (1, 1, 8, 3), "attention_out.bias": (3,),
    },
    "resnet101-torchvision": {
        f"classifier.branches.{i}.{leaf}": shape
        for i in range(4)
        for leaf, shape in (("kernel", (3, 3, 128, CLASSES)), ("bias", (CLASSES,)))
    },
    "convnext": {
        "classifier.kernel": (1, 1, 16, CLASSES), "classifier.bias": (CLASSES,),
        **{f"backbone.out_norms.{i}.norm.{leaf}": (4 * 2**i,) for i in range(4) for leaf in ("scale", "bias")},
        **{f"backbone.laterals.{i}.kernel": (1, 1, 4 * 2**i, 16) for i in range(4)},
        **{f"backbone.laterals.{i}.bias": (16,) for i in range(4)},
    },
}  # fmt: skip
"""Case -> shapes of what its files do not have."""


def fresh(case):
    return ours(FRESH.get(case, {}))


def input_of(case):
    """float32[2, H, W, 3]; the U-Net's has six masks with it."""
    masks = [np.tanh(draw("masks", (2, *SIZE, 6), 1.0))] if case == "unet" else []
    return np.concatenate([image(), *masks], -1)


def run(case):
    """The twin's output, float32[2, h, w, C]."""
    import torch

    tensors, twin = TWINS[case]
    as_torch = [{name: torch.tensor(value) for name, value in named.items()} for named in (tensors(), fresh(case))]
    with torch.no_grad():
        return twin(*as_torch, torch.tensor(input_of(case))).permute(0, 2, 3, 1).numpy()


def save_state_dictionaries():
    """Small state dictionaries in both of PyTorch's forms: a view, other number types, a parameter, a scalar."""
    import torch

    whole = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    state = {
        "whole": whole, "view": whole.T[1:], "half": whole.half(), "bfloat16": whole.bfloat16(),
        "parameter": torch.nn.Parameter(whole + 1), "count": torch.tensor(7),
    }  # fmt: skip
    for name, zipped in (("zip", True), ("legacy", False)):
        torch.save(state, STORED.with_name(f"state_{name}.pth"), _use_new_zipfile_serialization=zipped)


if __name__ == "__main__":
    np.savez_compressed(STORED, **{case: run(case) for case in TWINS})
    save_state_dictionaries()
