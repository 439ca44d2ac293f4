"""Tests run on eight fake devices, with strict dtype promotion and every annotated call of the package checked."""

import os

# Compiling takes most of the time of these tests, and LLVM's optimisation a quarter of that.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_force_host_platform_device_count=8"
    + " --xla_backend_optimization_level=0"
)

import jax
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache
from jaxtyping import install_import_hook

jax.config.update("jax_numpy_dtype_promotion", "strict")
install_import_hook("pgkt_jax", "type_checks.checked")


@pytest.fixture(scope="module")
def kept_compilations(tmp_path_factory):
    """What one test of a module compiles serves all of them, as the command has it."""
    options = {  # here, and usually
        "jax_compilation_cache_dir": (str(tmp_path_factory.mktemp("compiled")), None),
        "jax_persistent_cache_min_compile_time_secs": (0.1, 1.0),
    }
    for moment in (0, 1):
        for name, values in options.items():
            jax.config.update(name, values[moment])
        reset_cache()
        if moment == 0:
            yield


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """The path of a people folder: five small puppets to learn from, two to test on."""
    from pgkt_jax.data.puppets import draw_puppet
    from pgkt_jax.data.writer import PeopleWriter
    from pgkt_jax.skeleton import PASCAL_PERSON

    folder = tmp_path_factory.mktemp("people")
    with PeopleWriter(folder, PASCAL_PERSON) as writer:
        for index, split in enumerate(["train"] * 5 + ["test"] * 2):
            writer.add(draw_puppet(index, size=(48, 32)), split=split)
    return str(folder)


@pytest.fixture(scope="session")
def seven_people(tmp_path_factory):
    """The path of a people folder of small puppets: seven to learn from, two of val, three of test, five of poses."""
    from pgkt_jax.data.puppets import Puppets
    from pgkt_jax.data.writer import PeopleWriter

    folder, counts = tmp_path_factory.mktemp("people"), {"train": 7, "val": 2, "test": 3, "poses": 5}
    drawn = Puppets(size=(32, 24), **counts)
    with PeopleWriter(folder, drawn.skeleton) as writer:
        for split in counts:
            for person in drawn.split(split):
                writer.add(person, split=split)
    return folder
