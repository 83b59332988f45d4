"""Instants, zones, calendars, and wall times without an offset."""
