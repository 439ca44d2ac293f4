"""The parsing network that the paper's authors released (MVIG-SJTU/WSHP, parsing_network): DeepLabv2 ResNet-101.

    pgkt import-weights deeplab_resnet.npy --net resnet101 --trust-pickle --out resnet101.safetensors
    pgkt quickstart paper_pascal_resnet --data.people FOLDER --parse.weights resnet101.safetensors --out runs/resnet

Crops of 321 x 321 at scales .5 to 1.5, mirrored half of the time, batch 8, 2.5e-4 falling as (1 - step / steps)**.9,
normalisation frozen; tested at scales 1, .75 and .5, the maximum of their logits. 90 epochs of the 1,716 images with
masks of PASCAL-Person-Part. The release first trains 10 epochs on masks and synthesised labels together, then these 90
on the masks alone, starting from the first one's result: `pgkt quickstart` into one folder, `pgkt parse` with
`--parse.weights` that folder and `--out` another.

Hardware: one accelerator, computing in bfloat16; parameters are float32. Not run to its end yet: the paper claims .643
at one scale and .676 at three.
"""

from pgkt_jax.config import Config, DataConfig, ParseConfig, RefineConfig

CONFIG = Config(
    data=DataConfig(people="people"),
    refine=RefineConfig(method="exact", dtype="bfloat16"),
    parse=ParseConfig(
        size=(321, 321), zoom=(0.5, 1.5), backbone="resnet101", head="aspp", learning_rate=2.5e-4, drops=(), poly=0.9,
        batch=8, steps=19305, test_scales=(1.0, 0.75, 0.5), dtype="bfloat16",
    ),
)  # fmt: skip
