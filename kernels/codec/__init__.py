"""Columns of readings to bytes and back."""
