"""Benchmarks, `pgkt bench prior`: they need jax, flax, optax and numpy, and OpenCV to draw people and as a rival."""
