"""The paper's settings for PASCAL-Person-Part (section 4.2), on a people folder of cropped persons.

    pgkt quickstart paper_pascal --data.people FOLDER --out runs/pascal

Refinement: priors in the order of section 3.4; U-Net of eight halvings at 256 x 256, L1, Adam 2e-4, batch 1, 200
epochs. Parsing: 320 x 320, batch 30, 15,000 iterations, 1e-3 falling to 1e-4 after 2,000. Hardware: one accelerator
(the paper took 18 h and 30 h on a Titan X). Not run to its end yet: there is no time or score of ours to expect. The
paper's parsing backbone is a VGG-16 with weights from COCO; the small one stands in its place here, from scratch.
"""

from pgkt_jax.config import Config, DataConfig, RefineConfig

CONFIG = Config(data=DataConfig(people="people"), refine=RefineConfig(method="exact"))
