"""Policies over several generations: voting and best-of-N."""
