"""`pgkt tables [NAME...]`: the paper's tables and figures, run here and printed beside the paper's own.

Trainings are shared between tables, seeds and later calls, and go on where they were interrupted. Below --out come
`NAME.csv`, `tables.html`, `runs/` with a folder a training, and `scores/`. --scale smoke proves that every table fills,
and its figures are no evidence; cpu and paper start from configs/quickstart_folder.py (of drawn people:
quickstart_puppets.py) and configs/paper_pascal.py. Without --data, paper takes that config's data sets, the other two
take drawn people, and --config the data sets of its own.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import jax

from pgkt_jax.commands.arguments import Arguments
from pgkt_jax.data.puppets import Puppets
from pgkt_jax.data.sources import open_people
from pgkt_jax.data.writer import PeopleWriter
from pgkt_jax.experiments.noise import noisy
from pgkt_jax.experiments.outcome import Outcome
from pgkt_jax.experiments.page import JUDGED, NO_EVIDENCE, Section, section_of, write_tables
from pgkt_jax.experiments.runner import Runner, Score, device
from pgkt_jax.experiments.scales import SCALES, Scale, base_config, networks
from pgkt_jax.experiments.tables import EXPERIMENTS, Experiment, Setup
from pgkt_jax.report.table import format_table

GUIDE = """\
examples
  pgkt tables --scale smoke
  pgkt tables table1 table2 --data my_people --labels 25 --scale cpu --seeds 3
