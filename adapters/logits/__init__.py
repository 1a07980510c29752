"""Edits into rows of logits: the reference, the writers, row statistics, and seeded random numbers."""
