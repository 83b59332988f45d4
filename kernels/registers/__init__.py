"""Registers: what happened between readings, and their amounts in buckets."""
