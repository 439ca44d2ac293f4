"""People who cannot be read once a training runs: counted, named, and skipped up to a limit."""

import sys
import threading
from collections.abc import Sequence

from pgkt_jax.data.person import Person

SHARE = 0.01
"""How many of the people may be unreadable before a training ends; one person always may."""


class Skipping:
    """Reads people; in place of one who cannot be read stands the next one who can.

    Whose place another takes is a function of which people are unreadable alone: a training that is resumed sees the
    same batches. Threads may share it.

    Args:
        people: a random-access source; a person who cannot be read is a ValueError or an OSError.

    Attributes:
        limit: how many may be unreadable.
        skipped: row -> what was wrong, of everybody unreadable so far.
    """

    def __init__(self, people: Sequence[Person]):
        self._people, self._lock = people, threading.Lock()
        self.limit = min(max(1, int(SHARE * len(people))), len(people) - 1)
        self.skipped: dict[int, str] = {}

    def read(self, row: int) -> tuple[int, Person]:
        """The person of a row, or of the next row that can be read, and that row.

        Raises:
            ValueError: more than `limit` people cannot be read.
        """
        while True:
            try:
                return row, self._people[row]
            except (ValueError, OSError) as error:
                self._skip(row, " ".join(str(error).split()))
            row = (row + 1) % len(self._people)

    def _skip(self, row: int, fault: str) -> None:
        with self._lock:
            if row in self.skipped:
                return
            self.skipped[row] = fault
            count = len(self.skipped)
        if count > self.limit:
            raise ValueError(
                f"{count} of {len(self._people)} people cannot be read, at most {self.limit} are skipped; "
                f"the last of them, row {row}: {fault}"
            )
        print(f"row {row} is skipped ({count}, at most {self.limit}): {fault}", file=sys.stderr)
