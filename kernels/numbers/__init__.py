"""Arithmetic on single numbers and arrays of them, of no format and no meaning."""
