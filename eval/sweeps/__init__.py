"""Sweeps from a TOML file, command-line options or Python: one configuration, one runner."""
