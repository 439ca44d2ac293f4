"""The experiments: a name, its rows, and for each row a run's config as a change of the base config.

`EXPERIMENTS` is the table of them. What the paper prints for a row stands beside it; `orders` are the orderings that
the paper reports, or that the experiment is about.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from pgkt_jax.config import Config, ParseConfig
from pgkt_jax.experiments import paper
from pgkt_jax.experiments.paper import Printed
from pgkt_jax.experiments.trial import Trial


@dataclass(frozen=True)
class Setup:
    """What the rows are changes of.

    Attributes:
        base: the base config.
        networks: Table 3's parsing networks.
        labels: the numbers of masks that labels are varied over.
        animals: Table 4's data sets, and the names of their skeletons; `PEOPLE,POSES` takes the animals of POSES as
            known by keypoints only.
        animal_networks: the names of those networks that Table 4 has, too.
        estimated: data sets of people with estimated joints, in place of `base.data.poses`.
    """

    base: Config
    networks: Mapping[str, ParseConfig]
    labels: Sequence[int]
    animals: Mapping[str, str] = field(default_factory=dict)
    animal_networks: Sequence[str] = ()
    estimated: Sequence[str] = ()

    @property
    def trial(self) -> Trial:
        return Trial(self.base)


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Attributes:
        name: unique in its table.
        trial: what is run, or None where something is missing; `note` says what.
        printed: the paper's figure for it.
        group: rows of one group are compared with each other.
    """

    name: str
    trial: Trial | None
    printed: Printed | None = None
    group: str = ""
    note: str = ""


@dataclass(frozen=True)
class Plot:
    """Scores over a setting: (x, row) of every point of every line."""

    x_label: str
    lines: Mapping[str, Sequence[tuple[float, str]]]


@dataclass(frozen=True)
class Gap:
    """Rows between which keypoints close a gap: few masks, the same with keypoints, and all masks.

    Attributes:
        full, semi, everything: names of rows.
    """

    full: str
    semi: str
    everything: str


@dataclass(frozen=True)
class Experiment:
    """One table or figure.

    Attributes:
        title: of it, with the place in the paper.
        about: what is compared, and how that departs from the paper.
        rows: its lines.
        orders: (higher, lower), names of rows.
        plot: of its scores, and of the shares of its gaps.
        curves: show validation scores over the training, and print those at its end in place of the test's.
        pictures: rows whose labels are shown on people of the test split.
        prior: show their part-level priors, too.
        gaps: whose closing is computed.
        printed: more rows of the paper, by group and name.
    """

    title: str
    about: str
    rows: Sequence[Row]
    orders: Sequence[tuple[str, str]] = ()
    plot: Plot | None = None
    curves: bool = False
    pictures: Sequence[str] = ()
    prior: bool = False
    gaps: Sequence[Gap] = ()
    printed: Mapping[str, Mapping[str, Printed]] = field(default_factory=dict)


FULL, SEMI, ALL = "full", "semi", "all masks"


def table1(setup: Setup) -> Experiment:
    names = {0: FULL} | {percent: f"semi, {percent} % of the keypoints" for percent in (40, 70, 100)}
    full = setup.trial.but(supervision="full")
    rows = [
        Row(name, setup.trial.but(share=percent / 100) if percent else full, paper.TABLE_1[percent])
        for percent, name in names.items()
    ]
    return Experiment(
        "Table 1: how many people with keypoints only",
        "Parsing networks that learn from all masks (full), and from them and 40, 70 and 100 % of the people with "
        "keypoints only (semi); the paper adds 4K, 7K and 10K people of MPII to PASCAL-Person-Part.",
        rows,
        orders=list(pairwise(row.name for row in reversed(rows))),
        plot=Plot("keypoint-only people, %", {"mIoU": list(names.items())}),
    )


