"""Encoder, core and head, and the file that holds them."""
