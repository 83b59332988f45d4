"""Kernels that come along: taken where they are the very source's, whoever owns them, and else left alone."""

import os
import shutil
from pathlib import Path

import pytest
from support.kernel_package import CALL, KernelPackage

from smartdata_ts.kernels.compiler import machine, native
from smartdata_ts.kernels.compiler.machine import level_of

V2 = "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"
V3 = f"{V2} avx avx2 bmi1 bmi2 f16c fma abm movbe xsave"
V4 = f"{V3} avx512f avx512bw avx512cd avx512dq avx512vl"


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ("", None),
        ("sse sse2", None),
        (V2.replace("popcnt ", ""), None),
        (V2, "x86-64-v2"),
        (f"{V2} avx avx2 avx512f", "x86-64-v2"),
        (V3, "x86-64-v3"),
        (V3.replace("sse4_2 ", "") + " avx512f", None),
        (V4.replace(" avx512cd", ""), "x86-64-v3"),
        (V4, "x86-64-v4"),
    ],
)
def test_a_cpu_has_the_highest_level_of_which_it_has_all(flags: str, level: str | None) -> None:
    assert level_of(("vendor_id=Any", f"flags={flags}")) == level


def test_where_nobody_says_what_the_cpu_can_do_it_has_no_level() -> None:
    assert level_of(()) is None
    assert level_of(("arm64", "name=apple-m1", "neon")) is None


needs_objects = pytest.mark.skipif(
    not (native.is_supported() and machine.maps_shared_objects() and machine.cpu_level()),
    reason="kernels come along on Linux for x86-64",
)

CALL_AND_TELL = (
    CALL
    + """
import sys
print("compiled" if "numba" in sys.modules else "loaded")
"""
)
SHIP = """
import sys
from tiny.kernels.compiler import shipping
for sys.argv in (["", {folder!r}, "x86-64-v2"], ["", {folder!r}]):
    shipping.main()
"""


def _shipped(package: KernelPackage) -> Path:
    return package.kernels / "compiled"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    package = KernelPackage(tmp_path_factory.mktemp("shipped"))
    assert package.run(SHIP.format(folder=str(_shipped(package)))) == ("", "")
    return _shipped(package)


@pytest.fixture
def package(tmp_path: Path, filled: Path) -> KernelPackage:
    package = KernelPackage(tmp_path)
    shutil.copytree(filled, _shipped(package))
    return package


@needs_objects
def test_a_kernel_that_came_along_is_neither_compiled_nor_kept(package: KernelPackage) -> None:
    names = {path.name for path in _shipped(package).iterdir()}
    assert len(names) == 2
    assert "x86-64-v2.so" in names
    assert package.run(CALL_AND_TELL) == ("30\nloaded", "")
    assert not package.cache.exists()


@needs_objects
def test_kernels_of_one_object_are_called_each_by_its_name(package: KernelPackage) -> None:
    code = """
import numpy as np
from tiny.kernels.sums import mean, scaled_sum
print(mean(np.array([1.0, 2.0]), 0.0, True), mean(np.empty(0), 7.5, False), scaled_sum(np.arange(3)))
try:
    mean(np.arange(3), 0.0, True)
except TypeError as problem:
    print(problem)
"""
    expected = "1.5 7.5 9\nmean(): values must be a contiguous array of float64"
    assert package.run(code) == (expected, "")


@needs_objects
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_packages_own_objects_are_trusted_whoever_owns_them(package: KernelPackage) -> None:
    for path in (_shipped(package), *_shipped(package).iterdir()):
        os.chown(path, 12_345, 12_345)
    assert package.run(CALL_AND_TELL) == ("30\nloaded", "")


@needs_objects
@pytest.mark.slow
def test_a_source_that_was_edited_is_what_runs(package: KernelPackage) -> None:
    package.callees.write_text(package.callees.read_text().replace("value * FACTOR", "value - 1"))
    assert package.run(CALL_AND_TELL)[0] == "5\ncompiled"


def _cut(folder: Path) -> None:
    path = folder / "x86-64-v2.so"
    os.truncate(path, path.stat().st_size // 2)


def _flip(folder: Path) -> None:
    path = folder / "x86-64-v2.so"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _lose(folder: Path) -> None:
    (folder / "x86-64-v2.so").unlink()


def _forget(folder: Path) -> None:
    """As for a Python that the wheel did not know."""
    for path in folder.glob("*.txt"):
        path.rename(path.with_name("cpython-399.txt"))


def _garble(folder: Path) -> None:
    for path in folder.glob("*.txt"):
        path.write_bytes(b"object x86-64-v2\nkernel \xff\n" + path.read_bytes())


@needs_objects
@pytest.mark.slow
@pytest.mark.parametrize("spoil", [_cut, _flip, _lose, _forget, _garble])
def test_what_does_not_fit_is_left_alone_and_compiled_here(package, spoil):
    spoil(_shipped(package))
    assert package.run(CALL_AND_TELL) == ("30\ncompiled", "")
    assert len(package.objects()) == 1


@needs_objects
@pytest.mark.slow
def test_a_cpu_below_the_level_compiles_its_own(package: KernelPackage) -> None:
    other = "from tiny.kernels.compiler import shipped\nshipped.cpu_level = lambda: None\n"
    assert package.run(other + CALL_AND_TELL) == ("30\ncompiled", "")


@needs_objects
def test_warming_up_finds_them_and_compiles_nothing(package: KernelPackage) -> None:
    code = """
from tiny.kernels._warmup import warmup
report = warmup()
print(report.compiled_count, len(report.kernels), [folder.name for folder in report.folders])
"""
    assert package.run(code) == ("0 2 ['compiled']", "")
