"""Every setting is documented, and read somewhere."""

import ast
import dataclasses
import re
from pathlib import Path

import pytest

from pgkt_jax import config as settings
from pgkt_jax.config import Config, DataConfig, ParseConfig, RefineConfig

PACKAGE = Path(settings.__file__).parent


def fields_read(module, owner):
    """Names X of every `owner.X` or `something.owner.X` in a module of the package."""
    for node in ast.walk(ast.parse((PACKAGE / module).read_text())):
        if isinstance(node, ast.Attribute):
            base = node.value
            name = base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", None)
            if name == owner:
                yield node.attr


@pytest.mark.parametrize(
    ("config", "module", "owner"),
    [
        (DataConfig, "data/sources.py", "config"),
        (RefineConfig, "stages/refine.py", "config"),
        (ParseConfig, "stages/parse.py", "config"),
        (Config, "stages/quickstart.py", "config"),
        (Config, "commands/stages.py", "config"),
    ],
)
def test_every_field_is_read(config, module, owner):
    fields = {field.name for field in dataclasses.fields(config)}
    assert fields <= set(fields_read(module, owner))


def test_every_field_is_documented():
    for config in (DataConfig, RefineConfig, ParseConfig):
        listed = config.__doc__.split("Attributes:")[1]
        names = {name for line in re.findall(r"^ {8}([\w, ]+):", listed, re.MULTILINE) for name in line.split(", ")}
        assert names == {field.name for field in dataclasses.fields(config)}
