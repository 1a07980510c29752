"""Where the answer stands in a text, and whether it is the known one."""
