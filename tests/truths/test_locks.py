"""One command works in a folder at a time; a folder that is gone is not made again."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from warmflow import files
from warmflow.locks import LOCK, locked

HOLDS = """
import sys, pathlib
from warmflow.locks import locked
with locked(pathlib.Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    found = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert found.stdout is not None and found.stdout.readline() == "locked\n"
    return found


def test_a_second_command_is_told_who_works_there_and_a_killed_one_holds_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = holder(folder)
    try:
        note = json.loads((folder / LOCK).read_text())
        assert note["pid"] == process.pid and note.keys() == {"pid", "host", "started", "command"}
        said = f"run is in use by process {process.pid} on .*: wait until it ends"
        with pytest.raises(ValueError, match=said) as caught, locked(folder):
            pass
        assert "\n" not in str(caught.value) and str(folder) in note["command"]
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (folder / LOCK).exists(), "a killed process cannot remove it"
    with locked(folder):
        assert json.loads((folder / LOCK).read_text())["pid"] == os.getpid()
        with pytest.raises(ValueError, match=f"in use by process {os.getpid()} on"), locked(folder):
            pass
    assert not (folder / LOCK).exists()


def test_the_lock_is_let_go_after_an_error_and_a_new_empty_folder_is_removed(tmp_path: Path) -> None:
    for folder in (tmp_path / "new", tmp_path):
        with pytest.raises(ZeroDivisionError), locked(folder):
            raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_without_locks_in_the_file_system_the_command_goes_on(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def flock(handle: int, how: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(tmp_path):
        (tmp_path / "a").write_text("")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_only_the_first_of_several_processes_of_one_training_takes_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked(tmp_path):
        monkeypatch.setenv("RANK", "1")
        with locked(tmp_path):
            pass
        monkeypatch.setenv("RANK", "0")


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_lock_of_ours_is_named_and_untouched(kind: str, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("mine")
    make = {"link": lambda p: p.symlink_to(theirs), "pipe": os.mkfifo, "folder": Path.mkdir}[kind]
    (tmp_path / "run").mkdir()
    make(tmp_path / "run" / LOCK)
    with pytest.raises(ValueError, match="move it away"), locked(tmp_path / "run"):
        pass
    assert theirs.read_text() == "mine"


def test_leftovers_are_removed_in_every_folder_below_also_those_of_earlier_versions(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    below = tmp_path / "seeds" / "0" / "warm"
    below.mkdir(parents=True)
    (below / "log.jsonl").write_text("")
    gone = [
        f".checkpoint.safetensors.{files._host()}-{dead.pid}-{'0' * 16}.tmp", f"checkpoint.{dead.pid}.tmp", "log.tmp",
        f"round-0000-block-0001.{dead.pid}.tmp", f".report.html.{dead.pid}.tmp", f"samples.{dead.pid}.tmp.png",
        f"of-a-container.{os.getpid()}.tmp", ".tmp7X3aSo",
    ]  # fmt: skip
    kept = ["mine.tmp", "notes.tmp.txt", f"a.{os.getppid()}.tmp", "log.jsonl"]
    for name in [*gone, *kept]:
        (below / name).write_text("")
    with locked(tmp_path):
        assert sorted(p.name for p in below.iterdir()) == sorted(kept)


@pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
def test_a_folder_that_is_gone_is_one_line_and_not_made_again(how: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with locked(folder):
        files.write_json(folder / "a.json", 1)
        if how == "deleted":
            shutil.rmtree(folder)
        else:
            folder.rename(tmp_path / "elsewhere")
        if how == "replaced":
            folder.mkdir()
        for write in (
            lambda: files.make_folder(folder / "seeds" / "1"),
            lambda: files.write_json(folder / "a.json", 2),
            lambda: files.append_line(folder / "log.jsonl", "{}"),
        ):
            with pytest.raises(files.Gone, match="run was deleted or moved away while the command ran"):
                write()
        files.write_json(tmp_path / "other.json", 1)
    assert not folder.exists() or not list(folder.iterdir())
    files.make_folder(folder)
