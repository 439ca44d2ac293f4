"""Benchmarks, `pgkt bench NAME`: they need jax, flax, optax and numpy; OpenCV and PyTorch run as rivals."""
