"""What keeps a store whole and small: one file a task, run by `Store` and by the command line."""
