"""Several processes compute what one does; a run that is killed at any moment is completed by the same command."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.long

SOURCE = Path(__import__("warmflow").__file__).parents[1]

TRAINING = """
import json, sys, torch
from warmflow.contracts import Batch, Player
from warmflow.couplings import Assignment
from warmflow.fields import NetworkField
from warmflow.networks import MLP, seeded
from warmflow.noise import Noise
from warmflow.objectives import FlowMatching
from warmflow.paths import LinearPath
from warmflow.sources import Blurred, Gaussian
from warmflow.training import train
from safetensors.torch import save_file
import os

torch.set_num_threads(1)
x = Noise.of(1, 64).normal("x", 2) * 0.5 + 1
network = seeded(0, lambda: MLP((2,), sees={"draft": (2,)}, width=8, depth=1))
field = NetworkField(network, LinearPath(0.6), "velocity", ("draft",))
rows = []

class Spied(FlowMatching):
    def loss(self, turn, pair, *, noise):
        assert len(pair.x1) == len(noise)
        rows.append(sorted(pair.index.tolist()))
        return FlowMatching.loss(self, turn, pair, noise=noise)

what = Spied(field, Blurred(Gaussian.fit(x), 0.3), Assignment(), Player(network, 1e-2, ema=0.9))
trained = train(what, Batch(x, {}, torch.arange(64)), steps=10, batch=16, seed=0, warmup=2, log_every=2, folder=sys.argv[1])
rank = os.environ.get("RANK", "0")
tensors = {f"{k}.{n}": v for k, m in (("raw", trained.raw["flow"]), ("average", trained.networks["flow"]))
           for n, v in m.state_dict().items()}
save_file(tensors, f"{sys.argv[1]}/rank-{rank}.safetensors")
json.dump({"rows": rows, "loss": trained.facts["loss"]}, open(f"{sys.argv[1]}/rank-{rank}.json", "w"))
"""


def environment():
    path = os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_two_processes_equal_one(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(TRAINING)
    two = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", str(free_port())]
    for name, launcher in (("one", []), ("two", two)):
        (tmp_path / name).mkdir()
        command = [sys.executable, *launcher, str(script), str(tmp_path / name)]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-2000:]
    one = load_file(tmp_path / "one" / "rank-0.safetensors")
    for rank in (0, 1):
        two = load_file(tmp_path / "two" / f"rank-{rank}.safetensors")
        assert one.keys() == two.keys()
        assert all(torch.allclose(one[k], two[k], atol=1e-6) for k in one)
    moved = max(float((v - one[k]).abs().max()) for k, v in load_file(tmp_path / "one" / "rank-0.safetensors").items())
    assert moved == 0
    # each process took half of every batch, the halves are disjoint, together they are the one process's batch
    facts = [json.loads((tmp_path / f).read_text()) for f in ("one/rank-0.json", "two/rank-0.json", "two/rank-1.json")]
    assert facts[0]["loss"] == pytest.approx(facts[1]["loss"], rel=1e-5) and facts[1]["loss"] == facts[2]["loss"]
    for whole, a, b in zip(*(f["rows"] for f in facts), strict=True):
        assert len(a) == len(b) == 8 and sorted(a + b) == whole
    # one process writes the log
    steps = [json.loads(line)["step"] for line in (tmp_path / "two" / "log.jsonl").read_text().splitlines()]
    assert steps == [2, 4, 6, 8, 10]


# killed


RUN = """
import sys, torch
from pathlib import Path
from warmflow.drafts.mixture import Mixture
from warmflow.experiments.run import run_method
from warmflow.methods import Parts, settled
from warmflow.methods.warm_start import WarmStart
from warmflow.problems.digits import Digits

torch.set_num_threads(1)
folder = Path(sys.argv[1])
setup = Digits().setup(updates=int(sys.argv[2]), width=16, depth=1, batch=16)
method = settled(WarmStart(draft=Mixture(components=2), rounds=1), setup)
run_method(method, Parts(setup, 0, folder), folder)
"""
"""A warm start with its draft and pairs, trained into one folder."""


def command(folder, updates=800):
    return [sys.executable, "-c", RUN, str(folder), str(updates)]


def complete(folder, **more):
    done = subprocess.run(command(folder, **more), env=environment(), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]


def killed(folder, after, **more):
    """Starts the command and kills it after so many seconds; true if it was still running."""
    process = subprocess.Popen(
        command(folder, **more), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(after)
    alive = process.poll() is None
    if alive:
        process.send_signal(signal.SIGKILL)
    process.wait()
    return alive


def results(folder):
    tensors = {
        f"{n}.{k}": v for n in ("model", "raw", "checkpoint") for k, v in load_file(folder / f"{n}.safetensors").items()
    }
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return tensors, [(line["step"], line["loss"]) for line in log]


def check_equal(a, b):
    (x, log_x), (y, log_y) = results(a), results(b)
    assert x.keys() == y.keys() and all(torch.equal(x[k], y[k]) for k in x), "not bit for bit"
    assert log_x == log_y
    config = json.loads((b / "config.json").read_text())
    assert config["state"] == "complete" and config["training"]["steps"] == config["asked"]["training"]["updates"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run, and how long the command took."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    began = time.perf_counter()
    complete(folder)
    return folder, time.perf_counter() - began


def test_killed_at_random_moments_then_completed_bit_for_bit(whole, tmp_path):
    folder, seconds = whole
    for moment in random.Random(0).sample([0.5, 0.6, 0.7, 0.8, 0.9], 3):
        killed(tmp_path / "cut", moment * seconds)
    complete(tmp_path / "cut")
    check_equal(folder, tmp_path / "cut")


def test_killed_after_the_last_checkpoint_and_before_it_was_called_complete(whole, tmp_path):
    """The window between the last checkpoint and config.json: planted, for chance seldom finds it."""
    cut = shutil.copytree(whole[0], tmp_path / "cut")
    for name in ("model.json", "model.safetensors", "raw.json", "raw.safetensors"):
        (cut / name).unlink()
    config = json.loads((cut / "config.json").read_text())
    (cut / "config.json").write_text(json.dumps({**config, "state": "started"}))
    complete(cut)
    check_equal(whole[0], cut)
