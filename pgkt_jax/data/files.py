"""Careful files: paths that stay in their folder, files of bounded size, and whole files or none.

Functions raise `ValueError` with a predicate ("is not a path") and leave it to the caller to say which file of whose
it is.
"""

import os
from pathlib import Path

MAX_BYTES = 256 * 2**20
"""The largest file that is read where nothing else is said."""

_UNFINISHED = ".unfinished"


def inside(root: Path, name: object) -> Path:
    """The path of `name` in the folder `root`.

    Raises:
        ValueError: no text, absolute, with `..`, or a symlink on its way leaves the folder.
    """
    if not isinstance(name, str) or not name.strip():
        raise ValueError("is not a path")
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError("must be a path inside the folder, not absolute and without '..'")
    try:
        stays = (root / name).resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError) as error:  # a loop of symlinks, a NUL, a name too long
        raise ValueError("is not a path that can exist") from error
    if not stays:
        raise ValueError("leaves the folder through a symlink")
    return root / name


def is_there(path: Path) -> bool:
    """Whether it is a file; a name that no file can have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long; a NUL
        return False


def read_bytes(path: Path, *, limit: int = MAX_BYTES) -> bytes:
    """A whole file.

    Raises:
        ValueError: it is missing, no regular file, unreadable, or larger than `limit` bytes.
    """
    try:
        if not path.exists():
            raise ValueError("no such file")
        if not path.is_file():
            raise ValueError("is not a file")
        if path.stat().st_size > limit:
            raise ValueError(f"is larger than {limit:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from error


def read_text(path: Path) -> str:
    """A whole UTF-8 text file; raises as `read_bytes`, and if it is no UTF-8."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("is not a UTF-8 text") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that `path` holds, at any moment, all of the new content or what was there before."""
    unfinished = path.with_name(f".{path.name}{_UNFINISHED}")
    with unfinished.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def remove_unfinished(folder: Path) -> None:
    """Delete what killed calls of `write_atomically` left in a folder; nobody may be writing there."""
    for path in folder.glob(f".*{_UNFINISHED}"):
        path.unlink(missing_ok=True)
