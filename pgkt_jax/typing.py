"""Array types for signatures: jaxtyping's where it is installed, placeholders where it is not.

The tests install jaxtyping and beartype and check every annotated call; a bare GPU host needs neither.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int, Key, UInt8
else:
    try:
        from jaxtyping import Array, Bool, Float, Int, Key, UInt8
    except ImportError:

        class _Unchecked:
            def __class_getitem__(cls, _: Any) -> Any:
                return Any

        Array = Any
        Bool = Float = Int = Key = UInt8 = _Unchecked

__all__ = ["Array", "Bool", "Float", "Int", "Key", "UInt8"]
