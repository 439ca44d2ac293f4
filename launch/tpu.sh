#!/usr/bin/env bash
# Google Cloud TPU VMs and pods: copies this checkout to every worker of a TPU and runs the same command on all of them.
#
#   gcloud compute tpus tpu-vm create NAME --zone ZONE --accelerator-type v5litepod-16 --version v2-alpha-tpuv5-lite
#   bash launch/tpu.sh NAME ZONE refine paper --data.people /mnt/data/my_people --out /mnt/data/runs/mine
#
# The workers need Python 3.11 or newer with venv. Data and --out must be on a file system that all of them share
# (Filestore, or Cloud Storage mounted by gcsfuse). After a pre-emption, create the TPU again and run the same command: it
# goes on from the last checkpoint. GCLOUD_FLAGS is added to every gcloud call (--project my-project,
# --tunnel-through-iap).
set -euo pipefail
[ $# -ge 3 ] || { echo "usage: bash launch/tpu.sh NAME ZONE COMMAND CONFIG [option ...]" >&2; exit 2; }
name=$1 zone=$2
shift 2
cd "$(dirname "${BASH_SOURCE[0]}")/.."

read -ra flags <<<"${GCLOUD_FLAGS:-}"
tpu() { gcloud compute tpus tpu-vm "$@" --zone "$zone" --worker=all ${flags[@]+"${flags[@]}"}; }

checkout=$(mktemp -d)
trap 'rm -rf -- "$checkout"' EXIT
git archive --output "$checkout/pgkt_jax.tar" HEAD
tpu scp "$checkout/pgkt_jax.tar" "$name:pgkt_jax.tar"
# PGKT_HOSTS=auto: the TPU tells every worker who the others are.
printf -v command '%q ' "$@"
tpu ssh "$name" --command "set -e
mkdir -p pgkt_jax && tar -xf pgkt_jax.tar -C pgkt_jax && cd pgkt_jax
. launch/setup.sh
python -m pip install --quiet --constraint constraints.txt 'jax[tpu]'
PGKT_HOSTS=auto python -m pgkt_jax.cli $command"
