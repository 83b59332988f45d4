"""Readings as a store of an earlier release may hold them: a NaN is one, whatever its quality."""

import smartdata_ts as sd


def restore(store: sd.Store, data: object, on_conflict: str = "better") -> sd.WriteReport:
    """Put them into a store, which a write of a user's does not."""
    with store.writer(on_conflict=on_conflict) as writer:
        writer.restore(data)
    return writer.report
