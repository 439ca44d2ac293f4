#!/usr/bin/env bash
# The whole method in one command, on drawn people or on a people folder of your own:
#
#   bash launch/quickstart.sh [--data PEOPLE_FOLDER] [--labels N] [--out FOLDER] [--refine.FIELD VALUE ...]
#
# --labels N: only the first N people of split train keep their masks. An interrupted run goes on where it stopped.
set -euo pipefail
usage() { echo "usage: bash launch/quickstart.sh [--data PEOPLE_FOLDER] [--labels N] [--out FOLDER]" >&2; exit 2; }

config=quickstart_puppets out=runs/quickstart options=()
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || usage
  case "$1" in
    --data) config=quickstart_folder; options+=(--data.people "$(realpath -m -- "$2")") ;;
    --refine.* | --parse.* | --data.*) options+=("$1" "$2") ;;
    --labels) options+=(--data.labels "$2") ;;
    --out) out=$(realpath -m -- "$2") ;;
    *) usage ;;
  esac
  shift 2
done

. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
exec python -m pgkt_jax.cli quickstart "$config" --out "$out" ${options[@]+"${options[@]}"}
