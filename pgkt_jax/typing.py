"""Array types for signatures: jaxtyping's where it is installed, placeholders where it is not.

The tests install jaxtyping and beartype and check every annotated call; a bare GPU host needs neither.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int, Key, UInt8, UInt32
else:
    try:
        from jaxtyping import Array, Bool, Float, Int, Key, UInt8, UInt32
    except ImportError:

        class _Unchecked:
            def __class_getitem__(cls, _: Any) -> Any:
                return Any

        Array = Any
        Bool = Float = Int = Key = UInt8 = UInt32 = _Unchecked

Leaf = Any
"""A field of a pytree: an array, or what a transformation puts in its place (a shape, a sharding, numpy's array)."""

Side = Any
"""A length in pixels or in people: an int, or one that `jax.export` leaves open."""

Scalar = float | Float[Array, ""]
"""A number, traced or not."""

__all__ = ["Array", "Bool", "Float", "Int", "Key", "Leaf", "Scalar", "Side", "UInt8", "UInt32"]
