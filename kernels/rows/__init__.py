"""Rows of readings: sorted, folded, matched, placed in local time."""
