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


@pytest.mark.parametrize(
    ("config", "field", "value"),
    [
        (RefineConfig, "width", -7),
        (RefineConfig, "width", 10**6),
        (RefineConfig, "depth", 0),
        (RefineConfig, "k", 0),
        (RefineConfig, "n", 10**6),
        (RefineConfig, "size", (256, 0)),
        (RefineConfig, "batch", 0),
        (RefineConfig, "learning_rate", float("nan")),
        (RefineConfig, "beta1", 1.0),
        (RefineConfig, "steps", 0),
        (ParseConfig, "learning_rate", 0.0),
        (ParseConfig, "size", (10**6, 320)),
        (ParseConfig, "scales", (1.0, float("inf"))),
        (ParseConfig, "every", 0),
        (ParseConfig, "seed", -1),
        (DataConfig, "max_side", 0),
        (Config, "profile", (-1, 3)),
    ],
)
def test_numbers_that_make_no_sense_are_one_sentence_that_names_the_field(config, field, value):
    low, high = settings.BOUNDS[field]
    with pytest.raises(ValueError, match=re.escape(f"{field}: is {value}, not {low:,} to {high:,}")):
        config(**{field: value})


def test_every_bound_is_of_a_field_and_every_number_has_one():
    numbers = {
        field.name
        for config in (DataConfig, RefineConfig, ParseConfig, Config)
        for field in dataclasses.fields(config)
        if re.search(r"\b(int|float)\b", str(field.type))
    }
    assert numbers - {"labels"} == settings.BOUNDS.keys(), "labels are held against the people"
