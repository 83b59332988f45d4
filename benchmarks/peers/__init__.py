"""The peers, registered in one table: name to the module that holds its class `Candidate`."""

from __future__ import annotations

from importlib import import_module

from ._face import THREADS, NotOffered, Peer

PEERS = {
    "smartdata_ts": "ours",
    "duckdb": "native_duckdb",
    "parquet-polars": "parquet_polars",
    "parquet-duckdb": "parquet_duckdb",
    "chdb": "merge_tree_chdb",
    "arcticdb": "frames_arcticdb",
    "pandas": "frame_pandas",
    "pcodec": "size_pcodec",
}
OURS = "smartdata_ts"
REFERENCE = "duckdb"


def load_peer(name: str) -> Peer:
    """Return a new instance of the peer; raise ImportError where its package is absent."""
    peer: Peer = import_module(f"{__name__}.{PEERS[name]}").Candidate()
    peer.name = name
    return peer


__all__ = ["OURS", "PEERS", "REFERENCE", "THREADS", "NotOffered", "Peer", "load_peer"]
