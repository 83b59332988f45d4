"""Compiled kernels on disk: never stale, never foreign, never damaged, compiled once."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.kernel_package import CALL, KernelPackage

from smartdata_ts.kernels.compiler import native
from smartdata_ts.kernels.compiler.object_cache import Folder, RefusedError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not native.is_supported(), reason="no machine code is kept on this system"),
]

CALL_AND_TELL = (
    CALL
    + """
import sys
print("compiled" if "numba" in sys.modules else "loaded")
"""
)
IS_ROOT = os.geteuid() == 0


@pytest.fixture
def package(tmp_path: Path) -> KernelPackage:
    return KernelPackage(tmp_path)


@pytest.fixture(scope="module")
def filled_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    package = KernelPackage(tmp_path_factory.mktemp("filled"))
    assert package.run(CALL_AND_TELL) == ("30\ncompiled", "")
    return package.cache


@pytest.fixture
def warm(package: KernelPackage, filled_cache: Path) -> KernelPackage:
    """The package with its kernel compiled: a key does not tell where a package stands."""
    shutil.copytree(filled_cache, package.cache)
    return package


def test_the_second_process_loads_what_the_first_compiled(warm: KernelPackage) -> None:
    assert warm.run(CALL_AND_TELL) == ("30\nloaded", "")


def test_a_callee_edited_in_another_file_is_what_runs(warm: KernelPackage) -> None:
    warm.callees.write_text(warm.callees.read_text().replace("value * FACTOR", "value - 1"))
    assert warm.run(CALL)[0] == "5"


def test_a_constant_edited_in_another_file_is_what_runs(warm: KernelPackage) -> None:
    warm.callees.write_text(warm.callees.read_text().replace("FACTOR = 3", "FACTOR = 4"))
    assert warm.run(CALL)[0] == "40"
    warm.callees.write_text(warm.callees.read_text().replace("FACTOR = 4", "FACTOR = 3"))
    assert warm.run(CALL_AND_TELL) == ("30\nloaded", "")


def test_a_reinstalled_package_runs_its_own_kernels(warm: KernelPackage) -> None:
    """Another version at the same place, older by its files' times, with the same cache."""
    source = warm.callees.read_text()
    warm.callees.unlink()
    warm.callees.write_text(source.replace("FACTOR = 3", "FACTOR = 7"))
    os.utime(warm.callees, (1, 1))
    (warm.kernels.parent / "__init__.py").write_text('__version__ = "0.9"\n')
    assert warm.run(CALL_AND_TELL) == ("70\ncompiled", "")


def test_a_process_older_than_an_edit_keeps_no_old_code_under_the_new_name(
    package: KernelPackage,
) -> None:
    """It has imported the old callee, and calls only after the file has changed."""
    edited = package.callees.read_text().replace("FACTOR = 3", "FACTOR = 5")
    late = f"""
import numpy as np
from pathlib import Path
from tiny.kernels.sums import scaled_sum
Path({str(package.callees)!r}).write_text({edited!r})
print(scaled_sum(np.arange(5)))
"""
    assert package.run(late)[0] == "30"
    assert package.run(CALL_AND_TELL) == ("50\ncompiled", "")


def test_another_cpu_compiles_its_own(warm: KernelPackage) -> None:
    """The same folder in two machines' hands, as with a home on the network."""
    other = """
from tiny.kernels.compiler import key as _key
_key.cpu_facts = lambda: ("model name=another",)
"""
    assert warm.run(other + CALL_AND_TELL)[0] == "30\ncompiled"
    assert warm.run(CALL_AND_TELL)[0] == "30\nloaded"
    assert len(warm.objects()) == 2


def test_numbas_settings_are_part_of_the_key(warm: KernelPackage) -> None:
    assert warm.run(CALL_AND_TELL, NUMBA_OPT="1")[0] == "30\ncompiled"


