"""Values within an object of JSON: by a path with dots, and all numbers of it by their paths."""

from collections.abc import Iterator
from typing import Any

_DEPTH_MAX = 16


def at_path(item: Any, path: str) -> Any:
    """What stands at a path such as "uplink.received_at"; None where nothing does."""
    if isinstance(item, dict) and path in item:
        return item[path]
    for name in path.split("."):
        if isinstance(item, list) and name.isdecimal() and int(name) < len(item):
            item = item[int(name)]
        elif isinstance(item, dict):
            item = item.get(name)
        else:
            return None
    return item


def leaves(item: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Everything within an object that holds nothing else, with its path."""
    if depth > _DEPTH_MAX:
        return
    if isinstance(item, dict):
        for name, part in item.items():
            yield from leaves(part, f"{path}.{name}" if path else str(name), depth + 1)
    elif isinstance(item, list):
        for place, part in enumerate(item):
            yield from leaves(part, f"{path}.{place}" if path else str(place), depth + 1)
    else:
        yield path, item
