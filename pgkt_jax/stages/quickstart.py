"""The whole method on one data set: priors, refinement and its ablations, synthesis, parsing, and the report."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np

from pgkt_jax.config import Config, PriorKind
from pgkt_jax.data.batch import People
from pgkt_jax.data.files import write_atomically
from pgkt_jax.data.person import joined
from pgkt_jax.data.pictures import encode_png
from pgkt_jax.data.splits import Splits
from pgkt_jax.prior import PoseBank
from pgkt_jax.report.charts import Chart
from pgkt_jax.report.figures import contact_sheet
from pgkt_jax.report.gallery import GalleryRow
from pgkt_jax.report.page import difference_card, gain_cards, write_page
from pgkt_jax.report.table import format_table
from pgkt_jax.stages.chain import Parsed, Refined, check_run, parsed, refined, synthesized
from pgkt_jax.stages.evaluate import score_people, stack_share, write_results
from pgkt_jax.stages.gallery import gallery, shown_rows
from pgkt_jax.stages.people import people_of_run
from pgkt_jax.stages.priors import prior_labels, stick_labels
from pgkt_jax.stages.synthesize import SPLIT
from pgkt_jax.train import hosts
from pgkt_jax.train.log import read_metrics

JOINTS, PIXELS = "photograph and joints", "photograph alone"
PRIORS: tuple[PriorKind, ...] = ("part-level", "skeleton", "none")
OVERVIEW = 4


@dataclass
class Results:
    """What the stages found: one row a method, and its labels of this process' test people, whom the pictures show."""

    splits: Splits
    test: People
    parsing_test: People
    rows: list[dict[str, Any]] = field(default_factory=list)
    labels: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, splits: Splits) -> "Results":
        test = stack_share(splits.test, splits.canvas)
        whole = splits.parsing
        return cls(splits, test, test if whole is splits else stack_share(whole.test, whole.canvas))

    def add(self, name: str, group: str, labels: np.ndarray) -> None:
        self.labels[name] = labels
        self._score(name, group, labels, self.test)

    def add_parsing(self, name: str, network: Parsed) -> None:
        shown = network.labels(self.test)
        self.labels[name] = shown
        labels = shown if self.parsing_test is self.test else network.labels(self.parsing_test)
        self._score(name, PIXELS, labels, self.parsing_test)

    def _score(self, name: str, group: str, labels: np.ndarray, people: People) -> None:
        self.rows.append({"name": name, "group": group, **score_people(labels, people, self.splits.skeleton)})

    def row(self, name: str) -> dict[str, Any]:
        return next(row for row in self.rows if row["name"] == name)


def quickstart(config: Config, folder: Path) -> Results:
    """Runs every stage, resuming what an earlier run left unfinished; writes results.json and report.html.

    Raises:
        ValueError: the data has problems, or the folder holds a run with other settings.
    """
    splits = people_of_run(config.data)
    check_run(config, splits)
    splits.need("keypoints_only")
    results = Results.of(splits)
    refiners = {kind: _refined(config, splits, kind, folder) for kind in PRIORS}
    bank = refiners["part-level"].bank
    alone = prior_labels(bank, results.test, k=config.refine.k, method=config.refine.method)
    results.add("prior alone", JOINTS, alone)
    results.add("skeleton alone", JOINTS, stick_labels(splits.skeleton, results.test))
    for kind, refiner in refiners.items():
        name = "refined, no prior" if kind == "none" else f"refined, {kind} prior"
        results.add(name, JOINTS, refiner.labels(results.test))
    synthesised = synthesized(refiners["part-level"], splits, folder / SPLIT)
    whole = splits.parsing
    parsers = {"full": [], "semi": synthesised, **({"all": splits.hidden} if splits.all_have_masks else {})}
    for name, extra in parsers.items():
        people = joined(whole.labelled, extra)
        run = folder / f"parse-{name}"
        network = parsed(config.parse, people, whole, run, title=f"parse ({name})", profile=config.profile)
        results.add_parsing(f"parsing, {name}", network)
    if hosts.is_first():
        _write(config, results, bank, folder)
    return results


def _refined(config: Config, splits: Splits, kind: PriorKind, folder: Path) -> Refined:
    refine = dataclasses.replace(config.refine, prior=kind)
    return refined(refine, splits, folder / f"refine-{kind}", profile=config.profile)


