"""Gaps of series: found, cut and filled."""
