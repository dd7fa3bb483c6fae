"""Signals to the command line: it saves and ends, its workers too, and the same command continues bit for bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from warmflow import signals
from warmflow.cli import STOPPED, main

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")

SOURCE = Path(__import__("warmflow").__file__).parents[1]
SMALL = ["--train", "600", "--heldout", "400", "--width", "32", "--depth", "1", "--quiet"]
TRAIN = ["train", "moons", "--method", "cold", *SMALL]
COMPARE = ["compare", "moons", "--seeds", "2", "--calls", "1", "--jobs", "2", "--samples", "200", *SMALL]
MUCH = ["--updates", "100000"]
FEW = ["--updates", "1800"]
END_WITHIN = 60.0
"""Seconds; the machine may be busy. What is asked is 5 (``GONE_WITHIN`` counts from the end of the command)."""
GONE_WITHIN = 5.0


def alive(session: int) -> list[int]:
    """The processes of a session that have not ended."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(state[3]) == session and state[0] != "Z":
                found.append(int(entry.name))
    return found


@pytest.fixture(autouse=True)
def _signals_as_in_a_terminal() -> Iterator[None]:
    """The tests may run below ``nohup`` or in the background of a shell, which ignore signals, and children inherit that."""
    usual = {**dict.fromkeys(signals.STOPS, signal.SIG_DFL), signal.SIGINT: signal.default_int_handler}
    before = {signum: signal.signal(signum, handler) for signum, handler in usual.items()}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@contextmanager
