"""The kinds of mutated files: which file of which folder is mutated, how, and which commands read it afterwards."""

from __future__ import annotations

import functools
import io
import json
import os
import random
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import folders
import mutants
import numpy as np
from PIL import Image
from trials import Attempt, Enough, Trial, command, reported, tags

import warmflow.experiments.audit
import warmflow.experiments.compare_runs
import warmflow.experiments.evaluate_files
from warmflow import checkpoints, data, files
from warmflow.evaluation import planner, record
from warmflow.evaluation.evaluate import Evaluation
from warmflow.methods.parts import Parts
from warmflow.problems import problem_of
from warmflow.training import _Log

Mutate = Callable[[bytes, int], bytes]
Acts = Callable[[Path], list[tuple[str, Attempt]]]
BASE: dict[str, Path] = {}
KNOWN: set[str] = set()


def enough(*_: object, **__: object) -> None:
    raise Enough


def not_written(handle: int) -> None:
    """In place of ``os.fsync``, which takes most of the time of thousands of trials."""


def ready(root: Path) -> None:
    """Makes the folders that are mutated, and notes the tags of their pages."""
    BASE.update(folders.made(root))
    for folder in BASE.values():
        page = root / "page.html"
        folders.typed("report", str(folder), "--out", str(page))
        KNOWN.update(tags(page.read_text(encoding="utf-8")))


@contextmanager
def shortened() -> Iterator[None]:
    """Shortens what follows the reading of files, which is the same for all of them."""
    with ExitStack() as held:
        for owner, name, value in (
            (os, "fsync", not_written),
            (warmflow.experiments.compare_runs, "conclude", enough),
            (warmflow.experiments.evaluate_files, "evaluate", enough),
            (warmflow.experiments.audit, "Parts", enough),
            (planner, "MOST_SEEDS", 3),
            (planner, "LADDER", (1,)),
            (planner, "REPLICATES", 5),
        ):
            held.enter_context(mock.patch.object(owner, name, value))
        held.enter_context(mock.patch.dict(planner.plan.__kwdefaults__, studies=1))
        yield


def copied(name: str, to: Path) -> Path:
    """A copy of a folder; of a comparison without the parts of its runs, which no trial reads."""
    left_out = shutil.ignore_patterns("pairs", "drafts") if name == "compare" else None
    shutil.copytree(BASE[name], to, ignore=left_out)
    return to


# ---------------------------------------------------------------- run folders


def mutated(name: str, file: str, mutate: Mutate, acts: Acts) -> Callable[[Path, int], Iterable[tuple[str, Attempt]]]:
    """A trial of a folder in which one file is mutated."""

    def run(scratch: Path, seed: int) -> Iterable[tuple[str, Attempt]]:
        folder = copied(name, scratch / name)
        path = folder / file
        told = path.read_bytes()
        path.unlink()
        path.write_bytes(mutate(told, seed))
        return acts(folder)

    return run


def sampled(folder: Path) -> list[tuple[str, Attempt]]:
    out = folder.parent / "x.npz"
    words = ("-n", "2", "--steps", "1", "--quiet", "--out", str(out))
    return [
        ("load", lambda: checkpoints.load(folder)),
        ("load raw", lambda: checkpoints.load(folder, raw=True)),
        ("sample", command("sample", str(folder), *words)),
        ("sample raw", command("sample", str(folder), "--raw", *words)),
    ]


def drawn(folder: Path) -> list[tuple[str, Attempt]]:
    """Samples as a picture or a text."""
    out = folder.parent / ("x.jsonl" if folder.name == "text" else "x.png")
    return [("sample", command("sample", str(folder), "-n", "2", "--steps", "1", "--quiet", "--out", str(out)))]


def shown(folder: Path) -> list[tuple[str, Attempt]]:
    return [("report", reported(folder, KNOWN))]


def planned(folder: Path) -> list[tuple[str, Attempt]]:
    return [
        ("plan", command("plan", str(folder))),
        ("judge again", lambda: record.verdict_json(Evaluation.of(record.read_study(folder)))),
    ]


def compared(folder: Path) -> list[tuple[str, Attempt]]:
    other = BASE["cold" if folder.name == "warm" else "warm"]
    words = ["--calls", "1,2", "--quiet", "--out", str(folder.parent / "judged")]
    return [("compare", command("compare", str(folder), str(other), *words))]