"""


def main(arguments: Sequence[str]) -> None:
    """Runs experiments and writes what came out after each.

    Raises:
        ValueError: a name, a setting or the data is wrong.
    """
    chosen = _read(arguments)
    scale = SCALES[chosen.scale]
    seeds = scale.seeds if chosen.seeds is None else chosen.seeds
    if seeds < 1:
        raise ValueError(f"--seeds {seeds}: at least one is needed")
    weights = _weights(chosen.weights)
    experiments = {name: EXPERIMENTS[name](_setup(name, chosen, scale)) for name in chosen.names or EXPERIMENTS}
    jax.config.update("jax_compilation_cache_dir", str(chosen.out / "compiled"))
    # Of a smoke run nearly all is compilation.
    jax.config.update("jax_disable_most_optimizations", not scale.evidence)
    runner = Runner(chosen.out, most=scale.most, weights=weights)
    runner.check([row.trial for experiment in experiments.values() for row in experiment.rows if row.trial])
    sections: list[Section] = []
    told = {"scale": chosen.scale, "seeds": seeds, "device": device()}
    for name, experiment in experiments.items():
        outcome = Outcome(name, experiment, _scores(name, experiment, runner, seeds), scale.evidence)
        _tell(outcome, chosen.out, chosen.scale)
        sections.append(section_of(outcome, runner, settings=told))
        lead = [
            f"Scale {chosen.scale}, seeds {', '.join(map(str, range(seeds)))}, {device()}, "
            f"{runner.seconds() / 60:.1f} minutes of training and labelling in all.",
            JUDGED if scale.evidence else NO_EVIDENCE,
        ]
        write_tables(chosen.out / "tables.html", sections, lead=lead)
    print(f"{lead[0]}\n{chosen.out / 'tables.html'}")


def _read(arguments: Sequence[str]) -> Namespace:
    parser = Arguments("pgkt tables", description=__doc__, guide=GUIDE, example="pgkt tables table2 --scale smoke")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(EXPERIMENTS)}; all of them by default")
    parser.add_argument("--data", help="in place of the config's data sets; as --data.people of a config")
    parser.add_argument("--poses", nargs="+", metavar="DATA", help="more people with keypoints only")
    parser.add_argument("--parse", metavar="DATA", help="whom parsing trains and tests on, as --data.parse-people")
    parser.add_argument("--labels", type=int, help="how many people of split train keep their masks; by default all")
    parser.add_argument("--scale", choices=SCALES, default="smoke")
    parser.add_argument("--config", help="a config in place of the scale's own")
    parser.add_argument("--seeds", type=int, help="how many; 1 for smoke, else 3")
    parser.add_argument("--animals", nargs="+", metavar="DATA", help="of table4: PEOPLE or PEOPLE,POSES each")
    parser.add_argument("--estimated", nargs="+", metavar="DATA", help="of poses: people with estimated joints")
    parser.add_argument("--weights", nargs="+", default=(), metavar="BACKBONE=FILE", help="to start parsing from")
    parser.add_argument("--out", type=Path, default=Path("runs/tables"), help="where everything goes")
    chosen = parser.parse_args(arguments)
    unknown = [name for name in chosen.names if name not in EXPERIMENTS]
    if unknown:
        parser.error(f"there is no experiment {unknown[0]!r}; there are {', '.join(EXPERIMENTS)}")
    return chosen


def _setup(name: str, chosen: Namespace, scale: Scale) -> Setup:
    """What the rows of an experiment are changes of; opens data sets only where it needs to."""
    base = base_config(scale, chosen.data, config=chosen.config)
    changes = {"poses": chosen.poses and tuple(chosen.poses), "parse_people": chosen.parse, "labels": chosen.labels}
    given = {name: value for name, value in changes.items() if value is not None}
    if chosen.labels is not None:
        given["parse_people"] = chosen.parse  # all of whose masks stay: not the config's
    base = replace(base, data=replace(base.data, **given))
    labels: Sequence[int] = scale.labels
    if name == "labels":
        train = open_people(base.data.people).splits.get("train", 0)
        labels = [count for count in scale.labels if count <= train] or [train]
    estimated, animals = chosen.estimated, chosen.animals
    drawn = base.data.people == "puppets"
    if estimated is None:
        estimated = [_stand_in(chosen.out / "stand_in")] if drawn and not scale.evidence else []
    if animals is None:
        animals = ["puppet_animals"] if drawn else []
    kinds = {data: open_people(data.split(",")[0]).skeleton.name for data in animals}
    return Setup(base, networks(scale, base), labels, kinds, scale.animal_networks, estimated)


def _stand_in(folder: Path) -> str:
    """Drawn people with noisy joints, for smoke alone: there is no estimator of the poses of drawn people."""
    drawn = Puppets(seed=1)
    with PeopleWriter(folder, drawn.skeleton) as writer:
        for person in noisy(drawn.split("poses")[:16], 0.03, seed=0):
            id = f"estimated_{person.id}"
            if id not in writer.finished:
                writer.add(replace(person, id=id, label_map=None), split="poses")
    return str(folder)


def _weights(pairs: Sequence[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        backbone, _, file = pair.partition("=")
        if not file:
            raise ValueError(f"--weights {pair}: say BACKBONE=FILE")
        if not Path(file).is_file():
            raise ValueError(f"--weights {pair}: there is no file {file}")
        found[backbone] = file
    return found


def _scores(name: str, experiment: Experiment, runner: Runner, seeds: int) -> dict[str, list[Score]]:
    scores: dict[str, list[Score]] = {}
    for row in experiment.rows:
        scores[row.name] = []
        for seed in range(seeds if row.trial else 0):
            assert row.trial is not None
            print(f"{name}: {row.name}, seed {seed}", file=sys.stderr, flush=True)
            scores[row.name].append(runner.score(row.trial.seeded(seed)))
    return scores


def _tell(outcome: Outcome, folder: Path, scale: str) -> None:
    """The table and the verdicts on the terminal, and the CSV file."""
    classes = next((list(found[0].iou) for found in outcome.scores.values() if found), [])
    shown = [] if outcome.experiment.curves else classes
    said = [*outcome.verdicts(), *outcome.closed(), *([] if outcome.evidence else [NO_EVIDENCE])]
    path = outcome.write_csv(folder, scale=scale)
    print("\n".join(["", outcome.experiment.title, format_table(outcome.rows(), shown), *said, str(path)]), flush=True)
