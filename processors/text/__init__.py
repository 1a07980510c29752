"""The text that tokens spell: vocabularies, words, phrases, sentences, markers and patterns."""
