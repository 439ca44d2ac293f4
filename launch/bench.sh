#!/usr/bin/env bash
# Every benchmark, for a GPU host or for CPUs. jax, flax, optax and numpy are enough; OpenCV and torch, where they are
# installed, run beside as rivals, and reading a people folder wants OpenCV.
#
#   bash launch/bench.sh [PEOPLE_FOLDER [POSES.npy]]     results in runs/bench
#
# Nothing is installed. `prior` holds its priors against the exact ones and prints the difference.
set -euo pipefail
people=${1:-puppets} poses=${2:-}
[ "$people" = puppets ] || people=$(realpath -- "$people")
targets=()
[ -z "$poses" ] || targets=(--poses "$(realpath -- "$poses")")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export XLA_PYTHON_CLIENT_PREALLOCATE=false GLIBC_TUNABLES="${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}"
bench() { python3 -m pgkt_jax.commands.bench "$@"; }
# On CPUs a device a core: one device paints a batch on one core.
prior() {
  local cores
  cores=$(nproc)
  XLA_FLAGS="--xla_force_host_platform_device_count=$cores ${XLA_FLAGS:-}" \
    bench prior --people "$people" ${targets[@]+"${targets[@]}"} "$@"
}
trained() { bench "$1" --people "$people" "${@:2}"; }
nearest() { bench nearest --people "$people" ${targets[@]+"${targets[@]}"} "$@"; }

if python3 -c 'import jax, sys; sys.exit(jax.default_backend() == "cpu")'; then
  prior --bank 2000 --batch 1024 --dtype bfloat16 --out runs/bench/accelerator
  prior --bank 2000 --batch 1024 --no-sweep --out runs/bench/accelerator-float32
  nearest --out runs/bench/accelerator
  bench step --people "$people" --batch 64 --size 256 256 --depth 8 --width 64 --dtype bfloat16 --out runs/bench/accelerator
  paper=(--size 256 256 --depth 8 --width 64 --no-input_skip --loss l1 --dtype bfloat16)
  for batch in 32 1; do
    trained refine "${paper[@]}" --dropout_blocks 3 --k 3 --n 5 --batch "$batch" --out "runs/bench/accelerator-batch-$batch"
  done
  trained parse --backbone vgg --head attention --optimizer sgd --size 320 320 --scales 1 .75 .5 --batch 30 \
    --dtype bfloat16 --out runs/bench/accelerator
  trained parse --backbone resnet101 --head aspp --optimizer sgd --size 321 321 --batch 8 --dtype bfloat16 \
    --out runs/bench/accelerator-resnet
  trained parse --backbone convnext --head plain --size 320 320 --batch 16 --dtype bfloat16 \
    --out runs/bench/accelerator-convnext
  trained synthesize "${paper[@]}" --k 3 --batch 64 --out runs/bench/accelerator
  trained overhead --backbone vgg --head plain --optimizer sgd --size 320 320 --batch 30 --dtype bfloat16 --every 1000 \
    --turns 2 --out runs/bench/accelerator
else
  prior --out runs/bench/cpu
  prior --bank 2000 --batch 256 --no-sweep --out runs/bench/cpu-256
  nearest --out runs/bench/cpu
  bench step --people "$people" --out runs/bench/cpu
  trained refine --out runs/bench/cpu
  trained parse --out runs/bench/cpu
  trained parse --backbone vgg --head attention --optimizer sgd --width 16 --attention_width 128 --batch 4 \
    --out runs/bench/cpu-vgg
  trained parse --backbone resnet101 --head aspp --optimizer sgd --width 16 --batch 4 --out runs/bench/cpu-resnet
  trained parse --backbone convnext --head plain --width 24 --batch 4 --out runs/bench/cpu-convnext
  trained synthesize --out runs/bench/cpu
  trained overhead --out runs/bench/cpu
fi
