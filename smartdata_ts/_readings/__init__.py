"""Readings in memory: columns, versions, and Arrow arrays of them."""
