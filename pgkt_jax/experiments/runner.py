"""Runs trials: whatever two of them have in common is trained once, and nothing that is finished is run again.

A training's folder is named by a hash of its settings and of everything it trains on, so that tables share it and a
killed run goes on in it. So is a score's file, by the training, the settings of the test, and the people tested.
"""

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from pgkt_jax.config import DataConfig, ParseConfig, RefineConfig
from pgkt_jax.data import checks
from pgkt_jax.data.batch import stack_people
from pgkt_jax.data.digests import content_digest, people_digest
from pgkt_jax.data.files import write_atomically
from pgkt_jax.data.person import LazyPeople, Person, joined
from pgkt_jax.data.splits import Splits
from pgkt_jax.experiments.noise import noisy
from pgkt_jax.experiments.trial import Trial, masks_alone
from pgkt_jax.stages.chain import Parsed, Refined, check_run, parsed, refined, synthesized
from pgkt_jax.stages.evaluate import score_people
from pgkt_jax.stages.gallery import shown_rows
from pgkt_jax.stages.parse import PARSERS, check_start
from pgkt_jax.stages.people import people_of_run
from pgkt_jax.train.identity import accepting_changes, check_config
from pgkt_jax.train.log import read_metrics
from pgkt_jax.train.run_folder import training_in

SAME_PARAMETERS = {"vgg-v1": "vgg"}
"""Backbones that start from the weights of another one: an average pool has no parameters."""


@dataclass(frozen=True)
class Score:
    """What a trial came to.

    Attributes:
        key: names the score's files.
        training: the name of the folder of the network that was scored.
        miou, iou: on split test, mean and by class, 0 to 1; NaN where a class is nowhere.
        val_miou: on split val, at the end of training: one scale, no CRF, no guided filter.
        masks, keypoints: how many people with masks, and with joints only, the network has learnt from.
        seconds, device: what the training took (with masks last, both), and where it ran.
    """

    key: str
    training: str
    miou: float
    iou: Mapping[str, float]
    val_miou: float
    masks: int
    keypoints: int
    seconds: float
    device: str


Network = TypeVar("Network", RefineConfig, ParseConfig)


@dataclass(frozen=True)
class Names:
    """Of the folders of a trial: everything that decides what is in them, hashed."""

    refine: str
    synthesised: str
    parse: str
    last: str
    score: str


