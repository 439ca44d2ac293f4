"""The whole method on a people folder of your own.

    bash launch/quickstart.sh --data PEOPLE_FOLDER --labels 25

Hardware: two CPU cores. Departs from the paper where that measured better at this size: see README.md.
"""

from pgkt_jax.config import Config, DataConfig, ParseConfig, RefineConfig

CONFIG = Config(
    data=DataConfig(people="people"),
    refine=RefineConfig(
        size=(128, 96), zoom=(1.0, 1.2), loss="cross-entropy", depth=5, width=24, dropout_blocks=1,
        learning_rate=1e-3, decay_from=0.5, batch=8, steps=800, every=200,
    ),
    parse=ParseConfig(
        size=(128, 96), zoom=(0.8, 1.4), shift=0.7, color=0.2, attention_width=16,
        learning_rate=0.02, drops=(900, 1100), batch=8, steps=1200, every=300,
    ),
)  # fmt: skip
