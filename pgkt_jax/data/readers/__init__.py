"""Data sets as people have them on disk: one module a form, each giving people without TFDS or TensorFlow."""