def test_many_processes_that_start_cold_at_once_compile_once(package: KernelPackage) -> None:
    processes = [package.start(CALL_AND_TELL) for _ in range(32)]
    results = [process.communicate() for process in processes]
    assert [errors for _, errors in results] == [""] * 32
    outputs = [output.split() for output, _ in results]
    assert {output[0] for output in outputs} == {"30"}
    assert [output[1] for output in outputs].count("compiled") == 1
    assert len(package.objects()) == 1
    assert not list(package.cache.glob("*.partial"))


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [_truncate, _empty, _flip])
def test_a_damaged_object_is_compiled_again(warm: KernelPackage, damage: Callable[[Path], None]) -> None:
    (path,) = warm.objects()
    whole = path.read_bytes()
    damage(path)
    assert warm.run(CALL_AND_TELL) == ("30\ncompiled", "")
    assert len(path.read_bytes()) == len(whole)


def test_an_object_under_anothers_name_is_not_loaded(warm: KernelPackage) -> None:
    """Else a renamed file would answer for another kernel."""
    (path,) = warm.objects()
    warm.callees.write_text(warm.callees.read_text().replace("FACTOR = 3", "FACTOR = 2"))
    warm.run(CALL)
    (renewed,) = set(warm.objects()) - {path}
    renewed.write_bytes(path.read_bytes())
    assert warm.run(CALL_AND_TELL)[0] == "20\ncompiled"


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_can_write_is_refused(warm: KernelPackage, mode: int) -> None:
    warm.cache.chmod(mode)
    output, errors = warm.run(CALL_AND_TELL)
    assert output == "30\ncompiled"
    assert f"{warm.cache} can be written by others" in errors
    assert warm.objects(warm.folder / f"smartdata_ts-{os.geteuid()}")


def test_a_file_that_others_can_write_is_refused_and_replaced(warm: KernelPackage) -> None:
    (path,) = warm.objects()
    path.chmod(0o666)
    output, errors = warm.run(CALL_AND_TELL)
    assert output == "30\ncompiled"
    assert f"{path} can be written by others" in errors
    assert path.stat().st_mode & 0o777 == 0o600
    assert warm.run(CALL_AND_TELL) == ("30\nloaded", "")


@pytest.mark.skipif(not IS_ROOT, reason="only root gives files away")
def test_a_folder_or_file_of_another_user_is_refused(warm: KernelPackage) -> None:
    (path,) = warm.objects()
    os.chown(path, 12345, 12345)
    output, errors = warm.run(CALL_AND_TELL)
    assert output == "30\ncompiled"
    assert f"{path} belongs to another user" in errors
    os.chown(warm.cache, 12345, 12345)
    output, errors = warm.run(CALL_AND_TELL)
    assert output == "30\ncompiled"
    assert f"{warm.cache} belongs to another user" in errors


@pytest.mark.skipif(not IS_ROOT, reason="only root gives files away")
def test_a_link_that_another_user_laid_is_not_followed(tmp_path: Path) -> None:
    aim = tmp_path / "aim"
    aim.mkdir(0o700)
    link = tmp_path / "link"
    link.symlink_to(aim)
    Folder(link).check()
    os.chown(link, 12345, 12345, follow_symlinks=False)
    with pytest.raises(RefusedError, match="belongs to another user"):
        Folder(link).check()


def test_the_folder_is_the_users_alone(package: KernelPackage) -> None:
    package.run(CALL)
    assert package.cache.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in package.cache.iterdir()} == {0o600}


def test_the_users_cache_folder_is_used_by_default(package: KernelPackage) -> None:
    home = package.folder / "home"
    environment = {"SMARTDATA_TS_CACHE_DIR": "", "XDG_CACHE_HOME": "", "HOME": str(home)}
    assert package.run(CALL, **environment) == ("30", "")
    assert package.objects(home / ".cache" / "smartdata_ts")
    elsewhere = package.folder / "elsewhere"
    assert package.run(CALL, **environment | {"XDG_CACHE_HOME": str(elsewhere)}) == ("30", "")
    assert package.objects(elsewhere / "smartdata_ts")


def test_without_a_home_that_can_be_written_the_temporary_folder_serves(
    package: KernelPackage,
) -> None:
    """A file stands where the home should: not even root can write below it."""
    home = package.folder / "no-home"
    home.write_text("")
    environment = {"SMARTDATA_TS_CACHE_DIR": "", "XDG_CACHE_HOME": "", "HOME": str(home)}
    output, errors = package.run(CALL_AND_TELL, **environment)
    assert output == "30\ncompiled"
    assert f"using {package.folder / f'smartdata_ts-{os.geteuid()}'}" in errors
    assert package.run(CALL_AND_TELL, **environment) == ("30\nloaded", "")


