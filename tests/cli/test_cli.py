"""The program as a whole: help, errors, exit status, pipes, what it loads."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.command_line import CHILD, run, run_child
from support.places import ROOT

import smartdata_ts as sd
from smartdata_ts import cli
from smartdata_ts.cli import program
from smartdata_ts.cli._command import COMMANDS, SUMMARIES


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "city.sdts"
    hours = list(range(0, 5_000 * 3_600_000_000, 3_600_000_000))
    with sd.open(path) as opened:
        opened.write({"series": "wm-17", "time": hours, "value": [k / 8 for k in range(5_000)]})
    return path


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_options_and_an_example(name):
    done = run(name, "--help")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"Usage: smartdata-ts {name}")
    assert "Example" in done.out
    assert f"\n  smartdata-ts {name}" in done.out


def test_summaries_are_what_the_commands_say_of_themselves():
    with program.make_context("smartdata-ts", []) as context:
        for name, summary in SUMMARIES.items():
            assert program.get_command(context, name).get_short_help_str(200) == summary


def test_help_lists_every_command_with_a_whole_sentence():
    done = run("--help")
    assert done.status == 0
    for name in COMMANDS:
        assert f"\n  {name} " in done.out
    assert "..." not in done.out.partition("Commands:")[2]
    assert run().out == done.out


def test_every_file_of_the_folder_is_a_command_or_private():
    files = {path.stem for path in Path(cli.__file__).parent.glob("*.py")}
    assert {name for name in files if not name.startswith("_")} == set(COMMANDS.values())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_documented(name):
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert f"\n## {name}\n" in page, "run `make docs`"
    section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    documented = set(section.replace(",", " ").split())
    for line in run(name, "--help").out.splitlines():
        words = line.replace(",", " ").split()
        assert {word for word in words if word.startswith("-")} <= documented, "run `make docs`"


def modules_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nsys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_help_loads_nothing_heavy():
    code = "from smartdata_ts.cli import run\nrun(['--help'])\nrun(['import', '--help'])\nrun(['nonsense'])"
    loaded = modules_after(code)
    assert "click" in loaded
    assert loaded.isdisjoint({"numba", "llvmlite", "pyarrow", "numpy", "rich", "sqlite3", "pandas"})


def test_importing_the_package_loads_nothing_heavy():
    assert modules_after("import smartdata_ts").isdisjoint(
        {"numba", "llvmlite", "pyarrow", "numpy", "sqlite3"}
    )


@pytest.mark.parametrize("name", ["info", "series"])
def test_a_look_at_a_store_loads_no_compiler_and_no_pandas(store, name):
    code = "import atexit, smartdata_ts.cli\natexit.register(lambda: sys.stderr.write(' '.join(sys.modules)))"
    loaded = modules_after(f"{code}\nsmartdata_ts.cli.main([{name!r}, {str(store)!r}])")
    assert loaded.isdisjoint({"numba", "llvmlite", "pandas"})


def test_a_short_answer_loads_no_compute_functions(store):
    arguments = ["resample", str(store), "--series", "wm-17", "--every", "1d", "--tz", "Europe/Oslo"]
    code = "import atexit, smartdata_ts.cli\natexit.register(lambda: sys.stderr.write(' '.join(sys.modules)))"
    loaded = modules_after(f"{code}\nsmartdata_ts.cli.main({arguments!r})")
    assert "smartdata_ts.formats._text.csv_writer" in loaded
    assert loaded.isdisjoint({"pyarrow.compute", "pandas", "rich"})


def test_an_import_loads_no_pandas_and_no_compute_functions(tmp_path):
    source, target = tmp_path / "a.csv", tmp_path / "a.sdts"
    source.write_text("series,time,value\nwm-17,2024-01-01T00:00:00Z,1.5\n")
    code = (
        "import smartdata_ts as sd\nfrom smartdata_ts.formats import import_file\n"
        f"with sd.open({str(target)!r}) as store: import_file(store, {str(source)!r})"
    )
    loaded = modules_after(code)
    assert "smartdata_ts._analysis.unit_faults" in loaded
    assert loaded.isdisjoint({"pyarrow.compute", "pandas"})


def test_version_is_told():
    assert run("--version").out == f"smartdata-ts {sd.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["nonsense"], 2, "No such command 'nonsense'"),
        (["info"], 2, "Missing argument 'STORE'"),
        (["info", "{store}", "--nonsense"], 2, "--nonsense"),
        (["info", "{store}/nowhere"], 1, "there is no store"),
        (["info", "{folder}"], 1, "there is no store"),
        (["read", "{store}", "--series", "nobody"], 2, "'nobody'"),
        (["read", "{store}", "--start", "yesterday"], 2, "'yesterday' is no ISO 8601 time"),
        (["read", "{store}", "--tz", "Europe/Olso"], 2, "did you mean Europe/Oslo"),
        (["read", "{store}", "--tag", "zone"], 2, "NAME=VALUE"),
        (["resample", "{store}"], 2, "--every"),
        (["resample", "{store}", "--every", "1m"], 2, "min for minutes or mo for months"),
        (["resample", "{store}", "--every", "1d", "-a", "average"], 2, "average"),
        (["series", "{store}", "--series", "nobody"], 2, "'nobody'"),
        (["export", "{store}", "{folder}/missing/x.csv"], 1, "cannot be written"),
        (["describe", "{store}"], 2, "name series"),
        (["describe", "{store}", "wm-17", "--interval", "1mo"], 1, "fixed width"),
        (["describe", "{store}", "--from", "{store}/catalog.sqlite"], 1, "no table of series"),
    ],
)
def test_an_error_is_one_line_and_a_status(store, tmp_path, arguments, status, message):
    done = run(*(text.format(store=store, folder=tmp_path) for text in arguments))
    assert (done.status, done.out) == (status, "")
    assert done.err.startswith("smartdata-ts: error: ")
    assert message in done.err
    assert done.err.count("\n") == 1


def test_debug_shows_the_traceback(tmp_path):
    done = run("info", tmp_path / "nowhere", "--debug")
    assert done.status == 1
    assert "Traceback" in done.err
    assert done.err.splitlines()[-1].startswith("smartdata-ts: error: ")


def test_a_fault_of_ours_is_one_line_too(monkeypatch, store):
    monkeypatch.setattr(sd.Store, "info", lambda _: 1 / 0)
    done = run("info", store)
    assert done.status == 1
    assert done.err == (
        "smartdata-ts: error: ZeroDivisionError: division by zero (a fault of ours; --debug shows where)\n"
    )


@pytest.mark.parametrize("format", ["csv", "jsonl", "table"])
def test_a_closed_pipe_is_no_error(store, format):
    command = [*CHILD, "read", str(store), "--format", format, "--limit", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_an_interrupt_is_one_line_and_leaves_the_store_as_it_was(store):
    command = [*CHILD, "import", str(store), "-", "--tz", "UTC"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        # More than a pipe and the reader's head hold: once it is written, the import is under way.
        process.stdin.write("meter,time,value\n" + "wm-18,2025-10-26 02:00,1.5\n" * 60_000)
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        process.stdin.close()
        assert process.stderr.read().split("\n") == ["", "smartdata-ts: interrupted", ""]
        assert process.wait() == 130
    with sd.open(store, mode="r") as opened:
        assert opened.info().readings == 5_000


def on_a_terminal(*arguments, columns=80) -> str:
    """What a child writes to a terminal of so many columns."""
    outer, inner = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm", "NO_COLOR": "1"}
    with subprocess.Popen([*CHILD, *map(str, arguments)], stdout=inner, stderr=inner, env=environment):
        os.close(inner)
        parts = []
        while True:
            try:
                part = os.read(outer, 65536)
            except OSError:  # how Linux tells that the other end is closed
                break
            if not part:
                break
            parts.append(part)
    os.close(outer)
    return b"".join(parts).decode()


def test_a_terminal_gets_a_table_and_a_pipe_csv(store):
    table = on_a_terminal("last", store)
    assert "─────" in table
    assert table.splitlines()[-1].split() == ["wm-17", "1970-07-28", "07:00", "Z", "624.875", "0"]
    assert run_child("last", store).out == (
        "series,time,value,quality\nwm-17,1970-07-28T07:00:00Z,624.875,0\n"
    )


def test_a_long_table_is_cut_with_a_word(store):
    table = on_a_terminal("read", store)
    assert table.count("wm-17") == 40
    assert "the first 40; --limit 0 shows all" in table
    assert on_a_terminal("read", store, "--limit", "0").count("wm-17") == 5_000


def test_numbers_and_times_are_never_cut(tmp_path):
    path, key = tmp_path / "s.sdts", "a-long-key-" * 20
    with sd.open(path) as store:
        store.write({"series": key, "time": [0], "value": [123456789.123456]})
    table = on_a_terminal("resample", path, "-e", "1d", "-a", "min,max,first,last", columns=60)
    assert table.count("123,456,789.123456") == 4
    assert "1970-01-01 00:00 Z" in table


def test_json_lines_hold_every_number(tmp_path):
    path = tmp_path / "s.sdts"
    values = [1.5, float("nan"), float("inf"), float("-inf"), -0.0, 5e-324, 1e300]
    with sd.open(path) as store:
        qualities = [7 if value != value else 0 for value in values]  # a NaN is kept where it says missing
        columns = {"time": list(range(7)), "value": values, "quality": qualities}
        store.write({"series": 'quoted "å"\n', **columns})
    lines = run("read", path, "--format", "jsonl", "--tz", "Europe/Oslo").out.splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["value"] for row in rows] == [1.5, "NaN", "Infinity", "-Infinity", -0.0, 5e-324, 1e300]
    assert rows[0]["series"] == 'quoted "å"\n'
    assert rows[1]["time"] == "1970-01-01T01:00:00.000001+01:00"
    assert rows[0]["quality"] == 0


def test_warmup_says_what_it_did(monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    done = run("warmup")
    assert (done.status, done.err) == (0, "")
    assert "nothing to do" in done.out
