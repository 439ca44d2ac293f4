"""`pgkt bench NAME [--out FOLDER] [--field value ...]`, read by argparse: a bare GPU host has no tyro."""

import argparse
import dataclasses
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from pgkt_jax.commands.arguments import Arguments

NAMES = ("prior", "nearest", "step", "refine", "parse", "synthesize", "overhead", "scaling")
GUIDE = """\
examples
  pgkt bench prior --help
  pgkt bench prior --people my_people --batch 32 --size 256 256
"""


def main(arguments: Sequence[str]) -> None:
    """Runs one benchmark.

    Raises:
        ValueError: a setting or a file is wrong.
    """
    parser = Arguments("pgkt bench", description=__doc__, guide=GUIDE, example="pgkt bench prior --batch 32")
    parser.add_argument("name", choices=NAMES)
    # Only the chosen one is imported: some want the packages of training, others do not.
    chosen = importlib.import_module(f"pgkt_jax.bench.{parser.parse_known_args(arguments[:1])[0].name}")
    parser.description = chosen.__doc__
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="where the results go")
    for field in dataclasses.fields(chosen.Setting):
        parser.add_argument(f"--{field.name}", default=field.default, **_reads(field.default, field.type))
    values = vars(parser.parse_args(arguments))
    folder = values.pop("out")
    del values["name"]
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    chosen.run(chosen.Setting(**values), folder)


def _reads(default: Any, kind: Any) -> dict[str, Any]:
    if isinstance(default, bool):
        return {"action": argparse.BooleanOptionalAction}
    if isinstance(default, tuple):
        number, *rest = get_args(kind)
        return {"nargs": "+" if rest == [...] else len(default), "type": number}
    if default is None:
        return {"type": next(choice for choice in get_args(kind) if choice is not NoneType)}
    return {"type": type(default), "choices": get_args(kind) or None}


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ValueError as error:
        sys.exit(f"pgkt bench: {error}")
