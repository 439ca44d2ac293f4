# Sourced by the other scripts: leaves `python` at an interpreter that has this package with the extras named in EXTRAS.
# Uses the active virtual environment or conda environment; where there is none, makes .venv beside this folder.
pinned=()
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
if [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ]; then
  if [ ! -x .venv/bin/python ]; then
    for candidate in python3.13 python3.12 python3.11 python3; do
      if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        "$candidate" -m venv .venv
        break
      fi
    done
    [ -x .venv/bin/python ] || { echo "Python 3.11 or newer with venv is needed" >&2; exit 2; }
  fi
  # shellcheck source=/dev/null
  . .venv/bin/activate
  # In an environment of your own, what is there (a jax for your GPU) stays.
  pinned=(--constraint constraints.txt)
fi
# Installing again costs a second where nothing changed.
python -m pip install --quiet --disable-pip-version-check ${pinned[@]+"${pinned[@]}"} --editable ".${EXTRAS:+[$EXTRAS]}"
# With huge pages for large buffers, glibc hands out memory with a hundredth of the page faults: a training step on two
# CPU cores takes about a sixth less time. Other C libraries, and systems without such pages, ignore it.
export GLIBC_TUNABLES="${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}"