def table2(setup: Setup) -> Experiment:
    def row(name: str, printed: Printed, **refine: object) -> Row:
        return Row(name, setup.trial.but(refine=refine), printed)

    nearest = {k: f"part-level prior, k = {k}" for k in paper.TABLE_2}
    sticks, augmented = "skeleton label map", "part-level prior, k = 3 out of n = 5"
    rows = [
        row(sticks, paper.SKELETON, prior="skeleton"),
        *(row(name, paper.TABLE_2[k], prior="part-level", k=k, n=k) for k, name in nearest.items()),
        row(augmented, paper.THREE_OF_FIVE, prior="part-level", k=3, n=5),
    ]
    return Experiment(
        "Table 2: how the prior is made",
        "Parsing networks (semi), whose people with keypoints only were labelled by refinement networks with other "
        "priors: sticks of width 7, the k nearest people, and 3 picked at random out of the 5 nearest.",
        rows,
        orders=[
            (nearest[1], sticks), (nearest[3], nearest[1]), (nearest[3], nearest[5]), (nearest[5], nearest[7]),
            (augmented, nearest[3]),
        ],
        plot=Plot("k", {"k nearest": list(nearest.items())}),
    )  # fmt: skip


WITH, WITHOUT = "refinement with part-level prior", "refinement without prior"


def _refinements(setup: Setup) -> list[Row]:
    kinds = {WITHOUT: "none", WITH: "part-level"}
    return [Row(name, setup.trial.but(network="refine", refine={"prior": kind})) for name, kind in kinds.items()]


def figure5(setup: Setup) -> Experiment:
    return Experiment(
        "Figure 5: refinement without and with prior",
        "What the refinement network says of people of the test split, who are scored whole in the table.",
        _refinements(setup),
        orders=[(WITH, WITHOUT)],
        pictures=(WITHOUT, WITH),
        prior=True,
    )


def figure6(setup: Setup) -> Experiment:
    rows = [
        Row(FULL, setup.trial.but(supervision="full"), paper.TABLE_1[0]),
        Row(SEMI, setup.trial, paper.TABLE_1[100]),
    ]
    return Experiment(
        "Figure 6: parsing, full and semi",
        "What the baseline says of people of the test split, and what the network does that has seen synthesised "
        "labels, too. No network sees joints here.",
        rows,
        orders=[(SEMI, FULL)],
        pictures=(FULL, SEMI),
    )


def figure7(setup: Setup) -> Experiment:
    return Experiment(
        "Figure 7: validation scores of refinement over training",
        "The figures are of split val, at the end of training, without a guided filter. The paper draws an accuracy "
        "and prints no numbers; ours are mean IoU.",
        _refinements(setup),
        orders=[(WITH, WITHOUT)],
        curves=True,
    )


def figure8(setup: Setup) -> Experiment:
    parsing = "parsing, semi"
    return Experiment(
        "Figure 8: refinement and parsing network",
        "The refinement network sees joints, by way of the prior; the parsing network learns from its labels and sees "
        "photographs alone. Both are scored on the people whom the refinement network is tested on.",
        [_refinements(setup)[1], Row(parsing, setup.trial.but(on_people=True))],
        pictures=(WITH, parsing),
        prior=True,
    )


def _tested_once(parse: ParseConfig) -> ParseConfig:
    """At one scale, without CRF and guided filter, whatever a config has: rows say what they add."""
    return replace(parse, test_scales=(1.0,), crf=False, outline=0)


