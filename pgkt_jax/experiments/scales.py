"""How large the experiments are: what they start from, and what their rows step through."""

from dataclasses import dataclass, field, replace

from pgkt_jax.config import Config, ParseConfig, load_config
from pgkt_jax.experiments.trial import Change


@dataclass(frozen=True)
class Network:
    """A parsing network of Table 3: the name of a config whose `parse` it has (None: the base's), with a change."""

    config: str | None = None
    change: Change = field(default_factory=dict)


@dataclass(frozen=True)
class Scale:
    """A size of experiments.

    Attributes:
        config: the base, a name in configs/.
        networks: of Table 3.
        animal_networks: which of them Table 4 has.
        labels: the numbers of masks that labels are varied over.
        seeds: how many, unless said otherwise.
        most: people of every split of every data set.
        evidence: whether the figures say anything about the method.
    """

    config: str
    networks: dict[str, Network]
    animal_networks: tuple[str, ...]
    labels: tuple[int, ...] = (25, 50, 100, 200)
    seeds: int = 3
    most: int | None = None
    evidence: bool = True


_SMALL = {
    "small, subpixel head": Network(),
    "small, attention over scales": Network(change={"head": "attention", "attention_width": 64}),
    "small, plain": Network(change={"head": "plain"}),
}
_TINY = {"width": 4, "attention_width": 8}

SCALES = {
    "smoke": Scale(
        config="tables_smoke",
        networks={
            "VGG-16, attention": Network(change={"backbone": "vgg", "head": "attention", **_TINY}),
            "ResNet-101": Network(change={"backbone": "resnet101", "head": "aspp", **_TINY}),
            "DeepLab-LargeFOV": Network(change={"backbone": "vgg-v1", "head": "plain", **_TINY}),
        },
        animal_networks=("VGG-16, attention",),
        labels=(8, 12),
        seeds=1,
        most=16,
        evidence=False,
    ),
    "cpu": Scale(config="quickstart_folder", networks=_SMALL, animal_networks=("small, subpixel head",)),
    "paper": Scale(
        config="paper_pascal",
        networks={
            "VGG-16, attention": Network(),
            "ResNet-101": Network("paper_pascal_resnet"),
            "DeepLab-LargeFOV": Network(change={"backbone": "vgg-v1", "head": "plain"}),
        },
        animal_networks=("VGG-16, attention", "ResNet-101"),
    ),
}

K, N = 3, 5
"""The paper's choice for all experiments but those of Table 2 (section 4.3)."""


def base_config(scale: Scale, people: str | None, *, config: str | None = None) -> Config:
    """The config that every row of every table is a change of; raises as `load_config`.

    Args:
        scale: says the config.
        people: in place of all of the config's data sets; None: the config's. Those of scales cpu and smoke are drawn.
        config: in place of the scale's.
    """
    drawn = scale.config == "quickstart_folder" and people in (None, "puppets")
    found = load_config(config or ("quickstart_puppets" if drawn else scale.config))[1]
    data = found.data
    if people is not None:
        data = replace(data, people=people, poses=(), parse_people=None, labels=None)
    return replace(found, data=data, refine=replace(found.refine, k=K, n=N))


def networks(scale: Scale, base: Config) -> dict[str, ParseConfig]:
    """The parsing networks of Table 3 by name; raises as `load_config`."""
    settings = {
        name: base.parse if network.config is None else load_config(network.config)[1].parse
        for name, network in scale.networks.items()
    }
    return {name: replace(parse, **scale.networks[name].change) for name, parse in settings.items()}
