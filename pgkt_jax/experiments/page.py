"""One HTML page of all experiments: scores, verdicts, plots, and the pictures of Figures 5, 6 and 8."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from pgkt_jax.experiments.outcome import Outcome
from pgkt_jax.experiments.runner import Runner
from pgkt_jax.report.gallery import GalleryRow
from pgkt_jax.report.html import write_html
from pgkt_jax.report.page import report_body
from pgkt_jax.stages.gallery import gallery
from pgkt_jax.stages.refine import bank_of

NO_EVIDENCE = (
    "Smoke: this proves that every table fills. The networks are tiny and hardly trained, and the figures are no "
    "evidence of anything."
)
JUDGED = (
    "An ordering is held only where the means lie further apart than either side's seeds do; not held where that is so "
    "the wrong way round; else open."
)


@dataclass(frozen=True)
class Section:
    """One experiment on the page: the name of its anchor, its title, and its HTML."""

    name: str
    title: str
    body: Sequence[str]


def write_tables(path: Path, sections: Sequence[Section], *, lead: Sequence[str]) -> None:
    """Writes the page, all of it or nothing.

    Args:
        path: of the HTML file.
        sections: the experiments, in their order.
        lead: what stands first, a paragraph each.
    """
    title = "Keypoints to part labels: the paper's tables and figures"
    links = "".join(f'<li><a href="#{section.name}">{escape(section.title)}</a></li>' for section in sections)
    paragraphs = "".join(f'<p class="lead">{escape(text)}</p>' for text in lead)
    body = [f"<header><h1>{title}</h1>{paragraphs}<ul>{links}</ul></header>"]
    for section in sections:
        body += [f'<section id="{section.name}">', *section.body, "</section>"]
    write_html(path, title, body)


def section_of(outcome: Outcome, runner: Runner, *, settings: Mapping[str, Any]) -> Section:
    """An experiment's scores, verdicts, plots and pictures.

    Args:
        outcome: what is shown.
        runner: that ran it.
        settings: the base of all rows.
    """
    return Section(outcome.name, outcome.experiment.title, _body(outcome, runner, settings))


def _body(outcome: Outcome, runner: Runner, settings: Mapping[str, Any]) -> list[str]:
    experiment = outcome.experiment
    trial = next((row.trial for row in experiment.rows if row.trial), None)
    if trial is None:
        notes = ", ".join(dict.fromkeys(row.note for row in experiment.rows))
        return [f"<h1>{escape(experiment.title)}</h1><p>{escape(notes)}</p>"]
    skeleton = runner.people(trial.config.data).skeleton
    return report_body(
        title=experiment.title,
        lead=experiment.about,
        rows=outcome.rows(),
        classes=skeleton.classes,
        palette=skeleton.palette,
        gallery=_pictures(outcome, runner),
        settings={**dataclasses.asdict(trial.config), **settings},
        notes=[*outcome.verdicts(), *outcome.closed(), JUDGED if outcome.evidence else NO_EVIDENCE],
        curves=outcome.charts(runner.curve),
        curves_title="Plots",
    )


def _pictures(outcome: Outcome, runner: Runner) -> list[GalleryRow]:
    experiment = outcome.experiment
    if not experiment.pictures:
        return []
    trials = {row.name: row.trial for row in experiment.rows}
    trial = trials[experiment.pictures[0]]
    assert trial is not None
    splits = runner.tested(trial)
    labels = {name: runner.labels(outcome.scores[name][0]) for name in experiment.pictures}
    bank = bank_of(splits.labelled, splits.skeleton) if experiment.prior else None
    return gallery(splits, labels, bank=bank, k=trial.config.refine.k)
