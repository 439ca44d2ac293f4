"""The second stage of the released parsing network: 90 epochs of the 1,616 images with masks, and of nothing else.

    pgkt parse paper_pascal_resnet_masks --parse.weights runs/resnet --out runs/resnet_masks

Starts from the network of runs/resnet; all else is as in paper_pascal_resnet.py. Hardware: as there. Not run yet.
"""

from dataclasses import replace
from pathlib import Path

from pgkt_jax.config import DataConfig, load_config

_, FIRST = load_config(str(Path(__file__).with_name("paper_pascal_resnet.py")))
CONFIG = replace(
    FIRST,
    data=DataConfig(people="data/pascal_images", streamed=True),
    parse=replace(FIRST.parse, steps=18180),
)
