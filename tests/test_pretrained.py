"""Reading others' weights: every tensor is accounted for, and a bad file ends in one sentence."""

import functools
import io
import json
import os
import pickle
import re
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import twins
from caffe_proto import caffemodel
from flax import nnx

from pgkt_jax import cli
from pgkt_jax.config import ParseConfig
from pgkt_jax.nets.deeplab import ASPP
from pgkt_jax.nets.pretrained import load_weights, safetensors, torch_file, transfer
from pgkt_jax.nets.pretrained.names import DIALECTS
from pgkt_jax.skeleton import PASCAL_PERSON
from pgkt_jax.stages import parse

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def weightless():
    """Published tensors at full size that take no memory: every kernel is one number seen again and again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(twins, "draw", lambda name, shape, scale: np.broadcast_to(np.float32(1), shape))
        yield


@pytest.fixture(scope="module")
def shapes():
    return functools.cache(lambda net: transfer.shapes_of(transfer.network(net, 7)))


# --- Every tensor ---------------------------------------------------------------------------------

PUBLISHED = {
    "torchvision vgg16": ("vgg", "torch", twins.vgg_torchvision, {"classifier.6.weight", "classifier.6.bias"}),
    "DeepLab-LargeFOV": ("vgg", "caffe", twins.vgg_caffe, set()),
    "torchvision resnet101": ("resnet101", "torch", twins.resnet_torchvision, {"fc.weight", "fc.bias"}),
    "deeplab_aspp_resnet101": ("resnet101", "caffe", twins.resnet_caffe, set()),
    "tensorflow-deeplab-resnet": ("resnet101", "tensorflow", twins.resnet_tensorflow, set()),
    "torchvision convnext_tiny": (
        "convnext", "torch", twins.convnext_torchvision,
        {f"classifier.{i}.{leaf}" for i in (0, 2) for leaf in ("weight", "bias")},
    ),
    "pix2pix": ("unet", "torch", twins.unet_pix2pix, set()),
}  # fmt: skip


@pytest.mark.parametrize("file", PUBLISHED)
def test_published_files_fit_whole(weightless, shapes, file):
    net, framework, published, left = PUBLISHED[file]
    dialects = DIALECTS["resnet101-torchvision" if file == "torchvision resnet101" else net]
    tensors = published()
    ours, table = transfer.convert(tensors, dialects[framework], shapes(net))
    lines = table.splitlines()
    left_out = {re.match(r"left out  (\S+)", line)[1] for line in lines if line.startswith("left out")}
    without_effect = {
        name for name in left_out if name.endswith("num_batches_tracked") or (net == "unet" and name.endswith("bias"))
    }
    assert left_out - without_effect == left
    fresh = {path for path in shapes(net) if path not in ours}
    heads = ("classifier.", "backbone.laterals.", "backbone.out_norms.")
    assert all(path.startswith(heads) for path in fresh)
    loaded = {name for line in lines if line.startswith("loaded") for name in line.split(" -> ")[0].split()[1:]}
    assert set(tensors) == (loaded - {"and", "a", "constant"}) | left_out


def caffe_file(folder, change=lambda tensors: tensors):
    path = folder / "net.caffemodel"
    path.write_bytes(caffemodel(change(twins.vgg_caffe(width=1)), v1=False))
    return path


@pytest.fixture
def thin(monkeypatch):
    """`import-weights --net vgg` wants a network of width 1."""
    shapes = {
        path: (*shape[:-2], *(max(1, n // 64) if n != 7 and n != 3 else n for n in shape[-2:]))
        for path, shape in transfer.shapes_of(transfer.network("vgg", 7)).items()
    }
    monkeypatch.setattr(transfer, "shapes_of", lambda _: shapes)


def refusal(capsys, path, *options, net="vgg"):
    """What `pgkt import-weights` says when it refuses: one line, and nothing is written."""
    out = path.parent / "out.safetensors"
    assert cli.main(["import-weights", str(path), "--net", net, "--out", str(out), *options]) == 2
    printed = capsys.readouterr()
    assert not out.exists()
    assert printed.out == ""
    assert printed.err.startswith(f"pgkt import-weights: {path}: ")
    assert printed.err.count("\n") == 1
    return printed.err


def test_the_command_writes_a_file_and_says_what_became_of_every_tensor(tmp_path, thin, capsys):
    def change(tensors):
        return tensors | {"fc8_voc12.0": np.ones((21, 16, 1, 1)), "conv9.0": np.ones(2), "res05_conv.0": np.ones(3)}

    path = caffe_file(tmp_path, change)
    assert cli.main(["import-weights", str(path), "--net", "vgg"]) == 0
    printed = capsys.readouterr().out
    assert "loaded    conv1_1.0 -> backbone.stages.0.0.kernel (3, 3, 3, 1)\n" in printed
    assert "left out  fc8_voc12.0: (1, 1, 16, 21), classifier.kernel wants (1, 1, 16, 7)\n" in printed
    assert "left out  conv9.0 (2,): the network has no such layer\n" in printed
    assert "left out  res05_conv.0 (3,): the same weights once more, for another scale\n" in printed
    out = safetensors.read(tmp_path / "net.vgg.safetensors")
    assert "classifier.kernel" not in out
    bgr = twins.vgg_caffe(width=1)["conv1_1.0"]
    np.testing.assert_array_equal(out["backbone.stages.0.0.kernel"], bgr.transpose(2, 3, 1, 0)[:, :, ::-1])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda t: {name: blob for name, blob in t.items() if "conv3_2" not in name},
            r"tensor conv3_2\.[01] is missing, which backbone\.stages\.2\.1\.",
        ),
        (
            lambda t: t | {"fc6.0": np.ones((8, 8, 3, 3), np.float32)},
            r"tensor fc6\.0 has the shape \(3, 3, 8, 8\), backbone\.fc6\.kernel wants \(3, 3, 8, 16\)",
        ),
        (
            lambda t: t | {"fc7.0": np.ones(3, np.float32)},
            r"tensor fc7\.0 has the shape \(3,\), which makes no backbone\.fc7\.kernel",
        ),
    ],
)  # fmt: skip
def test_a_missing_or_misshapen_tensor_is_named(tmp_path, thin, capsys, change, sentence):
    assert re.search(sentence, refusal(capsys, caffe_file(tmp_path, change)))


def test_caffes_batch_norm_of_no_steps_is_zero():
    make = DIALECTS["resnet101"]["caffe"]("backbone.norm1.mean", []).make
    np.testing.assert_array_equal(make(np.float32([3, 4]), np.float32([2])), [1.5, 2])
    np.testing.assert_array_equal(make(np.float32([3, 4]), np.float32([0])), [0, 0])


# --- PyTorch's files ------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_state_dictionaries_are_read_without_pytorch(form):
    tensors = torch_file.read(DATA / f"state_{form}.pth")
    whole = np.arange(6, dtype=np.float32).reshape(2, 3)
    expected = {
        "whole": whole, "view": whole.T[1:], "half": whole, "bfloat16": whole, "parameter": whole + 1, "count": 7
    }  # fmt: skip
    assert tensors.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(tensors[name].astype(np.float32), value)


class Hostile:
    """Unpickled as pickle would have it, it runs a command."""

    def __init__(self, folder):
        self.command = f"touch {folder}/was_here"

    def __reduce__(self):
        return os.system, (self.command,)


def zipped(folder, pickled, *, compression=zipfile.ZIP_STORED, data=b"\0" * 16):
    path = folder / "net.pth"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/data/0", data)
    return path


class Named:
    """Pickles as a call of PyTorch's."""

    def __init__(self, name, *arguments):
        self.name, self.arguments = name, arguments


