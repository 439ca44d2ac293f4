"""A trial: one way through the method that ends in a score, told as a change of a base config."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pgkt_jax.config import Config

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
    """

    config: Config
    network: Literal["refine", "parse"] = "parse"
    supervision: Literal["full", "semi", "all"] = "semi"
    share: float = 1.0
    noise: float = 0.0

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
