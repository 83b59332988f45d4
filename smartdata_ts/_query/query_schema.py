"""docs/query.schema.json, made from the signatures that a query's text is read by.

`make docs` writes the file; a test fails as long as it differs.
"""

import inspect
import json
import sys
from collections.abc import Callable
from typing import Any

from .query_text import METHODS, VERSION
from .results import Query

_TEXT, _TEXTS = {"type": "string"}, {"type": "array", "items": {"type": "string"}}
_INSTANT = {"type": ["string", "integer"]}
_TEXT_OR_TEXTS = {"anyOf": [_TEXT, _TEXTS]}
_MEASURE = {"anyOf": [_TEXT, {"type": "array", "items": {"type": "number"}, "minItems": 1}]}
_RULE = {"type": "array", "prefixItems": [_TEXT, {"type": ["string", "null"]}], "minItems": 2, "maxItems": 2}
_RULE_WITH_OPTIONS = {
    "type": "array",
    "prefixItems": [_TEXT, {"type": "object"}],
    "minItems": 2,
    "maxItems": 2,
}
# The JSON of each annotation that a parameter has; a parameter of another one needs a line here.
_TYPES: dict[str, dict[str, Any]] = {
    "str": _TEXT,
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "object": _INSTANT,
    "TimeZone": _TEXT,
    "str | Sequence[str]": _TEXT_OR_TEXTS,
    "str | Iterable[str]": _TEXT_OR_TEXTS,
    "Iterable[object]": {"type": "array", "items": _INSTANT, "minItems": 2},
    "Mapping[str, str | Sequence[str]]": {"type": "object", "additionalProperties": _TEXT_OR_TEXTS},
    "str | int | Sequence[str | int]": {
        "anyOf": [
            {"type": ["string", "integer"]},
            {"type": "array", "items": {"type": ["string", "integer"]}},
        ]
    },
    "str | Sequence[tuple[str, str]]": {"anyOf": [_TEXT, {"type": "array", "items": _RULE, "minItems": 1}]},
    "Aggregates": {"anyOf": [_TEXT, _TEXTS, {"type": "object", "additionalProperties": _MEASURE}]},
    "Builder": {"$ref": "#"},
    "Rules": {"anyOf": [_TEXT, {"type": "array", "items": {"anyOf": [_TEXT, _RULE_WITH_OPTIONS]}}]},
}


def schema_of(ask: Callable[..., Any]) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a query's text; `ask` is `Store.query`."""
    steps = [
        {
            "type": "array",
            "prefixItems": [{"const": name}, _arguments(getattr(Query, name))],
            "minItems": 2,
            "maxItems": 2,
        }
        for name in METHODS
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A query of smartdata_ts",
        "type": "object",
        "properties": {
            "version": {"const": VERSION},
            "select": _arguments(ask),
            "steps": {"type": "array", "items": {"oneOf": steps}},
        },
        "additionalProperties": False,
    }


def _arguments(method: Callable[..., Any]) -> dict[str, Any]:
    parameters = [known for known in inspect.signature(method).parameters.values() if known.name != "self"]
    return {
        "type": "object",
        "properties": {known.name: _type(known) for known in parameters},
        "required": [known.name for known in parameters if known.default is known.empty],
        "additionalProperties": False,
    }


def _type(parameter: inspect.Parameter) -> dict[str, Any]:
    """The JSON of one parameter; its default is null, or stands beside it."""
    annotation = parameter.annotation
    name = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    name = name.replace("collections.abc.", "").replace("datetime.tzinfo", "tzinfo")
    name = name.replace("str | tzinfo", "TimeZone")
    own = _TYPES[name.removesuffix(" | None")]
    if parameter.default is None:
        return {"anyOf": [own, {"type": "null"}]}
    if parameter.default is parameter.empty:
        return own
    default = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
    optional = {"anyOf": [own, {"type": "null"}]} if name.endswith(" | None") else own
    return {**optional, "default": default}


def page(ask: Callable[..., Any]) -> str:
    """The file's text."""
    return json.dumps(schema_of(ask), indent=2) + "\n"


if __name__ == "__main__":
    from smartdata_ts import Store

    sys.stdout.write(page(Store.query))
