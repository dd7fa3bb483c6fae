"""What the README says and no other test runs: several processes, arithmetic of fewer bits, compiled networks."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import warmflow
from warmflow.experiments.train import train_run
from warmflow.methods.cold import Cold
from warmflow.problems import problem_of
from warmflow.setup import compiler_missing

SMALL = [
    "--updates",
    "6",
    "--width",
    "16",
    "--depth",
    "1",
    "--batch",
    "32",
    "--train",
    "400",
    "--heldout",
    "200",
    "--quiet",
]


def train(*launcher: str, out: Path) -> subprocess.CompletedProcess[str]:
    words = [
        sys.executable,
        "-m",
        *launcher,
        "warmflow.cli",
        "train",
        "moons",
        "--method",
        "cold",
        *SMALL,
        "--out",
        str(out),
    ]
    return subprocess.run(words, capture_output=True, text=True, timeout=600, cwd=out.parent)


@pytest.mark.long
def test_two_processes_of_torchrun_train_what_one_trains(tmp_path: Path) -> None:
    launcher = ("torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m")
    for name, words in (("two", launcher), ("one", ())):
        done = train(*words, out=tmp_path / name)
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = (warmflow.load(tmp_path / name)(50, seed=0).x for name in ("one", "two"))
    assert torch.allclose(one, two, atol=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_flows_are_trained_in_fewer_bits_and_sampled_in_float32(dtype: str, tmp_path: Path) -> None:
    small = {"updates": 5, "batch": 32, "width": 16, "depth": 1, "dtype": dtype}
    train_run(
        problem_of("moons", train=400, heldout=200), Cold(), tmp_path / "r", seed=0, progress=False, echo=str, **small
    )
    x = warmflow.load(tmp_path / "r")(50, seed=0).x
    assert x.dtype == torch.float32 and bool(torch.isfinite(x).all())


@pytest.mark.slow
def test_compiled_networks_are_trained_to_the_same_samples(tmp_path: Path) -> None:
    if compiler_missing():
        pytest.skip("nothing compiles here")
    found = []
    for compiled in (False, True):
        small = {"updates": 5, "batch": 32, "width": 16, "depth": 1, "compile": compiled}
        out = tmp_path / str(compiled)
        train_run(problem_of("moons", train=400, heldout=200), Cold(), out, seed=0, progress=False, echo=str, **small)
        found.append(warmflow.load(out)(50, seed=0).x)
    assert torch.allclose(*found, atol=1e-4)
