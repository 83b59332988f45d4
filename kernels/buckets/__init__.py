"""Readings and intervals reduced to buckets, and buckets to groups."""
