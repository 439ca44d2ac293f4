"""What a training carries from step to step."""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from pgkt_jax.typing import Array, Key, Leaf


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """Everything that a step changes, and the seed it draws from (a pytree; network and optimiser are static).

    Attributes:
        step: int32, steps done.
        seed: uint32, where all random keys of the training come from.
        params: the network's parameters.
        opt_state: the optimiser's.
        graph: the network's structure.
        tx: the optimiser.
    """

    step: Leaf
    seed: Leaf
    params: Leaf
    opt_state: Leaf
    graph: nnx.GraphDef = field(metadata={"static": True})
    tx: optax.GradientTransformation = field(metadata={"static": True})

    @classmethod
    def create(cls, network: nnx.Module, tx: optax.GradientTransformation, seed: int) -> "TrainState":
        graph, params = nnx.split(network)
        return cls(jnp.int32(0), jnp.uint32(seed), params, tx.init(params), graph, tx)

    def network(self, params: Any = None) -> Any:
        """The network with these parameters (the state's own by default)."""
        return nnx.merge(self.graph, self.params if params is None else params, copy=True)

    def sample_keys(self, batch: int) -> Key[Array, "B"]:
        """A key for every sample of this step's batch: a function of the seed and the sample's global index alone."""
        samples = self.step.astype(jnp.uint32) * jnp.uint32(batch) + jnp.arange(batch, dtype=jnp.uint32)
        return jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(self.seed), samples)

    def updated(self, grads: Any) -> "TrainState":
        """The state after one step of the optimiser."""
        with jax.numpy_dtype_promotion("standard"):  # optax multiplies floats by integer counts
            updates, opt_state = self.tx.update(grads, self.opt_state, self.params)
            params = optax.apply_updates(self.params, updates)
        return TrainState(self.step + 1, self.seed, params, opt_state, self.graph, self.tx)
