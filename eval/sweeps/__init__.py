"""Sweeps from a TOML file, from options or from Python: one shape, one way of running them."""
