#!/usr/bin/env bash
# Several hosts on one machine, for trying and testing: N processes of CPU devices that train together.
#
#   bash launch/local_hosts.sh N [COMMAND CONFIG [option ...]]
#   bash launch/local_hosts.sh 2 refine quickstart_puppets --out runs/two-hosts
#
# What follows N goes to `pgkt`; without it, a short refinement on puppets. DEVICES (1) is the number of devices a
# process. Every line is marked with its process. When one process fails or is killed, the others are ended.
set -euo pipefail

usage() { echo "usage: bash launch/local_hosts.sh N [COMMAND CONFIG [option ...]]" >&2; exit 2; }
case "${1:-}" in "" | *[!0-9]* | 0*) usage ;; esac
count=$1
shift
[ $# -gt 0 ] || set -- refine quickstart_puppets --out runs/local-hosts --refine.steps 40 --refine.every 20

. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
port=$(python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export JAX_PLATFORMS=cpu JAX_COORDINATOR_ADDRESS="127.0.0.1:$port" JAX_NUM_PROCESSES="$count"
export XLA_FLAGS="${XLA_FLAGS:-} --xla_force_host_platform_device_count=${DEVICES:-1}"

processes=()
for ((i = 0; i < count; i++)); do
  JAX_PROCESS_ID=$i python -m pgkt_jax.cli "$@" > >(sed -u "s/^/[$i] /") 2> >(sed -u "s/^/[$i] /" >&2) &
  processes+=($!)
done
trap 'kill -KILL "${processes[@]}" 2>/dev/null || true' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
for _ in "${processes[@]}"; do
  wait -n "${processes[@]}" || { status=$?; echo "a process ended with status $status" >&2; exit "$status"; }
done
