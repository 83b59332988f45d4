"""`python fuzz.py TARGET SECONDS [FOLDER]`: guided by coverage (atheris), from the corpus on.

Kernels run as plain Python (NUMBA_DISABLE_JIT=1), so that their branches guide too. What is found anew goes
to FOLDER, which may be kept; what fails is left there as crash-*.
"""

import importlib
import os
import pkgutil
import sys
import tempfile

os.environ["NUMBA_DISABLE_JIT"] = "1"

import atheris

with atheris.instrument_imports(include=["smartdata_ts"]):
    import smartdata_ts

    for module in pkgutil.walk_packages(smartdata_ts.__path__, "smartdata_ts."):
        if ".cli" not in module.name and "__main__" not in module.name:
            importlib.import_module(module.name)
    from fuzz_targets import CORPUS, TARGETS


def main(name: str, seconds: str, folder: str) -> None:
    target = TARGETS[name]()
    options = [
        f"-max_total_time={seconds}",
        f"-artifact_prefix={folder}/",
        "-timeout=10",
        "-rss_limit_mb=2048",
    ]
    atheris.Setup([sys.argv[0], *options, "-print_final_stats=1", folder, str(CORPUS / name)], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else tempfile.mkdtemp())
