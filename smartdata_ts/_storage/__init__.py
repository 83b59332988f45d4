"""What stands on disk: files, chunks, the catalog, and snapshots of them."""
