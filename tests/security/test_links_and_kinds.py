"""Links planted in a run folder, files that are no files, and files that are much larger in memory. See docs/security.md."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file
from stranger_runs import a_run

import warmflow
from warmflow import files
from warmflow.checkpoints import load, open_run
from warmflow.data import load as load_data
from warmflow.data.arrays import read_arrays
from warmflow.data.cifar10 import read_batch, read_grid
from warmflow.data.emoji import emoji
from warmflow.data.idx import read_idx
from warmflow.data.image_files import folder as image_folder
from warmflow.data.image_files import read_image
from warmflow.data.paired import read_pairs
from warmflow.data.sample_files import raw_set
from warmflow.data.text import drafts_of, read, text
from warmflow.drafts.own import path_of
from warmflow.experiments.sample import AT_ONCE, at_once, sample_run
from warmflow.experiments.saved_runs import read_run
from warmflow.metrics.extractors import Scripted
from warmflow.report import Report
from warmflow.training import _Log

SECRET = "the user's secret"
links = pytest.mark.skipif(not hasattr(os, "symlink"), reason="this system has no links")
fifos = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fails if the block takes longer, also where it waits for a pipe."""

    def late(*_: object) -> None:
        raise AssertionError(f"it took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# ---------------------------------------------------------------- links


@links
def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    """What is replaced, replaces the link; what is appended to, is an error; old temporary names are not used."""
    run, theirs = a_run(tmp_path / "run"), tmp_path / "bashrc"
    theirs.write_text(SECRET)
    for name in ("README.md", "log.tmp", "report.html", "x.npy", "x.png", "model.json"):
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to(theirs)
    files.write_text(run / "README.md", "a card")
    files.write_tensors(run / "model.safetensors", {"a": torch.zeros(2)})
    files.write_json(run / "model.json", {})
    warmflow.report.write("<p>", run)
    (run / "log.jsonl").write_text('{"step": 1}\n{"step": 9}\n')
    _Log(run, 1)
    assert (run / "log.jsonl").read_text() == '{"step": 1}\n'
    (run / "log.jsonl").unlink()
    (run / "log.jsonl").symlink_to(theirs)
    with pytest.raises((OSError, ValueError)):
        _Log(run, 1).write({"step": 1})
    with pytest.raises(OSError):
        files.append_line(run / "log.jsonl", "a line")
    assert theirs.read_text() == SECRET
    assert all(not (run / name).is_symlink() for name in ("README.md", "model.json", "report.html"))


@links
def test_samples_replace_a_link(tmp_path: Path) -> None:
    run, theirs = a_run(tmp_path / "run"), tmp_path / "bashrc"
    theirs.write_text(SECRET)
    for name in ("x.npy", "x.npz", "x.png"):
        (run / name).symlink_to(theirs)
        (run / f"x.{os.getpid()}.tmp{Path(name).suffix}").symlink_to(theirs)
        sample_run(run, 2, run / name, steps=1, progress=False)
        assert theirs.read_text() == SECRET and not (run / name).is_symlink()


@links
@pytest.mark.parametrize("name", ["parts", "seeds", "teacher"])
def test_a_folder_that_is_a_link_out_of_the_run_is_not_written_into(name: str, tmp_path: Path) -> None:
    run, theirs = a_run(tmp_path / "run"), tmp_path / "project"
    theirs.mkdir()
    (theirs / "config.json").write_text(SECRET)
    (run / name).symlink_to(theirs, target_is_directory=True)
    for act in (
        lambda: open_run(run / name, {"kind": "run"}),
        lambda: files.write_json(run / name / "config.json", {}),
        lambda: files.make_folder(run / name / "more"),
        lambda: files.append_line(run / name / "log.jsonl", "{}"),
        lambda: files.read_json(run / name / "config.json"),
    ):
        with pytest.raises(ValueError, match=f"{name} is a link that leads out of the run folder"):
            act()
    assert [p.name for p in theirs.iterdir()] == ["config.json"] and (theirs / "config.json").read_text() == SECRET


@links
@pytest.mark.parametrize("name", ["config.json", "verdict.json", "log.jsonl", "pictures.safetensors"])
def test_a_report_reads_no_link_out_of_the_run(name: str, tmp_path: Path) -> None:
    run, theirs = a_run(tmp_path / "run"), tmp_path / "secret"
    config = json.loads((run / "config.json").read_text())
    theirs.write_text(json.dumps({**config, "settings": {"secret": SECRET}, "step": 1, "loss": 1.0}))
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(theirs)
    if name == "log.jsonl":
        assert not Report.read(run).run.logs
        return
    with pytest.raises(ValueError, match="is a link that leads out of the run folder"):
        Report.read(run)


@links
@pytest.mark.parametrize("name", ["config.json", "model.json", "model.safetensors"])
def test_loading_reads_no_link_out_of_the_run(name: str, tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    (run / name).rename(tmp_path / "moved")
    (run / name).symlink_to(tmp_path / "moved")
    with pytest.raises(ValueError, match="is a link that leads out of the run folder"):
        load(run)


@links
def test_the_users_own_links_are_followed(tmp_path: Path) -> None:
    """A run folder that is itself a link, links within a run, and the cache of the Hugging Face hub."""
    run = a_run(tmp_path / "run")
    (tmp_path / "mine").symlink_to(run, target_is_directory=True)
    assert load(tmp_path / "mine")(2).x.shape == (2, 2)
    (run / "model.json").rename(run / "first.json")
    (run / "model.json").symlink_to("first.json")
    assert load(run)(2).x.shape == (2, 2)
    cached, blobs = (
        a_run(tmp_path / "hub" / "models--a--b" / "snapshots" / "f00"),
        tmp_path / "hub" / "models--a--b" / "blobs",
    )
    blobs.mkdir()
    for k, file in enumerate(sorted(cached.iterdir())):
        file.rename(blobs / f"{k:040x}")
        file.symlink_to(f"../../blobs/{k:040x}")
    assert load(cached)(2).x.shape == (2, 2)
    files.write_json(tmp_path / "mine" / "more.json", {})
    assert (run / "more.json").exists()


# ---------------------------------------------------------------- files that are no files

READERS: dict[str, Callable[[Path], object]] = {
    "x.npy": lambda p: load_data(str(p)),
    "x.npz": read_arrays,
    "pairs.npz": read_pairs,
    "samples.npy": raw_set,
    "samples.safetensors": raw_set,
    "samples.txt": raw_set,
    "emoji.npz": lambda p: emoji(file=p),
    "train-images-idx3-ubyte": read_idx,
    "data_batch_1.bin": lambda p: read_batch(p, 2),
    "cifar10_00.webp": read_grid,
    "picture.png": lambda p: read_image(p, 8),
    "book.txt": lambda p: text(p),
    "books.tar.gz": read,
    "drafts.jsonl": lambda p: drafts_of(p, None, 8),  # type: ignore[arg-type]
    "own.npy": lambda p: path_of(str(p)),
    "net.pt": lambda p: Scripted.load(p, size=16, trust=True),
    "json": files.read_json,
    "lines": lambda p: files.read_lines(p) or files.read_bytes(p),
    "tensors": files.read_tensors,
    "digest": lambda p: files.file_digest(p, 1000),
}
KINDS = ("pipe", "device", "folder")


def planted(path: Path, kind: str) -> Path:
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
    return path


@fifos
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", READERS)
def test_every_reader_refuses_what_is_no_file(name: str, kind: str, tmp_path: Path) -> None:
    path = planted(tmp_path / name, kind)
    if kind == "folder" and name in (
        "samples.npy",
        "samples.safetensors",
        "samples.txt",
        "book.txt",
        "books.tar.gz",
        "own.npy",
    ):
        pytest.skip("a folder is understood there")
    with within(5), pytest.raises((ValueError, OSError)) as error:
        READERS[name](path)
    assert "\n" not in str(error.value)


@fifos
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", ["config.json", "model.json", "model.safetensors", "verdict.json", "pictures.safetensors"]
)
def test_a_run_folder_with_what_is_no_file_is_refused(name: str, kind: str, tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    (run / name).unlink(missing_ok=True)
    planted(run / name, kind)
    reading: list[Callable[[Path], Any]] = [Report.read] if name[0] in "pv" else [load, read_run]
    reading += [Report.read] if name == "config.json" else []
    for act in reading if name in ("config.json", "verdict.json", "pictures.safetensors") else [load]:
        with within(5), pytest.raises(ValueError) as error:
            act(run)
        assert "\n" not in str(error.value)


@fifos
def test_logs_that_are_no_files_are_left_out_and_not_written_to(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    planted(run / "log.jsonl", "pipe")
    with within(5):
        assert not Report.read(run).run.logs
        with pytest.raises((OSError, ValueError)):
            _Log(run, 0).write({"step": 1})


def test_images_that_are_no_files_are_unreadable_and_told(tmp_path: Path) -> None:
    for k in range(3):
        Image.new("RGB", (8, 8), (k, 0, 0)).save(tmp_path / f"{k}.png")
    os.mkfifo(tmp_path / "pipe.png")
    with within(5):
        found = image_folder(tmp_path, 8)
    assert found.notes["unreadable"] == 1


# ---------------------------------------------------------------- sizes


def header(shape: tuple[int, ...], kind: str = "<f4") -> bytes:
    said = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(said)) + said.encode()


@pytest.mark.parametrize("shape", [(10**12,), (2**40, 2), (10**30,), (2**62, 8)])
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_the_header_of_an_array_allocates_nothing(shape: tuple[int, ...], suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    if suffix == "npy":
        path.write_bytes(header(shape) + bytes(100))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", header(shape) + bytes(100))
    for reader in (read_arrays, load_data, raw_set):
        with within(5), pytest.raises(ValueError) as error:
            reader(path)  # type: ignore[operator]
        assert "\n" not in str(error.value)


def test_an_archive_of_zeros_is_not_unpacked(tmp_path: Path) -> None:
    """Ten megabytes on disk, ten gigabytes in memory."""
    path, size = tmp_path / "x.npz", 2 * 2**30
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w", force_zip64=True) as file,
    ):
        file.write(header((size // 4,)))
        for _ in range(size // 2**24):
            file.write(bytes(2**24))
    for reader in (read_arrays, read_pairs):
        with (
            within(5),
            pytest.raises(ValueError, match=r"takes 2048 MB in memory; of its size at most 1024 MB"),
        ):
            reader(path)


def test_compressed_tables_and_texts_are_not_unpacked_without_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmflow.data.idx.EXPANDED_BYTES", 10**6)
    monkeypatch.setattr("warmflow.files.EXPANDED_BYTES", 10**6)
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"\0\0\x08\x01" + struct.pack(">I", 10**7) + bytes(10**7)))
    with pytest.raises(ValueError, match="takes more than 1000000 bytes"):
        read_idx(tmp_path / "x.gz")
    with tarfile.open(tmp_path / "x.tar.xz", "w:xz") as archive:
        info = tarfile.TarInfo("a.txt")
        info.size = 10**7
        archive.addfile(info, io.BytesIO(b" " * 10**7))
    with pytest.raises(ValueError, match="in memory; of its size at most"):
        read(tmp_path / "x.tar.xz")


def test_the_pixels_of_an_image_are_counted_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("1", (9000, 8000)).save(tmp_path / "big.png")
    assert (tmp_path / "big.png").stat().st_size < 100_000
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("it was decoded"))
    for act in (
        lambda p: read_image(p, 8),
        lambda p: raw_set(p.parent),
        lambda p: image_folder(p.parent, 8, stream=True),
    ):
        with pytest.raises(
            ValueError, match=r"9000 x 8000 pixels; at most 67 million are read, make it smaller"
        ) as error:
            act(tmp_path / "big.png")
        assert "\n" not in str(error.value)


def test_a_folder_of_large_images_is_bounded_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warmflow.data.sample_files.EXPANDED_BYTES", 10**6)
    for k in range(20):
        Image.new("L", (500, 500), k).save(tmp_path / f"{k}.png")
    with pytest.raises(ValueError, match=r"holds 20 images of 500 x 500 pixels, 5 MB; at most . MB"):
        raw_set(tmp_path)


@pytest.mark.parametrize("shape", [(64, 1, 20_000, 1), (64, 1, 1, 20_000), (2, 3, 1500, 1500), (3, 2_000_000, 2, 1)])
def test_pictures_of_odd_sizes_take_little_memory(shape: tuple[int, ...], tmp_path: Path) -> None:
    """Pictures of 20000 x 1 once took 17 GiB: no sheet has more than 2^24 pixels."""
    from warmflow.report import drawing, pictures

    run = a_run(tmp_path / "run")
    save_file({"real": np.zeros(shape, np.float16)}, run / "pictures.safetensors")
    found = Report.read(run).run.pictures["real"]
    assert 1 <= len(found) <= shape[0] and found[0].shape == shape[1:]
    sheet = pictures.grid(found)
    assert sheet.size <= 4 * 2**24
    made: list[int] = []
    original = np.ndarray.repeat

    class Counted(np.ndarray):
        def repeat(self, *args: Any, **more: Any) -> Any:
            made.append(self.size)
            return original(np.asarray(self), *args, **more).view(Counted)

    drawing.sheet_png(sheet.view(Counted))
    assert max(made) <= 4 * 2**24


def test_too_large_pictures_are_refused(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    save_file({"real": np.zeros((1, 1, 5000, 5000), np.uint8)}, run / "pictures.safetensors")
    with pytest.raises(ValueError, match="holds more or larger pictures than are shown"):
        Report.read(run)
    save_file({f"a{k}": np.zeros((2, 2)) for k in range(600)}, run / "pictures.safetensors")
    with pytest.raises(ValueError, match="holds more or larger pictures than are shown"):
        Report.read(run)


def test_few_large_samples_are_made_at_once() -> None:
    assert at_once((3, 32, 32)) == AT_ONCE == 4096 and at_once((3, 2048, 2048)) == 5 and at_once((2**24,)) == 4


def test_files_of_a_key_or_log_are_private_or_as_usual(tmp_path: Path) -> None:
    files.append_line(tmp_path / "log.jsonl", "{}")
    files.append_line(tmp_path / "log.jsonl", "{}")
    assert (tmp_path / "log.jsonl").read_text() == "{}\n{}\n"
    assert stat.S_ISREG((tmp_path / "log.jsonl").lstat().st_mode)
