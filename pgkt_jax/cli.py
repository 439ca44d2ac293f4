"""The console command, `pgkt COMMAND CONFIG [--out FOLDER] [--field value ...]`; `pgkt --help` lists the commands.

A command killed at any moment goes on where it was when it is given again; SIGTERM saves and ends with status 0.

CONFIG is a Python file that holds one `CONFIG`, or its name in `configs/`. Every field of it can be set on the command
line (`--data.people FOLDER --refine.steps 2000`), which needs tyro; without tyro the file is taken as it is.
"""

import contextlib
import importlib
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import jax

from pgkt_jax.commands import stages
from pgkt_jax.commands.fields import did_you_mean, read_fields
from pgkt_jax.config import Config, load_config
from pgkt_jax.train import hosts
from pgkt_jax.train.faults import leaving_on_sigterm
from pgkt_jax.train.identity import accepting_changes

USAGE = """usage: pgkt COMMAND CONFIG [--out FOLDER] [--field value ...]

commands
{commands}

  build-data NAME --manual-dir DIR --out DIR
               one of the paper's data sets, poses of an estimator, or label lists, as ArrayRecord or people folder
  predict PHOTOS... --run RUN [--poses POSES] [--out DIR] [--probabilities]
               label maps, overlays and instance maps of real photographs, by the networks of a run
  explain WHO [--poses POSES] [--people DATASET] [--run RUN]
               one person's way through the method on one page: pose, neighbours, morphed masks, prior, labels
  view DATASET  [--out DIR]         a page of people with their masks and joints: is left left?
  demo [RUN_OR_DATA] [--out FILE.html]
               a page on which a figure's joints are dragged and the prior follows
  export RUN [--net parser|refiner] [--out FILE]
               a network of a run as one file of StableHLO that JAX runs without this package
  bench prior   [--field value ...] priors a second beside rivals, and against batch, k, bank and output size
  bench nearest [--field value ...] milliseconds to find the nearest of a million poses
  bench step    [--field value ...] a training step that makes its priors against one that reads them
  bench refine | parse | synthesize [--field value ...]
               people a second and share of the matrix rate of a training step or of labelling, beside PyTorch
  bench overhead [--field value ...] what checkpoints and logs cost a training
  bench scaling [--field value ...] a training step against the number of hosts, on paper
  tables [NAME...] --data DATA --scale smoke|cpu|paper [--seeds N] [--out DIR]
               the paper's tables and figures, run here and printed beside the paper's own
  import-weights FILE --net NAME    weights of torchvision, Caffe, TensorFlow or pix2pix into a file to start from

CONFIG is a file or its name in configs/. Results go to runs/NAME unless --out says otherwise. A command given again
goes on where it was; with other settings or people only if --accept-changes says so.
`pgkt COMMAND CONFIG --help` lists every field.

On several hosts, see launch/. --profile FIRST LAST traces those steps of every training for TensorBoard or Perfetto.

  {example}
  pgkt refine paper --data.people my_people --out runs/mine --refine.prior skeleton
"""

EXAMPLE = "pgkt quickstart quickstart_puppets"

TOOLS = ("build-data", "predict", "explain", "view", "demo", "export", "tables", "bench", "import-weights")
"""Commands that take no config; each reads its own arguments, and is imported when it is asked for."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; wrong usage and bad input end in one sentence and exit status 2."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments and arguments[0] in TOOLS:
        tool = importlib.import_module(f"pgkt_jax.commands.{arguments[0].replace('-', '_')}")
        return _checked(arguments[0], lambda: tool.main(arguments[1:]))
    if {"--help", "-h"} & set(arguments[:2]):
        print(_usage())
        return 0
    if wrong := _wrong_usage(arguments):
        print(f"{wrong} (`pgkt --help` says more)", file=sys.stderr)
        return 2
    command = stages.COMMANDS[arguments[0]]
    return _checked(arguments[0], lambda: _run(command, f"pgkt {arguments[0]} {arguments[1]}", arguments[1:]))


def _wrong_usage(arguments: Sequence[str]) -> str | None:
    """What is wrong with what stands before the fields, and a command that works."""
    name, config = [*arguments, "", ""][:2]
    if not name:
        return f"pgkt: COMMAND is missing; for instance: {EXAMPLE}"
    if name not in stages.COMMANDS:
        known = [*stages.COMMANDS, *TOOLS]
        return f"pgkt: there is no command {name!r}{did_you_mean(name, known)}; for instance: {EXAMPLE}"
    if not config or config.startswith("--"):
        return f"pgkt {name}: CONFIG is missing; for instance: pgkt {name} quickstart_puppets"
    return None


def _checked(name: str, run: Callable[[], None]) -> int:
    try:
        run()
    except (ValueError, FloatingPointError, OSError) as error:
        if hosts.lost(error):
            raise
        print(f"pgkt {name}: {error}", file=sys.stderr)
        hosts.end(2)
        return 2
    return 0


def _usage() -> str:
    lines = (f"  {name:12}{(run.__doc__ or '')}" for name, run in stages.COMMANDS.items())
    return USAGE.format(commands="\n".join(lines), example=EXAMPLE)


def _run(command: Callable[[Config, Path], None], typed: str, arguments: list[str]) -> None:
    name, *rest = arguments
    path, config = load_config(name)
    folder = Path("runs") / path.stem
    if "--out" in rest:
        at = rest.index("--out")
        if not rest[at + 1 :] or rest[at + 1].startswith("--"):
            raise ValueError(f"--out wants a folder; for instance: {typed} --out {folder}")
        folder = Path(rest[at + 1])
        del rest[at : at + 2]
    accepts_changes = "--accept-changes" in rest
    if accepts_changes:
        rest.remove("--accept-changes")
    if rest:
        config = read_fields(config, rest, command=typed)
    hosts.start()
    hosts.check_agreement("settings", (config, accepts_changes))
    # full, semi and all are one program: compiled once, and not again when a run is resumed.
    jax.config.update("jax_compilation_cache_dir", str(folder / "compiled"))
    # Orbax logs a page about every fault; what matters of it is in our sentences.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    accepting = accepting_changes() if accepts_changes else contextlib.nullcontext()
    with leaving_on_sigterm(), accepting:  # a training notes the signal and saves first
        command(config, folder)


if __name__ == "__main__":
    sys.exit(main())
