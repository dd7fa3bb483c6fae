"""The program's help is shown at once: nothing heavy is imported for it, and it costs at most a quarter of a second. So is the
help of commands without options of a problem or a run; that of the others imports the classes that have the options."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

import warmflow

HEAVY = ("torch", "numpy", "sklearn", "scipy", "matplotlib", "accelerate", "safetensors", "PIL", "tqdm")
ALLOWED = 0.25
SOURCE = str(Path(warmflow.__file__).parents[1])

WATCHED = """
import json, sys
from warmflow.cli import main
code = main({args!r})
print("\\n" + json.dumps([code, sorted(m.split(".")[0] for m in sys.modules)]))
"""

COMMANDS = (
    [],
    ["--help"],
    ["--version"],
    ["demo", "--help"],
    ["evaluate", "--help"],
    ["plan", "--help"],
    ["report", "--help"],
)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([SOURCE, os.environ.get("PYTHONPATH", "")])}


@pytest.mark.parametrize("args", COMMANDS, ids=" ".join)
def test_help_imports_nothing_heavy(args: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WATCHED.format(args=args)], capture_output=True, text=True, env=environment(), check=True
    )
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert not code
    assert not set(HEAVY) & set(modules)
    assert "Traceback" not in done.stderr and not done.stderr


@pytest.mark.parametrize(
    "args", [["trian", "digits"], ["--hepl"], ["demo", "cats"], ["demo", "--seeds", "0"], ["evaluate"]], ids=" ".join
)
def test_errors_in_these_import_nothing_heavy(args: list[str]) -> None:
    program = WATCHED.format(args=args)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment(), check=True
    )
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 2
    assert not set(HEAVY) & set(modules)


def seconds(*command: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *command], capture_output=True, env=environment(), check=True)
    return time.perf_counter() - began


@pytest.mark.parametrize("args", [["--help"], ["--version"]], ids=" ".join)
def test_help_costs_little_more_than_bare_python(args: list[str]) -> None:
    """The best of five each, or their medians, taken in turn; a loaded machine gets three attempts."""
    extra = []
    for _ in range(3):
        pairs = [(seconds("-c", "pass"), seconds("-m", "warmflow.cli", *args)) for _ in range(5)]
        bare, ours = zip(*pairs, strict=True)
        extra.append(min(min(ours) - min(bare), statistics.median(ours) - statistics.median(bare)))
        if extra[-1] <= ALLOWED:
            return
    raise AssertionError(f"warmflow {' '.join(args)} takes {min(extra):.2f} s more than bare python")
