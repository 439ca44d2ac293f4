"""Kills runs with SIGKILL at random moments, gives their command again, and holds the end against an undisturbed run.

    python tests/kill_runs.py [--kills 50] [--each 5] [--stages refine synthesize parse] [--seed 0] [--out FOLDER]

The stages take turns. Each is started where the one before has ended, killed and given again `--each` times, and then
runs to its end. Moments are drawn evenly, one half from the whole time that it takes undisturbed, the other from when
it has begun to write, for most of these short runs is compilation. At the end every array of its last checkpoint (or
every byte of the labels) and its metrics must be those of the undisturbed run. People stream to parse, read by another
number of threads each time. Everything is imported once: a run is a fork that has not touched JAX yet.
"""

import argparse
import contextlib
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

STAGES = ("refine", "synthesize", "parse")
TRAINED = {"refine": "refine-none", "parse": "parse-*"}
PEEK = os.WEXITED | os.WNOHANG | os.WNOWAIT
SIZE, PEOPLE = (32, 24), {"train": 8, "val": 2, "test": 1, "poses": 400}
CONFIG = """
from pgkt_jax.config import Config, DataConfig, ParseConfig, RefineConfig

CONFIG = Config(
    data=DataConfig(people={people!r}, labels=5, max_side=32, streamed={streamed}),
    refine=RefineConfig(
        size=(32, 24), k=1, n=2, prior="none", depth=2, width=4, dropout_blocks=1, loss="cross-entropy",
        batch=4, steps=60, every=5,
    ),
    parse=ParseConfig(
        size=(32, 24), head="plain", width=8, scales=(1.0,), drops=(20,), batch=4, steps=60, every=5,
    ),
)
"""


