"""Sequences and rows: the bookkeeping that every engine needs, once."""
