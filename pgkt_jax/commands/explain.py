"""`pgkt explain WHO`: one person's way through the method, on one page.

The photograph and its pose, the nearest people and their distances, the masks of those picked, each morphed onto the
pose, the prior that is their mean; with --run also the refined label and what the parsing network says. WHO is a
photograph, with --poses, or SPLIT/ROW of the data set --people, as `pgkt view` shows them.
"""

from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from pgkt_jax.commands.arguments import Arguments
from pgkt_jax.config import RefineConfig
from pgkt_jax.data.person import Person
from pgkt_jax.data.readers.people import cropped, has_limb, read_image
from pgkt_jax.data.sources import open_people, reduced
from pgkt_jax.data.splits import Source
from pgkt_jax.prior import label_of_prior
from pgkt_jax.report.figures import overlay, prior_picture
from pgkt_jax.report.gallery import Chapter, write_chapters
from pgkt_jax.report.people import person_picture
from pgkt_jax.skeleton import PASCAL_PERSON, Skeleton
from pgkt_jax.stages.explain import (
    MAX_SIDE,
    Explanation,
    Teachers,
    explain,
    parsed_label,
    person_of_bank,
    refined_label,
    teachers_of_people,
    teachers_of_run,
)
from pgkt_jax.stages.photographs import find_photographs, with_poses

GUIDE = """\
examples
  pgkt explain test/3 --people puppets                     without any training: the neighbours and the prior
  pgkt explain test/3 --people puppets --run runs/quickstart
  pgkt explain photo.jpg --poses poses.json --person 2 --run runs/quickstart
"""

EXAMPLE = "pgkt explain photo.jpg --poses poses.json --run runs/quickstart"

LEAD = """\
Joints cost seconds, masks minutes. Here labelled people in a similar pose lend their masks to somebody of whom only the
joints are known (Fang et al., CVPR 2018).
"""


def main(arguments: Sequence[str]) -> None:
    """Writes the page.

    Raises:
        ValueError: wrong usage, or a photograph, the poses, the data set or the run are missing or wrong.
    """
    chosen = _read(arguments)
    source = open_people(chosen.people) if chosen.people else None
    person, skeleton, row = _find(chosen, source)
    train = source.split("train") if source is not None and source.splits.get("train") else ()
    if chosen.run:
        teachers = teachers_of_run(chosen.run, train)
    else:
        assert source is not None  # `_read` has seen to it
        settings = {name: getattr(chosen, name) for name in ("k", "n") if getattr(chosen, name) is not None}
        teachers = teachers_of_people(train, source.skeleton, RefineConfig(**settings))
    if teachers.bank.skeleton != skeleton:
        raise ValueError(
            f"{chosen.who}: is of skeleton {skeleton.name}, not {teachers.bank.skeleton.name} as those with masks"
        )
    if row is not None:
        teachers = teachers.without(row)
    colors, chapters = zip(skeleton.classes, skeleton.palette), list(_chapters(person, teachers, train, chosen.run))
    write_chapters(chosen.out, title=f"How {person.id} is labelled", lead=LEAD, colors=colors, chapters=chapters)
    print(chosen.out)


def _read(arguments: Sequence[str]) -> Namespace:
    default = RefineConfig()
    parser = Arguments("pgkt explain", description=__doc__, guide=GUIDE, example=EXAMPLE)
    parser.add_argument("who", help="a photograph, with --poses, or SPLIT/ROW of --people")
    parser.add_argument("--poses", type=Path, help="COCO, AlphaPose, OpenPose (a folder), MediaPipe or CSV")
    parser.add_argument("--person", type=int, default=1, help="which of the photograph's poses (default: 1, the first)")
    parser.add_argument("--people", help="a data set; without --run, its split train are the people with masks")
    parser.add_argument("--run", type=Path, help="a run's folder: its people with masks, its networks, its k and n")
    parser.add_argument("--k", type=int, help=f"how many people are picked, without a run (default: {default.k})")
    parser.add_argument(
        "--n", type=int, help=f"how many of the nearest are shown, without a run (default: {default.n})"
    )
    parser.add_argument("--out", type=Path, default=Path("explained.html"), help="the page (default: explained.html)")
    chosen = parser.parse_args(arguments)
    if not (chosen.poses or chosen.people):
        parser.error("--poses or --people is missing: where the joints are")
    if not (chosen.run or chosen.people):
        parser.error("--run or --people is missing: who has masks")
    if chosen.run and not chosen.k is chosen.n is None:
        parser.error("--k and --n go without --run, whose network has learnt with its own")
    return chosen