def begun_with(folder: Path) -> list[tuple[str, Attempt]]:
    """The run as the beginning of another, and as a teacher."""
    out = str(folder.parent / "out")
    words = ["--updates", "1", "--no-reflow", "--no-report", "--quiet"]
    return [
        ("train --from", command("train", *folders.MOONS, *folders.QUICK, "--from", str(folder), "--out", out)),
        ("distill", command("distill", str(folder), *words, "--out", out + "2")),
    ]


def trained_again(folder: Path) -> list[tuple[str, Attempt]]:
    words = [*folders.MOONS, *(folders.QUICK if folder.name == "warm" else [])]
    method = "warm-start" if folder.name == "warm" else "cold"
    again = command("train", *words, "--method", method, "--out", str(folder))

    def unfinished() -> None:
        for name in ("model", "raw"):
            (folder / f"{name}.json").unlink(missing_ok=True)
        again()

    return [("train again", again), ("train on", unfinished), ("log", lambda: _Log(folder, 5))]


def rows_read(folder: Path) -> list[tuple[str, Attempt]]:
    return [("row", lambda: record.read_row(folder))]


def row_of(mutate: Mutate, file: str) -> Callable[[Path, int], Iterable[tuple[str, Attempt]]]:
    """A trial of one row of a measurement."""

    def run(scratch: Path, seed: int) -> Iterable[tuple[str, Attempt]]:
        record.save_row(scratch, record.read_study(BASE["compare"]).rows[0])
        path = scratch / file
        path.write_bytes(mutate(path.read_bytes(), seed))
        return rows_read(scratch)

    return run


def seconds_of(scratch: Path, seed: int) -> Iterable[tuple[str, Attempt]]:
    """A trial of the seconds that parts took."""
    told = (BASE["compare"] / "seeds/0/seconds.json").read_bytes()
    (scratch / "seconds.json").write_bytes(mutants.json_mutant(told, seed))
    key = next(iter(json.loads(told)))
    parts = Parts(_setup(), 0, scratch)
    return [("seconds", lambda: parts.uses("draft", key)), ("note", lambda: parts.note("new", 1.0))]


@functools.cache
def _setup() -> Any:
    return problem_of("moons", train=300, heldout=300).setup()


def all_of(*acts: Acts) -> Acts:
    return lambda folder: [one for act in acts for one in act(folder)]


def _sources(folder: Path) -> list[tuple[str, Attempt]]:
    return [("load source", lambda: checkpoints.load_part(folder / SOURCE, "source")), *trained_again(folder)[1:2]]


SOURCE, PAIRS = "parts/drafts", "parts/pairs"


def runs() -> dict[str, tuple[int, Callable[[Path, int], Iterable[tuple[str, Attempt]]]]]:
    """The kinds of files of run folders, with their weights."""
    global SOURCE, PAIRS
    SOURCE = str(next((BASE["warm"] / "parts/drafts").glob("*/source")).relative_to(BASE["warm"]))
    PAIRS = str(next((BASE["warm"] / "parts/pairs").glob("*")).relative_to(BASE["warm"]))
    block = next((BASE["warm"] / PAIRS).glob("round-*.safetensors")).name
    js, ts = mutants.json_mutant, mutants.tensors_mutant
    found: dict[str, tuple[int, Any]] = {}
    for name in ("warm", "cold", "labels", "text", "grid", "student"):
        found[f"{name}/model.json"] = (8, mutated(name, "model.json", js, sampled))
        found[f"{name}/config.json"] = (5, mutated(name, "config.json", js, all_of(drawn, shown)))
        found[f"{name}/model.safetensors"] = (2, mutated(name, "model.safetensors", ts, sampled))
    for name in ("warm", "cold"):
        found[f"{name} compared"] = (5, mutated(name, "config.json", js, compared))
        found[f"{name} again"] = (4, mutated(name, "config.json", js, trained_again))
    found["student compared"] = (3, mutated("student", "config.json", js, compared))
    found["cold begun with"] = (4, mutated("cold", "config.json", js, begun_with))
    found["cold/model.json begun with"] = (2, mutated("cold", "model.json", js, begun_with))
    found["warm/log.jsonl"] = (4, mutated("warm", "log.jsonl", mutants.lines_mutant, all_of(shown, trained_again)))
    found["warm/source.json"] = (3, mutated("warm", f"{SOURCE}/source.json", js, _sources))
    found["warm/source config"] = (2, mutated("warm", f"{SOURCE}/config.json", js, _sources))
    found["warm/pairs.json"] = (3, mutated("warm", f"{PAIRS}/pairs.json", js, trained_again))
    found["warm/block"] = (2, mutated("warm", f"{PAIRS}/{block}", ts, trained_again))
    found["warm/seconds.json"] = (2, mutated("warm", "parts/seconds.json", js, trained_again))
    for name, more in (("compare", 1), ("files", 4)):  # the pages of a comparison take seconds
        found[f"{name}/verdict.json"] = (4 * more, mutated(name, "verdict.json", js, shown))
        found[f"{name}/config.json"] = (2 * more, mutated(name, "config.json", js, all_of(shown, planned)))
        found[f"{name}/study.json"] = (10, mutated(name, "study.json", js, planned))
        found[f"{name}/study.safetensors"] = (4, mutated(name, "study.safetensors", ts, planned))
        found[f"{name}/pictures.safetensors"] = (1 * more, mutated(name, "pictures.safetensors", ts, shown))
    found["row.json"] = (8, row_of(js, "row.json"))
    found["row.safetensors"] = (2, row_of(ts, "row.safetensors"))
    found["seconds.json"] = (2, seconds_of)
    return found


