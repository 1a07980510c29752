"""What several tests use: engines, strategies, commands, and where things lie."""
