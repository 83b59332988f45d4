"""Statuses that kernels return in place of a count."""

OK = 0
MALFORMED = -1
