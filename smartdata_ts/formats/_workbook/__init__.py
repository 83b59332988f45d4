"""Workbooks: how large a sheet is before it is opened, and its cells as text."""
