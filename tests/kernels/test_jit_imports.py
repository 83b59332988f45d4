"""What a process pays for kernels in modules: nothing of Numba until something must be compiled."""

from pathlib import Path

import pytest
from support.kernel_package import CALL, KernelPackage

from smartdata_ts.kernels.compiler import machine

HEAVY = [
    *("numba", "llvmlite", "cffi", "pyarrow", "hashlib", "tempfile"),
    *("platformdirs", "importlib.metadata", "subprocess"),
]

TELL = f"""
import sys
print([name for name in {HEAVY!r} if name in sys.modules])
print(sorted(name for name in sys.modules if name.startswith("tiny.")))
"""


@pytest.fixture
def package(tmp_path: Path) -> KernelPackage:
    return KernelPackage(tmp_path)


def test_importing_kernels_loads_the_decorator_alone(package: KernelPackage) -> None:
    heavy, own = package.run("import tiny.kernels.sums" + TELL)[0].splitlines()
    assert heavy == "[]"
    assert own == str(
        [
            f"tiny.kernels{name}"
            for name in (
                "",
                "._callees",
                ".arrays",
                ".compiler",
                ".compiler.jit",
                ".compiler.kernel",
                ".compiler.records",
                ".sums",
            )
        ]
    )


@pytest.mark.skipif(not machine.maps_shared_objects(), reason="LLVM places kernels in memory here")
def test_a_warm_call_loads_neither_numba_nor_llvmlite(package: KernelPackage) -> None:
    assert "numba" in package.run(CALL + TELL)[0]
    _, heavy, own = package.run(CALL + TELL)[0].splitlines()
    assert heavy == "[]"
    compiler = [
        f"compiler.{name}"
        for name in (
            "binding",
            "jit",
            "kernel",
            "key",
            "machine",
            "native",
            "object_cache",
            "records",
            "shipped",
        )
    ]
    names = ("_callees", "arrays", "compiler", *compiler, "sums")
    assert own == str(["tiny.kernels", *(f"tiny.kernels.{name}" for name in names)])


def test_without_jit_nothing_but_the_decorator_is_loaded(package: KernelPackage) -> None:
    _, heavy, own = package.run(CALL + TELL, NUMBA_DISABLE_JIT="1")[0].splitlines()
    assert heavy == "[]"
    assert "binding" not in own
