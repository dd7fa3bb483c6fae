"""Faults of the machine while a command runs: one line, exit code 2, nothing lost, and the same command goes on."""

from __future__ import annotations

import json
import os
import resource
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from bad_input import run, with_options
from safetensors.torch import load as loaded
from safetensors.torch import load_file

from warmflow import files, training

SOURCE = Path(__import__("warmflow").__file__).parents[1]
SMALL = ["--train", "400", "--heldout", "400", "--width", "16", "--depth", "1", "--batch", "64", "--quiet"]
TRAIN = ["train", "moons", "--method", "cold", "--updates", "60", *SMALL]
ANY_SIZE = -1
COMPARE = [
    "compare", "moons", "--seeds", "2", "--calls", "1", "--samples", "200", "--jobs", "1", "--updates", "20", *SMALL,
    "--warm-start.rounds", "1", "--warm-start.block", "400",
]  # fmt: skip


def refused(words: list[str], out: Path, says: str) -> str:
    code, _, err = run([*words, "--out", str(out)])
    assert code == 2 and len(err.splitlines()) == 1 and err.startswith("error: ") and says in err, err
    return err


def completed(words: list[str], out: Path) -> str:
    code, _, err = run([*words, "--out", str(out)])
    assert code == 0, err
    return err


def leftovers(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if ".tmp" in p.name or p.name.startswith((".lock", ".probe"))]


def same_weights(a: Path, b: Path, names: tuple[str, ...] = ("checkpoint", "model", "raw")) -> None:
    for name in names:
        x, y = load_file(a / f"{name}.safetensors"), load_file(b / f"{name}.safetensors")
        assert x.keys() == y.keys() and all(torch.equal(x[k], y[k]) for k in x), name


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    completed(TRAIN, folder)
    return folder


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], object]], None]:
    """Does something when an update begins; it is done once."""

    def plan(step: int, act: Callable[[], object]) -> None:
        update, left = training._gradients, [act]

        def spied(
            objective: object, trainer: object, turn: object, pair: object, noise: object, at: int, *more: object
        ):
            if at == step and left:
                left.pop()()
            return update(objective, trainer, turn, pair, noise, at, *more)  # type: ignore[arg-type]

        monkeypatch.setattr(training, "_gradients", spied)

    return plan


# ---------------------------------------------------------------- memory, disk, other errors


@pytest.mark.parametrize(
    "ask",
    [lambda: torch.empty(10**15), lambda: np.empty(10**15), lambda: bytearray(10**16)],
    ids=["torch", "numpy", "python"],
)
def test_too_little_memory_in_training_keeps_every_update(
    ask: Callable[[], object], whole: Path, tmp_path: Path, at_step
) -> None:
    at_step(37, ask)
    said = refused(TRAIN, tmp_path / "run", "out of memory while training")
    assert "lower --batch or --width" in said
    assert files.read_tensors(tmp_path / "run" / "checkpoint.safetensors")[1]["step"] == "37", "no update is lost"
    assert not leftovers(tmp_path)
    completed(TRAIN, tmp_path / "run")
    same_weights(whole, tmp_path / "run")


def test_too_little_memory_at_the_first_update_leaves_no_checkpoint(tmp_path: Path, at_step) -> None:
    at_step(0, lambda: torch.empty(10**15))
    refused(TRAIN, tmp_path / "run", "4 PB more were asked for")
    assert not (tmp_path / "run" / "checkpoint.safetensors").exists()


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are those of Linux")
def test_a_network_that_does_not_fit_into_memory(tmp_path: Path) -> None:
    words = [*with_options(TRAIN, "--width", "60000"), "--out", str(tmp_path / "run")]
    done = limited(words, resource.RLIMIT_AS, 8 * 2**30)
    assert done.returncode == 2 and done.stderr.startswith("error: out of memory while training: 14.4 GB more"), (
        done.stderr
    )
    assert len(done.stderr.splitlines()) == 1 and "lower --width" in done.stderr


