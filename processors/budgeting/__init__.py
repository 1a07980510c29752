"""Shared by all budgets: their fields, their processor, and the guard after a forced close."""
