"""The whole method on a people folder: as quickstart_puppets, trained longer.

    bash launch/quickstart.sh --data PEOPLE_FOLDER --labels 25

Hardware: two CPU cores, 42 minutes beside other work, for 658 people to train on and 178 to score. On street_people
with 25 masks expect a test mIoU of .757 refined with the part-level prior, .615 parsing full, .706 semi, .744 with all
labels (one seed).

Parsing departs from the paper in seeing one scale, in a subpixel head and in Adam. Under instance normalisation weight
decay keeps the steps of the weights' directions large; few masks profit from that, many do not. On split val after
17,600 samples all 658 masks came to .773 without decay and .736 with a decay of 1 (rate 5e-3), 25 masks to .617 (5,600
samples) and .631. SGD with momentum (one scale of the attention model, rate .2, decay .0015, 22,400 samples) came on
test to .643 full, .695 semi, .719 all. A subpixel head gave .004 over logits at half the resolution. Batch
normalisation gave nothing: 25 masks came to .587 after 6,000 samples (a sketch in PyTorch, stopped there).
"""

from pgkt_jax.config import Config, DataConfig, ParseConfig, RefineConfig

CONFIG = Config(
    data=DataConfig(people="people"),
    refine=RefineConfig(
        size=(128, 96), zoom=(0.9, 1.3), color=0.3, k=5, n=8, depth=5, width=32,
        dropout_blocks=1, input_skip=True, mirror_test=True, loss="cross-entropy",
        learning_rate=1e-3, decay_from=0.5, batch=8, steps=600, every=200,
    ),
    parse=ParseConfig(
        size=(128, 96), zoom=(0.9, 1.3), color=0.3, head="subpixel", mirror_test=True,
        optimizer="adam", learning_rate=3e-3, weight_decay=0.1, decay_from=0.5, batch=8, steps=1600, every=400,
    ),
)  # fmt: skip
