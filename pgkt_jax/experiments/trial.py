"""A trial: one way through the method that ends in a score, told as a change of a base config."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pgkt_jax.config import Config, ParseConfig

Change = Mapping[str, Any]


@dataclass(frozen=True)
class Trial:
    """What is trained and scored.

    Attributes:
        config: whose people, and how both networks train.
        network: whose labels are scored: those of the refinement or of the parsing network.
        supervision: what parsing trains on: `full`, masks; `semi`, masks and synthesised labels; `all`, every mask,
            also of those people who count as known by keypoints only.
        share: how many of the people known by keypoints only there are, 0 to 1.
        noise: added to their joints, see `noise.noisy`.
        masks_last: above 0, parsing goes on with the masks alone for this share of its steps, see `masks_alone`.
        on_people: test the parsing network, too, on the people whom the refinement network is tested on.
    """

    config: Config
    network: Literal["refine", "parse"] = "parse"
    supervision: Literal["full", "semi", "all"] = "semi"
    share: float = 1.0
    noise: float = 0.0
    masks_last: float = 0.0
    on_people: bool = False

    @property
    def tested_as_refined(self) -> bool:
        """Whether the network is tested on the people whom the refinement network is tested on."""
        return self.network == "refine" or self.on_people

    def but(self, *, data: Change | None = None, refine: Change | None = None, parse: Change | None = None,
            **own: Any) -> "Trial":  # fmt: skip
        """This trial with some fields of its parts, or of its own, changed."""
        config = Config(
            replace(self.config.data, **(data or {})),
            replace(self.config.refine, **(refine or {})),
            replace(self.config.parse, **(parse or {})),
        )
        return replace(self, config=config, **own)

    def seeded(self, seed: int) -> "Trial":
        """This trial with another seed of everything random."""
        return self.but(refine={"seed": seed}, parse={"seed": seed})


def masks_alone(parse: ParseConfig, share: float) -> ParseConfig:
    """How parsing goes on with masks alone: a share of the steps, at a fifth of the rate, falling from the start.

    Of 1, 1/5 and 1/20 of the rate, a fifth came to the best validation score on photographs.
    """

    def part(steps: int) -> int:
        return max(1, round(share * steps))

    return replace(
        parse, steps=part(parse.steps), every=part(parse.every), drops=tuple(map(part, parse.drops)),
        learning_rate=0.2 * parse.learning_rate, decay_from=0.0,
    )  # fmt: skip
