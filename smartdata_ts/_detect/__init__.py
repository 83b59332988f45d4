"""Rules that find faults of meters, one file each, and the findings that they make."""
