#!/usr/bin/env bash
# One machine: sets up what is missing and runs one `pgkt` command on all its devices (GPUs, TPU chips or the CPU).
#
#   bash launch/run.sh refine paper --data.people my_people --out runs/mine
#
# A second time, the same command goes on from the last checkpoint. The other scripts run the same on several machines.
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: bash launch/run.sh COMMAND CONFIG [option ...]" >&2; exit 2; }
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
exec python -m pgkt_jax.cli "$@"
