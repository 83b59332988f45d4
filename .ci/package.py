"""Try what a user installs, away from this checkout.

    python .ci/package.py wheel         on every Python of pyproject.toml that this machine has
    python .ci/package.py wheel 3.13    on this one
    python .ci/package.py oldest        on the oldest of them, with the lowest versions that it allows

Both build the sdist, and the pure wheel from it, and install that into an empty environment. On Linux
for x86-64 `wheel` then compiles the kernels, builds the wheel that brings them along, and goes on with that:
its first question must not load Numba. The demo runs with nothing else installed; then the quick suite runs
as it stands in the sdist. Only Python and pip are needed. Where SMARTDATA_TS_DIST
names a folder, what was built is kept there.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGE = "smartdata_ts"
# What an sdist must hold besides the package; and the package's folders, which are removed from the unpacked
# sdist so that the tests import the wheel.
NEEDED = (
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "docs/format.md",
    "examples",
    "tests/golden/store-v1",
)
SOURCES = (PACKAGE, "kernels")
LEVELS = ("x86-64-v2", "x86-64-v3", "x86-64-v4")
# Seconds of the process, for machines are not always idle.
FIRST_QUESTION = """
import sys, tempfile, time
import smartdata_ts as sd
with tempfile.TemporaryDirectory() as folder, sd.open(folder + "/town.sdts") as store:
    hours = [hour * 3_600_000_000 for hour in range(24)]
    store.write({"series": "wm-1", "time": hours, "value": [0.5] * 24})
    store.describe("wm-1", kind="interval", interval="1h", unit="m3")
    (volume,) = store.query("wm-1").resample("1d", "sum").to_arrow()["sum"].to_pylist()
