"""How tests check every annotated call of the package; see conftest.py."""

import typing
from collections.abc import Sequence

from beartype import BeartypeConf, beartype

_CHECKED = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int is a float, as PEP 484 has it


def checked(decorated: typing.Any) -> typing.Any:
    """beartype, but it reads nobody: of a sequence it looks at one item, and people may be on disk, or broken."""
    hints = getattr(decorated, "__annotations__", {})
    hints.update({name: typing.get_origin(hint) or Sequence for name, hint in hints.items() if _is_people(hint)})
    return _CHECKED(decorated)


def _is_people(hint: typing.Any) -> bool:
    """`LazyPeople`, a collection of them, or `Sequence[Person]`."""
    names = [getattr(kind, "__qualname__", "") for kind in (hint, *typing.get_args(hint))]
    return "LazyPeople" in names or (typing.get_origin(hint) is Sequence and names[-1] == "Person")
