"""The parsing network that the paper's authors released (MVIG-SJTU/WSHP, parsing_network): DeepLabv2 ResNet-101.

    pgkt import-weights deeplab_resnet.npy --net resnet101 --trust-pickle --out resnet101.safetensors
    pgkt quickstart paper_pascal_resnet --parse.weights resnet101.safetensors --out runs/resnet
    pgkt parse paper_pascal_resnet_masks --parse.weights runs/resnet --out runs/resnet_masks

The data is that of paper_pascal.py. Windows of 321 x 321 pixels of images at scales .5 to 1.5, mirrored half of the
time, batch 8, 2.5e-4 falling as (1 - step / steps)**.9, normalisation frozen; tested on all of the image at scales 1,
.75 and .5, the maximum of their logits. VOC's photographs, 500 pixels at the longer side, are fitted into 513 x 513
and so have nearly their own scale. 10 epochs of the 1,616 images with masks and of the 10,000 people with synthesised
labels that the paper has (`--parse.steps` where yours are not as many); the release goes on with the masks alone (the
last command).

Hardware: one accelerator, computing in bfloat16; parameters are float32. Not run to its end yet: the paper claims .643
at one scale and .676 at three.
"""

from dataclasses import replace
from pathlib import Path

from pgkt_jax.config import ParseConfig, load_config

_, PASCAL = load_config(str(Path(__file__).with_name("paper_pascal.py")))
CONFIG = replace(
    PASCAL,
    parse=ParseConfig(
        size=(321, 321), image_size=(513, 513), zoom=(0.5, 1.5), backbone="resnet101", head="aspp",
        learning_rate=2.5e-4, drops=(), poly=0.9, batch=8, steps=14520, test_scales=(1.0, 0.75, 0.5), dtype="bfloat16",
    ),
)  # fmt: skip
