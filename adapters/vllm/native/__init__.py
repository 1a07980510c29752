"""What vLLM can do itself: in place of a control, or beside the controls of a request."""
