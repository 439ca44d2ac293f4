"""Tests run on eight fake devices, with strict dtype promotion and every annotated call of the package checked."""

import os

# Compiling takes most of the time of these tests, and LLVM's optimisation a quarter of that.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_force_host_platform_device_count=8"
    + " --xla_backend_optimization_level=0"
)

import jax
from jaxtyping import install_import_hook

jax.config.update("jax_numpy_dtype_promotion", "strict")
# An int is a float, as PEP 484 has it.
install_import_hook("pgkt_jax", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")