assert volume == 12.0
assert "numba" not in sys.modules, "kernels did not come along"
assert time.process_time() < 2.0, time.process_time()
"""
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-compile")


def main() -> None:
    """Build and try the package as the command line says."""
    kind, *chosen = sys.argv[1:] or [""]
    versions = declared_pythons()
    if kind not in ("wheel", "oldest") or not set(chosen) <= set(versions):
        sys.exit(__doc__)
    versions = chosen or (versions[:1] if kind == "oldest" else versions)
    with tempfile.TemporaryDirectory(prefix="package-") as name:
        folder = Path(name)
        sdist, wheel = build(folder)
        check_contents(sdist, wheel)
        constraints = folder / "constraints.txt"
        constraints.write_text("\n".join(lowest_versions() if kind == "oldest" else []), encoding="utf-8")
        pythons = environments(versions, folder, wheel, constraints)
        if not pythons:
            sys.exit(f"none of Python {', '.join(versions)} is here")
        is_compiled = kind == "wheel" and (sys.platform, platform.machine()) == ("linux", "x86_64")
        built = [sdist, wheel]
        if is_compiled:
            wheel = build_with_kernels(folder, sdist, list(pythons.values()))
            built.append(wheel)
        for version, python in pythons.items():
            if is_compiled:
                run(python, *PIP, "--no-deps", "--force-reinstall", wheel)
            try_on(version, python, sdist, wheel, constraints, is_compiled)
        if kept := os.environ.get("SMARTDATA_TS_DIST"):
            Path(kept).mkdir(parents=True, exist_ok=True)
            for path in built:
                shutil.copy(path, kept)
    say(f"{kind}: the demo and the quick suite pass on Python {', '.join(pythons)}")


def environments(versions: list[str], folder: Path, wheel: Path, constraints: Path) -> dict[str, Path]:
    """Return the Python of an empty environment with the wheel, for each version that this machine has."""
    found = {}
    for version in versions:
        python = find_python(version)
        if python is None:
            say(f"Python {version}: left out, it is not here")
            continue
        with timed(f"Python {version}: an empty environment with the wheel"):
            run(python, "-m", "venv", folder / version / "venv")
            found[version] = folder / version / "venv/bin/python"
            run(found[version], *PIP, "--constraint", constraints, wheel)
    return found


def build_with_kernels(folder: Path, sdist: Path, pythons: list[Path]) -> Path:
    """Return the wheel with compiled kernels: objects by the first Python, and what they are to each."""
    compiled, program = folder / "compiled", ("-m", f"{PACKAGE}.kernels.compiler.shipping")
    outside = {"PYTHONPATH": "", "HOME": str(folder)}
    with timed("kernels compiled for each level"), ThreadPoolExecutor(int(cores())) as pool:
        jobs = [(pythons[0], *program, compiled, level) for level in LEVELS]
        list(pool.map(lambda job: run(*job, cwd=folder, env=outside), jobs))
    for python in pythons:
        run(python, *program, compiled, cwd=folder, env=outside)
    with timed("the wheel that brings them along"):
        env = {"SMARTDATA_TS_COMPILED": str(compiled)}
        source = folder / "source"
        with tarfile.open(sdist) as archive:
            archive.extractall(source, filter="data")
        (top,) = source.iterdir()
        python = folder / "build/bin/python"
        run(python, "-m", "build", "--wheel", "--outdir", folder / "dist", top, env=env, quiet=True)
    (wheel,) = (folder / "dist").glob("*-cp311-abi3-manylinux_2_17_x86_64.whl")
    check_files(wheel, {f"{PACKAGE}/kernels/compiled/{path.name}" for path in compiled.iterdir()})
    return wheel


def try_on(
    version: str, python: Path, sdist: Path, wheel: Path, constraints: Path, is_compiled: bool
) -> None:
    """Try what is installed on one Python."""
    folder = sdist.parent / version
    # Compiled kernels go to a home of its own, as a new user's would.
    outside = {"HOME": str(folder / "home"), "XDG_CACHE_HOME": "", "PYTHONPATH": ""}
    outside |= {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    (folder / "home").mkdir()
    if is_compiled:
        with timed(f"Python {version}: the first question of a machine that never ran one"):
            run(python, "-c", FIRST_QUESTION, cwd=folder, env=outside)
    with timed(f"Python {version}: the demo, with nothing else installed"):
        run(python.with_name("smartdata-ts"), "demo", cwd=folder, env=outside)
    with timed(f"Python {version}: what the tests need"):
        install_test_tools(python, wheel, constraints)
    tests = unpacked(sdist, folder)
    check_origin(python, tests, outside)
    with timed(f"Python {version}: the quick suite"):
        run(
            python,
            "-m",
            "pytest",
            "-m",
            "not slow",
            "-n",
            cores(),
            "--dist",
            "worksteal",
            cwd=tests,
            env=outside,
        )


def declared_pythons() -> list[str]:
    """Return "3.11" and those after it, as the classifiers say."""
    found = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    return sorted(found, key=lambda version: int(version.partition(".")[2]))


def requirements(extra: str) -> list[str]:
    """Return what an extra of pyproject.toml asks for, with what the extras that it names ask for."""
    found = []
    for requirement in PROJECT["optional-dependencies"][extra]:
        named = re.fullmatch(rf"{PACKAGE}\[(.*)\]", requirement)
        found += (
            [part for name in named[1].split(",") for part in requirements(name)] if named else [requirement]
        )
    return found


def lowest_versions() -> list[str]:
    """Return a pin for each lower bound: of the library, of its options, and of the tests' tools."""
    bounds = [*PROJECT["dependencies"], *requirements("all"), *requirements("test")]
    return [bound.partition(",")[0].replace(">=", "==") for bound in bounds if ";" not in bound]


def find_python(version: str) -> Path | None:
    """Return a Python of this version that runs: on the PATH, or among pyenv's."""
    on_path = [Path(folder, f"python{version}") for folder in os.get_exec_path()]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    of_pyenv = [folder / "bin/python" for folder in (pyenv / "versions").glob(f"{version}.*")]
    return next((path for path in [*on_path, *of_pyenv] if path.is_file() and runs_as(path, version)), None)


