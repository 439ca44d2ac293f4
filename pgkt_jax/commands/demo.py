"""`pgkt demo RUN_OR_DATA [--out FILE.html] [--people N]`: the part-level prior as a page to play with."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from pgkt_jax.commands.arguments import Arguments
from pgkt_jax.data.person import Person
from pgkt_jax.data.sources import open_people, reduced
from pgkt_jax.prior import PoseBank
from pgkt_jax.report.demo import write_demo
from pgkt_jax.stages.refine import REFINERS, bank_of
from pgkt_jax.train.run_folder import read_bank, training_in

GUIDE = """\
The page is one file that needs no server and no network, and runs in any browser of 2023 or later, telephones among
them. Its people are those of the run's pose bank, or those of split train who have label maps; the page shows their
joints and masks (5 to 8 kB a person), never their photographs.

examples
  pgkt demo puppets --out demo.html
  pgkt demo runs/quickstart --out demo.html
  pgkt demo my_people --people 500 --out demo.html
"""


def main(arguments: Sequence[str]) -> None:
    """Writes the page.

    Raises:
        ValueError: the run or the data are missing or wrong, or nobody in them has a label map.
    """
    parser = Arguments("pgkt demo", description=__doc__, guide=GUIDE, example="pgkt demo runs/quickstart")
    parser.add_argument(
        "people_of", metavar="RUN_OR_DATA", nargs="?", default="puppets",
        help="the folder of a run, or any data set, as for --data.people (default: puppets)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("demo.html"), help="the page (default: demo.html)")
    parser.add_argument("--people", type=int, default=200, help="at most so many people (default: 200)")
    chosen = parser.parse_args(arguments)
    if chosen.people < 2:
        parser.error(f"--people {chosen.people}: a page wants two people at least")
    if chosen.out.is_dir():
        parser.error(f"--out {chosen.out}: is a folder, not a file")
    bank = _bank(chosen.people_of, chosen.people)
    write_demo(chosen.out, bank)
    print(f"{chosen.out}: {bank.size} people, {chosen.out.stat().st_size / 1e6:.1f} MB; open it in a browser")


def _bank(name: str, most: int) -> PoseBank:
    """The first people of a run's bank, or of a data set."""
    if any((Path(name) / training).is_dir() for training in REFINERS) or (Path(name) / "bank.npz").is_file():
        whole = read_bank(training_in(Path(name), REFINERS, "refine"), limb_frames=False)
        maps = list(np.asarray(whole.label_maps[:most]))
        side = max(whole.label_maps.shape[1:])  # nothing is reduced twice
        return PoseBank.create(whole.skeleton, maps, whole.joints[:most], whole.visible[:most], max_side=side)
    if name not in ("puppets", "puppet_animals") and not Path(name).is_dir():
        raise ValueError(f"{name}: there is no run and no data set of this name; for instance: pgkt demo puppets")
    source = open_people(name)
    people = list(islice(map(_small, filter(_is_labelled, source.split("train"))), most))
    if len(people) < 2:
        raise ValueError(f"{name}: split train has {len(people)} people with joints and a label map, a page wants two")
    return bank_of(people, source.skeleton)


def _is_labelled(person: Person) -> bool:
    return person.label_map is not None and bool(person.visible.any())


def _small(person: Person) -> Person:
    return reduced(person, 512)
