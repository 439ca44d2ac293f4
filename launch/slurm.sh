#!/usr/bin/env bash
#SBATCH --job-name=pgkt
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120
# Slurm: one process a node, with all of its GPUs. From a checkout and an active environment that all nodes see:
#
#   sbatch --nodes=4 launch/slurm.sh refine paper --data.people my_people --out runs/mine
#
# --out must be on a file system that all nodes share. A job that is pre-empted, loses a node or comes to its time limit
# is queued again and goes on from the last checkpoint; `scancel` ends it for good. Adapt the lines above, or override
# them as --nodes here.
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: sbatch launch/slurm.sh COMMAND CONFIG [option ...]" >&2; exit 2; }
cd "${SLURM_SUBMIT_DIR:?submit this with sbatch}"

nodes=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
export JAX_COORDINATOR_ADDRESS="${nodes%%$'\n'*}:$((20000 + SLURM_JOB_ID % 20000))"
trap 'echo "time is up: queued again" >&2; scontrol requeue "$SLURM_JOB_ID"' USR1

# srun does not take it from sbatch since Slurm 22.05.
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"

# Each task sets the variables that differ; --kill-on-bad-exit ends all where one fails. A pre-emption with a grace time
# sends SIGTERM to the tasks alone: they save and end with status 0, which would count as done, so they say 143. In the
# background, so that the trap above runs at once.
# shellcheck disable=SC2016
srun --kill-on-bad-exit=1 bash -c '
  export JAX_NUM_PROCESSES=$SLURM_NTASKS JAX_PROCESS_ID=$SLURM_PROCID
  python -m pgkt_jax.cli "$@" & trap "kill $!; wait $! || exit \$?; exit 143" TERM
  wait $!' pgkt "$@" &
status=0
wait $! || status=$?
# 3: another process was lost (see pgkt_jax/train/hosts.py), 134: JAX ended a process whose coordinator was.
case $status in 3 | 134 | 143) scontrol requeue "$SLURM_JOB_ID" ;; esac
exit "$status"
