"""Columns of any outside table: which is which, and what their fields say."""
