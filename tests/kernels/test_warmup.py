"""All kernels of a package, compiled ahead."""

from pathlib import Path

import pytest
from support.kernel_package import CALL, KernelPackage
from support.places import ROOT

from smartdata_ts.kernels import _warmup
from smartdata_ts.kernels.compiler import native, warmup
from smartdata_ts.kernels.compiler.warmup import all_kernels

WARM_UP = """
from tiny.kernels._warmup import warmup
steps = []
report = warmup(lambda *step: steps.append(step), process_count={count})
print(report.mode, report.compiled_count, [str(folder) for folder in report.folders])
print([kernel.name for kernel in report.kernels])
print(sorted(step[:2] for step in steps), sorted(step[2] for step in steps))
"""
NAMES = str(["tiny.kernels.sums.scaled_sum", "tiny.kernels.sums.mean"])
STEPS = f"[(1, 2), (2, 2)] {sorted(['tiny.kernels.sums.scaled_sum', 'tiny.kernels.sums.mean'])}"


@pytest.fixture
def package(tmp_path: Path) -> KernelPackage:
    return KernelPackage(tmp_path)


@pytest.mark.skipif(not native.is_supported(), reason="no machine code is kept on this system")
@pytest.mark.parametrize("count", [1, 2])
def test_warming_up_compiles_what_is_missing_and_says_so(package: KernelPackage, count: int) -> None:
    output, errors = package.run(WARM_UP.format(count=count))
    assert output.splitlines() == [f"machine code 2 {[str(package.cache)]}", NAMES, STEPS]
    assert errors == ""
    output, _ = package.run(WARM_UP.format(count=count))
    assert output.splitlines()[0] == f"machine code 0 {[str(package.cache)]}"
    assert package.run(CALL + "import sys; print('numba' in sys.modules)")[0] == "30\nFalse"


@pytest.mark.skipif(not native.is_supported(), reason="no machine code is kept on this system")
def test_only_the_files_named_are_compiled(package: KernelPackage) -> None:
    (package.kernels / "more.py").write_text(
        "from .compiler.jit import kernel\n@kernel\ndef twice(value: int) -> int:\n    return 2 * value\n"
    )
    code = "from tiny.kernels._warmup import warmup; print(warmup(files=['more']).kernels)"
    assert "'tiny.kernels.more.twice'" in package.run(code)[0]
    assert [path.name.split("-")[0] for path in package.objects()] == ["tiny.kernels.more.twice"]


def test_where_nothing_is_kept_there_is_nothing_to_do(package: KernelPackage) -> None:
    output, _ = package.run(WARM_UP.format(count=1), SMARTDATA_TS_JIT="numba")
    assert output.splitlines() == ["numba 0 []", "[]", "[] []"]


def test_the_warm_up_is_where_the_docs_say() -> None:
    docs = (ROOT / "docs" / "kernels.md").read_text(encoding="utf-8")
    assert "from smartdata_ts.kernels._warmup import warmup\n" in docs
    assert _warmup.warmup is warmup.warmup


def test_every_kernel_of_the_package_is_found() -> None:
    names = {f"{kernel.__module__}.{kernel.__name__}" for kernel in all_kernels()}
    assert "smartdata_ts.kernels.codec.checksum.digest_ranges" in names
    assert all(name.startswith("smartdata_ts.kernels.") for name in names)


def test_kernels_keep_to_eight_parameters() -> None:
    assert [kernel for kernel in all_kernels() if len(kernel.parameters) > 8] == []