def _find(chosen: Namespace, source: Source | None) -> tuple[Person, Skeleton, int | None]:
    """The person, the kind of body, and the row in split train if that is where the person is from."""
    if chosen.poses:
        return _posed(chosen.who, chosen.poses, chosen.person), PASCAL_PERSON, None
    assert source is not None  # `_read` has seen to it
    split, _, row = chosen.who.rpartition("/")
    count = source.splits.get(split, 0)
    if not (row.isdecimal() and int(row) < count):
        there = ", ".join(f"{name}/0 to {name}/{count - 1}" for name, count in source.splits.items() if count)
        raise ValueError(f"{chosen.people} has no person {chosen.who!r}, only {there}; a photograph wants --poses")
    person = reduced(source.split(split)[int(row)], MAX_SIDE)
    _check_limbs(person, source.skeleton)
    return person, source.skeleton, int(row) if split == "train" else None


def _posed(name: str, poses: Path, number: int) -> Person:
    """A person cut out of a photograph, as `pgkt predict` cuts everybody out."""
    photograph, *more = with_poses(find_photographs([name]), poses)
    if more:
        raise ValueError(f"{name}: stands for {len(more) + 1} photographs, not one")
    if not 1 <= number <= len(photograph.poses):
        raise ValueError(f"--person {number}: {poses} has {len(photograph.poses)} people in {name}")
    pose = photograph.poses[number - 1]
    person = Person(pose.id, read_image(photograph.path), pose.joints, pose.visible)
    _check_limbs(person, PASCAL_PERSON)
    return reduced(cropped(person), MAX_SIDE)


def _check_limbs(person: Person, skeleton: Skeleton) -> None:
    if not has_limb(person.visible, skeleton):
        raise ValueError(f"person {person.id}: no limb has both its joints visible")


# ---- the page ----


def _chapters(person: Person, teachers: Teachers, train: Sequence[Person], run: Path | None) -> Iterator[Chapter]:
    """The steps of the method, in their order."""
    skeleton = teachers.bank.skeleton
    found = explain(teachers, person)
    seen = f"{person.visible.sum()} of {skeleton.num_joints} joints are visible"
    yield Chapter("The pose", f"{seen}.", [("photograph and joints", person_picture(person, skeleton))])
    yield _nearest(found, teachers, train)
    yield Chapter(
        "Their masks, morphed",
        "A part is carried by its limb: moved, turned and scaled so that the neighbour's two joints lie on this "
        "person's. Left and right merge into one class.",
        [
            (f"of neighbour {rank}", prior_picture(neighbour.prior, skeleton.palette))
            for rank, neighbour in enumerate(found.neighbours, start=1)
            if neighbour.prior is not None
        ],
    )
    alone = np.asarray(label_of_prior(jnp.asarray(found.prior)))
    yield Chapter(
        "The prior",
        "The mean of these masks. Taken for a label as it is, a pixel belongs to the largest mask where that is at "
        "least one half.",
        [
            ("the mean", prior_picture(found.prior, skeleton.palette)),
            ("as a label", _over(person, alone, skeleton)),
        ],
    )
    if (label := refined_label(teachers, person)) is not None:
        text = "The refinement network sees the photograph and the prior."
        yield Chapter("The refined label", text, [("refined", _over(person, label, skeleton))])
    if run is not None and (label := parsed_label(run, person.image)) is not None:
        text = "The parsing network, which such labels have taught, sees the photograph alone: no joints, no prior."
        yield Chapter("The parse", text, [("parsed", _over(person, label, skeleton))])
    if person.label_map is not None:
        label = skeleton.class_lut[person.label_map]
        yield Chapter("The truth", "The label map that the data set has.", [("truth", _over(person, label, skeleton))])


def _nearest(found: Explanation, teachers: Teachers, train: Sequence[Person]) -> Chapter:
    skeleton, k = teachers.bank.skeleton, teachers.config.k
    palette = skeleton.palette[skeleton.class_lut[: skeleton.num_parts + 1]]
    pictures = []
    for rank, (row, distance, prior) in enumerate(found.neighbours, start=1):
        whom, neighbour = f"row {row} of the bank", person_of_bank(teachers.bank, row)
        if teachers.rows is not None:
            neighbour = train[teachers.rows[row]]
            whom = f"train/{teachers.rows[row]} \N{MIDDLE DOT} {neighbour.id}"
        picture = person_picture(neighbour, skeleton, palette=palette)
        picked = prior is not None
        caption = f"{rank}{', picked' if picked else ''}\ndistance {distance:.2f} \N{MIDDLE DOT} {whom}"
        pictures.append((caption, picture if picked else picture // 3 + 160))
    text = (
        "Poses are brought to one place and a torso of length 1, then compared joint by joint. The distance is the "
        f"root mean square over the joints that both show, in torso lengths. Here the {k} nearest are picked; in "
        f"training, {k} of these {teachers.config.n} at random, afresh at every step."
    )
    return Chapter(f"The {len(pictures)} nearest of {teachers.bank.size} people with masks", text, pictures)


def _over(person: Person, label_map: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    return overlay(person.image, label_map, skeleton.palette)
