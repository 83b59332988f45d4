"""The store on disk: files, chunks, the catalog, and snapshots of them."""
