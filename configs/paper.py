"""The paper's networks and schedules (section 4.2), on a people folder of one's own.

    pgkt import-weights vgg16.pth --net vgg --out vgg.safetensors
    pgkt quickstart paper --data.people my_people --parse.weights vgg.safetensors --out runs/mine

Refinement: priors in the order of section 3.4; U-Net of eight halvings at 256 x 256, L1, Adam 2e-4, batch 1, 200
epochs. Parsing: attention to scale over LargeFOV VGG-16, 320 x 320, batch 30, 15,000 iterations, 1e-3 falling to 1e-4
after 2,000. Hardware: one accelerator (the paper took 18 h and 30 h on a Titan X), computing in bfloat16, with float32
parameters. Not run to its end yet: there is no time or score of ours to expect. The paper starts from weights trained
on COCO; torchvision's of ImageNet are what can be had, and without any the network starts from scratch.
"""

from pgkt_jax.config import Config, DataConfig, ParseConfig, RefineConfig

CONFIG = Config(
    data=DataConfig(people="people"),
    refine=RefineConfig(method="exact", dtype="bfloat16"),
    parse=ParseConfig(backbone="vgg", dtype="bfloat16"),
)
