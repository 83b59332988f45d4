"""From a snapshot to readings: planned, cut into slices, decoded, in order."""
