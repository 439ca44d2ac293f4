"""How `--field value` of a command with a config is read: by tyro, but what is wrong is said in one sentence."""

import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from difflib import get_close_matches
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pgkt_jax.config import BOUNDS, Config

_WORDS = {int: "a whole number", float: "a number", str: "a text", NoneType: "None"}


def read_fields(config: Config, arguments: Sequence[str], *, command: str) -> Config:
    """The config, with the fields that the command line names set to what it says.

    Args:
        config: what holds where nothing is said.
        arguments: `--field value ...`.
        command: the command and its config, as they are typed.

    Raises:
        ValueError: there is no such field, or its value makes no sense; names it, and a command that works.
        SystemExit: `--help` was asked for and printed.
    """
    found = _read(config, arguments, command)
    if found is None:
        example = f"{command} --refine.steps 100 --refine.prior skeleton"
        raise ValueError(f"{_fault(config, arguments)}; for instance: {example}")
    return found


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """`, did you mean NAME?`, where the end of one of those that there are, behind its dot, is like this one's."""
    part, end = _halves(name)
    ends: dict[str, str] = {}
    for other in sorted(known, key=lambda other: not other.startswith(part)):
        ends.setdefault(_halves(other)[1], other)
    near = get_close_matches(end, ends, n=1, cutoff=0.75)
    return f", did you mean {ends[near[0]]}?" if near else ""


def _halves(name: str) -> tuple[str, str]:
    part, _, end = name.rpartition(".")
    return part, end.lstrip("-")


def _read(config: Config, arguments: Sequence[str], command: str) -> Config | None:
    """None where they make no sense."""
    import tyro

    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return tyro.cli(Config, default=config, args=arguments, prog=command)
    except SystemExit as stop:
        if not stop.code:
            raise
    return None


def _fault(config: Config, arguments: Sequence[str]) -> str:
    kinds = dict(_kinds(Config, "--"))
    for option, values in _grouped(arguments):
        if option not in kinds:
            return f"there is no field {option}{did_you_mean(option, list(kinds))}"
        if _read(config, [option, *values], "") is None:
            return f"{' '.join([option, *values])}: wants {_wanted(kinds[option])}{_within(option)}"
    return f"{' '.join(arguments)}: does not go together"


def _kinds(part: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Every option and the type of its value; bool: no value."""
    for name, kind in get_type_hints(part).items():
        option = prefix + name.replace("_", "-")
        if is_dataclass(kind):
            yield from _kinds(kind, f"{option}.")
            continue
        yield option, kind
        if kind is bool:
            yield f"{prefix}no-{name.replace('_', '-')}", kind


def _grouped(arguments: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Every option, as it is written in the help, with its values."""
    groups: list[tuple[str, list[str]]] = []
    for argument in arguments:
        if argument.startswith("--"):
            option, *value = argument.split("=", 1)
            groups.append((option.replace("_", "-"), value))
        elif groups:
            groups[-1][1].append(argument)
        else:
            groups.append((argument, []))
    return groups


def _within(option: str) -> str:
    """The bounds of a field, where it has some."""
    name = _halves(option)[1].replace("-", "_")
    return ", {:,} to {:,}".format(*BOUNDS[name]) if name in BOUNDS else ""


def _wanted(kind: Any) -> str:
    """The values of a type, in words."""
    if kind is bool:
        return "no value"
    if get_origin(kind) is Literal:
        return " or ".join(get_args(kind))
    if get_origin(kind) is tuple:
        first, *rest = get_args(kind)
        return f"{_WORDS[first]}, {'any number of times' if rest == [...] else 'twice'}"
    return _WORDS.get(kind) or " or ".join(map(_wanted, get_args(kind)))
