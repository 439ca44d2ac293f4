"""`pgkt import-weights FILE --net NAME [--out FILE]`: weights of another framework into a file for `--parse.weights`.

Reads torchvision's vgg16, resnet101 and convnext_tiny (.pth or .safetensors), Caffe's vgg16_20M and
deeplab_aspp_resnet101 (.caffemodel), TensorFlow's DeepLab-ResNet (.npy) and pix2pix's net_G (.pth, for
`--refine.weights`), and says of every tensor what became of it.
"""

from collections.abc import Sequence
from pathlib import Path

from pgkt_jax.commands.arguments import Arguments
from pgkt_jax.nets.pretrained.names import DIALECTS
from pgkt_jax.nets.pretrained.transfer import import_weights

EXAMPLE = "pgkt import-weights vgg16.pth --net vgg --out vgg.safetensors"
GUIDE = f"""\
examples
  {EXAMPLE}
  pgkt import-weights net_G.pth --net unet
"""


def main(arguments: Sequence[str]) -> None:
    """Writes the file and prints the table.

    Raises:
        ValueError: the file is broken or of another kind, or a tensor is missing or of another shape.
    """
    parser = Arguments("pgkt import-weights", description=__doc__, guide=GUIDE, example=EXAMPLE)
    parser.add_argument("file", type=Path)
    parser.add_argument("--net", required=True, choices=DIALECTS, help="the network they are for")
    parser.add_argument("--out", type=Path, help="where ours go; FILE with the suffix .NAME.safetensors by default")
    parser.add_argument("--classes", type=int, default=7, help="of our task: a classifier of as many is loaded too")
    parser.add_argument("--trust-pickle", action="store_true", help="read a .npy file, which is a pickle")
    chosen = parser.parse_args(arguments)
    out = chosen.out or chosen.file.with_suffix(f".{chosen.net}.safetensors")
    table = import_weights(chosen.file, chosen.net, out, classes=chosen.classes, trust_pickle=chosen.trust_pickle)
    print(f"{table}\nwritten to {out}")
