"""What the package offers, pinned: a change here is a change for its users."""

import inspect

import smartdata_ts as sd
from smartdata_ts import errors

EXPECTED = [
    "Info",
    "Query",
    "Store",
    "WriteReport",
    "Writer",
    "__version__",
    "convert",
    "errors",
    "open",
    "quality_code",
    "quality_codes",
    "quality_name",
    "quality_text",
    "rules",
    "salvage",
]


def test_the_public_names() -> None:
    assert sorted(sd.__all__) == EXPECTED
    for name in sd.__all__:
        assert getattr(sd, name) is not None


def test_everything_public_has_a_docstring() -> None:
    for name in sd.__all__:
        item = getattr(sd, name)
        if inspect.isclass(item):
            members = [member for key, member in vars(item).items() if not key.startswith("_")]
            documented = [m for m in members if inspect.isfunction(m) or isinstance(m, property)]
            assert all(inspect.getdoc(member) for member in [item, *documented]), name
        elif callable(item):
            assert inspect.getdoc(item), name


def test_errors_are_one_tree_and_no_value_errors() -> None:
    found = [item for item in vars(errors).values() if inspect.isclass(item)]
    assert all(issubclass(item, errors.SmartDataError) for item in found)
    assert not any(issubclass(item, ValueError) for item in found)
    assert all(item.__name__ in (errors.__doc__ or "") for item in found)