# ---------------------------------------------------------------- data


def _npy(x: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, x)
    return out.getvalue()


@functools.cache
def _members() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    return {"x.npy": _npy(rng.normal(size=(300, 2)).astype("f4")), "y.npy": _npy(rng.integers(0, 3, 300)),
            "classes.npy": _npy(np.array(["a", "b", "c"]))}  # fmt: skip


def read(path: Path) -> list[tuple[str, Attempt]]:
    real = BASE["files"].parent / "sets" / "real.npy"
    words = [
        "--baseline",
        f"cold:1={path}",
        "--candidate",
        f"warm:1={real}",
        "--quiet",
        "--out",
        str(path.parent / "out"),
    ]
    return [
        ("load", lambda: data.load(str(path))),
        ("audit", command("audit", str(path))),
        ("evaluate", command("evaluate", "--real", str(path), *words)),
        ("candidate", command("evaluate", "--real", str(real), *words)),
    ]


def array(scratch: Path, seed: int) -> Iterable[tuple[str, Attempt]]:
    (path := scratch / "x.npy").write_bytes(mutants.array_mutant(_members()["x.npy"], seed))
    return read(path)


def archived(scratch: Path, seed: int) -> Iterable[tuple[str, Attempt]]:
    (path := scratch / "x.npz").write_bytes(mutants.archive_mutant(_members(), seed))
    return read(path)


def paired(scratch: Path, seed: int) -> Iterable[tuple[str, Attempt]]:
    x = _npy(np.random.default_rng(0).integers(0, 255, (200, 3, 8, 8)).astype("u1"))
    (path := scratch / "x.npz").write_bytes(mutants.archive_mutant({"inputs.npy": x, "targets.npy": x}, seed))
    from warmflow.data.paired import read_pairs

    return [("pairs", lambda: read_pairs(path)), ("problem", lambda: problem_of("pairs", path=str(path)).setup())]


def safetensors(scratch: Path, seed: int) -> Iterable[tuple[str, Attempt]]:
    import torch

    path = scratch / "x.safetensors"
    files.write_tensors(path, {"x": torch.randn(300, 2)})
    path.write_bytes(mutants.tensors_mutant(path.read_bytes(), seed))
    return read(path)[1:]


def text(scratch: Path, seed: int) -> Iterable[tuple[str, Attempt]]:
    told = (BASE["files"].parent / "text.txt").read_bytes()
    (path := scratch / "x.txt").write_bytes(mutants.text_mutant(told, seed))
    with tarfile.open(scratch / "x.tar", "w:gz") as made:
        made.add(path, "x.txt")
    bad = scratch / "y.tar"
    bad.write_bytes(mutants.bytes_edited((scratch / "x.tar").read_bytes(), random.Random(seed)))
    alphabet = random.Random(seed).choice(("text8", "full"))
    from warmflow.data.text import text as made_of

    return [
        ("load", lambda: made_of(path, length=8, alphabet=alphabet)),
        ("tar", lambda: made_of(bad, length=8, alphabet=alphabet)),
        ("train", command("train", "text", "--path", str(path), "--length", "8", "--dry-run", "--width", "8", "--depth", "1")),
        ("evaluate", command("evaluate", "--real", str(path), "--baseline", f"cold:1={path}", "--candidate",
                             f"warm:1={path}", "--out", str(scratch / "out"))),
    ]  # fmt: skip