def table3(setup: Setup) -> Experiment:
    printed = {  # (config's backbone and head, supervision and how it is tested)
        ("vgg", "attention", "full"): paper.TABLE_1[0],
        ("vgg", "attention", "semi"): paper.TABLE_3["Ours (VGG-16)"],
        ("resnet101", "aspp", "full"): paper.RESNET_FULL,
        ("resnet101", "aspp", "semi"): paper.TABLE_3["Ours (ResNet-101)"],
        ("resnet101", "aspp", "semi, +ms"): paper.TABLE_3["Ours (ResNet-101, +ms)"],
        ("vgg-v1", "plain", "full, +CRF"): paper.TABLE_3["DeepLab-LargeFOV-CRF [4]"],
    }
    rows, orders = [], []
    for name, parse in setup.networks.items():
        once = _tested_once(parse)
        option, more = (
            ("+CRF", replace(once, crf=True))
            if parse.head == "plain"
            else ("+ms", replace(once, test_scales=(1.0, 0.75, 0.5)))
        )
        for suffix, tested in (("", once), (f", {option}", more)):
            config = replace(setup.base, parse=tested)
            for kind in ("full", "semi"):
                beside = printed.get((parse.backbone, parse.head, kind + suffix))
                rows.append(Row(f"{name}, {kind}{suffix}", Trial(config, supervision=kind), beside))  # type: ignore[arg-type]
            orders.append((f"{name}, semi{suffix}", f"{name}, full{suffix}"))
        orders.append((f"{name}, semi, {option}", f"{name}, semi"))
    return Experiment(
        "Table 3: parsing networks, class by class",
        "Every parsing network full and semi, tested at one scale and (+ms) at scales 1, .75 and .5, the maximum of "
        "their logits; a plain classifier without and (+CRF) with a dense CRF. The paper prints a full ResNet-101 in "
        "the text of section 4.3, without classes.",
        rows,
        orders=orders,
        printed={"the paper's Table 3": paper.TABLE_3},
    )


def table4(setup: Setup) -> Experiment:
    beside = {  # (config's backbone and head, supervision)
        ("vgg", "attention", "full"): "Attention [5]",
        ("vgg", "attention", "semi"): "Ours (VGG-16)",
        ("resnet101", "aspp", "semi"): "Ours (ResNet-101)",
    }
    rows, orders = [], []
    # Animals are wider than high.
    base = setup.trial.but(data={"labels": None, "parse_people": None}, refine={"size": setup.base.refine.size[::-1]})
    for animals, animal in setup.animals.items():
        people, *more = animals.split(",")
        for name in setup.animal_networks:
            parse = _tested_once(setup.networks[name])
            whole = parse.image_size and parse.image_size[::-1]
            config = replace(base.config, parse=replace(parse, size=parse.size[::-1], image_size=whole))
            trial = Trial(config).but(data={"people": people, "poses": tuple(more)})
            for kind in ("full", "semi"):
                printed = beside.get((parse.backbone, parse.head, kind), "")
                figure = paper.TABLE_4.get(animal, {}).get(printed)
                rows.append(Row(f"{Path(people).name}, {name}, {kind}", trial.but(supervision=kind), figure, people))
            orders.append((rows[-1].name, rows[-2].name))
    if not rows:
        rows = [Row(FULL, None, note="needs --animals DATA"), Row(SEMI, None, note="needs --animals DATA")]
    return Experiment(
        "Table 4: animals",
        "The same for four-legged animals, tested at one scale. The paper has horses and cows, 294 with masks and 317 "
        "more with keypoints.",
        rows,
        orders=orders,
        printed={f"the paper's Table 4, {animal}": rows for animal, rows in paper.TABLE_4.items()},
    )


def poses(setup: Setup) -> Experiment:
    noises = {0: SEMI} | {percent: f"semi, noise of {percent} %" for percent in (2, 5, 10, 20)}
    estimated = "semi, estimated joints"
    trial = setup.trial.but(data={"poses": tuple(setup.estimated)}) if setup.estimated else None
    rows = [
        Row(FULL, setup.trial.but(supervision="full"), paper.TABLE_1[0]),
        Row(estimated, trial, paper.ESTIMATED, note="" if trial else "needs --estimated DATA"),
        *(
            Row(name, setup.trial.but(noise=percent / 100), None if percent else paper.TABLE_1[100])
            for percent, name in noises.items()
        ),
    ]
    return Experiment(
        "Poses: estimated, and worse and worse",
        "Joints of the people with keypoints only: as given, by a pose estimator (other people: those of --estimated, "
        "as the paper takes COCO in place of MPII), and as given with normal noise, whose standard deviation is a "
        "share of the longer side of the box around a person's joints. Noise breaks the method where semi no longer "
        "lies above full.",
        rows,
        orders=[*([(estimated, FULL)] if trial else []), *((name, FULL) for name in noises.values())],
        plot=Plot(
            "noise, % of the longer side",
            {"semi": list(noises.items()), "full": [(percent, FULL) for percent in (min(noises), max(noises))]},
        ),
    )