class Runner:
    """Runs trials below one folder.

    Args:
        folder: gets `runs/`, a folder a training, and `scores/`.
        most: see `people_of_run`.
        weights: a file to start from, by the name of a parsing network's backbone; see `SAME_PARAMETERS`.
    """

    def __init__(self, folder: Path, *, most: int | None = None, weights: Mapping[str, str] | None = None):
        self.folder, self._weights = folder, weights or {}
        self.people = lru_cache(maxsize=2)(partial(people_of_run, most=most))  # the last ones: they can be large
        self._digest = lru_cache(maxsize=None)(self._digest_of)
        self._weights_digest = lru_cache(maxsize=None)(_weights_digest)
        self._refined = lru_cache(maxsize=1)(self._trained_refiner)

    def check(self, trials: Sequence[Trial]) -> None:
        """Opens the data of all trials and says what would fail later.

        Raises:
            ValueError: as `people_of_run` and `check_run`; a file of weights is of no trial, or does not fit.
        """
        backbones = sorted({trial.config.parse.backbone for trial in trials})
        served = {*backbones, *(SAME_PARAMETERS.get(backbone) for backbone in backbones)}
        for name, file in self._weights.items():
            if name not in served:
                raise ValueError(f"--weights {name}={file}: no row has that backbone, only {', '.join(backbones)}")
        starts = {}
        for trial in map(self._started, trials):
            data, splits = trial.config.data, self.people(trial.config.data)
            check_run(trial.config, splits)
            if trial.network == "parse" and trial.supervision == "semi":
                splits.need("keypoints_only")
            if trial.network == "parse":
                starts[_training(trial.config.parse), splits.skeleton] = data.people
        for (parse, skeleton), people in starts.items():
            with checks.about(f"{people}, backbone {parse.backbone}"):
                check_start(parse, skeleton)

    def score(self, trial: Trial) -> Score:
        """Trains what has not been trained, scores what has not been scored."""
        trial = self._started(trial)
        names = self.names(trial)
        path = self.folder / "scores" / f"{names.score}.json"
        return _read_score(path) if path.exists() else self._scored(trial, names, path)

    def labels(self, score: Score) -> np.ndarray:
        """Class ids uint8[N, H, W] of the people of split test that are shown, see `gallery.shown_rows`."""
        with np.load(self.folder / "scores" / f"{score.key}.npz") as arrays:
            return arrays["labels"]

    def curve(self, score: Score) -> list[tuple[int, float]]:
        """(step, val mIoU) over the training of the network that was scored."""
        return [
            (int(row["step"]), row["miou"]) for row in read_metrics(self._run(score.training) / "metrics.jsonl", "miou")
        ]

    def seconds(self) -> float:
        """What all trainings below the folder took together."""
        return sum(json.loads(path.read_text())["seconds"] for path in self.folder.glob("runs/*/time.json"))

    # ---- whose people ----

    def tested(self, trial: Trial) -> Splits:
        """The splits of whose test a trial's labels and scores are."""
        splits = self.people(trial.config.data)
        return splits if trial.tested_as_refined else splits.parsing

    def _digest_of(self, data: DataConfig, group: str, *, parsing: bool = False) -> str:
        splits = self.people(data).parsing if parsing else self.people(data)
        return people_digest(_everything(splits) if group == "all" else getattr(splits, group))

    def _started(self, trial: Trial) -> Trial:
        backbone = trial.config.parse.backbone
        weights = self._weights.get(backbone, self._weights.get(SAME_PARAMETERS.get(backbone, "")))
        return trial if weights is None else trial.but(parse={"weights": weights})

    # ---- names ----

    def names(self, trial: Trial) -> Names:
        """The names of a trial's folders."""
        data, refine, parse = trial.config.data, trial.config.refine, trial.config.parse
        # Where parsing has no people of its own, one digest serves both networks.
        parsed_on = partial(self._digest, data, parsing=data.parse_people is not None)
        labelled, val = self._digest(data, "labelled"), self._digest(data, "val")
        first = _name("refine", self._settings(_training(refine)), labelled, val)
        noise = [trial.noise, refine.seed] if trial.noise else 0
        labels = _name("synthesised", first, refine.outline, self._digest(data, "keypoints_only"), noise)
        people: list[Any] = [parsed_on("all" if trial.supervision == "all" else "labelled")]
        if trial.supervision == "semi":
            people += [labels, trial.share]
        second = _name("parse", self._settings(_training(parse)), people, parsed_on("val"))
        last = second
        if trial.masks_last:
            settings = self._settings(masks_alone(_training(parse), trial.masks_last))
            last = _name("parse", settings, [second, parsed_on("labelled")], parsed_on("val"))
        tested = [first, refine.outline] if trial.network == "refine" else [last, self._settings(parse)]
        test = self._digest(data, "test") if trial.tested_as_refined else parsed_on("test")
        return Names(first, labels, second, last, _name("score", tested, test))

    def _settings(self, config: RefineConfig | ParseConfig) -> dict[str, Any]:
        """All of them, the weights to start from by their content."""
        weights = None if config.weights is None else self._weights_digest(config.weights)
        return dataclasses.asdict(config) | {"weights": weights}

    def _run(self, name: str) -> Path:
        return self.folder / "runs" / name

    # ---- the chain ----

    def _scored(self, trial: Trial, names: Names, path: Path) -> Score:
        splits = self.tested(trial)
        network: Refined | Parsed
        if trial.network == "refine":
            network = self._refined(trial.config.data, trial.config.refine, names.refine)
            trainings, counts = [names.refine], (len(splits.labelled), 0)
        else:
            network, counts = self._parsed(trial, names)
            trainings = list(dict.fromkeys([names.parse, names.last]))
        test = stack_people(splits.test, splits.canvas)
        labels = network.labels(test)
        found = score_people(labels, test, splits.skeleton)
        times = [json.loads((self._run(training) / "time.json").read_text()) for training in trainings]
        training = trainings[-1]
        score = Score(
            key=names.score, training=training, miou=found["miou"], iou=found["iou"],
            val_miou=read_metrics(self._run(training) / "metrics.jsonl", "miou")[-1]["miou"],
            masks=counts[0], keypoints=counts[1],
            seconds=sum(told["seconds"] for told in times), device=times[-1]["device"],
        )  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path.with_suffix(".npz"), labels=labels[shown_rows(test.size)])
        _write_score(path, score)  # last: a score that is there has its labels
        return score

    def _trained_refiner(self, data: DataConfig, refine: RefineConfig, name: str) -> Refined:
        training = _training(refine)
        _accept_place(self._run(name), training)
        with _clocked(self._run(name)):
            network = refined(training, self.people(data), self._run(name))
        return replace(network, config=refine)

    def _parsed(self, trial: Trial, names: Names) -> tuple[Parsed, tuple[int, int]]:
        splits, parse = self.people(trial.config.data).parsing, trial.config.parse
        people: Sequence[Person] = splits.labelled
        extra: Sequence[Person] = []
        if trial.supervision == "all":
            people = _everything(splits)
        elif trial.supervision == "semi":
            extra = subset(self._synthesised(trial, names), trial.share)
        training, title = _training(parse), f"parse ({trial.supervision})"
        network = self._parser(training, joined(people, extra), splits, names.parse, title)
        if trial.masks_last:
            training = replace(masks_alone(training, trial.masks_last), weights=str(self._run(names.parse)))
            network = self._parser(training, splits.labelled, splits, names.last, "parse (masks last)")
        return replace(network, config=parse), (len(people), len(extra))

    def _parser(self, training: ParseConfig, people: Sequence[Person], splits: Splits, name: str, title: str) -> Parsed:
        _accept_place(self._run(name), training)
        with _clocked(self._run(name)):
            return parsed(training, people, splits, self._run(name), title=title)

    def _synthesised(self, trial: Trial, names: Names) -> Sequence[Person]:
        network = self._refined(trial.config.data, trial.config.refine, names.refine)
        splits, folder = self.people(trial.config.data), self._run(names.synthesised)
        people = noisy(splits.keypoints_only, trial.noise, seed=trial.config.refine.seed)
        with _clocked(folder):
            return synthesized(network, replace(splits, keypoints_only=people), folder)


