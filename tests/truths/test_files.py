"""Files: what is read is bounded and regular; what is written is whole, exclusive and has the mode of the umask."""

import os
import stat
import subprocess
import sys
import time

import pytest
import torch

from warmflow import files

VALUE = {"a": [1, 2.5, None, "é"], "b": {"c": True}}


def test_written_files_are_read_back_with_the_mode_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_json(tmp_path / "a.json", VALUE)
        files.write_tensors(tmp_path / "a.safetensors", {"x": torch.arange(3)}, {"k": "v"})
    finally:
        os.umask(before)
    assert files.read_json(tmp_path / "a.json") == VALUE
    tensors, facts = files.read_tensors(tmp_path / "a.safetensors")
    assert tensors["x"].tolist() == [0, 1, 2] and facts == {"k": "v"}
    assert {stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()} == {0o640}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "a.safetensors"]


def test_a_link_is_replaced_and_what_it_points_to_is_untouched(tmp_path):
    theirs = tmp_path / "bashrc"
    theirs.write_text("mine", encoding="utf-8")
    (tmp_path / "a.json").symlink_to(theirs)
    files.write_json(tmp_path / "a.json", VALUE)
    assert theirs.read_text(encoding="utf-8") == "mine" and not (tmp_path / "a.json").is_symlink()


def test_an_error_or_an_interrupt_leaves_the_old_file_and_nothing_else(tmp_path):
    files.write_json(tmp_path / "a.json", VALUE)
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), files.replacing(tmp_path / "a.json") as temporary:  # noqa: PT012
            temporary.write_bytes(b"half")
            raise error
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "a.json", {"x": float("nan")})
    assert files.read_json(tmp_path / "a.json") == VALUE
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 200_000, b'{"a":' * 200_000, b"9" * 5000,
        b"", b"\0" * 9, b"\xff\xfe", b'{"a": "\\ud800"}', b'{"a": NaN}', b'{"a": 1',
    ],
)  # fmt: skip
def test_malformed_json_is_one_line(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_bytes(text)
    with pytest.raises(ValueError, match="damaged") as caught:
        files.read_json(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_names_of_files_that_are_no_text_are_kept(tmp_path):
    """Python reads the bytes of such names, of old archives or in the locale C, as lone surrogates."""
    value = {"path": os.fsdecode(b"caf\xe9"), "other": os.fsdecode("写真".encode())}
    files.write_json(tmp_path / "a.json", value)
    assert files.read_json(tmp_path / "a.json") == value


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "folder").mkdir()
    started = time.monotonic()
    for name in ("pipe", "zero", "loop", "folder"):
        for read in (files.read_json, files.read_tensors, files.read_lines, files.read_bytes):
            with pytest.raises(ValueError, match=name) as caught:
                read(tmp_path / name)
            assert "delete" not in str(caught.value)
    assert time.monotonic() - started < 5
    with open(tmp_path / "large", "wb") as file:
        file.truncate(files.JSON_BYTES + 1)
    with pytest.raises(ValueError, match="33|32 MB"):
        files.read_json(tmp_path / "large")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_never_to_be_deleted(tmp_path):
    files.write_json(tmp_path / "a.json", VALUE)
    (tmp_path / "a.json").chmod(0)
    with pytest.raises(ValueError, match="ermission") as caught:
        files.read_json(tmp_path / "a.json")
    assert "delete" not in str(caught.value)


def test_lines_that_are_not_objects_are_left_out(tmp_path):
    (tmp_path / "log").write_bytes(b'{"a": 1}\n[1]\n' + b"[" * 100_000 + b'\n\xff\n{"a": 2}\n{"a":')
    assert files.read_lines(tmp_path / "log") == [{"a": 1}, {"a": 2}]
    assert files.read_lines(tmp_path / "none") == []


def test_a_process_that_is_killed_while_it_tests_a_folder_leaves_nothing_that_stays(tmp_path):
    code = (
        "import os, pathlib, sys\n"
        "pathlib.Path.unlink = lambda self, **more: os.kill(os.getpid(), 9)\n"
        "from warmflow.files import make_folder\n"
        "make_folder(pathlib.Path(sys.argv[1]))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")]).returncode == -9
    assert len(list((tmp_path / "run").iterdir())) == 1
    files.make_folder(tmp_path / "run")
    assert not list((tmp_path / "run").iterdir())


def test_leftovers_of_a_killed_process_are_removed_and_of_a_living_one_kept(tmp_path):
    code = (
        "import os, sys, warmflow.files as f, pathlib\n"
        "with f.replacing(pathlib.Path(sys.argv[1])) as t:\n"
        "    t.write_bytes(b'x')\n"
        "    if sys.argv[2] == 'dies': os.kill(os.getpid(), 9)\n"
        "    print('written', flush=True); sys.stdin.read()\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.json"), "dies"], check=False)
    living = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "b.json"), "lives"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip
    assert living.stdout.readline() == "written\n"
    (tmp_path / ".mine.tmp").write_text("a user's", encoding="utf-8")
    assert len(list(tmp_path.iterdir())) == 3
    files.make_folder(tmp_path)
    left = sorted(p.name[:7] for p in tmp_path.iterdir())
    living.communicate("")
    assert left == [".b.json", ".mine.t"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [".mine.tmp", "b.json"]


def test_a_full_disk_is_an_os_error_with_its_reason(tmp_path):
    """RLIMIT_FSIZE stands for a full disk; safetensors reports it by an error of its own."""
    code = (
        "import resource, signal, sys, pathlib, torch, warmflow.files as f\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "for write in (lambda p: f.write_tensors(p, {'x': torch.zeros(1000)}), lambda p: f.write_json(p, 'x' * 5000)):\n"
        "    try: write(pathlib.Path(sys.argv[1]))\n"
        "    except OSError as error: print(error.errno, 'too large' in str(error))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a")], capture_output=True, text=True, encoding="utf-8"
    )
    assert done.stdout == "27 True\n27 True\n", done.stderr
    assert list(tmp_path.iterdir()) == []
