"""Backbones by name. A new one is a file beside this one, and a line of the table.

Imports none of them before it is asked for: settings, which know the names, load no network.
"""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgkt_jax.nets.attention import Backbone

BACKBONES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "small": ("fcn.SmallFCN", {}),
    "vgg": ("vgg.LargeFOV", {}),
    "vgg-v1": ("vgg.LargeFOV", {"average_pool": True}),
    "resnet101": ("resnet.ResNet", {}),
    "resnet101-torchvision": ("resnet.ResNet", {"stride_in_3x3": True}),
    "convnext": ("convnext.ConvNeXt", {}),
}
"""The module and the class of each, and how it is made."""


def backbone(name: str, **options: Any) -> "Backbone":
    """A backbone, freshly initialised.

    Args:
        name: one of `BACKBONES`.
        options: of its class, beside those of the table.
    """
    place, own = BACKBONES[name]
    module, _, kind = place.partition(".")
    return getattr(importlib.import_module(f"pgkt_jax.nets.{module}"), kind)(**own, **options)
