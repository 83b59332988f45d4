"""Steps of queries: one file a step, from a plan to Arrow batches."""
