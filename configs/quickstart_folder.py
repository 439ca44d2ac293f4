"""The whole method on a people folder: as quickstart_puppets, trained longer.

    bash launch/quickstart.sh --data PEOPLE_FOLDER --labels 25

Hardware: two CPU cores. The figures are of street_people with 25 masks, 658 people to train on and 178 to score: 38
minutes with installing, then with half as many steps of refinement.
Expect, of seeds 0, 1 and 2 (`pgkt tables figure5 options labels --data street_people --labels 25 --scale cpu`), a mIoU
on test (on val) of .764, .763, .762 (.762, .761, .762) refined with the part-level prior, .774, .773, .772 (.770,
.769, .770) with sticks, .623, .620, .624 (.618, .608, .612) without a prior, .641, .633, .627 (.624, .607, .614)
parsing full, .708, .710, .709 (.719, .718, .721) semi, and .741, .745, .742 (.758, .754, .752) with all labels. More
masks than 25: pgkt_jax/docs/method.md.

Parsing departs from the paper in seeing one scale, in a subpixel head, in Adam without weight decay and in views that
vary strongly at first, and from half of the steps on less and less. Few masks profit from such views, many from calm
ones: strong to the end the three came to .652, .707 and .737; with zoom, shift and colours of .3 alone, decay .1 and
1,600 steps to .615, .706 and .744. On split val 25 masks gave .602 so, .645 with turn, stretch and colours of .4 (with
decay and without), .660 with a rectangle blotted out as well (a sketch, colours mixed a little otherwise); all masks
.755, .745 (2,400 steps) and .746 (2,400 steps, decay .1), .756 with views that calm down. SGD with momentum (one scale
of the attention model, rate .2, decay .0015, 22,400 samples) came on test to .643 full, .695 semi, .719 all. A subpixel
head gave .004 over logits at half the resolution. Batch normalisation gave nothing: 25 masks came to .587 after 6,000
samples (a sketch in PyTorch, stopped there).
"""

from pgkt_jax.config import Config, DataConfig, ParseConfig, RefineConfig

CONFIG = Config(
    data=DataConfig(people="people"),
    refine=RefineConfig(
        size=(128, 96), zoom=(0.9, 1.3), color=0.3, k=5, n=8, depth=5, width=32,
        dropout_blocks=1, input_skip=True, mirror_test=True, loss="cross-entropy",
        learning_rate=1e-3, decay_from=0.5, batch=8, steps=1200, every=400,
    ),
    parse=ParseConfig(
        size=(128, 96), zoom=(0.9, 1.3), stretch=0.2, turn=15.0, color=0.4, calm_from=0.5,
        head="subpixel", mirror_test=True,
        optimizer="adam", learning_rate=3e-3, weight_decay=0.0, decay_from=0.5, batch=8, steps=2400, every=400,
    ),
)  # fmt: skip