def _write(config: Config, results: Results, bank: PoseBank, folder: Path) -> None:
    skeleton = results.splits.skeleton
    settings = {**dataclasses.asdict(config), "counts": _counts(results.splits), "backend": jax.default_backend()}
    write_results(folder / "results.json", results.rows, settings)
    full, semi = results.row("parsing, full"), results.row("parsing, semi")
    upper = results.row("parsing, all") if results.splits.all_have_masks else None
    strips = _strips(results, bank, config.refine.k)
    write_atomically(folder / "overview.png", encode_png(_overview(strips)))
    with_prior = results.row("refined, part-level prior")
    write_page(
        folder / "report.html",
        title="Keypoints to part labels",
        lead=(
            f"{len(results.splits.labelled)} people have masks, {len(results.splits.hidden)} have joints only. Their "
            "part masks are transferred from people in a similar pose, refined by a network, and teach the parsing "
            f"network that needs no joints. Scores are mean IoU over {skeleton.num_classes} classes on "
            f"{len(results.splits.test)} test people{_parsing_lead(results.splits)}, each at its image's own size."
        ),
        rows=results.rows,
        classes=skeleton.classes,
        palette=skeleton.palette,
        cards=[
            *gain_cards(full, semi, upper),
            difference_card("prior above no prior", with_prior, results.row("refined, no prior")),
            difference_card("refined above prior", with_prior, results.row("prior alone")),
        ],
        gallery=strips,
        settings=settings,
        notes=NOTES if results.splits.parsing is results.splits else (*NOTES, OTHER_PICTURES),
        curves=[_curves("Refinement", folder, "refine-"), _curves("Parsing", folder, "parse-")],
    )  # fmt: skip
    print(format_table(results.rows, skeleton.classes))
    print(f"\n{folder / 'results.json'}\n{folder / 'report.html'}")


def _overview(strips: list[GalleryRow]) -> np.ndarray:
    """One picture of the whole way, for a README: joints, prior, refined label, parse, truth."""
    captions = ("photograph, joints", "part-level prior", "refined, part-level prior", "parsing, semi", "truth")
    people = [dict(row.pictures) for row in strips[:OVERVIEW]]
    shown = ("joints", "prior", "refined", "parsed (no joints)", "truth")
    return contact_sheet([[p[name] for name in captions] for p in people], captions=shown)


NOTES = (
    "Rows of the first group see the photograph and the person's joints; rows of the second see the photograph alone.",
    "full: trained on the masks; semi: on the masks and the synthesised labels; all: on every mask, the upper bound. "
    "All three have the same steps, schedule and initialisation.",
    "Where the borders between parts were cut with the same joints (as in street_people), trunk and limbs gain more "
    "from the prior than an independent annotation would show; background and head gain little.",
)

OTHER_PICTURES = (
    "The two groups were scored on different pictures and do not compare. The pictures below are those of the first "
    "group, for both."
)


def _parsing_lead(splits: Splits) -> str:
    """What the lead adds to the test people where the parsing network has pictures of its own."""
    whole = splits.parsing
    if whole is splits:
        return ""
    return (
        f" (first group) and on {len(whole.test)} test pictures of the parsing network's own (second group), which "
        f"learns from {len(whole.labelled)} such pictures with masks"
    )


def _counts(splits: Splits) -> dict[str, int]:
    groups = ("labelled", "keypoints_only", "val", "test")
    counts = {name: len(getattr(splits, name)) for name in groups}
    if splits.parsing is splits:
        return counts
    return counts | {f"parsing {name}": count for name, count in _counts(splits.parsing).items()}


def _curves(title: str, folder: Path, prefix: str) -> Chart:
    runs = sorted(folder.glob(f"{prefix}*"))
    points = {
        run.name.removeprefix(prefix): [
            (row["step"], row["miou"]) for row in read_metrics(run / "metrics.jsonl", "miou")
        ]
        for run in runs
    }
    return Chart(f"{title}: validation mIoU", points)


def _strips(results: Results, bank: PoseBank, k: int) -> list[GalleryRow]:
    rows = shown_rows(results.test.size)
    shown = {name: labels[rows] for name, labels in results.labels.items() if not name.endswith(" alone")}
    return gallery(results.splits, shown, bank=bank, k=k)
