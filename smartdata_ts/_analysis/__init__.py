"""Answers that are made of queries."""
