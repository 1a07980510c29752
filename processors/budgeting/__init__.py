"""What all budgets share: their fields, their machine, and the guard after a forced close."""
