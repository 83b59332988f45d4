"""Bytes of text to rows, keys, times and numbers."""
