"""What a query makes of its readings: one file a step, from a plan to Arrow batches."""