class TorchPickler(pickle._Pickler):
    """Writes references to torch without having it."""

    def persistent_id(self, thing):
        return thing.arguments if isinstance(thing, Named) and thing.name == "storage" else None

    def save(self, thing, save_persistent_id=True):
        if isinstance(thing, Named) and thing.name != "storage":
            self.write(b"c" + thing.name.replace(" ", "\n").encode() + b"\n")
            if thing.arguments:
                super().save(thing.arguments)
                self.write(b"R")
        else:
            super().save(thing, save_persistent_id)


def pickled_state(*, size=4, offset=0, shape=(2, 2), strides=(2, 1), kind="torch FloatStorage"):
    file = io.BytesIO()
    storage = Named("storage", "storage", Named(kind), "0", "cpu", size)
    TorchPickler(file, 2).dump(
        {"a": Named("torch._utils _rebuild_tensor_v2", storage, offset, shape, strides, False, None)}
    )
    return file.getvalue()


def test_the_files_made_here_are_sound(tmp_path):
    """Else those below would be refused for the wrong reason."""
    assert torch_file.read(zipped(tmp_path, pickled_state()))["a"].shape == (2, 2)


def legacy(folder, *pickles):
    path = folder / "net.pth"
    path.write_bytes(b"".join(pickle.dumps(thing, 2) for thing in pickles))
    return path