def _everything(splits: Splits) -> LazyPeople:
    """Everybody with a mask, hidden from the run or not."""
    return joined(splits.labelled, [person for person in splits.hidden if person.label_map is not None])


def subset(people: Sequence[Person], share: float) -> LazyPeople:
    """A share of the people, chosen at random, the same for every seed; a larger share holds the smaller ones."""
    chosen = np.sort(np.random.default_rng(0).permutation(len(people))[: round(share * len(people))])
    return LazyPeople(chosen.tolist(), people.__getitem__)


def _training(config: Network) -> Network:
    """The settings without what training does not need: one training serves all of these."""
    names = {"test_scales", "test_fusion", "crf", "outline"} & vars(config).keys()
    return replace(config, **{name: getattr(type(config), name) for name in names})


def _accept_place(folder: Path, config: RefineConfig | ParseConfig) -> None:
    """Has a training go on whose weights lie elsewhere by now: that they are the same, the folder's name says."""
    if config.weights is not None and (folder / "config.json").is_file():
        with accepting_changes():
            check_config(folder / "config.json", config)


def _weights_digest(weights: str) -> str:
    """Stands for what is in a file, or in the checkpoints of a run: either may be another one later on."""
    path = Path(weights)
    return content_digest(training_in(path, PARSERS, "parse") / "checkpoints" if path.is_dir() else path)


def _name(kind: str, *parts: Any) -> str:
    text = json.dumps([kind, *parts], sort_keys=True)
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def device() -> str:
    """What computes, for people to read: `NVIDIA H100`, `4 x TPU v4`, `2 CPU cores`."""
    devices = jax.devices()
    if devices[0].platform == "cpu":
        return f"{os.cpu_count()} CPU cores"
    return f"{len(devices)} x {devices[0].device_kind}" if len(devices) > 1 else devices[0].device_kind


@contextlib.contextmanager
def _clocked(folder: Path) -> Iterator[None]:
    """Adds what a training takes to its `time.json`, over interruptions, until it is finished."""
    path = folder / "time.json"
    told = json.loads(path.read_text()) if path.exists() else {"seconds": 0.0, "finished": False}
    start = time.monotonic()
    finished = told["finished"]
    try:
        yield
        finished = True
    finally:
        if not told["finished"] and folder.is_dir():
            seconds = told["seconds"] + time.monotonic() - start
            told = {"seconds": round(seconds, 2), "finished": finished, "device": device()}
            write_atomically(path, json.dumps(told).encode())


def _write_score(path: Path, score: Score) -> None:
    values = dataclasses.asdict(score)
    values["iou"] = {name: None if math.isnan(value) else value for name, value in score.iou.items()}
    write_atomically(path, json.dumps(values, indent=1, allow_nan=False).encode())


def _read_score(path: Path) -> Score:
    values = json.loads(path.read_text())
    values["iou"] = {name: math.nan if value is None else value for name, value in values["iou"].items()}
    return Score(**values)
