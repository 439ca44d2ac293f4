#!/usr/bin/env bash
# Sets up and runs every check: style, types, tests. Arguments go to pytest.
set -euo pipefail
EXTRAS="test"
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
ruff check .
ruff format --check .
mypy
# A process a core, a file at a time: what a file compiles once, its tests share.
python -m pytest -m "not slow" --numprocesses auto --dist loadfile "$@"
