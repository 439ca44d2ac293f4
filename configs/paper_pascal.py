"""The paper's main experiment: PASCAL-Person-Part with the poses of MPII (section 4.1), its networks as in paper.py.

    pgkt build-data pascal_person_part --manual-dir VOC2010 --out data/pascal_people
    pgkt build-data pascal_person_part --manual-dir VOC2010 --records image --out data/pascal_images
    pgkt build-data mpii --manual-dir mpii --out data/mpii
    pgkt import-weights vgg16.pth --net vgg --out vgg.safetensors
    pgkt quickstart paper_pascal --parse.weights vgg.safetensors --out runs/pascal

Refinement learns from crops around people; parsing from whole images, and from the people of MPII with synthesised
labels. All of them are streamed: as arrays they are some 12 GB. Hardware: as paper.py. Not run to its end yet: the
paper has .569 full and .626 semi (Table 1).
"""

from dataclasses import replace
from pathlib import Path

from pgkt_jax.config import DataConfig, load_config

_, PAPER = load_config(str(Path(__file__).with_name("paper.py")))
CONFIG = replace(
    PAPER,
    data=DataConfig(
        people="data/pascal_people", poses=("data/mpii",), parse_people="data/pascal_images", streamed=True
    ),
)  # fmt: skip
