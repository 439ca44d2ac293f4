"""`pgkt export RUN [--net parser|refiner] [--out FILE]`: a trained network as one file that JAX runs without us.

The file is StableHLO (`jax.export`): weights, pose bank, resizing and the way back are inside; the number and the size
of the images are open. It runs on this version of JAX and later ones, where flatbuffers is installed. There is no ONNX:
the maintained converter, jax2onnx (0.17.1), wants a name that jax 0.10 no longer has.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from pgkt_jax.commands.arguments import Arguments
from pgkt_jax.data import files
from pgkt_jax.stages.export import PLATFORMS, exported
from pgkt_jax.stages.parse import PARSERS
from pgkt_jax.stages.predict import Parser, Refiner
from pgkt_jax.stages.refine import REFINERS
from pgkt_jax.train.run_folder import training_in

GUIDE = """\
what is written
  FILE           the function: probabilities of all classes at every pixel, background first
                 parser   (images) ->
                 refiner  (images, joints, visible, boxes) -> one person an image
  FILE's .json   shapes and units of what goes in and out, classes, joints

how it is used, in a process that has jax, numpy and flatbuffers
  import jax, jax.export
  network = jax.jit(jax.export.deserialize(open("parser.stablehlo", "rb").read()).call)
  label_maps = network(images).argmax(-1)

examples
  pgkt export runs/quickstart
  pgkt export runs/quickstart --net refiner --out served/refiner.stablehlo --platforms cuda
"""

INPUTS = {
    "images": "uint8[B, H, W, 3], RGB",
    "joints": "float32[B, {joints}, 2], (x, y) in pixels of the image, y down, pixel centres at integers",
    "visible": "bool[B, {joints}]; a joint that is not visible may be anywhere",
    "boxes": "float32[B, 4], edges (x0, y0, x1, y1) of what the network sees, x0 < x1, y0 < y1;"
    " the whole image is (-0.5, -0.5, W - 0.5, H - 0.5)",
}


def main(arguments: Sequence[str]) -> None:
    """Writes the file and what describes it.

    Raises:
        ValueError: the run holds no such network, or a file is there already; said before anything is loaded.
    """
    parser = Arguments("pgkt export", description=__doc__, guide=GUIDE, example="pgkt export runs/quickstart")
    parser.add_argument("run", type=Path, help="the folder of a run, or of one training in it")
    parser.add_argument("--net", choices=("parser", "refiner"), help="which, where the run has both (default: parser)")
    parser.add_argument("--out", type=Path, help="the file (default: parser.stablehlo or refiner.stablehlo)")
    parser.add_argument("--platforms", nargs="+", choices=PLATFORMS, default=("cpu", "cuda"), help="where it shall run")
    chosen = parser.parse_args(arguments)
    net = chosen.net or _what_is_in(chosen.run)
    out = chosen.out or Path(f"{net}.stablehlo")
    sheet = out.with_suffix(".json")
    for path in {out, sheet}:
        if path.exists() or out == sheet:
            raise ValueError(f"--out: {path} is {'the name of the description' if out == sheet else 'there already'}")
    network = (Parser if net == "parser" else Refiner).from_checkpoint(chosen.run)
    function = exported(network, platforms=chosen.platforms)
    out.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomically(out, bytes(function.serialize()))
    files.write_atomically(sheet, json.dumps(described(network, function), indent=1).encode())
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, for {', '.join(function.platforms)}; {sheet} says what goes in")


def _what_is_in(folder: Path) -> str:
    """`parser`, or `refiner` where the folder has no parsing network."""
    run = training_in(folder, (*PARSERS, *REFINERS), "parse")
    return "refiner" if (run / "bank.npz").exists() else "parser"


def described(network: Parser | Refiner, function: jax.export.Exported) -> dict[str, Any]:
    """What a user of the file has to know."""
    skeleton, inputs = network.skeleton, list(INPUTS)[: len(function.in_avals)]
    return {
        "network": "parsing" if isinstance(network, Parser) else "refinement",
        "inputs": {name: INPUTS[name].format(joints=skeleton.num_joints) for name in inputs},
        "output": f"float32[B, H, W, {skeleton.num_classes}], probabilities of the classes",
        "classes": list(skeleton.classes),
        "joints": list(skeleton.joints),
        "platforms": list(function.platforms),
        "jax": jax.__version__,
    }
