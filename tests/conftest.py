"""Tests run on eight fake devices, with strict dtype promotion and every annotated call of the package checked."""

import os

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"

import jax
from jaxtyping import install_import_hook

jax.config.update("jax_numpy_dtype_promotion", "strict")
# An int is a float, as PEP 484 has it.
install_import_hook("pgkt_jax", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")
