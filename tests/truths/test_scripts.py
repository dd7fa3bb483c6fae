"""Scripts of runs/ and benchmarks/ do not rot: they import, and their commands name what exists."""

import dataclasses
import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import warmflow
from warmflow.drafts import DRAFTS, NoDraft
from warmflow.methods import METHODS, Parts
from warmflow.problems import PROBLEMS
from warmflow.problems.digits import Digits
from warmflow.setup import Training
from warmflow.sources import Blurred, StandardNormal

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted([*(ROOT / "runs").glob("*.py"), *(ROOT / "benchmarks").glob("*.py")])
SHELL = sorted((ROOT / "runs").glob("*.sh"))
IMPORTING = """
import runpy, sys, traceback
failed, before = [], list(sys.path)
for path in sys.argv[1:]:
    sys.path[:] = [path.rpartition("/")[0], *before]
    try:
        runpy.run_path(path, run_name="script")
    except Exception as error:
        failed.append(f"{path}: {type(error).__name__}: {error}")
print("\\n".join(failed))
sys.exit(len(failed))
"""
OF_COMMANDS = {
    "out",
    "seeds",
    "seed",
    "jobs",
    "samples",
    "calls",
    "methods",
    "method",
    "convergence",
    "device",
    "minutes",
}
"""Options of the commands themselves."""


@pytest.mark.long
def test_every_script_imports():
    """Everything but what stands below ``if __name__ == "__main__"`` is run."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTING, *map(str, SCRIPTS)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert len(SCRIPTS) > 15


def commands(path):
    """The lines of a shell script that run something of ours, joined where they go on, as words."""
    text = path.read_text().replace("\\\n", " ")
    for line in text.splitlines():
        found = re.match(r"\s*(?:exec )?((?:warmflow|python) .*)", line)
        if found and not line.strip().startswith("#"):
            yield shlex.split(found[1].split(" |")[0].removesuffix("; done"), comments=True)


def options_of(cls):
    return {f.name.replace("_", "-") for f in dataclasses.fields(cls)}


def method_known(name):
    """A method, or one with options fixed ("cold-minibatch"); or a variable of the shell."""
    return name.startswith("$") or any(name == known or name.startswith(f"{known}-") for known in METHODS)


@pytest.mark.parametrize("path", SHELL, ids=lambda p: p.name)
def test_a_shell_script_names_what_exists(path):
    assert subprocess.run(["bash", "-n", str(path)], capture_output=True).returncode == 0
    for words in commands(path):
        if words[0] == "python":
            assert words[1] == "-m" or (ROOT / words[1]).is_file(), words
            continue
        subject, problem = words[1], words[2]
        assert subject in ("compare", "train"), words
        if problem.startswith("$"):
            continue  # finished runs
        assert problem in PROBLEMS, words
        known = OF_COMMANDS | options_of(Training) | options_of(PROBLEMS[problem])
        for flag, value in zip(words[3:], [*words[4:], ""], strict=True):
            if not flag.startswith("--"):
                continue
            owner, dot, name = flag[2:].partition(".")
            if dot:
                assert name in options_of((METHODS | DRAFTS)[owner]), flag
            else:
                assert owner in known, flag
            if owner in ("methods", "method"):
                assert all(method_known(one) for one in value.split(",")), value


def module(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "runs" / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_every_cell_of_the_factorial_is_a_warm_start_with_other_options():
    """24 cells of start, coupling and field; what each flow starts from and sees is what the cell's name says."""
    factorial, setup = module("factorial"), Digits().setup(width=8, depth=1)
    assert len(factorial.CELLS) == 24
    members = factorial.members_of(setup, factorial.CELLS)
    assert len({repr(m.method) for m in members}) == 24
    parts = Parts(setup, 0)
    for member in members:
        start, coupling, field = member.name.split(".")
        method = member.method
        assert method.pairing == coupling and isinstance(method.draft, NoDraft) == (start == "noise")
        if coupling == "whole-set" or start == "gan":
            continue  # pairs and GANs take long; what follows does not depend on them
        objective, data = method.stages(parts)[0].make({})
        assert objective.field.sees == (("draft",) if field == "seen" else ()) and len(data) == len(setup.data.train)
        usual = start == "noise" and field == "blind"
        assert isinstance(objective.source, StandardNormal if usual else Blurred)
    assert {m.name for m in members if m.role == "candidate"} == {
        f"{start}.whole-set.seen" for start in ("gaussian", "mixture", "gan")
    }
    assert len(factorial.contrasts(factorial.CELLS)) == 18 + 16 + 12


@pytest.mark.long
def test_the_final_table_of_a_comparison_of_arrays(tmp_path):
    """Of a file, and of arrays in Python, whose file is given again; a wrong row is one line."""
    x = np.random.default_rng(0).integers(0, 255, (300, 8, 8, 3)).astype("u1")
    np.savez(tmp_path / "im.npz", x=x)
    halves = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten())
    torch.jit.trace(halves, torch.rand(2, 3, 32, 32)).save(str(tmp_path / "f.pt"))
    small = {"updates": 2, "samples": 200, "seeds": [0], "calls": [1], "width": 8, "depth": 1, "progress": False}
    warm = warmflow.WarmStart(rounds=1, block=256)
    warmflow.compare(str(tmp_path / "im.npz"), [warm], out=tmp_path / "file", **small)
    warmflow.compare(x, [warm], out=tmp_path / "arrays", **small)

    def final(*words):
        command = [
            sys.executable,
            ROOT / "runs" / "final.py",
            *words,
            "--file",
            tmp_path / "f.pt",
            "--trust",
            "--pixels",
            "32",
        ]
        return subprocess.run([str(w) for w in command], capture_output=True, text=True, timeout=300)

    for words in (["file"], ["arrays", "--data", tmp_path / "im.npz"]):
        done = final(
            tmp_path / words[0], *words[1:], "--row", "warm-start:1", "--row", "draft", "--row", "cold-whole-set:2:heun"
        )
        assert done.returncode == 0, done.stderr[-2000:]
        table = (tmp_path / words[0] / "final-f.md").read_text()
        assert table.strip() in done.stdout
        for row in (
            "real (training images)",
            "warm-start, AdamsBashforth, 1 calls",
            "draft alone",
            "cold-whole-set, Heun, 3 calls",
        ):
            assert f"| {row} |" in table
    for words, says in (
        (["file", "--row", "warm:1"], "the methods are warm-start"), (["file", "--row", "warm-start"], "give METHOD:STEPS"),
        (["arrays", "--row", "draft"], "arrays that its folder does not hold"),
        (["none", "--row", "draft"], "is not a run folder"),
    ):  # fmt: skip
        done = final(tmp_path / words[0], *words[1:])
        assert done.returncode == 2 and says in done.stderr and "Traceback" not in done.stderr, done.stderr
