#!/usr/bin/env bash
# Sets up and runs style, types and all tests but the slow ones. Arguments go to pytest (`-m slow` runs those alone).
set -euo pipefail
EXTRAS="test"
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
ruff check .
ruff format --check .
mypy
# A process a core, a file at a time: what a file compiles once, its tests share.
python -m pytest -m "not slow" --numprocesses auto --dist loadfile "$@"
