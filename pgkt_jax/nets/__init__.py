"""The networks: `unet` refines priors; `parser` puts `attention` or a `deeplab` head over a backbone by name."""
