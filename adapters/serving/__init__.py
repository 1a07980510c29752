"""An OpenAI-compatible server over the llama.cpp engine."""
