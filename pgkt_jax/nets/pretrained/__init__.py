"""Weights that others trained: `pgkt import-weights` makes a safetensors file of ours out of theirs."""

from pgkt_jax.nets.pretrained.transfer import check_weights, copy_weights, import_weights, load_weights

__all__ = ["check_weights", "copy_weights", "import_weights", "load_weights"]
