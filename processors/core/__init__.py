"""Controls, processors, edits and programs: the state machines that decide about the next token."""
