"""Loops of the rules that look for faults."""
