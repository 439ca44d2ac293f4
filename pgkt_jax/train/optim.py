"""The paper's two optimisers."""

from collections.abc import Sequence

import jax
import optax


def adam(
    learning_rate: float, *, beta1: float = 0.5, steps: int, decay_from: float = 1.0, weight_decay: float = 0.0
) -> optax.GradientTransformation:
    """Adam of the refinement network (paper, section 4.2), falling linearly to zero after `decay_from` of the steps.

    Weight decay (kernels only) is decoupled: a step shrinks them by `learning_rate * weight_decay`.
    """
    start = round(decay_from * steps)
    schedule = (
        optax.linear_schedule(learning_rate, 0.0, max(steps - start, 1), start) if start < steps else learning_rate
    )
    return optax.adamw(schedule, b1=beta1, b2=0.999, weight_decay=weight_decay, mask=_kernels)


def sgd(
    learning_rate: float,
    *,
    drops: Sequence[int],
    drop: float = 0.1,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    poly: float | None = None,
    steps: int = 1,
    classifier: float = 10.0,
) -> optax.GradientTransformation:
    """SGD of the parsing network (paper, section 4.2), as Caffe does it.

    The gradient and the decayed weight (kernels only) enter the momentum already multiplied by the learning rate. The
    classifier learns `classifier` times as fast, and every bias twice as fast as its kernel (lr_mult 1 and 2, of fc8 10
    and 20, decay_mult 1 and 0: Engineering-Course/LIP_SSL, human/config/attention/train.prototxt).

    Args:
        learning_rate: at the start.
        drops: the steps from which on it is multiplied by `drop`, each.
        poly: in place of drops: it falls as (1 - step / steps)**poly (DeepLabv2).
        steps: of the whole training.
    """
    if poly is None:
        schedule = optax.piecewise_constant_schedule(learning_rate, dict.fromkeys(drops, drop))
    else:
        schedule = optax.polynomial_schedule(learning_rate, 0.0, poly, steps)
    return optax.chain(
        optax.add_decayed_weights(weight_decay, mask=_kernels),
        _scale_groups(classifier),
        optax.scale_by_learning_rate(schedule),
        optax.trace(momentum),
    )


def _names(path: tuple) -> list[str]:
    return [str(getattr(entry, "key", getattr(entry, "name", entry))) for entry in path]


def _kernels(params: optax.Params) -> optax.Params:
    return jax.tree_util.tree_map_with_path(lambda path, _: "kernel" in _names(path), params)


def _scale_groups(classifier: float) -> optax.GradientTransformation:
    def rate(path: tuple) -> float:
        names = _names(path)
        return (classifier if "classifier" in names else 1.0) * (2 if "bias" in names else 1)

    return optax.stateless(
        lambda updates, _: jax.tree_util.tree_map_with_path(lambda path, leaf: leaf * rate(path), updates)
    )
