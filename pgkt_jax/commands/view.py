"""`pgkt view DATASET`: what a data set says, on one page: people of every split with their masks and joints.

Left and right, the person's own, have different colours (blue and orange, which colour-blind readers tell apart too),
so that a swap shows. A limb that lies on the other side's mask is named below its picture.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pgkt_jax.commands.arguments import Arguments
from pgkt_jax.data.person import Person
from pgkt_jax.data.sides import crossed_parts
from pgkt_jax.data.sources import open_people
from pgkt_jax.data.splits import Source
from pgkt_jax.report.figures import IGNORE_COLOR, side_palette
from pgkt_jax.report.gallery import Chapter, write_chapters
from pgkt_jax.report.people import person_picture
from pgkt_jax.skeleton import Skeleton

GUIDE = """\
what is written
  DIR/view.html   one page that needs nothing else: every picture, its split and row (as `pgkt explain` takes them)

examples
  pgkt view puppets
  pgkt view my_people --out viewed --split train val
  pgkt view data/pascal_person_part --people 100
"""

LEAD = """\
Each person twice: the photograph, and over it masks and joints. Left and right are the person's own: of somebody who
faces you, the left (blue) is on the right-hand side of the picture; of somebody seen from behind, on the left.

Blue limbs should lie on blue masks, orange limbs on orange ones. Where one lies on the other side's mask, the caption
says crossed: now and then a leg hides the other, but many of them mean that joints or masks have their sides swapped.
"""

HEIGHT = 256
"""Of a picture, in pixels."""


def main(arguments: Sequence[str]) -> None:
    """Writes the page.

    Raises:
        ValueError: wrong usage, or the data set cannot be read.
    """
    parser = Arguments("pgkt view", description=__doc__, guide=GUIDE, example="pgkt view my_people --out viewed")
    parser.add_argument("dataset", help="a people folder, what `pgkt build-data` wrote, `puppets` or `puppet_animals`")
    parser.add_argument("--out", type=Path, default=Path("viewed"), help="the folder of the page (default: viewed)")
    parser.add_argument("--split", nargs="+", help="these alone (default: all)")
    parser.add_argument("--people", type=int, default=24, help="shown, evenly through each split (default: 24)")
    chosen = parser.parse_args(arguments)
    if chosen.people < 1:
        parser.error(f"--people {chosen.people}: is not positive")
    source = open_people(chosen.dataset)
    there = [name for name, count in source.splits.items() if count]
    for name in chosen.split or ():
        if name not in there:
            parser.error(f"{chosen.dataset} has nobody in a split {name!r}, only in {', '.join(there)}")
    palette, path = side_palette(source.skeleton), chosen.out / "view.html"
    parts = zip((part.name.replace("_", " ") for part in source.skeleton.parts), palette[1:])
    write_chapters(
        path,
        title=f"{chosen.dataset}: {source.skeleton.name}",
        lead=LEAD,
        colors=[*parts, ("ignored", IGNORE_COLOR)],
        chapters=[_chapter(source, name, chosen.people, palette) for name in chosen.split or there],
    )
    print(path)


def _chapter(source: Source, split: str, most: int, palette: np.ndarray) -> Chapter:
    """Some people of a split, evenly through it, and how many of their limbs are crossed."""
    people = source.split(split)
    rows = np.unique(np.linspace(0, len(people) - 1, most).round().astype(int)).tolist()
    pictures, masks, limbs, crossed = [], 0, 0, 0
    for row in rows:
        person = people[row]
        found = crossed_parts(person, source.skeleton)
        names = [name.replace("_", " ") for name, is_crossed in found.items() if is_crossed]
        masks, limbs, crossed = masks + (person.label_map is not None), limbs + len(found), crossed + len(names)
        remark = f" \N{MIDDLE DOT} crossed: {', '.join(names)}" if names else ""
        pictures.append((f"{split}/{row}\n{person.id}{remark}", _twice(person, source.skeleton, palette)))
    text = f"{len(people):,} people, {len(rows)} shown, {masks} of them with masks"
    text += f"; {crossed} of {limbs} limbs lie on the other side's mask" if limbs else ""
    print(f"{split}: {text}")
    return Chapter(f"Split {split}", f"{text}.", pictures)


def _twice(person: Person, skeleton: Skeleton, palette: np.ndarray) -> np.ndarray:
    """The photograph beside the photograph with masks and joints."""
    bare = person_picture(person, skeleton, joints=False, height=HEIGHT)
    drawn = person_picture(person, skeleton, palette=palette, height=HEIGHT)
    return np.concatenate([bare, drawn], axis=1)
