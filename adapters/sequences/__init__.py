"""Sequences and rows: the bookkeeping shared by all engines."""
