"""The whole method on a people folder: as quickstart_puppets, on larger pictures and trained longer.

    bash launch/quickstart.sh --data PEOPLE_FOLDER --labels 25

Hardware: two CPU cores; on one of them, with the other busy, refinement trains for 5 minutes and parsing for 6.5.
Expect, of street_people with 25 masks (658 people to train on, 139 to score; seeds 0, 1 and 2; `pgkt tables figure5
options table2 --data street_people --labels 25 --scale cpu`, whose priors are of 3 people out of 5), a mIoU on test of
.784, .789, .785 refined with the part-level prior, .796, .797, .796 with sticks, .633, .633, .632 without a prior,
.653, .642, .651 parsing full, .730, .731, .728 semi, and .761, .760, .761 with all labels. On val, without the guided
filter, and with more masks than 25: pgkt_jax/docs/method.md.

Parsing departs from the paper in seeing one scale, in a subpixel head, in Adam without weight decay and in views that
vary strongly at first, and from half of the steps on less and less; refinement and parsing depart from it in outlines
that follow the photograph's edges by a guided filter. What was compared, size and views among it:
pgkt_jax/docs/method.md.
"""

from pgkt_jax.config import Config, DataConfig, ParseConfig, RefineConfig

CONFIG = Config(
    data=DataConfig(people="people"),
    refine=RefineConfig(
        size=(160, 120), zoom=(0.9, 1.3), color=0.3, k=5, n=8, depth=5, width=32,
        dropout_blocks=1, input_skip=True, mirror_test=True, outline=8, loss="cross-entropy",
        learning_rate=1e-3, decay_from=0.5, batch=8, steps=1200, every=400,
    ),
    parse=ParseConfig(
        size=(160, 120), zoom=(0.9, 1.3), stretch=0.2, turn=15.0, color=0.4, calm_from=0.5,
        head="subpixel", mirror_test=True, outline=8,
        optimizer="adam", learning_rate=3e-3, weight_decay=0.0, decay_from=0.5, batch=8, steps=2400, every=400,
    ),
)  # fmt: skip