def labels(setup: Setup) -> Experiment:
    rows: list[Row] = []
    gaps: dict[int, Gap] = {}
    base = setup.trial.but(data={"parse_people": None})  # whose masks all stay
    for count in setup.labels:
        trial = base.but(data={"labels": count})
        full, semi = f"{count} masks, full", f"{count} masks, semi"
        rows += [Row(full, trial.but(supervision="full")), Row(semi, trial)]
        gaps[count] = Gap(full, semi, ALL)
    rows.append(Row(ALL, base.but(data={"labels": setup.labels[0]}, supervision="all")))
    return Experiment(
        "Labels: what keypoints are worth, from few masks to many",
        "Not in the paper: as many people of split train keep their masks, all others count as known by keypoints "
        "only, and the upper bound learns from every mask there is. Keypoints close (semi - full) / (all - full) of "
        "the gap. Parsing, too, is trained and tested on the people whom refinement has.",
        rows,
        orders=[(gap.semi, gap.full) for gap in gaps.values()],
        gaps=list(gaps.values()),
        plot=Plot(
            "masks",
            {
                "full": [(count, gap.full) for count, gap in gaps.items()],
                "semi": [(count, gap.semi) for count, gap in gaps.items()],
                "all": [(count, gap.everything) for count, gap in gaps.items()],
            },
        ),
    )


OUTLINE = 8
"""The radius of the guided filter in `options`, in pixels, where the base config has none."""


def options(setup: Setup) -> Experiment:
    masks_last = "semi, masks last"
    on = setup.base.refine.outline or setup.base.parse.outline
    radius, how = (0, "no guided filter") if on else (OUTLINE, "guided filter")
    filtered = setup.trial.but(refine={"outline": radius}, parse={"outline": radius})
    full, semi, everything = (f"{name}, {how}" for name in (FULL, SEMI, ALL))
    rows = [
        Row(FULL, setup.trial.but(supervision="full"), paper.TABLE_1[0]),
        Row(SEMI, setup.trial, paper.TABLE_1[100]),
        Row(masks_last, setup.trial.but(masks_last=0.1)),
        Row(ALL, setup.trial.but(supervision="all")),
        Row(full, filtered.but(supervision="full")),
        Row(semi, filtered),
        Row(everything, filtered.but(supervision="all")),
    ]
    return Experiment(
        "Options: where the method may be departed from",
        "Not in the paper: after masks and synthesised labels, the parsing network goes on with the masks alone for a "
        "tenth of its steps; a guided filter has the outlines of all labels, synthesised and said of test people, "
        "follow the photographs' edges. The upper bound learns from every mask there is.",
        rows,
        orders=[(SEMI, FULL), (masks_last, SEMI), (semi, full), (semi, SEMI) if radius else (SEMI, semi)],
        gaps=[Gap(FULL, SEMI, ALL), Gap(FULL, masks_last, ALL), Gap(full, semi, everything)],
    )


EXPERIMENTS: dict[str, Callable[[Setup], Experiment]] = {
    "table1": table1,
    "table2": table2,
    "figure5": figure5,
    "figure6": figure6,
    "figure7": figure7,
    "figure8": figure8,
    "table3": table3,
    "table4": table4,
    "poses": poses,
    "labels": labels,
    "options": options,
}
