"""Tokenizers as vocabularies, and what the files of a model tell before its weights are loaded."""