def limited(words: list[str], what: int, limit: int) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", "warmflow.cli", *words], capture_output=True, text=True, timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        preexec_fn=lambda: resource.setrlimit(what, (limit, limit)),
    )  # fmt: skip


@pytest.fixture
def no_file_above(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Limits the size of files, which stands in for a full disk; Python ignores the signal that comes with it. A test ends the
    limit itself, by ``ANY_SIZE``, because pytest may print its result into a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda limit: resource.setrlimit(resource.RLIMIT_FSIZE, (hard if limit == ANY_SIZE else limit, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("limit", [0, 200, 3000])
def test_a_full_disk_in_training(limit: int, whole: Path, tmp_path: Path, at_step, no_file_above) -> None:
    """Not even the log, not the checkpoint, not the whole of it."""
    at_step(20, lambda: no_file_above(limit))
    assert "File too large" in refused(TRAIN, tmp_path / "run", "; free space or choose another place")
    no_file_above(ANY_SIZE)
    assert not leftovers(tmp_path)
    completed(TRAIN, tmp_path / "run")
    same_weights(whole, tmp_path / "run")


@pytest.mark.parametrize("suffix", ["npy", "npz", "png"])
def test_a_full_disk_while_samples_are_written(suffix: str, whole: Path, tmp_path: Path, no_file_above) -> None:
    out = tmp_path / f"x.{suffix}"
    out.write_bytes(b"before")
    no_file_above(500)
    refused(["sample", str(whole), "-n", "400", "--quiet"], out, "free space or choose another place")
    no_file_above(ANY_SIZE)
    assert out.read_bytes() == b"before" and [p.name for p in tmp_path.iterdir()] == [out.name]


def test_a_full_disk_while_a_page_is_written(whole: Path, tmp_path: Path, no_file_above) -> None:
    no_file_above(500)
    refused(["report", str(whole)], tmp_path / "r.html", "File too large")
    no_file_above(ANY_SIZE)
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- folders that are gone, leftovers, modes


@pytest.mark.parametrize("how", ["deleted", "moved"])
@pytest.mark.parametrize("words", [TRAIN, COMPARE], ids=["train", "compare"])
def test_a_folder_that_is_gone_while_the_command_runs(words: list[str], how: str, tmp_path: Path, at_step) -> None:
    folder = tmp_path / "run"
    at_step(10, lambda: shutil.rmtree(folder) if how == "deleted" else folder.rename(tmp_path / "moved"))
    refused(words, folder, f"{folder} was deleted or moved away while the command ran")
    assert [p.name for p in tmp_path.iterdir()] == (["moved"] if how == "moved" else []), "no half folder is made anew"
    if how == "moved":
        completed(words, tmp_path / "moved")


@pytest.mark.long
def test_every_file_of_a_comparison_has_the_mode_of_the_umask_and_nothing_is_left(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        completed(COMPARE, tmp_path / "run")
        completed(
            ["distill", str(tmp_path / "run/seeds/0/cold"), "--updates", "4", "--no-report", "--quiet"], tmp_path / "s"
        )
        run(["sample", str(tmp_path / "run/seeds/0/cold"), "-n", "9", "--out", str(tmp_path / "x.png"), "--quiet"])
    finally:
        os.umask(before)
    found = [p for p in tmp_path.rglob("*") if p.is_file() and "pairs" not in p.parts]  # pairs: see couplings.prepare
    modes = {str(p.relative_to(tmp_path)): stat.S_IMODE(p.stat().st_mode) for p in found}
    assert len(modes) > 40 and set(modes.values()) == {0o640}, {k: oct(v) for k, v in modes.items() if v != 0o640}
    assert not leftovers(tmp_path)


# ---------------------------------------------------------------- damaged parts are made again


@pytest.mark.parametrize("keep", [0.0, 0.5], ids=["empty", "cut"])
@pytest.mark.parametrize("name", ["model.safetensors", "model.json"])
def test_a_damaged_model_is_made_again_by_the_same_command(name: str, keep: float, whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    raw = (folder / name).read_bytes()
    (folder / name).write_bytes(raw[: int(len(raw) * keep)])
    said = completed(TRAIN, folder)
    assert name in said and "it is made again" in said and len(said.splitlines()) == 1
    same_weights(whole, folder)


@pytest.mark.parametrize("keep", [0.0, 0.5], ids=["empty", "cut"])
def test_training_begins_again_from_a_damaged_checkpoint(keep: float, whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    for name in ("model.json", "model.safetensors"):
        (folder / name).unlink()
    raw = (folder / "checkpoint.safetensors").read_bytes()
    (folder / "checkpoint.safetensors").write_bytes(raw[: int(len(raw) * keep)])
    (folder / "log.jsonl").write_bytes(b'\xff{"step": 50\n' + (folder / "log.jsonl").read_bytes() + b"[1]\n7\n")
    said = completed(TRAIN, folder)
    assert "checkpoint.safetensors is damaged" in said and "the training begins again" in said
    same_weights(whole, folder)
    steps = [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()]
    assert steps == [50, 60]


@pytest.mark.long
def test_every_damaged_part_of_a_comparison_is_made_again(tmp_path: Path) -> None:
    """All files of drafts, models and the study are empty."""
    folder = tmp_path / "run"
    completed(COMPARE, folder)
    before = {str(p): p.read_bytes() for p in folder.rglob("*.safetensors") if "pictures" not in p.name}
    parts = [*folder.rglob("source.safetensors"), *folder.rglob("model.safetensors"), folder / "study.safetensors"]
    assert len(parts) >= 6
    for path in parts:
        path.write_bytes(b"")
    said = completed(COMPARE, folder)
    assert "study.safetensors" in said and "everything is measured again" in said
    for path, raw in before.items():
        ours, theirs = loaded(Path(path).read_bytes()), loaded(raw)
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours), path


def test_a_damaged_row_and_choice_are_measured_again(tmp_path: Path) -> None:
    from warmflow.experiments.measure import Store

    store = Store(tmp_path)
    place = store._place("cold", "euler", 1, 0)
    place.mkdir()
    for text in ("", "{", "{}", '{"samples": 1}'):
        (place / "row.json").write_text(text)
        (place / "row.safetensors").write_bytes(b"")
        assert store.row("cold", "euler", 1, 0) is None


# ---------------------------------------------------------------- what cannot be read is not to be deleted


@pytest.mark.parametrize("name", ["config.json", "model.json", "model.safetensors"])
@pytest.mark.parametrize("code", [5, 13, 116], ids=["EIO", "EACCES", "ESTALE"])
def test_a_file_that_cannot_be_read_is_never_to_be_deleted(
    name: str, code: int, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import safetensors

    opened, mapped = os.open, safetensors.safe_open

    def fails(path: object, *more: object) -> int:
        if str(path) == str(whole / name):
            raise OSError(code, os.strerror(code), str(path))
        return opened(path, *more)  # type: ignore[arg-type]

    def fails_too(path: object, *more: object) -> object:
        if str(path) == str(whole / name):
            raise safetensors.SafetensorError(f"Error while reading: {os.strerror(code)} (os error {code})")
        return mapped(path, *more)

    monkeypatch.setattr(os, "open", fails)
    monkeypatch.setattr(safetensors, "safe_open", fails_too)
    before = (whole / name).read_bytes()
    for words, out in ((TRAIN, whole), (["sample", str(whole), "-n", "4", "--quiet"], tmp_path / "x.npy")):
        assert "delete" not in refused(words, out, "cannot be read")
    assert (whole / name).read_bytes() == before


@pytest.mark.long
def test_rows_that_a_process_killed_at_its_end_has_left_are_removed(tmp_path: Path) -> None:
    completed(COMPARE, tmp_path / "run")
    (tmp_path / "run" / "measured" / "0123").mkdir(parents=True)
    completed(COMPARE, tmp_path / "run")
    assert not (tmp_path / "run" / "measured").exists()
