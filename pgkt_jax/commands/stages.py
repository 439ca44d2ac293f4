"""The stages as commands: each takes a config and a folder, reads what earlier stages left there, and adds its own."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

from pgkt_jax.config import Config
from pgkt_jax.data.person import joined
from pgkt_jax.data.splits import Splits
from pgkt_jax.report.table import format_table
from pgkt_jax.stages.chain import Parsed, Refined, parsed, refined, synthesized
from pgkt_jax.stages.evaluate import score_people, stack_share, write_results
from pgkt_jax.stages.parse import trained_parser
from pgkt_jax.stages.people import people_folder, people_of_run
from pgkt_jax.stages.priors import KS, prior_labels, stick_labels
from pgkt_jax.stages.quickstart import quickstart
from pgkt_jax.stages.refine import bank_of
from pgkt_jax.stages.synthesize import SPLIT
from pgkt_jax.train import hosts
from pgkt_jax.train.sharding import local_mesh, replicate


def _refined(config: Config, splits: Splits, folder: Path) -> Refined:
    return refined(config.refine, splits, folder / f"refine-{config.refine.prior}", profile=config.profile)


def run_quickstart(config: Config, folder: Path) -> None:
    """everything: priors, refinement and its ablations, synthesis, parsing full, semi and all, a report"""
    quickstart(config, folder)


def run_priors(config: Config, folder: Path) -> None:
    """IoU of priors without any network on split test: sticks, and part-level priors of 1, 3, 5 and 7 people"""
    splits = people_of_run(config.data)
    splits.need("test")
    if len(splits.labelled) < max(KS):
        raise ValueError(f"priors of {max(KS)} people want as many labelled people, not {len(splits.labelled)}")
    test, bank = stack_share(splits.test, splits.canvas), bank_of(splits.labelled, splits.skeleton)
    labels = {"sticks": stick_labels(splits.skeleton, test)}
    labels |= {f"part-level prior, k = {k}": prior_labels(bank, test, k=k, method=config.refine.method) for k in KS}
    rows = [{"name": name, **score_people(found, test, splits.skeleton)} for name, found in labels.items()]
    if hosts.is_first():
        print(format_table(rows, splits.skeleton.classes))
    settings = {"data": dataclasses.asdict(config.data), "method": config.refine.method, "split": "test"}
    write_results(folder / "priors.json", rows, settings)


def run_refine(config: Config, folder: Path) -> None:
    """train the refinement network (--refine.prior part-level | skeleton | none)"""
    _refined(config, people_of_run(config.data), folder)


def run_synthesize(config: Config, folder: Path) -> None:
    """part labels for people with keypoints only, by the folder's refinement network (trained first if need be)"""
    splits = people_of_run(config.data)
    splits.need("keypoints_only")
    synthesized(_refined(config, splits, folder), splits, folder / SPLIT)


def run_parse(config: Config, folder: Path) -> None:
    """train the parsing network on masks and, where `synthesize` has left them, synthesised labels"""
    splits = people_of_run(config.data).parsing
    synthesised = folder / SPLIT
    extra = people_folder(synthesised).split(SPLIT) if hosts.anyone(synthesised.exists()) else []
    name = "semi" if len(extra) else "full"
    people = joined(splits.labelled, extra)
    run = folder / f"parse-{name}"
    parsed(config.parse, people, splits, run, title=f"parse ({name})", profile=config.profile)


def run_evaluate(config: Config, folder: Path) -> None:
    """IoU of the folder's parsing network on split test, at each image's own size"""
    splits = people_of_run(config.data).parsing
    splits.need("test")
    run = next((run for run in (folder / "parse-semi", folder / "parse-full") if run.exists()), None)
    if run is None:
        raise ValueError(f"{folder} holds no trained parsing network: train one with `pgkt parse`")
    state = replicate(trained_parser(config.parse, splits.skeleton, run), local_mesh())
    people = stack_share(splits.test, splits.canvas)
    labels = Parsed(config.parse, splits.skeleton, state).labels(people)
    row = {"name": "parsing", **score_people(labels, people, splits.skeleton)}
    settings = {
        **dataclasses.asdict(config),
        "split": "test",
        "scales": list(config.parse.scales),
        "people": len(splits.test),
    }
    if hosts.is_first():
        print(json.dumps(settings, indent=1))
        print(format_table([row], splits.skeleton.classes))
    write_results(folder / "evaluation.json", [row], settings)


COMMANDS: dict[str, Callable[[Config, Path], None]] = {
    "quickstart": run_quickstart,
    "priors": run_priors,
    "refine": run_refine,
    "synthesize": run_synthesize,
    "parse": run_parse,
    "evaluate": run_evaluate,
}
