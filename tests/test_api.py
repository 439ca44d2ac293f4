"""The rules of the house for whatever others call, and what importing the package costs."""

import importlib
import inspect
import subprocess
import sys
import textwrap

import pytest

MODULES = ("pgkt_jax", "pgkt_jax.geometry", "pgkt_jax.retrieval", "pgkt_jax.prior", "pgkt_jax.joint_orders")
FORBIDDEN = ("grain", "tensorflow_datasets", "tensorflow", "flax", "orbax", "optax", "cv2")


def public():
    """Name -> function or class, of those that a module defines or lists in `__all__`; methods too."""
    found = {}
    for module in map(importlib.import_module, MODULES):
        names = getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]
        for name in names:
            thing = getattr(module, name)
            # Everything that belongs to the package, wherever it is defined; instances and numbers do not call.
            if not (inspect.isfunction(thing) or inspect.isclass(thing)) or "pgkt_jax" not in thing.__module__:
                continue
            if "pgkt_jax.typing" in thing.__module__:
                continue
            found[f"{thing.__module__}.{name}"] = thing
            if inspect.isclass(thing):
                methods = {n: getattr(thing, n) for n, m in vars(thing).items() if isinstance(m, classmethod)}
                found |= {f"{thing.__module__}.{name}.{n}": m for n, m in methods.items() if not n.startswith("_")}
    return found


PUBLIC = public()
each_thing = pytest.mark.parametrize("thing", PUBLIC.values(), ids=PUBLIC)
FUNCTIONS = {name: thing for name, thing in PUBLIC.items() if not inspect.isclass(thing)}
each_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


def test_the_lists_hold_what_other_code_calls():
    names = {name.rpartition(".")[2] for name in PUBLIC}
    assert {"make_prior", "nearest_poses", "prior_from", "skeleton_label_map", "create", "box_pixels"} <= names
    assert {"nearest", "normalize_pose", "to_pascal16", "JointOrder", "Skeleton"} <= names


@each_thing
def test_has_a_docstring_of_its_own(thing):
    # A dataclass or named tuple without one gets its signature as docstring.
    assert thing.__doc__
    assert not thing.__doc__.startswith(f"{thing.__name__}(")
    assert len(thing.__doc__) > 40


@each_function
def test_defaults_are_keyword_only(function):
    for parameter in inspect.signature(function).parameters.values():
        has_default = parameter.default is not parameter.empty
        assert not has_default or parameter.kind == parameter.KEYWORD_ONLY, parameter.name


@each_function
def test_takes_a_key_where_it_is_random_and_says_which_errors_it_raises(function):
    source = inspect.getsource(function)
    if "jax.random." in source or "key=key" in source:
        assert "key" in inspect.signature(function).parameters
    if "raise ValueError" in source:
        assert "Raises:" in function.__doc__


# --- Imports --------------------------------------------------------------------------------------


def run(code):
    return subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)


def test_importing_is_fast_and_loads_jax_alone():
    # The time that a processor spends: other programs on the machine do not slow it down.
    code = """
        import sys, time
        import pgkt_jax
        print(time.process_time())
        print(*{name.partition(".")[0] for name in sys.modules})
    """
    seconds, loaded = zip(*(run(code).stdout.splitlines() for _ in range(3)))
    assert not set(FORBIDDEN) & set(loaded[0].split())
    assert min(map(float, seconds)) < 2


def test_the_package_needs_neither_jaxtyping_nor_a_type_checker():
    run("""
        import sys
        sys.modules |= dict.fromkeys(("jaxtyping", "beartype", "chex", "tyro", "grain", "tensorflow_datasets"))
        import pgkt_jax, pgkt_jax.joint_orders
        assert pgkt_jax.geometry.image_box((2, 3)) == (-0.5, -0.5, 2.5, 1.5)
    """)
