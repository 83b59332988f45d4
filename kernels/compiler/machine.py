"""This machine: its CPU, and how it takes machine code.

A level of CPU is a set of instructions that the x86-64 psABI (section 3.1.1, "Processor Architecture") gives
a name. Each level includes the lower ones.
"""

import os
import sys
from functools import cache
from pathlib import Path

_CPU_FACTS = (
    *("vendor_id", "cpu family", "model", "model name", "stepping", "flags"),
    *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "Features"),
)
# As Linux names the instructions: "abm" has lzcnt, "pni" is SSE3.
_NEEDED = {
    "x86-64-v2": "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3",
    "x86-64-v3": "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave",
    "x86-64-v4": "avx512f avx512bw avx512cd avx512dq avx512vl",
}
LEVELS = tuple(_NEEDED)


@cache
def maps_shared_objects() -> bool:
    """Tell whether this system's loader takes the objects that `link.py` writes."""
    return (
        sys.platform == "linux"
        and os.uname().machine in ("x86_64", "aarch64")
        and os.environ.get("SMARTDATA_TS_PORTABLE") != "1"
    )


@cache
def cpu_facts() -> tuple[str, ...]:
    """Return what the CPU calls itself and what it can do, as the system lists it, or else LLVM."""
    try:
        with Path("/proc/cpuinfo").open("rb", buffering=0) as lines:
            # The system writes this list as it is read: the first page is enough, and quick.
            first = lines.read(8192).decode(errors="replace").split("\n\n")[0]
    except OSError:
        return _facts_of_llvm()
    pairs = (line.partition(":") for line in first.splitlines())
    return tuple(f"{name.strip()}={value.strip()}" for name, _, value in pairs if name.strip() in _CPU_FACTS)


def _facts_of_llvm() -> tuple[str, ...]:
    import platform

    from llvmlite import binding

    features: dict[str, bool] = binding.get_host_cpu_features()
    return (
        platform.machine(),
        f"name={binding.get_host_cpu_name()}",
        *sorted(name for name, has_it in features.items() if has_it),
    )


@cache
def cpu_level() -> str | None:
    """Return the highest level of this CPU, None where it has none, or nobody says."""
    return level_of(cpu_facts())


def level_of(facts: tuple[str, ...]) -> str | None:
    """Return the highest level of a CPU with these facts."""
    flags = next((fact.split("=", 1)[1].split() for fact in facts if fact.startswith("flags=")), [])
    found = None
    for level, needed in _NEEDED.items():
        if not set(needed.split()) <= set(flags):
            break
        found = level
    return found
