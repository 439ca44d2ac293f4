"""The whole method on drawn people: 30 with masks, 400 with joints only, 120 to test on.

    bash launch/quickstart.sh

Hardware: two CPU cores. Departs from the paper where that measured better at this size: see README.md.
"""

from pgkt_jax.config import Config, DataConfig, ParseConfig, RefineConfig

CONFIG = Config(
    data=DataConfig(people="puppets"),
    refine=RefineConfig(
        size=(128, 96), zoom=(1.0, 1.2), loss="cross-entropy", depth=5, width=24, dropout_blocks=1,
        learning_rate=1e-3, decay_from=0.5, batch=8, steps=400, every=100,
    ),
    parse=ParseConfig(
        size=(128, 96), zoom=(0.8, 1.4), shift=0.7, color=0.2, attention_width=16,
        learning_rate=0.02, drops=(350, 430), batch=8, steps=500, every=100,
    ),
)  # fmt: skip
