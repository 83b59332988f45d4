# One command each. `make demo` and `make test` are all that a newcomer needs: python3, pip and make.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# ArcticDB holds pandas back, so the peers live apart.
BENCH  := .venv-bench
# atheris is not built for every Python.
FUZZ   := .venv-fuzz
# A worker a core; plain `pytest` uses one, and is easier to debug.
PYTEST := $(BIN)/python -m pytest -n auto

.PHONY: demo test quick search soak fuzz modes portable wheel oldest lint bench evaluate docs site clean

$(VENV)/.core: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.test: $(VENV)/.core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test,lint]"
	touch $@

demo: $(VENV)/.core   ## generate a small municipality, import it, ask it questions
	$(BIN)/smartdata-ts demo

test: $(VENV)/.test   ## the whole test suite
	$(BIN)/smartdata-ts warmup # once, where workers would compile side by side
	$(PYTEST) --dist worksteal

quick: $(VENV)/.test  ## the test suite without what takes more than some seconds
	$(PYTEST) --dist worksteal -m "not slow"

search: $(VENV)/.test ## the property tests with examples never tried before
	HYPOTHESIS_PROFILE=random $(PYTEST) --dist worksteal

SOAK ?= 50
soak: $(VENV)/.test   ## kills, power cuts, faults, flipped bytes, many processes: SOAK times as long
	SMARTDATA_TS_SOAK=$(SOAK) $(BIN)/python -m pytest tests/faults

$(FUZZ)/.installed: pyproject.toml
	test -x $(FUZZ)/bin/python || $(PYTHON) -m venv $(FUZZ)
	$(FUZZ)/bin/python -m pip install --quiet --disable-pip-version-check -e ".[fuzz]"
	touch $@

SECONDS ?= 600
fuzz: $(FUZZ)/.installed ## search for bytes that break the readers of chunks and of text, SECONDS each
	mkdir -p .fuzz/chunk .fuzz/csv
	$(FUZZ)/bin/python tests/fuzz/fuzz.py chunk $(SECONDS) .fuzz/chunk
	$(FUZZ)/bin/python tests/fuzz/fuzz.py csv $(SECONDS) .fuzz/csv

# Without machine code on disk each worker compiles what it meets, so a file's tests stay together.
modes: $(VENV)/.test  ## kernels as plain Python, with bounds checks, and by Numba's own compiler
	NUMBA_DISABLE_JIT=1 $(PYTEST) --dist loadfile -m kernel
	NUMBA_BOUNDSCHECK=1 $(PYTEST) --dist loadfile -m kernel
	SMARTDATA_TS_JIT=numba $(PYTEST) --dist loadfile -m kernel

portable: $(VENV)/.test ## the quick suite with what Windows would get: its locks, no maps, no removing of what is open
	SMARTDATA_TS_PORTABLE=1 $(BIN)/smartdata-ts warmup
	SMARTDATA_TS_PORTABLE=1 $(PYTEST) --dist worksteal -m "not slow"

wheel:                ## what a user installs, tried away from here on every Python that is supported and here
	$(PYTHON) .ci/package.py wheel

oldest:               ## the same with the lowest versions that pyproject.toml allows
	$(PYTHON) .ci/package.py oldest

lint: $(VENV)/.test   ## format, lint, types, layers
	test -L smartdata_ts/kernels || ln -sfn ../kernels smartdata_ts/kernels # a checkout may lack links
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy -p smartdata_ts --platform win32
	$(BIN)/mypy -p smartdata_ts --platform darwin
	$(BIN)/lint-imports

evaluate: $(VENV)/.test ## how well the rules find leaks added to real meters, fixed seeds
	$(BIN)/python -m benchmarks.evaluate

docs: $(VENV)/.core   ## docs/cli.md from the commands' own help
docs: $(VENV)/.core   ## docs/cli.md from the commands' own help, docs/query.schema.json from the signatures
	$(BIN)/python -m smartdata_ts.cli._reference docs/cli.md
	$(BIN)/python -m smartdata_ts._query.query_schema > docs/query.schema.json

$(VENV)/.docs: $(VENV)/.core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[docs]"
	touch $@

site: $(VENV)/.docs   ## the documentation as a site in .site, every link checked
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

$(BENCH)/.installed: pyproject.toml
	test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check -e ".[bench]"
	touch $@

bench: $(BENCH)/.installed ## size and speed beside the peers'; writes docs/benchmarks.md
	$(BENCH)/bin/python -m benchmarks

clean:
	rm -rf $(VENV) $(BENCH) $(FUZZ) .fuzz .site build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis demo