@pytest.mark.skipif(IS_ROOT, reason="root can write everywhere")
def test_a_read_only_home_is_no_error(package: KernelPackage) -> None:
    home = package.folder / "home"
    home.mkdir(0o500)
    environment = {"SMARTDATA_TS_CACHE_DIR": "", "XDG_CACHE_HOME": "", "HOME": str(home)}
    output, errors = package.run(CALL_AND_TELL, **environment)
    assert output == "30\ncompiled"
    assert "using" in errors
    assert package.run(CALL_AND_TELL, **environment) == ("30\nloaded", "")


def test_with_no_folder_at_all_numba_compiles_in_the_process(package: KernelPackage) -> None:
    blocked = package.folder / f"smartdata_ts-{os.geteuid()}"
    blocked.write_text("")
    package.cache.write_text("")
    output, errors = package.run(CALL_AND_TELL)
    assert output == "30\ncompiled"
    assert "compiling in each process" in errors


def test_a_kernel_that_needs_numba_at_run_time_is_left_to_numba(package: KernelPackage) -> None:
    kernel = """
import numpy as np
from .compiler.jit import kernel


@kernel
def allocating(count: int) -> int:
    return np.ones(count, np.int64).sum()
"""
    (package.kernels / "allocating.py").write_text(kernel)
    output, errors = package.run("from tiny.kernels.allocating import allocating; print(allocating(4))")
    assert output == "4"
    assert "needs NRT_" in errors
    assert not package.objects()


def test_a_global_without_printable_content_is_refused(package: KernelPackage) -> None:
    kernel = """
from .compiler.jit import kernel

SIZES = {"a": 1}


@kernel
def lookup(count: int) -> int:
    return count + len(SIZES)
"""
    (package.kernels / "lookup.py").write_text(kernel)
    process = package.start("from tiny.kernels.lookup import lookup; lookup(4)")
    assert "lookup: SIZES is a dict, which a kernel may not use" in process.communicate()[1]


def test_plain_numba_gives_the_same_answers(package: KernelPackage) -> None:
    code = """
import numpy as np
from tiny.kernels.sums import mean
print([mean(np.array(values), -0.5, strict).hex()
       for values in ([0.1, 0.2, 0.3], [-1.0, -2.5], [], [np.inf, -np.inf])
       for strict in (True, False)])
"""
    compiled = package.run(code)
    assert compiled == package.run(code, SMARTDATA_TS_JIT="numba")
    assert compiled == package.run(code, NUMBA_DISABLE_JIT="1")


def test_plain_numba_keeps_nothing(package: KernelPackage) -> None:
    package.run(CALL, SMARTDATA_TS_JIT="numba")
    package.run(CALL, NUMBA_DISABLE_JIT="1")
    package.run(CALL, NUMBA_BOUNDSCHECK="1")
    assert not package.cache.exists()


def test_objects_out_of_use_are_pruned(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "cache")
    folder.prepare()
    for version in range(10):
        path = folder.keep(f"a.kernel-{version:032}", b"content")
        os.utime(path, (2e9 + version, 2e9 + version))  # ages tell them apart, not the clock
    names = [path.name for path in sorted(folder.path.glob("a.*.so"))]
    assert names == [f"a.kernel-{version:032}.so" for version in range(2, 10)]
    for path in folder.path.iterdir():
        os.utime(path, (0, 0))
    (folder.path / "left.partial").write_bytes(b"")
    os.utime(folder.path / "left.partial", (0, 0))
    (folder.path / "foreign.txt").write_bytes(b"")
    folder.keep("b.kernel-0", b"content")
    assert sorted(path.name for path in folder.path.iterdir()) == ["b.kernel-0.so", "foreign.txt"]


def test_what_is_read_of_a_folder_is_what_was_kept(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "cache")
    assert folder.find("a-1") is None
    folder.prepare()
    kept = folder.keep("a-1", b"content")
    assert folder.find("a-1") == kept
    for size in range(len(kept.read_bytes())):
        shortened = folder.path / f"b-{size}.so"
        shortened.write_bytes(kept.read_bytes()[:size])
        shortened.chmod(0o600)
        assert folder.find(f"b-{size}") is None
