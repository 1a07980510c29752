"""Runs: what is generated, in which units, and the journal that keeps it."""