def runs_as(python: Path, version: str) -> bool:
    """Tell whether `python` runs, is of `version`, and makes environments; a shim of pyenv may not."""
    code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return (done.returncode, done.stdout.strip()) == (0, version)


def build(folder: Path) -> tuple[Path, Path]:
    """Return an sdist of this checkout, and a wheel that is made of the sdist."""
    with timed("the sdist, and the wheel from it"):
        run(sys.executable, "-m", "venv", folder / "build")
        python = folder / "build/bin/python"
        run(python, *PIP, "build")
        run(python, "-m", "build", "--outdir", folder / "dist", ROOT, quiet=True)
    (sdist,), (wheel,) = (list((folder / "dist").glob(pattern)) for pattern in ("*.tar.gz", "*.whl"))
    shutil.move(sdist, folder)
    return folder / sdist.name, wheel


def check_contents(sdist: Path, wheel: Path) -> None:
    """Hold the pure wheel's files to the tree's, and the sdist to what it must hold."""
    check_files(wheel, set())
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    absent = sorted(name for name in NEEDED if name not in names)
    if absent:
        sys.exit(f"the sdist lacks {absent}")


def check_files(wheel: Path, compiled: set[str]) -> None:
    """Hold a wheel's files to the tree's: each module in its place, and no other top-level package."""
    expected = {f"{PACKAGE}/py.typed"}
    for source, target in ((ROOT / PACKAGE, PACKAGE), (ROOT / "kernels", f"{PACKAGE}/kernels")):
        expected |= {f"{target}/{path.relative_to(source)}" for path in source.rglob("*.py")}
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    if found != expected | compiled:
        sys.exit(f"the wheel's files are not the tree's: {sorted(found ^ (expected | compiled))}")


def install_test_tools(python: Path, wheel: Path, constraints: Path) -> None:
    """Install the extra `test`, but for what has no wheel for this Python; tests skip what needs it."""
    only = ("--only-binary", ":all:", "--constraint", constraints)
    if run(python, *PIP, *only, f"{wheel}[test]", check=False):
        return
    for requirement in requirements("test"):
        if not run(python, *PIP, *only, requirement, check=False):
            say(f"{requirement} cannot be installed here: its tests are skipped")


def unpacked(sdist: Path, folder: Path) -> Path:
    """Unpack the sdist; return its folder, without the package's source."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (top,) = folder.glob(f"{PACKAGE}-*/")
    for name in SOURCES:
        shutil.rmtree(top / name)
    return top


def check_origin(python: Path, tests: Path, env: dict[str, str]) -> None:
    """Make sure that the tests see the installed wheel."""
    code = f"import {PACKAGE}.kernels as kernels; print({PACKAGE}.__file__, kernels.__file__, sep='\\n')"
    code = f"import {PACKAGE}; {code}"
    found = subprocess.run(
        [python, "-c", code], cwd=tests, env=os.environ | env, stdout=subprocess.PIPE, check=True
    )
    site = python.parents[1] / "lib"
    if not all(Path(name).is_relative_to(site) for name in found.stdout.decode().splitlines()):
        sys.exit(f"the tests would not try the wheel, but {found.stdout.decode()}")


def cores() -> str:
    """Return the number of this process's cores."""
    return str(len(os.sched_getaffinity(0)))


def run(
    *command: object,
    cwd: Path = ROOT,
    env: dict[str, str] | None = None,
    quiet: bool = False,
    check: bool = True,
) -> bool:
    """Run a command and return whether it succeeded; with `check`, end where it did not."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={name: value for name, value in (os.environ | (env or {})).items() if value},
        stdout=subprocess.DEVNULL if quiet else None,
        check=False,
    )
    if check and done.returncode != 0:
        sys.exit(f"failed with status {done.returncode}: {' '.join(map(str, command))}")
    return done.returncode == 0


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Say what is done, and how long it took."""
    start = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - start:.0f} s")


def say(text: str) -> None:
    """Print a line at once, between those of the commands that run."""
    print(f"== {text}", flush=True)


if __name__ == "__main__":
    main()
