"""The console command, `pgkt COMMAND CONFIG [--out FOLDER] [--field value ...]`; `pgkt --help` lists the commands.

CONFIG is a Python file that holds one `CONFIG`, or its name in `configs/`. Every field of it can be set on the command
line (`--data.people FOLDER --refine.steps 2000`), which needs tyro; without tyro the file is taken as it is.
"""

import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import jax

from pgkt_jax.bench.commands import main as bench
from pgkt_jax.config import Config
from pgkt_jax.data.builders.build import main as build_data
from pgkt_jax.nets.pretrained.command import main as import_weights
from pgkt_jax.stages import commands
from pgkt_jax.stages.predict_command import main as predict
from pgkt_jax.train import hosts

USAGE = """usage: pgkt COMMAND CONFIG [--out FOLDER] [--field value ...]

commands
{commands}

  build-data NAME --manual-dir DIR --out DIR
               one of the paper's data sets, poses of an estimator, or label lists, as ArrayRecord or people folder
  predict PHOTOS... --run RUN [--poses POSES] [--out DIR] [--probabilities]
               label maps, overlays and instance maps of real photographs, by the networks of a run
  bench prior   [--field value ...] priors a second beside rivals, and against batch, k, bank and output size
  bench nearest [--field value ...] milliseconds to find the nearest of a million poses
  bench step    [--field value ...] a training step that makes its priors against one that reads them
  bench refine | parse | synthesize [--field value ...]
               people a second and share of the matrix rate of a training step or of labelling, beside PyTorch
  bench scaling [--field value ...] a training step against the number of hosts, on paper
  import-weights FILE --net NAME    weights of torchvision, Caffe, TensorFlow or pix2pix into a file to start from

CONFIG is a file or its name in configs/. Results go to runs/NAME unless --out says otherwise.
`pgkt COMMAND CONFIG --help` lists every field.

On several hosts, see launch/. --profile FIRST LAST traces those steps of every training for TensorBoard or Perfetto.

  pgkt quickstart quickstart_puppets
  pgkt refine paper_pascal --data.people my_people --out runs/mine --refine.prior skeleton
"""

TOOLS: dict[str, Callable[[Sequence[str]], None]] = {
    "build-data": build_data, "predict": predict, "bench": bench, "import-weights": import_weights
}  # fmt: skip
"""Commands that take no config; each reads its own arguments."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; wrong usage and bad input end in one sentence and exit status 2."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if {"--help", "-h"} & set(arguments[:2]):
        print(_usage())
        return 0
    if arguments and arguments[0] in TOOLS:
        return _checked(arguments[0], lambda: TOOLS[arguments[0]](arguments[1:]))
    if len(arguments) < 2 or arguments[0] not in commands.COMMANDS:
        unknown = arguments and arguments[0] not in commands.COMMANDS
        print(_usage(), file=sys.stderr)
        print(f"pgkt: there is no command {arguments[0]!r}" if unknown else "pgkt: CONFIG is missing", file=sys.stderr)
        return 2
    command = commands.COMMANDS[arguments[0]]
    return _checked(arguments[0], lambda: _run(command, arguments[1], arguments[2:]))


def _checked(name: str, run: Callable[[], None]) -> int:
    try:
        run()
    except (ValueError, FloatingPointError, OSError) as error:
        print(f"pgkt {name}: {error}", file=sys.stderr)
        hosts.end(2)
        return 2
    return 0


def _usage() -> str:
    lines = (f"  {name:12}{(run.__doc__ or '')}" for name, run in commands.COMMANDS.items())
    return USAGE.format(commands="\n".join(lines))


def _run(command: Callable[[Config, Path], None], name: str, rest: list[str]) -> None:
    path, config = load_config(name)
    folder = Path("runs") / path.stem
    if "--out" in rest:
        at = rest.index("--out")
        if at + 1 == len(rest):
            raise ValueError("--out wants a folder")
        folder = Path(rest[at + 1])
        del rest[at : at + 2]
    if rest:
        import tyro

        config = tyro.cli(Config, default=config, args=rest, prog=f"pgkt … {name}")
    hosts.start()
    hosts.check_agreement("settings", config)
    # full, semi and all are one program: compiled once, and not again when a run is resumed.
    jax.config.update("jax_compilation_cache_dir", str(folder / "compiled"))
    command(config, folder)


def load_config(name: str) -> tuple[Path, Config]:
    """The file of a config and its `CONFIG`.

    Raises:
        ValueError: there is no such file, it cannot be run, or it holds no `CONFIG`.
    """
    path = next((p for p in (Path(name), Path("configs") / f"{name}.py") if p.is_file()), None)
    if path is None:
        known = ", ".join(sorted(p.stem for p in Path("configs").glob("*.py"))) or "none here"
        raise ValueError(f"there is no config {name!r}: give a Python file, or one of configs/ ({known})")
    try:
        config = runpy.run_path(str(path)).get("CONFIG")
    except Exception as error:  # anything that the code in the file can raise
        raise ValueError(f"{path}: {type(error).__name__}: {error}") from error
    if not isinstance(config, Config):
        raise ValueError(f"{path}: CONFIG = pgkt_jax.config.Config(...) is missing")
    return path, config


if __name__ == "__main__":
    sys.exit(main())
