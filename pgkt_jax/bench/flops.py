"""FLOPs of a network, counted from its own equations: the same number for every framework that computes it.

Counted are convolutions and matrix products, a multiplication and an addition as two; all the rest is left out. A
training step is taken as three forward passes: gradients of the inputs and of the kernels cost one each.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax

TRAINING = 3
"""Forward passes that a training step costs."""


def forward_flops(function: Callable[..., Any], *arguments: Any) -> int:
    """FLOPs of convolutions and matrix products in one call; nothing is computed.

    Taps that fall on padding count, those that fall between the pixels of a transposed convolution do not.

    Args:
        function: without loops (`scan`, `while`), whose rounds would be counted once.
        arguments: arrays, or `jax.ShapeDtypeStruct` in their place.
    """
    return sum(map(_flops, _equations(jax.make_jaxpr(function)(*arguments).jaxpr)))


def _equations(jaxpr: Any) -> Iterator[Any]:
    """All equations of a jaxpr and of those that it calls."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from _equations(inner)


def _flops(equation: Any) -> int:
    if equation.primitive.name not in ("dot_general", "conv_general_dilated"):
        return 0
    left, right = (variable.aval.shape for variable in equation.invars)
    out = math.prod(equation.outvars[0].aval.shape)
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        return 2 * out * math.prod(left[axis] for axis in contracted)
    _, inputs, *window = equation.params["dimension_numbers"].rhs_spec
    taps = math.prod(right[axis] for axis in window) // math.prod(equation.params["lhs_dilation"])
    return 2 * out * right[inputs] * taps
