"""Tokenizers as vocabularies, and what can be read from a model's files without its weights."""
