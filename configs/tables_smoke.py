"""The smallest networks and trainings that still do everything: the base of `--scale smoke`, which proves that every
table fills.

    pgkt tables --scale smoke

Hardware: a CPU. Tables 1 and 2 and Figure 5 took two minutes of one core together, all else has not been timed. The
scores say nothing: expect a test mIoU of about .06.
"""

from pgkt_jax.config import Config, DataConfig, ParseConfig, RefineConfig

CONFIG = Config(
    data=DataConfig(people="puppets", max_side=32),
    refine=RefineConfig(
        size=(32, 16), depth=2, width=4, dropout_blocks=1, loss="cross-entropy", learning_rate=1e-3, batch=8, steps=4,
        every=2, method="exact",
    ),
    parse=ParseConfig(
        size=(32, 16), head="subpixel", width=8, optimizer="adam", learning_rate=3e-3, batch=8, steps=4, every=2,
    ),
)  # fmt: skip
