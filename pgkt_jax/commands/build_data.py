"""`pgkt build-data NAME --manual-dir DIR --out DIR`: a data set as people have it on disk, made ready for training."""

import argparse
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pgkt_jax.commands.arguments import Arguments
from pgkt_jax.data.puppet_animals import PuppetAnimals
from pgkt_jax.data.puppets import Puppets
from pgkt_jax.data.readers.coco_poses import read_coco_poses
from pgkt_jax.data.readers.horse_cow import read_horse_cow
from pgkt_jax.data.readers.label_list import read_label_list
from pgkt_jax.data.readers.lip import read_lip
from pgkt_jax.data.readers.mpii import read_mpii
from pgkt_jax.data.readers.pascal_person_part import read_pascal_person_part
from pgkt_jax.data.sources import Source
from pgkt_jax.data.writer import write_people_folder


def read_puppets(root: Path, *, seed: int = 0) -> Source:
    """The embedded people, drawn; nothing is read."""
    return Puppets(seed)


def read_puppet_animals(root: Path, *, seed: int = 0) -> Source:
    """The embedded four-legged animals, drawn; nothing is read."""
    return PuppetAnimals(seed)


READERS: dict[str, Callable[..., Source]] = {
    "pascal_person_part": read_pascal_person_part,
    "mpii": read_mpii,
    "coco_poses": read_coco_poses,
    "horse_cow": read_horse_cow,
    "lip": read_lip,
    "label_list": read_label_list,
    "puppets": read_puppets,
    "puppet_animals": read_puppet_animals,
}
"""What `pgkt build-data` knows: name -> reader of a folder; its keyword arguments become options."""


EXAMPLE = "pgkt build-data pascal_person_part --manual-dir VOCdevkit --out data/pascal"
GUIDE = f"""\
examples
  {EXAMPLE}
  pgkt build-data puppets --out data/puppets --people-folder
"""


def main(arguments: Sequence[str]) -> None:
    """Builds one data set.

    Raises:
        ValueError: files are missing or wrong, or the folder holds a data set already.
    """
    parser = Arguments("pgkt build-data", description=__doc__, guide=GUIDE, example=EXAMPLE)
    parser.add_argument("name", choices=READERS)
    reader = READERS[parser.parse_known_args(arguments[:1])[0].name]
    parser.description = reader.__doc__
    parser.epilog = vars(inspect.getmodule(reader)).get("GUIDE", GUIDE)
    parser.add_argument("--manual-dir", type=Path, default=Path(), help="the folder of what you fetched")
    parser.add_argument("--out", type=Path, required=True, help="where the result goes")
    parser.add_argument("--people-folder", action="store_true", help="write a people folder, not ArrayRecord")
    options = [p for p in inspect.signature(reader).parameters.values() if p.kind == p.KEYWORD_ONLY]
    for option in options:
        kind = get_type_hints(reader)[option.name]
        parser.add_argument(f"--{option.name}", default=option.default, **_reads(option.default, kind))
    values = parser.parse_args(arguments)
    source = reader(values.manual_dir, **{option.name: getattr(values, option.name) for option in options})
    if not any(source.splits.values()):
        raise ValueError(f"{values.manual_dir}: nobody in {values.name} has what a record needs")
    if values.people_folder:
        write_people_folder(source, values.out)
    else:
        from pgkt_jax.data.builders.array_record import write_array_record  # TFDS: only where it is asked for

        splits = {name: source.split(name) for name, count in source.splits.items() if count}
        write_array_record(values.name, source.skeleton, splits, values.out)
    counts = ", ".join(f"{name} {count:,}" for name, count in source.splits.items() if count)
    print(f"{values.out}: {values.name}: {counts}; train with --data.people {values.out}")


def _reads(default: Any, kind: Any) -> dict[str, Any]:
    if isinstance(default, bool):
        return {"action": argparse.BooleanOptionalAction}
    return {"type": type(default), "choices": get_args(kind) or None}
