"""How commands without a config read their arguments."""

import argparse
from typing import NoReturn


class Arguments(argparse.ArgumentParser):
    """An `argparse` parser that answers wrong usage with one sentence and the right command.

    Args:
        command: as it is typed, `pgkt view`.
        description: what the command does.
        guide: what follows the options in the help, examples among it; printed as it stands.
        example: a command that works.
    """

    def __init__(self, command: str, *, description: str | None, guide: str, example: str):
        super().__init__(
            command, description=description, epilog=guide, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        self._example = example

    def error(self, message: str) -> NoReturn:
        """Raises ValueError with what is wrong and the example; the command line prints it and ends with status 2."""
        raise ValueError(f"{message}; for instance: {self._example}")
