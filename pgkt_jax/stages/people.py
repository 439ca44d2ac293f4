"""The people of a run, opened by all processes together: each checks its share of the pictures."""

from pathlib import Path

from pgkt_jax.config import DataConfig
from pgkt_jax.data.folder import PeopleFolder, read_people_folder
from pgkt_jax.data.sources import splits_of
from pgkt_jax.data.splits import Splits
from pgkt_jax.train import hosts


def people_of_run(config: DataConfig, *, most: int | None = None) -> Splits:
    """As `splits_of`, and as `hosts.together` where a process finds a fault."""
    return hosts.together(config.people, lambda: splits_of(config, most=most, share=hosts.place()))


def people_folder(folder: Path) -> PeopleFolder:
    """As `read_people_folder`, and as `hosts.together` where a process finds a fault."""
    return hosts.together(str(folder), lambda: read_people_folder(folder, share=hosts.place()))
