"""Statistics of a journal: intervals, differences, curves."""
