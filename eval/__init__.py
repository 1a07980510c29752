"""Accuracy against tokens: tasks, grading, journal, statistics, sweeps, reports, and the command line."""
