"""What cannot be printed is dropped and work goes on; control characters of names never reach a terminal."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from warmflow.printing import answer, bar, escaped, in_brief, say, tell

SOURCE = Path(__import__("warmflow").__file__).parents[1]
TRAIN = [
    "train", "moons", "--method", "cold", "--train", "600", "--heldout", "400", "--width", "16", "--depth", "1",
    "--updates", "60",
]  # fmt: skip


def warmflow(words: list[str], out: object, err: object, before: Callable[[], object] | None = None) -> int:
    path = os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", "warmflow.cli", *words], stdout=out, stderr=err, preexec_fn=before, timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
    ).returncode  # type: ignore[call-overload]  # fmt: skip


@pytest.mark.long
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_closed_or_full_standard_error_or_output_does_not_end_a_training(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        assert warmflow([*TRAIN, "--out", str(tmp_path / "a")], subprocess.DEVNULL, full) == 0
        assert warmflow([*TRAIN, "--out", str(tmp_path / "b")], full, full) == 0
        assert warmflow([*TRAIN, "--out", str(tmp_path / "c")], None, None, lambda: (os.close(1), os.close(2))) == 0
        assert warmflow([*TRAIN, "--dry-run"], full, subprocess.DEVNULL) == 2, "what was asked for was not told"
    weights = {(tmp_path / name / "model.safetensors").read_bytes() for name in "abc"}
    assert len(weights) == 1


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("stream", [None, Broken(), io.StringIO()], ids=["none", "full", "closed"])
def test_messages_and_bars_are_dropped(stream: io.StringIO | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if stream is not None and type(stream) is io.StringIO:
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "stdout", stream)
    say("a message")
    tell("another")
    assert list(bar(range(3), what="jobs")) == [0, 1, 2]
    with bar(total=3, what="updates") as shown:
        for _ in range(3):
            shown.update()
        shown.set_postfix_str("loss 1")


def test_characters_that_a_stream_has_no_code_for_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(kept, encoding="ascii"))
    monkeypatch.setattr(sys, "stdout", sys.stderr)
    say("größe \ud800")
    answer("größe")
    assert kept.getvalue() == b"gr\\xf6\\xdfe \\ud800\ngr\\xf6\\xdfe\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\n\ttext", "plain\n\ttext"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("a\rb\x7f\x9bc", "a\\rb\\x7f\\x9bc"),
        ("größe 猫", "größe 猫"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\udcff", "\\udcff"),
    ],
)
def test_escapes(text: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert escaped(text) == shown
    say(text)
    tell(text)
    answer(text)
    told = capsys.readouterr()
    assert told.err == shown + "\n" and told.out == 2 * (shown + "\n")


def test_brief_text_keeps_its_beginning_and_end_in_one_line() -> None:
    assert in_brief("a\nb") == "a\\nb" and in_brief("x" * 200) == "x" * 200
    assert in_brief("begin" + "\n" * 9_000 + "end").startswith("begin\\n") and in_brief("\n" * 9_000 + "end").endswith(
        "end"
    )
    assert all(len(in_brief(text)) <= 205 for text in ("x" * 9_000, "\n" * 9_000, "\U000e0001" * 300))


@pytest.mark.long
def test_names_of_files_and_folders_reach_no_terminal(tmp_path: Path) -> None:
    evil = tmp_path / "\x1b]0;owned\x07.npy"
    np.save(evil, np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32))
    words = [
        *TRAIN[:1],
        str(evil),
        "--method",
        "cold",
        "--updates",
        "60",
        "--width",
        "16",
        "--out",
        str(tmp_path / "\x1b[31mrun"),
    ]
    for more, code in (([], 0), (["--seed", "x"], 2), (["--batch", "7"], 2)):
        with open(tmp_path / "told", "w+b") as told:
            assert warmflow([*words, *more], told, told) == code
        said = (tmp_path / "told").read_bytes()
        assert b"\x1b" not in said and b"\x07" not in said, said
        assert b"\\x1b" in said or code
