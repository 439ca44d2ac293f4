"""The networks: `unet` refines priors, `attention` over a backbone (`fcn`) parses photographs."""
