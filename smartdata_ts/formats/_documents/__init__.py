"""Documents: files that name their series, and say what these are, rather than tables with columns."""
