"""Tasks that keep a store whole and small: one file each, run by `Store` and by the command line."""
