"""What a fresh process pays: `python -m benchmarks.startup`.

Every line is the whole life of a process, against `import pyarrow` in a process of the same round:
rounds go through all lines in turn, so that a busy machine slows all alike, and the least time of
each counts. Behind it, what a first compilation and a call cost.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 15
METERS = 10_000
DAY_US = 86_400_000_000
YEAR_READINGS = 365

REFERENCE = "import pyarrow"

_FILL = f"""
import sys
import numpy as np
import pyarrow as pa
import smartdata_ts as sd
with sd.open(sys.argv[1]) as store, store.writer() as writer:
    for first in range(0, {METERS}, 1000):
        series = np.repeat(np.arange(1000, dtype=np.int32), {YEAR_READINGS})
        days = np.tile(np.arange({YEAR_READINGS}, dtype=np.int64), 1000)
        names = pa.array([f"wm-{{first + k}}" for k in range(1000)])
        writer.write(pa.table({{
            "series": pa.DictionaryArray.from_arrays(pa.array(series), names),
            "time": pa.array(1_700_000_000_000_000 + days * {DAY_US}, pa.timestamp("us", "UTC")),
            "value": days * 0.25 + series,
        }}))
"""

_READ = """
import sys
import smartdata_ts as sd
with sd.open(sys.argv[1], mode="r") as store:
    assert store.query("wm-4711").to_arrow().num_rows == 365
"""

_CALL = """
import timeit
import numpy as np
from smartdata_ts.kernels.arrays import Float64Array, Int64Array, UInt8Array
from smartdata_ts.kernels.compiler.jit import kernel

@kernel
def six(a: Int64Array, b: Float64Array, c: UInt8Array, d: Int64Array, e: Float64Array, f: UInt8Array) -> int:
    return a.size

arrays = [np.zeros(4, kind) for kind in ("i8", "f8", "u1") * 2]
six(*arrays)
count = 100_000
print(min(timeit.repeat("six(a, b, c, d, e, f)", globals=dict(zip("abcdef", arrays), six=six),
                        number=count)) / count * 1e6)
"""

_WARM_UP = """
from smartdata_ts.kernels.compiler.warmup import warmup
report = warmup()
print(f"{report.compiled_count} kernels in {report.seconds:.1f}")
"""


def seconds_of(command: list[str], environment: dict[str, str]) -> float:
    """Return the time from a process's start to its end; it must succeed."""
    start = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def run(code: str, environment: dict[str, str]) -> str:
    """Return what a process with `code` prints."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def lines(store: Path) -> list[tuple[str, list[str], float | None, float | None]]:
    """Return each line's name and command, and its limits as multiples of the reference."""
    python = [sys.executable, "-c"]
    tool = [sys.executable, "-c", "from smartdata_ts.cli import main; main()"]
    one = [str(store), "--series", "wm-4711"]
    return [
        (REFERENCE, [*python, REFERENCE], None, None),
        ("python alone", [*python, ""], None, None),
        ("import smartdata_ts", [*python, "import smartdata_ts"], 1.2, 1.0),
        ("open, read a meter's year", [*python, _READ, str(store)], 1.7, 1.3),
        ("smartdata-ts resample", [*tool, "resample", *one, "--every", "1d"], 2.0, 1.5),
        ("smartdata-ts --help", [*tool, "--help"], 0.5, 0.3),
        ("import numba", [*python, "import numba"], None, None),
    ]


def measure(store: Path, environment: dict[str, str], rounds: int) -> None:
    """Print the table of whole processes."""
    chosen = []
    for line in lines(store):
        try:
            seconds_of(line[1], environment)  # once to warm up
            chosen.append(line)
        except subprocess.CalledProcessError:
            print(f"{line[0]:<28} does not run")
    best = {line[0]: float("inf") for line in chosen}
    for _ in range(rounds):
        for name, command, _, _ in chosen:
            best[name] = min(best[name], seconds_of(command, environment))
    for name, _, must, aim in chosen:
        limits = f"must {must:.1f}  aim {aim:.1f}" if must and aim else ""
        print(f"{name:<28} {best[name] * 1e3:6.0f} ms {best[name] / best[REFERENCE]:6.2f} x   {limits}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ) | {"SMARTDATA_TS_CACHE_DIR": f"{folder}/kernels"}
        # Bytecode is kept, as wherever the package is installed.
        environment |= {"PYTHONPYCACHEPREFIX": f"{folder}/bytecode"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        print(f"first compilation: {run(_WARM_UP, environment)} s, on {os.cpu_count()} cores")
        call = Path(folder) / "call.py"
        call.write_text(_CALL)
        command = [sys.executable, str(call)]
        text = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
        print(f"a call with six arrays: {float(text):.2f} us")
        store = Path(folder) / "city.sdts"
        subprocess.run([sys.executable, "-c", _FILL, str(store)], env=environment, check=True)
        measure(store, environment, arguments.rounds)


if __name__ == "__main__":
    main()
