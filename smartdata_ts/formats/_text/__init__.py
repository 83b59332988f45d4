"""Text files: their dialect, their rows, read and written."""
