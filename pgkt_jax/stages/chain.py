"""The method from end to end, a function a step: refine, synthesize, parse (paper, figure 2).

Every step goes on where its folder was left, and does nothing where it is finished.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from pgkt_jax.config import Config, ParseConfig, RefineConfig
from pgkt_jax.data.batch import People
from pgkt_jax.data.person import Person
from pgkt_jax.data.splits import Splits
from pgkt_jax.prior import PoseBank
from pgkt_jax.skeleton import Skeleton
from pgkt_jax.stages.evaluate import predict
from pgkt_jax.stages.parse import parsed_labels, train_parsing
from pgkt_jax.stages.people import people_folder
from pgkt_jax.stages.refine import check_refinement, refined_labels, train_refinement
from pgkt_jax.stages.synthesize import SPLIT, synthesize
from pgkt_jax.train.sharding import check_batch
from pgkt_jax.train.state import TrainState
from pgkt_jax.train.watch import check_profile


@dataclass(frozen=True)
class Refined:
    """A trained refinement network, and the bank that its priors are made of."""

    config: RefineConfig
    state: TrainState
    bank: PoseBank

    def labels(self, people: People) -> np.ndarray:
        """Class ids uint8[B, H, W] of any number of people, from photographs and joints."""
        label = jax.jit(lambda state, bank, batch: refined_labels(self.config, state, bank, batch))
        return predict(lambda batch: label(self.state, self.bank, batch), people)


@dataclass(frozen=True)
class Parsed:
    """A trained parsing network; `config` says at which scales it is tested."""

    config: ParseConfig
    skeleton: Skeleton
    state: TrainState

    def labels(self, people: People) -> np.ndarray:
        """Class ids uint8[B, H, W] of any number of people, from photographs alone."""
        label = jax.jit(lambda state, batch: parsed_labels(self.config, self.skeleton, state, batch))
        return predict(lambda batch: label(self.state, batch), people)


def check_run(config: Config, splits: Splits) -> None:
    """Says before anything starts what would fail later.

    Raises:
        ValueError: nobody to validate on or to test, fewer labelled people than the prior needs, a batch that the
            devices cannot share, or steps to trace that there are not.
    """
    for people in (splits, splits.parsing):
        people.need("val", "test")
    check_refinement(config.refine, splits.labelled, profile=config.profile)
    check_batch(config.parse.batch, "parse.batch", parts=config.parse.accumulate)
    check_profile(config.profile, config.parse.steps, "parse")


def refined(config: RefineConfig, splits: Splits, folder: Path, *, profile: tuple[int, int] | None = None) -> Refined:
    """The refinement network, trained on the labelled people; raises as `train_refinement`."""
    return Refined(config, *train_refinement(config, splits, folder, profile=profile))


def synthesized(network: Refined, splits: Splits, folder: Path) -> Sequence[Person]:
    """The people known by keypoints only, with the labels that the refinement network gives them.

    Raises:
        ValueError: there are none.
    """
    splits.need("keypoints_only")
    synthesize(
        network.config, network.state, network.bank, splits.keypoints_only, folder,
        canvas=splits.canvas, bank_ids=[person.id for person in splits.labelled],
    )  # fmt: skip
    return people_folder(folder).split(SPLIT)


def parsed(
    config: ParseConfig,
    people: Sequence[Person],
    splits: Splits,
    folder: Path,
    *,
    title: str,
    profile: tuple[int, int] | None = None,
) -> Parsed:
    """The parsing network, trained on people with labels, drawn and synthesised alike; raises as `train_parsing`."""
    state = train_parsing(config, people, splits, folder, title=title, profile=profile)
    return Parsed(config, splits.skeleton, state)
