"""Extract the final answer from a text, and compare it with the known answer."""
