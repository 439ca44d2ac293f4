"""Others' weights into a file of ours, every tensor accounted for; and from that file into a network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from pgkt_jax.nets.deeplab import Head
from pgkt_jax.nets.parser import parser
from pgkt_jax.nets.pretrained import caffemodel, npy, safetensors, torch_file
from pgkt_jax.nets.pretrained.names import DIALECTS, Dialect
from pgkt_jax.nets.unet import UNet

HEADS: dict[str, Head] = {"vgg": "plain", "resnet101": "aspp", "resnet101-torchvision": "aspp", "convnext": "plain"}
FRAMEWORKS = {
    ".pth": "torch", ".pt": "torch", ".safetensors": "torch", ".caffemodel": "caffe", ".npy": "tensorflow"
}  # fmt: skip
OURS_ALONE = ("classifier.", "downs.0.", "ups.0.")
"""What depends on the classes and inputs of a task: of another size in a file, it is left out."""


def import_weights(file: Path, net: str, out: Path, *, classes: int = 7, trust_pickle: bool = False) -> str:
    """Reads weights of another framework and writes those of ours; returns the table of what became of each tensor.

    Args:
        file: .pth, .pt or .safetensors (torchvision, pix2pix), .caffemodel, or .npy (TensorFlow's DeepLab-ResNet).
        net: one of `DIALECTS`.
        out: the safetensors file to write.
        classes: of our task: a classifier of as many is loaded too.
        trust_pickle: read .npy files, which are pickles.

    Raises:
        ValueError: the file is broken or of another kind, or a tensor is missing or of another shape.
    """
    framework = FRAMEWORKS.get(file.suffix)
    if framework not in DIALECTS[net]:
        known = ", ".join(suffix for suffix, name in FRAMEWORKS.items() if name in DIALECTS[net])
        raise ValueError(f"{file}: {net} is read from {known}, not from {file.suffix or 'a file without a suffix'}")
    if file.suffix == ".npy":
        tensors = npy.read(file, trusted=trust_pickle)
    else:
        readers = {".safetensors": safetensors.read, ".caffemodel": caffemodel.read}
        tensors = readers.get(file.suffix, torch_file.read)(file)
    try:
        ours, table = convert(tensors, DIALECTS[net][framework], shapes_of(network(net, classes)))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    safetensors.write(out, ours)
    return table


def network(net: str, classes: int) -> nnx.Module:
    """The shapes of a network at its published size."""

    def make() -> nnx.Module:
        rngs = nnx.Rngs(0)
        if net == "unet":
            return UNet(3 + classes - 1, classes - 1, rngs=rngs)
        return parser(net, HEADS[net], classes, rngs=rngs)

    return nnx.eval_shape(make)


def shapes_of(network: nnx.Module) -> dict[str, tuple[int, ...]]:
    """The shape of every parameter and statistic by its path, `backbone.fc6.kernel`."""
    return {path: variable.shape for path, variable in _variables(network).items()}


def convert(
    tensors: Mapping[str, np.ndarray], dialect: Dialect, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, np.ndarray], str]:
    """Our parameters out of a file's tensors, and a table: a line for each of ours, and one for each that is left out.

    Raises:
        ValueError: a tensor is missing or of another shape than the network's; it is named.
    """
    ours: dict[str, np.ndarray] = {}
    lines: list[str] = []
    used: set[str] = set()
    for path, shape in shapes.items():
        source = dialect(path, tensors)
        if source is None:
            lines.append(f"fresh     {path} {shape}: such files have no such tensor")
            continue
        missing = [name for name in source.names if name not in tensors]
        if missing:
            raise ValueError(f"tensor {missing[0]} is missing, which {path} {shape} is made of")
        used.update(source.names)
        name = " and ".join(source.names) or "a constant"
        try:
            value = source.make(*(tensors[name] for name in source.names))
        except (ValueError, IndexError) as error:  # too few dimensions to be turned, say
            found = " and ".join(str(tensors[name].shape) for name in source.names)
            raise ValueError(f"tensor {name} has the shape {found}, which makes no {path} {shape}") from error
        if value.shape != shape and path.startswith(OURS_ALONE):
            lines.append(f"left out  {name}: {value.shape}, {path} wants {shape}")
        elif value.shape != shape:
            raise ValueError(f"tensor {name} has the shape {value.shape}, {path} wants {shape}")
        else:
            ours[path] = np.asarray(value, np.float32)
            lines.append(f"loaded    {name} -> {path} {shape}")
    lines += [f"left out  {name} {tensors[name].shape}: {_reason(name)}" for name in tensors if name not in used]
    return ours, "\n".join(lines)


def _reason(name: str) -> str:
    if "_res075" in name or "_res05" in name or name.startswith(("res075", "res05")):
        return "the same weights once more, for another scale"
    if name.endswith("num_batches_tracked"):
        return "a count of training steps"
    if name.startswith("model.model.") and name.endswith(("bias", "running_mean", "running_var")):
        return "without effect: instance normalisation takes the mean away again"
    return "the network has no such layer"


def load_weights(network: nnx.Module, file: Path) -> None:
    """Sets a network's parameters to those of a file that `import_weights` wrote; says which ones stay as they are.

    Raises:
        ValueError: the file is broken, or holds a tensor that the network has not, or not in that shape.
    """
    _set(network, safetensors.read(file), str(file))


def check_weights(network: nnx.Module, file: Path) -> None:
    """Raises as `load_weights` would, and changes nothing: shapes are enough of a network, see `nnx.eval_shape`."""
    _check(_variables(network), safetensors.read(file), str(file))


def copy_weights(network: nnx.Module, source: nnx.Module, origin: str) -> None:
    """Sets a network's parameters and statistics to those of another of the same names and shapes.

    Args:
        network: changed in place.
        source: the other one.
        origin: where that comes from, for messages.

    Raises:
        ValueError: the other one has a tensor that the network has not, or not in that shape.
    """
    _set(network, {path: variable[...] for path, variable in _variables(source).items()}, origin)


def _set(network: nnx.Module, tensors: Mapping[str, Any], origin: str) -> None:
    variables = _variables(network)
    _check(variables, tensors, origin)
    for path, tensor in tensors.items():
        variables[path][...] = jnp.asarray(tensor)
    fresh = ", ".join(path for path in variables if path not in tensors) or "none"
    print(f"{origin}: {len(tensors)} tensors loaded; freshly initialised: {fresh}")


def _check(variables: Mapping[str, nnx.Variable], tensors: Mapping[str, Any], origin: str) -> None:
    for path, tensor in tensors.items():
        if path not in variables:
            raise ValueError(f"{origin}: {path} is no parameter of this network: import the weights for it")
        if tensor.shape != variables[path].shape:
            wanted = variables[path].shape
            raise ValueError(f"{origin}: {path} has the shape {tensor.shape}, the network wants {wanted}")


def _variables(network: nnx.Module) -> dict[str, nnx.Variable]:
    flat = nnx.to_flat_state(nnx.state(network))
    return {".".join(map(str, path)): variable for path, variable in flat}