def import_everything():
    """All that a run needs, without starting a JAX backend, whose threads a fork would lose."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    warnings.filterwarnings("ignore", message=".*fork.*")
    sys.path.insert(0, str(Path(__file__).parents[1]))  # the package that this file is a test of
    import orbax.checkpoint  # noqa: F401

    import pgkt_jax.cli
    import pgkt_jax.data.loader
    import pgkt_jax.data.writer  # noqa: F401


def prepare(folder):
    """A people folder of puppets, and a config for each stage."""
    from pgkt_jax.data.puppets import draw_puppet
    from pgkt_jax.data.writer import PeopleWriter
    from pgkt_jax.skeleton import PASCAL_PERSON

    with PeopleWriter(folder / "people", PASCAL_PERSON) as writer:
        for row, split in enumerate(split for split, count in PEOPLE.items() for _ in range(count)):
            writer.add(draw_puppet(row, size=SIZE), split=split)
    for stage in STAGES:
        text = CONFIG.format(people=str(folder / "people"), streamed=stage == "parse")
        (folder / f"{stage}.py").write_text(text)


def run_stage(stage, folder, out, threads):
    """The command of a stage."""
    from pgkt_jax import cli
    from pgkt_jax.data import loader

    loader.stream.__kwdefaults__["threads"] = threads
    if cli.main([stage, str(folder / f"{stage}.py"), "--out", str(out)]):
        raise SystemExit(2)


def write_outcome(stage, out):
    """Writes the digests of everything that a stage has left for others to `out`/outcome.json."""
    import numpy as np
    import orbax.checkpoint as ocp

    if stage == "synthesize":
        files = sorted(path for path in (out / "synthesised").rglob("*") if path.is_file())
        found = {str(path.relative_to(out)): digest(path.read_bytes()) for path in files}
    else:
        (run,) = out.glob(TRAINED[stage])
        last = max((run / "checkpoints").iterdir(), key=lambda path: int(path.name))
        arrays = ocp.StandardCheckpointer().restore(last.absolute() / "state")
        found = {name: digest(np.asarray(array).tobytes()) for name, array in arrays.items()}
        found |= {"step": last.name, "metrics": (run / "metrics.jsonl").read_text()}
    (out / "outcome.json").write_text(json.dumps(found))


def digest(data):
    return hashlib.sha256(data).hexdigest()


def start(act, *arguments, out):
    """The process id of a fork that does something; what it says goes to `out`/said.txt."""
    out.mkdir(parents=True, exist_ok=True)
    pid = os.fork()
    if pid:
        return pid
    try:
        with (out / "said.txt").open("a") as said:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
        act(*arguments)
        sys.stderr.flush()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def wait_for(pid, out):
    _, status = os.waitpid(pid, 0)
    if status:
        raise SystemExit(f"failed:\n{(out / 'said.txt').read_text()}")


def finish(stage, folder, out, threads):
    """Runs a stage to its end; gives the seconds until it had written something, and until the end."""
    began = time.monotonic()
    pid = start(run_stage, stage, folder, out, threads, out=out)
    while state_of(stage, out).startswith("nothing") and not os.waitid(os.P_PID, pid, PEEK):
        time.sleep(0.02)
    wrote = time.monotonic() - began
    wait_for(pid, out)
    return wrote, time.monotonic() - began


def outcome(stage, out):
    """What a stage has left, as digests."""
    wait_for(start(write_outcome, stage, out, out=out), out)
    return json.loads((out / "outcome.json").read_text())


def killed(stage, folder, out, threads, seconds):
    """Runs a stage and kills it after so long; False if it had ended before."""
    pid = start(run_stage, stage, folder, out, threads, out=out)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def copied(before, out):
    """A folder as the stages before have left it, with the programs that were compiled."""
    shutil.rmtree(out, ignore_errors=True)
    return Path(shutil.copytree(before, out))


def kill_runs(folder, *, kills, each, stages, seed):
    """Kills `kills` runs; returns whether all of them ended as the undisturbed one."""
    chance = random.Random(seed)
    prepare(folder)
    whole, befores, seconds, expected = folder / "whole", {}, {}, {}
    whole.mkdir()
    for stage in stages:
        compiling = copied(whole, folder / "compiling")
        finish(stage, folder, compiling, 1)
        shutil.copytree(compiling / "compiled", whole / "compiled", dirs_exist_ok=True)
        befores[stage] = copied(whole, folder / f"before-{stage}")
        seconds[stage] = finish(stage, folder, whole, 2)
        expected[stage] = outcome(stage, whole)
        print(f"{stage} writes after {seconds[stage][0]:.1f} s, ends after {seconds[stage][1]:.1f} s", flush=True)
    good = total = 0
    for stage in itertools.cycle(stages):
        if total == kills:
            break
        done = 0
        out = copied(befores[stage], folder / "killed")
        while done < min(each, kills - total):
            wrote, end = seconds[stage]
            moment = chance.uniform(chance.choice((0, wrote)), end)
            if not killed(stage, folder, out, chance.randint(1, 4), moment):
                break  # it had ended
            done += 1
            print(f"{stage:10} killed after {moment:.2f} s: {state_of(stage, out)}", flush=True)
        finish(stage, folder, out, chance.randint(1, 4))
        same = outcome(stage, out) == expected[stage]
        good, total = good + done * same, total + done
        end = "bitwise as undisturbed" if same else "DIFFERS"
        print(f"{stage:10} after {done} kills: {end} ({good} of {total})", flush=True)
    print(f"{good} of {kills} went on bitwise")
    return good == kills


def state_of(stage, out):
    """What a killed run has left, in words."""
    if stage == "synthesize":
        return f"{len(list((out / 'synthesised').rglob('*.png'))) or 'nothing'} written"
    names = [path.name for path in out.glob(f"{TRAINED[stage]}/checkpoints/*")]
    steps = sorted(int(name) for name in names if name.isdigit())
    half = ", another half written" * any("tmp" in name for name in names)
    return (f"step {steps[-1]} saved" if steps else "nothing saved") + half


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--each", type=int, default=5, help="how often a run is killed before it may end")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="keep what the runs leave here (default: nothing is kept)")
    chosen = parser.parse_args()
    import_everything()
    with contextlib.ExitStack() as stack:
        folder = chosen.out or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        options = {name: getattr(chosen, name) for name in ("kills", "each", "stages", "seed")}
        return 0 if kill_runs(folder.absolute(), **options) else 1


if __name__ == "__main__":
    sys.exit(main())
