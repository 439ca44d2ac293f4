"""A data set, and the people that a run makes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from pgkt_jax.data.person import Person
from pgkt_jax.skeleton import Skeleton


@runtime_checkable
class Source(Protocol):
    """A data set: a kind of body, and people by the name of their split."""

    @property
    def skeleton(self) -> Skeleton: ...

    @property
    def splits(self) -> Mapping[str, int]: ...

    def split(self, name: str) -> Sequence[Person]: ...


_EMPTY = {
    "keypoints_only": "there is nobody with keypoints only: split poses is empty and every person of train has a mask",
    "val": "there is nobody in split val: a training is measured on it and keeps the checkpoint that scores best there",
    "test": "there is nobody in split test: it is what is scored",
}


@dataclass(frozen=True)
class Splits:
    """The people of a run: in memory, or read whenever they are looked at.

    Attributes:
        skeleton: the kind of body.
        labelled: people with joints and masks (the paper's D_s).
        keypoints_only: people whose masks are hidden from the run (D_p).
        hidden: the same people with the masks, if they have any, that only the upper bound and analyses may see.
        val, test: labelled people that choices are made on, and that are scored once.
        canvas: the (H, W) that holds every image: one size for all, so that what is compiled once serves all.
        streamed: whether labelled, keypoints_only and hidden are read again and again, a batch at a time.
        name: the data set that val and test are of, where it is not the run's `people`.
        own_parsing: these splits as the parsing network has them, where it has labelled, val and test of its own.
    """

    skeleton: Skeleton
    labelled: Sequence[Person]
    keypoints_only: Sequence[Person]
    hidden: Sequence[Person]
    val: Sequence[Person]
    test: Sequence[Person]
    canvas: tuple[int, int]
    streamed: bool = False
    name: str = ""
    own_parsing: "Splits | None" = None

    @property
    def parsing(self) -> "Splits":
        """What the parsing network trains on, is watched and is tested on; its canvas holds keypoints_only, too."""
        return self.own_parsing or self

    def need(self, *groups: Literal["keypoints_only", "val", "test"]) -> None:
        """Raises ValueError if one of these groups, which what is about to run uses, is empty."""
        for group in groups:
            if not len(getattr(self, group)):
                raise ValueError(f"{self.name}: {_EMPTY[group]}" if self.name else _EMPTY[group])

    @property
    def all_have_masks(self) -> bool:
        """Whether there is an upper bound to train: a mask for everybody."""
        return all(person.label_map is not None for person in self.hidden)