def npy(folder, thing):
    path = folder / "net.npy"
    np.save(path, np.array(thing, object), allow_pickle=True)
    return path


def written(folder, name, data):
    (folder / name).write_bytes(data)
    return folder / name


def tensors_file(folder, header, data=b""):
    text = json.dumps(header).encode()
    return written(folder, "net.safetensors", struct.pack("<Q", len(text)) + text + data)


def entry(start, end, shape, dtype="F32"):
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}}


MAGIC = (torch_file.MAGIC, torch_file.PROTOCOL, {"little_endian": True})
HOSTILE = r"it names (posix|nt)\.system, which no file of weights needs: refused"
CUT = "no state dictionary of PyTorch, or cut short"
BAD = {
    "hostile zip": (lambda f: zipped(f, pickle.dumps({"a": Hostile(f)})), HOSTILE),
    "hostile legacy": (lambda f: legacy(f, *MAGIC, {"a": Hostile(f)}), HOSTILE),
    "hostile first pickle": (lambda f: legacy(f, Hostile(f)), HOSTILE),
    "hostile npy": (lambda f: npy(f, {"a": {"weights": Hostile(f)}}), HOSTILE),
    "getattr by protocol 4": (
        lambda f: zipped(f, b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93."),
        r"it names builtins\.exec",
    ),
    "a torch function": (lambda f: zipped(f, b"ctorch\nload\n."), r"it names torch\.load"),
    "cut zip": (lambda f: written(f, "net.pth", (DATA / "state_zip.pth").read_bytes()[:-30]), CUT),
    "cut legacy": (lambda f: written(f, "net.pth", (DATA / "state_legacy.pth").read_bytes()[:-9]), "is incomplete"),
    "cut legacy early": (lambda f: written(f, "net.pth", (DATA / "state_legacy.pth").read_bytes()[:60]), CUT),
    "compressed": (lambda f: zipped(f, pickled_state(), compression=zipfile.ZIP_DEFLATED), r"data\.pkl is compressed"),
    "short storage": (lambda f: zipped(f, pickled_state(size=5, shape=(5,), strides=(1,))), "storage 0 is incomplete"),
    "memo slots": (
        lambda f: zipped(f, b"\x80\x02Nr\xff\xff\xff\x03."),
        "numbers an object 67108863 when it has made 3",
    ),
    "a terabyte": (lambda f: zipped(f, b"\x80\x05\x96" + bytes(5) + b"\1\0\0."), "expected 1099511627776 bytes"),
    "beyond": (lambda f: zipped(f, pickled_state(offset=1)), r"a tensor \(2, 2\) reaches beyond its 4 numbers"),
    "behind": (lambda f: zipped(f, pickled_state(offset=-1)), "without its numbers"),
    "expanded": (lambda f: zipped(f, pickled_state(shape=(10**12,), strides=(0,))), "reaches beyond"),
    "strange storage": (lambda f: zipped(f, pickled_state(kind="torch Tensor")), r"it names torch\.Tensor"),
    "no dictionary": (lambda f: zipped(f, pickle.dumps([1, 2])), "no dictionary of tensors by name"),
    "a picture": (lambda f: written(f, "net.pth", b"\x89PNG\r\n\x1a\n" + bytes(50)), CUT),
    "empty": (lambda f: written(f, "net.pth", b""), CUT),
    "safetensors header too long": (lambda f: written(f, "net.safetensors", b"\xff" * 40), "does not fit into it"),
    "safetensors of 3 bytes": (lambda f: written(f, "net.safetensors", b"abc"), "does not fit into it"),
    "safetensors no JSON": (
        lambda f: written(f, "net.safetensors", struct.pack("<Q", 2) + b"{x"),
        "no valid safetensors",
    ),
    "safetensors list": (lambda f: tensors_file(f, [1]), "no valid safetensors header"),
    "safetensors cut": (lambda f: tensors_file(f, entry(0, 8, [2]), bytes(7)), "bytes 0 to 8 of 7"),
    "safetensors shape": (lambda f: tensors_file(f, entry(0, 8, [3]), bytes(8)), r"8 bytes for a tensor \(3,\)"),
    "safetensors negative": (lambda f: tensors_file(f, entry(-8, 0, [2]), bytes(8)), "bytes -8 to 0"),
    "safetensors dtype": (lambda f: tensors_file(f, entry(0, 8, [2], "X"), bytes(8)), "no valid safetensors header"),
    "caffemodel cut": (lambda f: written(f, "net.caffemodel", caffe_file(f).read_bytes()[:-5]), "cut short"),
    "caffemodel of zeros": (lambda f: written(f, "net.caffemodel", bytes(20)), "no layer has weights"),
    "caffemodel of noise": (lambda f: written(f, "net.caffemodel", b"\xff" * 20), "a number without an end"),
    "caffemodel empty": (lambda f: written(f, "net.caffemodel", b""), "no layer has weights"),
    "npy of an array": (lambda f: (np.save(f / "net.npy", np.ones(3)), f / "net.npy")[1], "not a dictionary of layers"),
    "npy cut": (lambda f: written(f, "net.npy", npy(f, {"a": {"b": np.ones(9)}}).read_bytes()[:-30]), "cut short"),
    "npy of a list": (lambda f: npy(f, [[1, 2], [3]]), "no dictionary of layers|not a dictionary of layers"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path, capsys, bad):
    make, sentence = BAD[bad]
    path = make(tmp_path)
    net = "resnet101" if path.suffix == ".npy" else "vgg"
    assert re.search(sentence, refusal(capsys, path, "--trust-pickle", net=net))
    assert not (tmp_path / "was_here").exists()


def test_a_pickled_npy_wants_the_flag(tmp_path, capsys):
    said = refusal(capsys, npy(tmp_path, {"a": {"weights": np.ones(2)}}), net="resnet101")
    assert "say --trust-pickle if you know where it comes from" in said


@pytest.mark.parametrize(("name", "net"), [("net.bin", "vgg"), ("net.npy", "vgg"), ("net.caffemodel", "convnext")])
def test_a_file_of_a_kind_that_the_network_is_not_read_from_is_refused(tmp_path, capsys, name, net):
    said = refusal(capsys, written(tmp_path, name, b""), net=net)
    assert f"{net} is read from .pth, .pt, .safetensors" in said


def test_a_caffemodel_in_the_older_form_is_read_alike(tmp_path):
    blobs = twins.vgg_caffe(width=1)
    for v1 in (True, False):
        (tmp_path / "net.caffemodel").write_bytes(caffemodel(blobs, v1=v1))
        found = transfer.caffemodel.read(tmp_path / "net.caffemodel")
        assert found.keys() == blobs.keys()
        for name, blob in blobs.items():
            np.testing.assert_array_equal(found[name].reshape(blob.shape), blob)


# --- Into a network -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({"branches.4.bias": np.ones(2)}, r"branches\.4\.bias is no parameter of this network"),
        ({"branches.0.bias": np.ones(3)}, r"branches\.0\.bias has the shape \(3,\), the network wants \(2,\)"),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path, tensors, sentence):
    safetensors.write(tmp_path / "weights.safetensors", tensors)
    with pytest.raises(ValueError, match=rf"weights\.safetensors: {sentence}"):
        load_weights(nnx.eval_shape(lambda: ASPP(3, 2, rngs=nnx.Rngs(0))), tmp_path / "weights.safetensors")


def test_a_training_starts_from_the_weights_it_names(tmp_path, monkeypatch, capsys):
    path = tmp_path / "weights.safetensors"
    safetensors.write(path, {"branches.0.bias": np.arange(2.0)})
    monkeypatch.setattr(parse, "parsing_network", lambda *_: ASPP(3, 2, rngs=nnx.Rngs(0)))
    state = parse._fresh(ParseConfig(), PASCAL_PERSON, weights=str(path))
    np.testing.assert_array_equal(state.params["branches"][0]["bias"][...], np.arange(2))
    printed = capsys.readouterr().out
    assert printed.startswith(f"{path}: 1 tensors loaded; freshly initialised: branches.0.kernel, branches.1.bias")
