"""Controls, processors, edits and programs: the machines that decide about the next token."""