def started(words: list[str], folder: Path, **more: object) -> Iterator[subprocess.Popen[str]]:
    """The command in a session of its own, whose processes are all ended afterwards."""
    path = os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-m", "warmflow.cli", *words, "--out", str(folder)], text=True, start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        **{"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, **more},
    )  # type: ignore[call-overload]  # fmt: skip
    try:
        yield process
    finally:
        for pid in alive(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait()


def logged(folder: Path) -> dict[str, int]:
    """The last logged update of each training below the folder."""
    found = {}
    for path in folder.rglob("log.jsonl"):
        lines = path.read_text().splitlines()
        if lines:
            found[str(path.parent.relative_to(folder))] = int(json.loads(lines[-1])["step"])
    return found


def saved(folder: Path) -> dict[str, int]:
    """The update that each checkpoint below the folder belongs to."""
    found = {}
    for path in folder.rglob("checkpoint.safetensors"):
        with safe_open(path, "pt") as file:
            found[str(path.parent.relative_to(folder))] = int(file.metadata()["step"])
    return found


def wait_for(what: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 180
    while not what():
        assert process.poll() is None and time.monotonic() < end, process.stderr and process.stderr.read()
        time.sleep(0.02)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code and the last words of a command that ends; none of its processes may be left."""
    began = time.monotonic()
    _, err = process.communicate(timeout=END_WITHIN)
    took = time.monotonic() - began
    while alive(process.pid):
        assert time.monotonic() - began - took < GONE_WITHIN, alive(process.pid)
        time.sleep(0.05)
    print(f"ended in {took:.2f} s, all of it in {time.monotonic() - began:.2f} s")
    return process.returncode, err


def complete(words: list[str], folder: Path) -> None:
    with started(words, folder) as process:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err


def same_weights(a: Path, b: Path) -> None:
    """Every training below the one folder and below the other have the same weights, bit for bit."""
    names = sorted(str(p.relative_to(a)) for p in a.rglob("checkpoint.safetensors"))
    assert names == sorted(str(p.relative_to(b)) for p in b.rglob("checkpoint.safetensors")) and names
    for name in names:
        x, y = load_file(a / name), load_file(b / name)
        assert x.keys() == y.keys() and all(torch.equal(x[k], y[k]) for k in x), name


@pytest.mark.long
@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)], ids=["term", "hup", "int"]
)
def test_a_signal_in_training_loses_no_update_and_the_same_command_continues_bit_for_bit(
    signum: int, code: int, tmp_path: Path
) -> None:
    with started([*TRAIN, *FEW], tmp_path / "cut") as process:
        wait_for(lambda: max(logged(tmp_path / "cut").values(), default=0) >= 550, process)
        process.send_signal(signum)
        found, err = ended(process)
    assert (found, err) == (code, STOPPED + "\n")
    at, reached = logged(tmp_path / "cut")["."], saved(tmp_path / "cut")["."]
    assert at <= reached < at + 50 < 1800, "nothing was done after the checkpoint"
    assert not list((tmp_path / "cut").rglob("*.tmp"))
    complete([*TRAIN, *FEW], tmp_path / "cut")
    complete([*TRAIN, *FEW], tmp_path / "whole")
    same_weights(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.long
@pytest.mark.parametrize(
    ("signum", "code", "group", "resumed"),
    [
        (signal.SIGTERM, 143, False, False),
        (signal.SIGTERM, 143, True, False),
        (signal.SIGINT, 130, True, False),
        pytest.param(signal.SIGTERM, 143, False, True, marks=pytest.mark.slow),
    ],
    ids=["term", "term-group", "int-group", "resumed"],
)
def test_a_signal_ends_workers_too_after_they_have_saved(
    signum: int, code: int, group: bool, resumed: bool, tmp_path: Path
) -> None:
    """To the command alone (Slurm, Kubernetes) or to all its processes (a terminal)."""
    folder, words = tmp_path / "cut", [*COMPARE, "--updates", "2500"]
    with started(words, folder) as process:
        wait_for(lambda: len(logged(folder)) == 2 and min(logged(folder).values()) >= 550, process)
        before = set(logged(folder))
        (os.killpg if group else os.kill)(process.pid, signum)
        found, err = ended(process)
    assert (found, err) == (code, STOPPED + "\n")
    assert set(logged(folder)) == before, "no worker has begun another training"
    for name, at in logged(folder).items():
        assert at <= saved(folder)[name] < at + 50 or at == 2500
    names = sorted(before) if resumed else []
    for place in (folder, tmp_path / "whole") if resumed else ():
        with started(words, place) as process:
            wait_for(lambda place=place: all((place / name / "model.safetensors").exists() for name in names), process)
    for name in names:
        same_weights(tmp_path / "whole" / name, folder / name)


@pytest.mark.long
def test_keys_that_are_held_down_count_as_one_and_nothing_is_lost(tmp_path: Path) -> None:
    with started([*TRAIN, *MUCH], tmp_path / "run") as process:
        wait_for(lambda: max(logged(tmp_path / "run").values(), default=0) >= 550, process)
        for _ in range(6):
            process.send_signal(signal.SIGINT)
            time.sleep(0.01)
        found, err = ended(process)
    assert (found, err) == (130, STOPPED + "\n")
    assert saved(tmp_path / "run")["."] >= logged(tmp_path / "run")["."]


STUCK = """
import sys, time
from warmflow import cli, signals

def dispatch(words):
    with signals.held():
        print("begun", flush=True)
        end = time.monotonic() + 120
        while time.monotonic() < end:
            time.sleep(0.01)

cli.dispatch = dispatch
sys.exit(cli.main())
"""
"""A command that is in the midst of a very long update."""


def test_a_second_ctrl_c_ends_the_command_at_once() -> None:
    path = os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        [sys.executable, "-c", STUCK], env={**os.environ, "PYTHONPATH": path}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        time.sleep(signals.AS_ONE + 0.3)
        assert process.poll() is None, "the first one waits for the update"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130 and not err


@pytest.mark.long
def test_a_second_ctrl_c_ends_workers_that_do_not_react(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with started([*COMPARE, *MUCH], folder) as process:
        wait_for(lambda: len(logged(folder)) == 2, process)
        for pid in alive(process.pid):
            if b"LokyProcess" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        time.sleep(signals.AS_ONE + 0.3)
        assert process.poll() is None, "the first one waits for the workers"
        process.send_signal(signal.SIGINT)
        assert ended(process)[0] == 130


@pytest.mark.long
@pytest.mark.parametrize(("words", "trainings"), [(TRAIN, 1), (COMPARE, 2)], ids=["train", "two-jobs"])
def test_a_notice_makes_a_checkpoint_and_the_training_goes_on(words: list[str], trainings: int, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with started([*words, *MUCH], folder) as process:
        wait_for(lambda: len(logged(folder)) == trainings and min(logged(folder).values()) >= 50, process)
        process.send_signal(signal.SIGUSR1)
        wait_for(lambda: len([k for k in saved(folder).values() if k % 500]) == trainings, process)
        at = logged(folder)
        wait_for(lambda: all(logged(folder)[name] > at[name] + 100 for name in at), process)
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == 143


@pytest.mark.long
def test_what_the_caller_ignores_stays_ignored(tmp_path: Path) -> None:
    """``nohup`` ignores SIGHUP."""
    folder = tmp_path / "run"
    ignored = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    with started([*TRAIN, *MUCH], folder, **ignored) as process:
        wait_for(lambda: max(logged(folder).values(), default=0) >= 50, process)
        process.send_signal(signal.SIGHUP)
        at = logged(folder)["."]
        wait_for(lambda: logged(folder)["."] > at + 200, process)
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == 143


# ---------------------------------------------------------------- in this process


def handlers() -> list[object]:
    return [signal.getsignal(signum) for signum in (*signals.STOPS, signal.SIGUSR1)]


def test_handlers_are_those_of_the_command_line_alone_and_are_given_back() -> None:
    before = handlers()
    with signals.handled():
        assert all(handler not in before for handler in handlers())
    assert handlers() == before
    assert main(["--version"]) == 0 and handlers() == before
    with signals.handled(), pytest.raises(signals.Stopped):
        os.kill(os.getpid(), signal.SIGTERM)
    assert handlers() == before and not signals.stop_asked()


def test_outside_the_main_thread_nothing_is_installed() -> None:
    before, inside = handlers(), []

    def look() -> None:
        with signals.handled():
            inside.extend(handlers())

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert inside == before == handlers()


def test_a_signal_waits_for_the_end_of_what_holds_it() -> None:
    done = []

    def update() -> None:
        with signals.handled(), signals.held():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append(signals.stop_asked())

    with pytest.raises(signals.Stopped) as stopped:
        update()
    assert done == [signal.SIGTERM] and stopped.value.code == 143


def test_import_installs_nothing() -> None:
    said = "import signal; before = signal.getsignal(2), signal.getsignal(15); import warmflow, warmflow.training, warmflow.cli; "
    check = "assert (signal.getsignal(2), signal.getsignal(15)) == before"
    subprocess.run([sys.executable, "-c", said + check], check=True, env={**os.environ, "PYTHONPATH": str(SOURCE)})


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["training", "measuring", "pairing", "distilling", "two"])
def test_a_stage_ended_at_two_moments_by_each_signal_is_completed_bit_for_bit(stage: str) -> None:
    """``runs/kill.py`` tries twenty moments."""
    script = SOURCE.parent / "runs" / "kill.py"
    words = [sys.executable, str(script), "--moments", "2", "--stages", stage]
    done = subprocess.run(words, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0 and "0 of 6 failed" in done.stdout, done.stdout + done.stderr
