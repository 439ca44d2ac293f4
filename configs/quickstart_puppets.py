"""The whole method on drawn people: 30 with masks, 400 with joints only, 120 to test on.

    bash launch/quickstart.sh

Hardware: two CPU cores, 7 minutes with installing (14 on busy ones). Expect a test mIoU of .561 for the prior alone,
.592 refined with the part-level prior, .599 with sticks, .384 without a prior, .445 parsing full, .550 semi, .618 with
all labels (one seed).

Departs from the paper where that does better on little data and time: a smaller U-Net with an input skip, cross
entropy, batch 8, colour jitter, priors of 5 people out of 8 (chosen on street_people's split val), labels from the mean
of an image and its mirror image, and a parsing network at one scale, with a subpixel head, trained with Adam (see
quickstart_folder). SGD with more weight decay gave .456 full, .508 semi and .537 all, with contrast, brightness and
cast as the only variation of colours.
"""

from pgkt_jax.config import Config, DataConfig, ParseConfig, RefineConfig

CONFIG = Config(
    data=DataConfig(people="puppets"),
    refine=RefineConfig(
        size=(128, 64), zoom=(0.9, 1.3), color=0.3, k=5, n=8, depth=5, width=32,
        dropout_blocks=1, input_skip=True, mirror_test=True, loss="cross-entropy",
        learning_rate=1e-3, decay_from=0.5, batch=8, steps=300, every=100,
    ),
    parse=ParseConfig(
        size=(128, 64), zoom=(0.9, 1.2), color=0.2, head="subpixel", mirror_test=True,
        optimizer="adam", learning_rate=3e-3, weight_decay=0.1, decay_from=0.5, batch=8, steps=1000, every=250,
    ),
)  # fmt: skip
