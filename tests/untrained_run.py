"""A run folder with both networks as they are before training, for what reads runs."""

from contextlib import closing
from types import SimpleNamespace

import numpy as np

from pgkt_jax.config import ParseConfig, RefineConfig
from pgkt_jax.data.puppets import draw_puppet
from pgkt_jax.prior import PoseBank
from pgkt_jax.skeleton import PASCAL_PERSON
from pgkt_jax.stages.parse import _fresh as fresh_parser
from pgkt_jax.stages.refine import _fresh as fresh_refiner
from pgkt_jax.train.checkpoint import Checkpoints
from pgkt_jax.train.run_folder import save_bank, save_skeleton

REFINE = RefineConfig(
    size=(32, 24), k=2, n=2, method="exact", depth=2, width=4, dropout_blocks=1, loss="cross-entropy",
    outline=2, steps=4, decay_from=0.9,
)  # fmt: skip
PARSE = ParseConfig(size=(32, 24), head="plain", width=8, scales=(1.0,), steps=4, mirror_test=True)
MIXED = [(48, 24), (64, 50), (20, 70)]
BANK = [draw_puppet(row, size=(64, 40)) for row in range(4)]
PEOPLE = [draw_puppet(row, size=size) for row, size in enumerate(MIXED, start=10)]
IMAGES, JOINTS, VISIBLE = ([getattr(p, name) for p in PEOPLE] for name in ("image", "joints", "visible"))


def write_run(folder):
    """Leaves the run in a folder, and gives what its stages hold in memory."""
    maps, joints, visible = ([getattr(person, name) for person in BANK] for name in ("label_map", "joints", "visible"))
    bank = PoseBank.create(PASCAL_PERSON, maps, np.stack(joints), np.stack(visible), limb_frames=False)
    states = {"refine-part-level": fresh_refiner(REFINE, bank), "parse-full": fresh_parser(PARSE, PASCAL_PERSON)}
    for name, config in (("refine-part-level", REFINE), ("parse-full", PARSE)):
        (folder / name).mkdir()
        save_bank(folder / name, bank) if config is REFINE else save_skeleton(folder / name, PASCAL_PERSON)
        with closing(Checkpoints(folder / name, config)) as checkpoints:
            checkpoints.save(1, states[name], miou=0.5)
    return SimpleNamespace(folder=folder, bank=bank, refine=states["refine-part-level"], parse=states["parse-full"])
