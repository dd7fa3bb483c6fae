"""Processes beside each other: results in order, one thread each, a killed worker is one error, none outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from warmflow.experiments.processes import each

SOURCE = Path(__import__("warmflow").__file__).parents[1]


def described(number: int) -> tuple[int, int, int]:
    return number * number, os.getpid(), torch.get_num_threads()


def test_results_come_in_the_order_of_the_tasks_from_processes_of_one_thread() -> None:
    found = each(described, [(k,) for k in range(6)], jobs=2)
    assert [square for square, _, _ in found] == [0, 1, 4, 9, 16, 25]
    assert os.getpid() not in {pid for _, pid, _ in found} and {threads for _, _, threads in found} == {1}


def wrote(name: str) -> None:
    Path(name).write_text("")


def test_relative_paths_are_those_of_the_caller_though_workers_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path / "first", tmp_path / "second"):
        folder.mkdir()
        monkeypatch.chdir(folder)
        each(wrote, [("a",), ("b",)], jobs=2)
        assert sorted(path.name for path in folder.iterdir()) == ["a", "b"]


@pytest.mark.parametrize(("jobs", "tasks"), [(1, 3), (4, 1)])
def test_with_one_process_or_one_task_no_other_is_started(jobs: int, tasks: int) -> None:
    assert {pid for _, pid, _ in each(described, [(k,) for k in range(tasks)], jobs=jobs)} == {os.getpid()}


def written(folder: Path, name: str, kill: bool) -> str:
    """Waits for the others to finish before it ends its own process."""
    if kill:
        while not (folder / "first").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / name).write_text(name)
    return name


@pytest.mark.long
def test_a_worker_that_is_killed_is_one_clear_error_and_what_is_finished_is_kept(tmp_path: Path) -> None:
    tasks = [(tmp_path, "first", False), (tmp_path, "second", True)]
    with pytest.raises(ValueError, match="a process that worked on a training was ended from outside") as error:
        each(written, tasks, jobs=2, what="training")
    said = str(error.value)
    assert (
        "\n" not in said
        and "what is finished is kept" in said
        and "run the same command again, with fewer jobs" in said
    )
    assert (tmp_path / "first").read_text() == "first" and not (tmp_path / "second").exists()
    assert each(written, [(*task[:2], False) for task in tasks], jobs=2) == ["first", "second"], "and it goes on"


def fails_or_waits(folder: Path, name: str) -> None:
    (folder / f"{name}.began").write_text(str(os.getpid()))
    if name == "fails":
        while not (folder / "waits.began").exists():
            time.sleep(0.05)
        raise ValueError("updates is 0; it must be at least 1")
    time.sleep(60)
    (folder / "waits.ended").write_text("")


def gone(pid: int, within: float) -> bool:
    """Whether a process ends within so many seconds."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


def test_an_error_of_one_task_is_raised_as_it_is_and_ends_the_others(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^updates is 0; it must be at least 1$"):
        each(fails_or_waits, [(tmp_path, "waits"), (tmp_path, "fails")], jobs=2)
    assert gone(int((tmp_path / "waits.began").read_text()), within=20) and not (tmp_path / "waits.ended").exists()


PARENT = """
import sys, time, os
from pathlib import Path
from warmflow.experiments.processes import each

def task(folder, k):
    (Path(folder) / f"{k}.pid").write_text(str(os.getpid()))
    time.sleep(120)

each(task, [(sys.argv[1], k) for k in range(2)], jobs=2)
"""


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")
def test_no_worker_outlives_its_parent(tmp_path: Path) -> None:
    """The parent is killed, so that it can tell its workers nothing."""
    script = tmp_path / "script.py"
    script.write_text(PARENT)
    path = os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")])
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path)], env={**os.environ, "PYTHONPATH": path})
    try:
        end = time.monotonic() + 120
        while len(files := list(tmp_path.glob("*.pid"))) < 2 or not all(f.read_text() for f in files):
            assert parent.poll() is None and time.monotonic() < end
            time.sleep(0.1)
        workers = {int(f.read_text()) for f in files}
        assert len(workers) == 2 and parent.pid not in workers
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert all(gone(pid, within=30) for pid in workers)


UNGUARDED = """
import warmflow
from warmflow.experiments.processes import each

def task(k):
    return k * k

print(each(task, [(2,), (3,)], jobs=2))
"""


@pytest.mark.long
def test_a_script_needs_no_guard_of_its_main_part(tmp_path: Path) -> None:
    """Workers do not run the caller's script again, and its functions are sent to them."""
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    path = os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert (done.returncode, done.stdout) == (0, "[4, 9]\n"), done.stderr
