"""The whole method on a people folder: as quickstart_puppets, on larger pictures and trained longer.

    bash launch/quickstart.sh --data PEOPLE_FOLDER --labels 25

Hardware: two CPU cores; on one of them, with the other busy, refinement trains for 5 minutes and parsing for 6.5.
Expect, of street_people with 25 masks (658 people to train on, 139 to score; seeds 0, 1 and 2; `pgkt tables figure5
options table2 --data street_people --labels 25 --scale cpu`, whose priors are of 3 people out of 5), a mIoU on test (on
val) of .769, .773, .769 (.771, .768, .766) refined with the part-level prior, .780, .781, .780 (.781, .779, .780) with
sticks, .623, .622, .622 (.625, .629, .618) without a prior, .644, .632, .642 (.636, .599, .620) parsing full, .718,
.719, .716 (.725, .726, .723) semi, and .754, .753, .754 (.767, .763, .759) with all labels. More masks than 25:
pgkt_jax/docs/method.md.

Parsing departs from the paper in seeing one scale, in a subpixel head, in Adam without weight decay and in views that
vary strongly at first, and from half of the steps on less and less. What was compared, size and views among it:
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
