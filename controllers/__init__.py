"""Policies over many generations. Empty so far: voting, best-of-N and search follow."""