def drafts(scratch: Path, seed: int) -> Iterable[tuple[str, Attempt]]:
    """Drafts of texts in JSON lines."""
    line = {"draft": "ab cab a", "refined": "ab dad b"}
    told = b"\n".join(json.dumps(line).encode() for _ in range(50)) + b"\n"
    (path := scratch / "x.jsonl").write_bytes(mutants.lines_mutant(told, seed))
    from warmflow.data.text import LETTERS, Alphabet, drafts_of

    return [("drafts", lambda: drafts_of(path, Alphabet(tuple(LETTERS)), 8))]


def image_mutant(r: random.Random) -> tuple[str, bytes]:
    """The name and bytes of one odd or damaged image file."""
    rng = np.random.default_rng(r.randrange(10**6))
    image = Image.fromarray(rng.integers(0, 255, (9, 7, 3), dtype=np.uint8))
    mode = r.choice(("RGB", "RGB", "L", "1", "P", "CMYK", "LAB", "RGBA", "LA", "I;16", "I", "F", "YCbCr", "HSV"))
    image = Image.fromarray(rng.integers(0, 2**16, (9, 7)).astype("u2")) if mode == "I;16" else image.convert(mode)
    size = r.choice(((9, 7), (9, 7), (1, 1), (400, 1), (1, 400)))
    image = image.resize(size)
    kind = r.choice(("PNG", "PNG", "GIF", "TIFF", "JPEG", "WEBP", "BMP", "TGA", "PPM", "JPEG2000"))
    out, more = io.BytesIO(), {}
    if kind in ("GIF", "TIFF", "PNG", "WEBP") and r.random() < 0.3:
        more = {"save_all": True, "append_images": [image] * 3}
    if mode == "P" and r.random() < 0.5:
        more["transparency"] = r.choice((0, bytes(range(200))))
    try:
        image.save(out, kind, **more)
    except (OSError, ValueError, KeyError, TypeError, SystemError, AttributeError):
        image.convert("RGB").save(out, "PNG")
    suffix = r.choice((kind.lower()[:4], "png", "jpg", "PNG", "gif", "tif"))
    told = out.getvalue()
    for _ in range(r.choice((0, 0, 1, 1, 2))):
        told = mutants.bytes_edited(told, r)
    return f"odd.{suffix}", told


def images(scratch: Path, seed: int) -> Iterable[tuple[str, Attempt]]:
    """A folder of 200 good images and some that are not."""
    r = random.Random(seed)
    root = scratch / "images"
    for k in range(2):
        (root / str(k)).mkdir(parents=True)
        for i in range(100):
            (root / str(k) / f"{i}.png").symlink_to(_good(i))
    for k in range(r.choice((1, 3))):
        name, told = image_mutant(r)
        (root / r.choice(("0", "1", ".")) / f"{k}{name}").write_bytes(told)
    alone = scratch / "alone"
    alone.mkdir()
    for k in range(2):
        name, told = image_mutant(r)
        (alone / f"{k}{name}").write_bytes(told)
    mode, size = r.choice(("RGB", "L")), r.choice((4, 8))
    return [
        ("load", lambda: data.load(f"folder:{root}", size=size, mode=mode)),
        ("stream", lambda: data.load(f"folder:{root}", size=size, mode=mode, stream=True).whole),
        ("alone", lambda: data.load(f"folder:{alone}", size=size, mode=mode)),
        ("evaluate", command("evaluate", "--real", str(root), "--baseline", f"cold:1={root}", "--candidate",
                             f"warm:1={alone}", "--out", str(scratch / "out"))),
    ]  # fmt: skip


def _good(i: int) -> Path:
    folder = BASE["files"].parent / "good"
    path = folder / f"{i}.png"
    if not path.exists():
        folder.mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 255, (9, 7, 3), dtype=np.uint8)).save(path)
    return path


def of_data() -> dict[str, tuple[int, Callable[[Path, int], Iterable[tuple[str, Attempt]]]]]:
    """The kinds of data files, with their weights."""
    return {"npy": (5, array), "npz": (7, archived), "pairs npz": (2, paired), "safetensors": (2, safetensors),
            "images": (7, images), "text": (4, text), "drafts": (3, drafts)}  # fmt: skip


def trials_of(kinds: dict[str, Any], n: int, first: int = 0) -> list[Trial]:
    """n trials, shared between the kinds by their weights, with consecutive seeds."""
    whole = sum(weight for weight, _ in kinds.values())
    found = []
    for name, (weight, run) in kinds.items():
        found += [Trial(name, first + i, run) for i in range(max(1, -(-n * weight // whole)))]
    return found
