"""Tokenizers for text: characters, words, bytes."""
