"""The generator of bad input: every case is a command or a call that must be refused in one line.

name      what is wrong
make      (Place) -> the words of a command, or a call without arguments, which the case prepares in ``place.here``
says      what the line must contain: the offending value or path
remedy    a word of the remedy
leaves    True where the command may leave a folder behind (training that diverged keeps its checkpoint)
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from warmflow.drafts import draft_of
from warmflow.methods.own import OwnModel
from warmflow.methods.warm_start import WarmStart


def words(text: str) -> list[str]:
    return text.split()


TRAINING = words("--updates 10 --width 16 --depth 1 --batch 64")
TOY = words("--train 400 --heldout 400")
PAIRED = words("--warm-start.rounds 1 --warm-start.block 400")
QUICK = [*TRAINING, *TOY, *PAIRED, "--quiet"]
"""A warm start on moons in a second."""
SMALL = {"updates": 10, "samples": 400, "width": 16, "depth": 1, "batch": 64}


def run(args: Sequence[str]) -> tuple[int, str, str]:
    """The command in this process: (exit code, stdout, stderr)."""
    from warmflow.cli import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([str(a) for a in args])
        except SystemExit as stop:
            code = int(stop.code or 0)
    return code, out.getvalue(), err.getvalue()


def everything(*folders: Path) -> dict[str, str]:
    """The content of every file below, by a hash; folders too."""
    found = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
    return found


def with_options(words: Sequence[str], *more: str) -> list[str]:
    """The words with these flags and their values, in place of the same flags before."""
    flags, kept = more[::2], list(words)
    for flag in flags:
        if flag in kept:
            i = kept.index(flag)
            del kept[i : i + 2]
    return [*kept, *more]


def quick(method: str = "warm-start") -> list[str]:
    """The options of a small training run."""
    return [*TRAINING, *TOY, *(PAIRED if method == "warm-start" else []), "--quiet"]


def train(out: Path, method: str, seed: int, *more: str) -> Path:
    words = ["train", "moons", *quick(method), "--method", method, "--seed", str(seed), "--out", str(out)]
    code, _, err = run(with_options(words, *more))
    assert code == 0, err
    return out


@dataclass(frozen=True)
class Place:
    """``shared``: finished runs that nobody changes; ``here``: the case's own folder."""

    shared: Path
    here: Path

    def runs(self, *names: str) -> list[str]:
        return [str(self.shared / n) for n in names]

    def copy(self, name: str) -> Path:
        return Path(shutil.copytree(self.shared / name, self.here / name))

    def cut(self, name: str, file: str, keep: float = 0.5) -> Path:
        """A copy of a run in which one file is cut short."""
        folder = self.copy(name)
        raw = (folder / file).read_bytes()
        (folder / file).write_bytes(raw[: int(len(raw) * keep)])
        return folder

    def without(self, name: str, file: str) -> Path:
        folder = self.copy(name)
        (folder / file).unlink()
        return folder

    def edited(self, name: str, **changes: Any) -> Path:
        """A copy of a run with another config.json."""
        folder = self.copy(name)
        found = json.loads((folder / "config.json").read_text()) | changes
        (folder / "config.json").write_text(json.dumps(found))
        return folder

    def file(self, name: str, text: str = "something else") -> Path:
        (self.here / name).write_text(text)
        return self.here / name

    def array(self, name: str, x: Any) -> str:
        np.save(self.here / name, x)
        return str(self.here / name)

    def images(self, n: int = 0, broken: int = 0) -> Path:
        folder = self.here / "photos"
        folder.mkdir()
        for k in range(n):
            Image.fromarray(np.random.default_rng(k).integers(0, 255, (6, 6), dtype=np.uint8)).save(folder / f"{k}.png")
        for k in range(broken):
            (folder / f"broken{k}.png").write_bytes(b"\x89PNG\r\n but no more")
        return folder


def shared_runs(root: Path) -> Path:
    """Everything the cases copy from."""
    for name, method in (("warm", "warm-start"), ("cold", "cold")):
        for seed in (0, 1):
            train(root / f"{name}{seed}", method, seed)
    train(root / "cold0_otherdata", "cold", 0, "--data-seed", "5")
    train(root / "cold0_longer", "cold", 0, "--updates", "12")
    train(root / "cold0_wider", "cold", 0, "--width", "24")
    train(root / "cold0_batch", "cold", 0, "--batch", "32")
    train(root / "cold0_half", "cold", 0, "--dtype", "bfloat16")
    train(root / "warm1_blur", "warm-start", 1, "--warm-start.sigma", "0.2")
    started = Path(shutil.copytree(root / "warm0", root / "started"))
    for file in ("model.json", "model.safetensors", "raw.json", "raw.safetensors"):
        (started / file).unlink()
    config = json.loads((started / "config.json").read_text())
    (started / "config.json").write_text(json.dumps({**config, "state": "started"}))
    compare = root / "compare"
    (compare / "seeds" / "0").mkdir(parents=True)
    shutil.copytree(root / "warm0", compare / "seeds" / "0" / "warm-start")
    asked = {"kind": "compare", "problem": {"name": "moons"}}
    (compare / "config.json").write_text(
        json.dumps({"warmflow": config["warmflow"], "kind": "compare", "state": "started", "asked": asked})
    )
    return root


Make = Callable[[Place], Any]


@dataclass(frozen=True)
class Case:
    name: str
    make: Make
    says: str
    remedy: str
    leaves: bool = False


def _points(n: int = 400, d: int = 2) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)


def _spoiled(value: float, row: int = 7) -> np.ndarray:
    x = _points()
    x[row, 1] = value
    return x


def _pickled(place: Place) -> str:
    path = place.here / "objects.npy"
    np.save(path, np.array([{"a": 1}] * 300, dtype=object), allow_pickle=True)
    return str(path)


def _raw_pickle(place: Place) -> str:
    path = place.here / "raw.npy"
    path.write_bytes(pickle.dumps([1, 2, 3]))
    return str(path)


def _train(*more: str, method: str = "warm-start") -> Make:
    """Training a small run with these options in place of those of the same flags."""

    def make(p: Place) -> list[str]:
        words = ["train", "moons", *quick(method), "--method", method, "--out", str(p.here / "run")]
        return with_options(words, *more)

    return make


def _draft_flag(command: str) -> str:
    return "--draft" if command == "audit" else "--warm-start.draft"


def _train_into(out: Callable[[Place], Path], *more: str, method: str = "warm-start") -> Make:
    """Training into a folder that the case makes."""
    return lambda p: _train("--out", str(out(p)), *more, method=method)(p)


def _old(place: Place, name: str = "cold0") -> Path:
    """A run as version 0.1 wrote it: its config.json names a recipe."""
    config = json.loads((place.shared / name / "config.json").read_text())
    return place.edited(name, asked={"kind": "run", "recipe": "moons", "arm": "cold", "seed": config["asked"]["seed"]})


def _in_use(place: Place) -> Path:
    """A folder that another command works in (here: another open file of this process)."""
    from warmflow import locks

    folder = place.here / "used"
    folder.mkdir()
    assert locks._taken(folder) is not None
    return folder


def command_cases() -> Iterator[Case]:
    """Through the command line."""
    yield Case("unknown command", lambda p: ["trian", "moons"], "trian", "did you mean 'train'")
    yield Case("unknown command without a neighbour", lambda p: ["zzz"], "zzz", "known:")
    yield Case("no problem", lambda p: ["train"], "PROBLEM", "--help")
    yield Case("unknown problem", lambda p: ["train", "moon"], "moon", "did you mean 'moons'")
    yield Case("unknown problem without a neighbour", lambda p: ["train", "qqq"], "qqq", "known: digits")
    yield Case("problem that climbs folders", lambda p: ["train", "../x"], "../x", "known:")
    yield Case("unknown flag", lambda p: ["train", "moons", "--udpates", "3"], "--udpates", "--updates")
    yield Case(
        "flag of another problem", lambda p: ["train", "digits", "--levels", "9"], "--levels", "known: --data-seed"
    )
    yield Case(
        "flag without its prefix", lambda p: ["train", "digits", "--sigma", "1"], "--sigma", "--warm-start.sigma"
    )
    yield Case("flag of a draft that is not asked for", lambda p: ["train", "digits", "--jittered.spread", "1"],
               "--jittered.spread", "--warm-start.draft jittered")  # fmt: skip
    yield Case("flag of a method that is not trained", lambda p: ["train", "digits", "--learned-prior.scale", "0"],
               "--learned-prior.scale is an option of learned-prior", "--method is warm-start")  # fmt: skip
    yield Case("flag of a method that is not compared", lambda p: ["compare", "digits", "--learned-prior.scale", "0"],
               "--learned-prior.scale is an option of learned-prior", "--methods warm-start: add it")  # fmt: skip
    yield Case(
        "flag given twice",
        lambda p: ["train", "digits", "--updates", "1", "--updates", "2"],
        "--updates",
        "give it once",
    )
    yield Case("flag without a value", lambda p: ["train", "digits", "--updates"], "--updates needs a value", "--help")
    yield Case(
        "flag before the problem", lambda p: ["train", "--updates", "0", "digits"], "--updates is 0", "at least 1"
    )
    yield Case("word too many", lambda p: ["train", "digits", "moons"], "moons", "--help")
    yield Case("two methods to train", _train("--method", "cold,warm-start"), "cold,warm-start", "one method")
    yield Case(
        "no method to compare",
        lambda p: ["compare", "moons", "--methods", ","],
        "--methods is empty",
        "cold, distillation",
    )
    yield Case("unknown method to compare", lambda p: ["compare", "moons", "--methods", "cold,wram-start"], "wram-start",
               "did you mean 'warm-start'")  # fmt: skip
    yield Case(
        "only cold methods", lambda p: ["compare", "moons", "--methods", "cold", "--out", "c"], "cold", "add warm-start"
    )
    yield Case("a method's value that its name fixes", lambda p: words("train moons --method cold-minibatch --cold.pairing "
               "independent"), "--cold.pairing is fixed", "ask for cold")  # fmt: skip
    yield Case("an unknown teacher", lambda p: words("compare digits --methods distillation --distillation.teacher warm"),
               "'warm'", "did you mean 'warm-start'")  # fmt: skip
    yield Case("an option of a teacher", lambda p: ["compare", "digits", "--methods", "distillation", "--cold.rounds", "0"],
               "--cold.rounds is 0", "at least 1")  # fmt: skip
    yield Case("an option of a teacher's draft", lambda p: words("compare digits --methods reflow --reflow.teacher warm-start "
               "--warm-start.draft gan --gan.width 6"), "--gan.width is 6", "multiple of 4")  # fmt: skip
    yield Case("arrays without a file", lambda p: ["train", "arrays"], "arrays", "FILE.npz")
    yield Case("demo of something else", lambda p: ["demo", "cats"], "cats", "moons")
    yield Case("demo without seeds", lambda p: ["demo", "moons", "--seeds", "0"], "--seeds is 0", "at least")
    yield Case("demo without updates", lambda p: ["demo", "moons", "--updates", "0"], "--updates is 0", "at least")
    yield Case("demo without jobs", lambda p: ["demo", "moons", "--jobs", "0"], "--jobs is 0", "at least")
    for flag, value, remedy in (
        ("--updates", "0", "at least 1"),
        ("--updates", "-5", "at least 1"),
        ("--updates", "many", "--help"),
        ("--updates", "2.5", "--help"),
        ("--batch", "0", "at least 1"),
        ("--width", "-1", "at least 0"),
        ("--depth", "-1", "at least 0"),
        ("--warm-start.rounds", "0", "at least 1"),
        ("--warm-start.block", "0", "at least 1"),
        ("--heldout", "50", "at least 200"),
        ("--train", "100", "at least 200"),
        ("--warm-start.t0", "-0.1", "at least 0"),
        ("--warm-start.t0", "1.0", "less than 1"),
        ("--warm-start.t0", "1.5", "less than 1"),
        ("--warm-start.t0", "nan", "less than 1"),
        ("--warm-start.sigma", "-0.3", "at least 0"),
        ("--warm-start.sigma", "inf", "finite"),
        ("--learning-rate", "-0.1", "greater than 0"),
        ("--learning-rate", "0.0", "greater than 0"),
        ("--jittered.spread", "0.0", "greater than 0"),
        ("--jittered.spread", "-1.0", "greater than 0"),
        ("--ema", "1.0", "less than 1"),
        ("--dropout", "-0.5", "at least 0"),
        ("--warm-start.pairing", "whole-sets", "did you mean 'whole-set'"),
        ("--warm-start.draft", "mixtur", "did you mean 'mixture'"),
        ("--predicts", "noise", "known: x1, velocity"),
        ("--network", "mpl", "did you mean 'mlp'"),
        ("--method", "wram-start", "did you mean 'warm-start'"),
        ("--dtype", "float8", "did you mean 'float32'"),
        ("--device", "toaster", "use cpu"),
        ("--threads", "0", "at least 1"),
        ("--seed", "first", "--help"),
    ):
        yield Case(f"{flag} {value}", _train(flag, value), value, remedy)
    yield Case(
        "--mixture.components 0",
        _train("--warm-start.draft", "mixture", "--mixture.components", "0"),
        "0",
        "at least 1",
    )
    if not torch.cuda.is_available():
        yield Case("cuda where there is none", _train("--device", "cuda"), "cuda", "use cpu")
    yield Case("folder without a path", lambda p: ["train", "folder"], "--path", "folder of images")
    yield Case(
        "folder of another mode", lambda p: ["train", f"folder:{p.images(3)}", "--mode", "CMYK"], "CMYK", "known: RGB"
    )
    yield Case(
        "folder too small", lambda p: ["train", f"folder:{p.images(3)}", "--size", "2"], "--size is 2", "at least 4"
    )
    yield Case(
        "a path beside folder:PATH",
        lambda p: ["train", f"folder:{p.images(3)}", "--path", "x"],
        "--path",
        "leave it out",
    )
    yield Case(
        "training where a file is in the way", _train_into(lambda p: p.file("run")), "run", "choose another",
    )  # fmt: skip
    yield Case(
        "training below a regular file", _train_into(lambda p: p.file("run") / "deeper"), "run/deeper", "choose another",
    )  # fmt: skip
    yield Case(
        "dry run of a bad setting", lambda p: ["train", "moons", "--dry-run", "--warm-start.t0", "1"],
        "--warm-start.t0 is 1", "less than 1",
    )  # fmt: skip

    # a run folder that is there already
    yield Case(
        "train again with another setting", _train_into(lambda p: p.copy("warm0"), "--warm-start.sigma", "0.25"),
        "method.sigma was 0.1, is now 0.25", "choose another --out",
    )  # fmt: skip
    yield Case(
        "train again with another method", _train_into(lambda p: p.copy("warm0"), method="cold"),
        'method.class was "WarmStart", is now "Cold"', "choose another --out",
    )  # fmt: skip
    yield Case(
        "train into a comparison's folder", _train_into(lambda p: p.copy("compare")), "compare", "choose another --out"
    )
    yield Case(
        "train into a folder with half a config.json", _train_into(lambda p: p.cut("warm0", "config.json")),
        "config.json", "another folder",
    )  # fmt: skip
    yield Case(
        "train into a folder whose config.json is empty", _train_into(lambda p: p.cut("warm0", "config.json", 0)),
        "config.json", "another folder",
    )  # fmt: skip
    yield Case(
        "train into a folder that is in use", _train_into(_in_use), f"in use by process {os.getpid()} on", "wait until",
    )  # fmt: skip
    yield Case(
        "compare into a folder that is in use",
        lambda p: ["compare", *p.runs("warm0", "cold0"), "--calls", "1", "--out", str(_in_use(p)), "--quiet"],
        f"in use by process {os.getpid()} on", "choose another folder",
    )  # fmt: skip
    yield Case(
        "train on in a folder of another version", _train_into(lambda p: p.edited("started", warmflow="9.7.0")),
        "9.7.0", "install",
    )  # fmt: skip
    yield Case("train on in a folder of version 0.1", _train_into(_old), "warmflow 0.1", "train it again")
    yield Case("a huge learning rate", _train("--learning-rate", "1e30"), "at step", "Lower the learning rate", True)

    # --from
    def begin(make: Callable[[Place], Path | str], *more: str, method: str = "warm-start") -> Make:
        return lambda p: _train("--from", str(make(p)), *more, method=method)(p)

    yield Case("--from a warm run", begin(lambda p: p.shared / "warm0"), "WarmStart", "cold run")
    yield Case("--from nowhere", begin(lambda p: p.here / "nowhere"), "nowhere", "is not a run folder")
    yield Case("--from a comparison", begin(lambda p: p.shared / "compare"), "compare", "name one of the runs")
    yield Case("--from another width", begin(lambda p: p.shared / "cold0_wider"), "24", "same width")
    yield Case("--from another version", begin(lambda p: p.edited("cold0", warmflow="9.7.0")), "9.7.0", "install")
    yield Case("--from version 0.1", begin(_old), "warmflow 0.1", "train it again")
    yield Case(
        "--from for a cold flow", begin(lambda p: p.shared / "cold0", method="cold"), "'cold'", "fine-tunes a warm start",
    )  # fmt: skip

    # sample
    def sample(*more: str, run: Callable[[Place], Any] = lambda p: p.shared / "warm0", out: str = "x.npy") -> Make:
        return lambda p: ["sample", str(run(p)), "--out", str(p.here / out), *more]

    yield Case("sample without --out", lambda p: ["sample", str(p.shared / "warm0")], "--out", "--help")
    yield Case("sample -n 0", sample("-n", "0"), "-n is 0", "at least 1")
    yield Case("sample -n half", sample("-n", "0.5"), "0.5", "--help")
    yield Case("too large a grid", sample("-n", "5000", out="x.png"), "5000", ".npz")
    yield Case("sample --steps 0", sample("--steps", "0"), "--steps is 0", "at least 1")
    yield Case("sample --steps -1", sample("--steps", "-1"), "steps is -1", "at least 1")
    yield Case("sample --steps 2.5", sample("--steps", "2.5"), "2.5", "--help")
    yield Case("sample --steps x", sample("--steps", "x"), "x", "--help")
    yield Case("sample --batch-size 0", sample("--batch-size", "0"), "--batch-size is 0", "at least 1")
    yield Case("unknown solver", sample("--solver", "heum"), "heum", "did you mean 'heun'")
    yield Case("sample to a bad suffix", sample(out="x.jpg"), "x.jpg", ".npz")
    yield Case("sample to no suffix", sample(out="x"), "/x;", ".npz")
    yield Case("sample into a missing folder", sample(out="no/where/x.npy"), "no/where", "make it first")
    yield Case(
        "sample below a regular file",
        lambda p: ["sample", str(p.shared / "warm0"), "--out", str(p.file("f") / "x.npy")], "f/x.npy", "another place",
    )  # fmt: skip
    yield Case(
        "sample onto a folder",
        lambda p: ["sample", str(p.shared / "warm0"), "--out", str(p.copy("warm0").rename(p.here / "a.npy"))],
        "a.npy", "name a file in it",
    )  # fmt: skip
    yield Case("sample of nothing", sample(run=lambda p: p.here / "nope"), "nope", "not a run folder")
    yield Case("sample of a file", sample(run=lambda p: p.file("plain")), "plain", "cannot be read")
    yield Case("sample of a comparison", sample(run=lambda p: p.shared / "compare"), "compare", "name one of the runs")
    yield Case("sample of an unfinished run", sample(run=lambda p: p.shared / "started"), "started", "again")
    yield Case(
        "sample of half a config", sample(run=lambda p: p.cut("warm0", "config.json")), "config.json", "another folder"
    )
    yield Case(
        "sample of half a model",
        sample(run=lambda p: p.cut("warm0", "model.safetensors")),
        "model.safetensors",
        "delete",
    )
    yield Case(
        "sample of half a model.json", sample(run=lambda p: p.cut("warm0", "model.json")), "model.json", "delete"
    )
    yield Case("sample without model.json", sample(run=lambda p: p.without("warm0", "model.json")), "model", "again")
    yield Case(
        "sample without weights",
        sample(run=lambda p: p.without("warm0", "model.safetensors")),
        "model.safetensors",
        "again",
    )
    yield Case(
        "sample of another version", sample(run=lambda p: p.edited("warm0", warmflow="0.9.3")), "0.9.3", "install"
    )
    yield Case(
        "sample of version 0.1", sample(run=_old), "warmflow 0.1, which this version cannot read", "train it again"
    )
    yield Case("sample of a foreign config.json", sample(run=_foreign), "config.json", "warmflow train has written")
    yield Case("sample of exchanged weights", sample(run=_exchanged), "exchanged", "again")

    # compare of runs
    def compare(*names: str, more: Sequence[str] = ()) -> Make:
        return lambda p: ["compare", *p.runs(*names), "--out", str(p.here / "c"), "--quiet", *more]

    yield Case("runs of different data", compare("warm0", "cold0_otherdata"), "cold0_otherdata", "one data set")
    yield Case("runs of different updates", compare("warm0", "cold0_longer"), "12", "equal training")
    yield Case("runs of different width", compare("warm0", "cold0_wider"), "width is 16 and 24", "equal training")
    yield Case(
        "runs of different arithmetic", compare("warm0", "cold0_half"), "float32' and 'bfloat16", "equal training"
    )
    yield Case("runs of different batch", compare("warm0", "cold0_batch"), "batch is 64 and 32", "equal training")
    yield Case(
        "warm runs of different sigma",
        compare("warm0", "warm1_blur", "cold0", "cold1"),
        "0.1 and 0.2",
        "compare them apart",
    )
    yield Case(
        "runs of different seeds", compare("warm0", "warm1", "cold0"), "warm-start has [0, 1]", "train the missing"
    )
    yield Case("only warm runs", compare("warm0", "warm1"), "warm-start", "train the other")
    yield Case("one run only", compare("cold0"), "methods cold;", "train the other")
    yield Case("a run named twice", compare("warm0", "warm0", "cold0"), "warm-start, seed 0", "once")
    yield Case("runs and no run", compare("warm0", "nope"), "nope", "train it first")
    yield Case("a comparison among runs", compare("warm0", "compare"), "compare", "name one of the runs")
    yield Case("an unfinished run among runs", compare("started", "cold0"), "started", "again")
    yield Case(
        "a run of another version among runs",
        lambda p: ["compare", str(p.edited("warm0", warmflow="9.7.0")), *p.runs("cold0"), "--out", str(p.here / "c")],
        "9.7.0", "install",
    )  # fmt: skip
    yield Case(
        "a run of version 0.1 among runs", lambda p: ["compare", str(_old(p)), *p.runs("warm0"), "--out", str(p.here / "c")],
        "warmflow 0.1", "train it again",
    )  # fmt: skip
    yield Case(
        "finished runs and --methods", compare("warm0", "cold0", more=["--methods", "cold"]), "--methods", "leave"
    )
    yield Case("finished runs and an option of a method", compare("warm0", "cold0", more=["--warm-start.sigma", "1"]),
               "--warm-start.sigma", "leave")  # fmt: skip
    yield Case("finished runs and --updates", compare("warm0", "cold0", more=["--updates", "9"]), "--updates", "leave")
    yield Case("finished runs and --minutes", compare("warm0", "cold0", more=["--minutes", "9"]), "--minutes", "leave")
    for calls in ("0", "-1", "2.5", "x", "", "1,,2", "1;2"):
        yield Case(
            f"compare --calls {calls!r}", compare("warm0", "cold0", more=["--calls", calls]), repr(calls), "1,2,4,8"
        )
    yield Case("steps of another version", compare("warm0", "cold0", more=["--steps", "1,2"]), "--steps", "--help")
    yield Case(
        "a comparison where a file is in the way",
        lambda p: ["compare", *p.runs("warm0", "cold0"), "--out", str(p.file("c")), "--quiet"], "/c", "another folder",
    )  # fmt: skip

    # compare and audit of data
    def data(make: Callable[[Place], Any], *more: str, command: str = "compare") -> Make:
        out = ["--out", "c", "--quiet", "--jobs", "1"] if command == "compare" else []
        return lambda p: with_options([command, str(make(p)), *out], *more)

    yield Case("compare of nothing", lambda p: ["compare"], "WHAT", "--help")
    yield Case("compare of an unknown name", data(lambda p: "digit"), "digit", "did you mean 'digits'")
    yield Case("compare of a missing file", data(lambda p: p.here / "no.npy"), "no.npy", "does not exist")
    yield Case("compare of a missing folder", data(lambda p: "folder:no/where"), "no/where", "does not exist")
    yield Case("compare of a bare folder", data(lambda p: p.images(3)), "3 rows", "too few to tell")
    yield Case("compare --seeds 0", data(lambda p: "moons", "--seeds", "0"), "--seeds is 0", "at least")
    yield Case("compare --minutes 0", data(lambda p: "moons", "--minutes", "0"), "--minutes is 0", "positive")
    yield Case("compare --minutes -3", data(lambda p: "moons", "--minutes", "-3"), "--minutes is -3", "positive")
    yield Case("compare --minutes nan", data(lambda p: "moons", "--minutes", "nan"), "nan", "positive")
    yield Case("compare --jobs -2", data(lambda p: "moons", "--jobs", "-2"), "--jobs is -2", "at least 1")
    yield Case("compare onto a file", lambda p: ["compare", p.array("d.npy", _points()), "--quiet", "--out",
               str(p.file("c"))], "/c", "choose another")  # fmt: skip
    yield Case("audit of an unknown name", data(lambda p: "toy.mons", command="audit"), "toy.mons", "moons")
    yield Case("audit of folder alone", data(lambda p: "folder", command="audit"), "--path", "folder")
    yield Case(
        "audit with a bad sigma", data(lambda p: "moons", "--warm-start.sigma", "-1", command="audit"),
        "--warm-start.sigma is -1", "at least 0",
    )  # fmt: skip
    yield Case(
        "audit with --updates", data(lambda p: "moons", "--updates", "5", command="audit"), "--updates", "leave it out"
    )
    yield Case("compare --samples 50", data(lambda p: "moons", "--samples", "50"), "--samples is 50", "at least 200")
    for what, make, says, remedy in (
        ("an empty folder", lambda p: f"folder:{p.images()}", "photos", "holds no images"),
        ("a folder of broken images", lambda p: f"folder:{p.images(broken=5)}", "5 files", "give png"),
        ("a folder with one image", lambda p: f"folder:{p.images(1, 2)}", "photos", "at least two"),
        ("a folder of few images", lambda p: f"folder:{p.images(10)}", "10 rows", "too few to tell"),
        ("NaN data", lambda p: p.array("d.npy", _spoiled(np.nan)), "NaN", "remove or repair"),
        ("infinite data", lambda p: p.array("d.npy", _spoiled(np.inf)), "infinite", "remove or repair"),
        ("few data", lambda p: p.array("d.npy", _points(199)), "199", "at least 200"),
        ("no data", lambda p: p.array("d.npy", _points(0)), "(0, 2)", "at least 200"),
        ("huge values", lambda p: p.array("d.npy", _spoiled(1e6)), "1e+06", "standardise"),
        ("floats in 0..255", lambda p: p.array("d.npy", np.full((300, 6, 6), 200.0)), "200", "[-1, 1]"),
        ("equal rows", lambda p: p.array("d.npy", np.zeros((300, 3))), "300", "check the file"),
        ("text", lambda p: p.array("d.npy", np.array(["a"] * 300)), "<U1", "give numbers"),
        ("complex numbers", lambda p: p.array("d.npy", _points().astype(complex)), "complex128", "give numbers"),
        ("pickled objects", _pickled, "objects.npy", "save an array of numbers"),
        ("a pickle", _raw_pickle, "raw.npy", "numpy.save"),
        ("no array file", lambda p: p.file("d.npz"), "d.npz", "numpy.save"),
        ("a text file", lambda p: p.file("d.csv"), "d.csv", "numpy.save"),
        ("five dimensions", lambda p: p.array("d.npy", np.zeros((300, 1, 1, 1, 2))), "(300, 1, 1, 1, 2)", "give"),
        ("four channels", lambda p: p.array("d.npy", np.zeros((300, 6, 6, 4), np.uint8)), "(300, 6, 6, 4)", "C of 1"),
        ("nameless arrays", lambda p: _two_arrays(p), "d.npz", "name the data x"),
    ):
        yield Case(f"compare of {what}", data(make), says, remedy)
        if what in ("NaN data", "few data", "a folder of few images"):
            yield Case(f"audit of {what}", data(make, command="audit"), says, remedy)

    # drafts
    def drafts(make: Callable[[Place], Any], command: str = "compare") -> Make:
        return lambda p: data(
            lambda q: q.array("d.npy", _points()), _draft_flag(command), str(make(p)), command=command
        )(p)

    for what, make, says, remedy in (
        ("an unknown draft", lambda p: "mixtur", "mixtur", "did you mean 'mixture'"),
        ("a missing file of drafts", lambda p: p.here / "no.npy", "no.npy", "does not exist"),
        ("a draft file of another kind", lambda p: p.file("drafts.txt"), "drafts.txt", ".npy"),
        ("drafts of another shape", lambda p: p.array("a.npy", _points(400, 3)), "(400, 3)", "resize or re-draw"),
        ("NaN drafts", lambda p: p.array("a.npy", _spoiled(np.nan)), "NaN", "mend the draft"),
        ("no drafts", lambda p: p.array("a.npy", _points(0)), "(0, 2)", "at least one draft"),
        ("text for drafts", lambda p: p.array("a.npy", np.array([["a", "b"]] * 9)), "<U1", "array of numbers"),
        ("a folder of drafts for points", lambda p: p.images(4), "photos", ".npy"),
        ("a jittered draft of data", lambda p: "jittered", "jittered", "needs fresh data"),
    ):
        yield Case(f"compare with {what}", drafts(make), says, remedy)
    yield Case("audit with an unknown draft", drafts(lambda p: "mixtur", "audit"), "mixtur", "did you mean 'mixture'")
    yield Case(
        "more components than data",
        data(lambda p: p.array("d.npy", _points()), "--mixture.components", "300"),
        "--mixture.components is 300",
        "at most",
    )

    # report
    yield Case("report of nothing", lambda p: ["report", str(p.here / "no")], "/no", "give the folder")
    yield Case("report of no run", lambda p: ["report", str(p.images(1))], "photos", "give the folder")
    yield Case(
        "report of half a config", lambda p: ["report", str(p.cut("warm0", "config.json"))], "config.json", "again"
    )
    yield Case(
        "report of another version", lambda p: ["report", str(p.edited("warm0", warmflow="9.7"))], "9.7", "install"
    )
    yield Case("report of version 0.1", lambda p: ["report", str(_old(p))], "warmflow 0.1", "train it again")
    yield Case("plan of version 0.1", lambda p: ["plan", str(_old(p))], "warmflow 0.1", "train it again")
    yield Case("plan of nothing", lambda p: ["plan", str(p.here / "no")], "/no", "not a run folder")
    yield Case("plan of no power", lambda p: ["plan", "x", "--power", "1"], "--power is 1", "between 0 and 1")
    yield Case(
        "report of two, one bad", lambda p: ["report", *p.runs("warm0"), str(p.here / "no")], "/no", "give the folder"
    )
    yield Case(
        "report below a regular file",
        lambda p: ["report", *p.runs("warm0"), "--out", str(p.file("f") / "page.html")], "f/page.html", "another",
    )  # fmt: skip


def _foreign(place: Place) -> Path:
    folder = place.here / "foreign"
    folder.mkdir()
    (folder / "config.json").write_text("[1, 2]")
    return folder


def _exchanged(place: Place) -> Path:
    folder = place.copy("warm0").rename(place.here / "exchanged")
    shutil.copy(place.shared / "cold0_wider" / "model.safetensors", folder / "model.safetensors")
    return folder


def _two_arrays(place: Place) -> str:
    np.savez(place.here / "d.npz", a=_points(), b=_points())
    return str(place.here / "d.npz")


OPTIONS = {f.name for f in dataclasses.fields(WarmStart)}


def _compare(place: Place, data: Any = None, draft: Any = None, **more: Any) -> Callable[[], Any]:
    """A comparison with a warm start, whose options are among ``more`` beside those of training."""
    import warmflow

    x = torch.as_tensor(_points()) if data is None else data
    options = {"rounds": 1, "block": 400, **{k: more[k] for k in OPTIONS & more.keys()}}
    more = {k: v for k, v in more.items() if k not in OPTIONS}
    settings = {"progress": False, "seeds": [0], **SMALL, **more}
    return lambda: warmflow.compare(
        x,
        [WarmStart(**options, **({} if draft is None else {"draft": draft_of(draft)}))],
        out=place.here / "c",
        **settings,
    )


def call_cases() -> Iterator[Case]:
    """Through Python: ``make`` returns the call."""

    def compare(data: Any = None, draft: Any = None, **more: Any) -> Make:
        return lambda p: _compare(p, data, draft, **more)

    yield Case("unknown setting", compare(udpates=3), "udpates", "did you mean 'updates'")
    yield Case("setting of another type", compare(updates="many"), "'many'", "whole number")
    yield Case("half an update", compare(updates=2.5), "2.5", "whole number")
    yield Case("a truth for a number", compare(batch=True), "True", "a whole number")
    yield Case("text for a rate", compare(sigma="big"), "'big'", "a number")
    yield Case("a number for a name", compare(pairing=3), "3", "text")
    yield Case("a number for a truth", compare(seen=2), "seen is 2", "true or false")
    yield Case("t0 of 1", compare(t0=1), "t0 is 1", "less than 1")
    yield Case("t0 of NaN", compare(t0=float("nan")), "nan", "less than 1")
    yield Case("calls of zero", compare(calls=[0, 1]), "0", "at least 1")
    yield Case("calls of a half", compare(calls=[1, 2.5]), "2.5", "whole number")
    yield Case("no calls", compare(calls=[]), "empty", "like 1, 2, 4, 8")
    yield Case("calls as one number", compare(calls=4), "4", "in a list, like [4]")
    yield Case("calls as text", compare(calls="1,2"), "1,2", "whole number")
    yield Case("no seeds", compare(seeds=[]), "seeds is empty", "at least one")
    yield Case("seeds as one number", compare(seeds=5), "5", "range(5)")
    yield Case("a seed of a half", compare(seeds=[0.5]), "0.5", "whole number")
    yield Case("no minutes", compare(minutes=0), "minutes is 0", "positive")
    yield Case("negative minutes", compare(minutes=-1), "minutes is -1", "positive")
    yield Case("minutes as text", compare(minutes="ten"), "ten", "a positive number")
    yield Case("no jobs", compare(jobs=0), "jobs is 0", "at least 1")
    yield Case("no such device", compare(device="toaster"), "toaster", "use cpu")
    yield Case(
        "a bare function as the cold model", lambda p: lambda: OwnModel(field=lambda x, t: x), "function", "wrap"
    )
    yield Case("data of None", lambda p: lambda: _load(None), "object", "give numbers")
    yield Case("ragged data", lambda p: lambda: _load([[1.0, 2.0], [3.0]] * 200), "different shapes", "same shape")
    yield Case("one dimension", compare(torch.zeros(400)), "(400,)", "reshape")
    yield Case("too few data", compare(torch.randn(20, 2)), "20", "at least 200")
    yield Case("one image only", compare(torch.zeros(1, 1, 8, 8)), "1 rows", "at least 200")
    yield Case("objects", compare(np.array([None, 1] * 200, dtype=object)), "object", "give numbers")
    yield Case("images beyond [-1, 1]", compare(torch.rand(300, 1, 6, 6) * 3), "outside [-1, 1]", "scale")
    yield Case("NaN images", compare(torch.full((300, 1, 6, 6), float("nan"))), "300 of 300", "remove or repair")
    yield Case("whole-number images", compare(torch.ones(300, 1, 6, 6, dtype=torch.int64)), "int64", "uint8")
    yield Case(
        "draft of another shape", compare(draft=lambda n, seed: torch.zeros(n, 3)), "(2, 3)", "resize or re-draw"
    )
    yield Case("draft of another number", compare(draft=lambda n, seed: torch.zeros(n + 1, 2)), "(3, 2)", "re-draw")
    yield Case(
        "draft of whole numbers", compare(draft=lambda n, seed: torch.zeros(n, 2, dtype=torch.int64)), "int64", "float"
    )
    yield Case("draft of NaN", compare(draft=lambda n, seed: torch.full((n, 2), float("nan"))), "NaN", "mend the draft")
    yield Case("draft of None", compare(draft=lambda n, seed: None), "NoneType", "tensor")
    yield Case("draft without a seed", compare(draft=lambda n: torch.zeros(n, 2)), "draft(n, seed)", "take both")
    yield Case("draft that is a number", compare(draft=3), "int, 3", "callable draft(n, seed)")
    yield Case("draft that is a dictionary", compare(draft={"x": 1}), "dict", "array of drafts")
    yield Case("an unknown draft", compare(draft="gausian"), "gausian", "did you mean 'gaussian'")
    yield Case("an empty array of drafts", compare(draft=torch.zeros(0, 2)), "(0, 2)", "at least one")
    yield Case("objects as drafts", compare(draft=np.array([None] * 9, dtype=object)), "object", "array of numbers")
    yield Case(
        "drafts on another scale",
        compare(torch.rand(300, 1, 6, 6), torch.rand(300, 1, 6, 6) * 255),
        "[-1, 1]",
        "scale them",
    )
    yield Case("too few aligned drafts", lambda p: _misaligned, "draft 5, but there are only 3", "as many as the data")
    yield Case("audit of a few rows", lambda p: lambda: _audit(torch.randn(50, 2)), "50", "at least 200")
    yield Case(
        "audit of a bad draft", lambda p: lambda: _audit(torch.randn(300, 2), torch.zeros(9, 5)), "(9, 5)", "resize"
    )
    yield Case("load of nothing", lambda p: lambda: _sampler(p.here / "no"), "/no", "not a run folder")
    yield Case("load of half a model", lambda p: _half(p), "model.safetensors", "delete it")
    yield Case("load of an unfinished run", lambda p: lambda: _sampler(p.shared / "started"), "started", "again")
    yield Case(
        "load of a comparison", lambda p: lambda: _sampler(p.shared / "compare"), "compare", "seeds/0/warm-start"
    )
    yield Case("no samples", lambda p: lambda: _sampler(p.shared / "warm0")(0), "n is 0", "at least one")
    yield Case("half a step", lambda p: lambda: _sampler(p.shared / "warm0")(5, steps=2.5), "2.5", "whole number")
    yield Case("no batch", lambda p: lambda: _sampler(p.shared / "warm0")(5, batch=0), "batch is 0", "at least 1")
    yield Case("wrap of no model", lambda p: lambda: _wrap(3), "int", "model(x, time)")
    yield Case("wrap of an unknown prediction", lambda p: lambda: _wrap(_still, "score"), "'score'", "'epsilon'")
    yield Case("wrap of an unknown time", lambda p: lambda: _wrap(_still, time="up"), "'up'", "'ascending'")
    yield Case("a wrapped model of another shape", lambda p: lambda: _walk(_wrong), "(4, 1)", "(4, 2)")
    yield Case("a wrapped model that returns None", lambda p: lambda: _walk(lambda x, t: None), "NoneType", "expected")
    yield Case("pairs made with other settings", lambda p: lambda: _prepared(p.here, 3), "seed = 0", "another folder")
    yield Case("pairs in no rounds", lambda p: lambda: _prepared(p.here, 0, rounds=0), "rounds is 0", "at least 1")
    yield Case("negative blur", lambda p: lambda: _blur(-1.0), "sigma is -1.0", "0 or more")
    yield Case("a path from 1 on", lambda p: lambda: _path(1.0), "t0 is 1.0", "[0, 1)")
    yield Case("a path from NaN on", lambda p: lambda: _path(float("nan")), "nan", "[0, 1)")


def _load(x: Any) -> Any:
    from warmflow.data import load

    return load(x)


def _audit(*given: Any) -> Any:
    import warmflow

    return warmflow.audit(*given)


def _sampler(folder: Path) -> Any:
    import warmflow

    return warmflow.load(folder)


def _half(place: Place) -> Callable[[], Any]:
    folder = place.cut("warm0", "model.safetensors")
    return lambda: _sampler(folder)


def _misaligned() -> Any:
    from warmflow import External, Noise

    source = External.of(torch.zeros(3, 2), (2,))
    return source.draw(2, {"index": torch.tensor([1, 5])}, noise=Noise.of(0, 2))


def _still(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(x)


def _wrong(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    return x[:, :1]


def _wrap(*given: Any, **more: Any) -> Any:
    import warmflow

    return warmflow.wrap(*given, **more)


def _walk(model: Any) -> Any:
    from warmflow import Euler, Sampler, StandardNormal

    return Sampler(StandardNormal((2,)), _wrap(model), Euler(), 2)(4)


def _prepared(folder: Path, seed: int, rounds: int = 1) -> Any:
    from warmflow import Assignment, StandardNormal, prepare

    train = _load(torch.as_tensor(_points())).train
    prepare(Assignment(), train, StandardNormal((2,)), folder, seed=0, rounds=rounds)
    return prepare(Assignment(), train, StandardNormal((2,)), folder, seed=seed)


def _blur(sigma: float) -> Any:
    from warmflow import Blurred, StandardNormal

    return Blurred(StandardNormal((2,)), sigma)


def _path(t0: float) -> Any:
    from warmflow import LinearPath

    return LinearPath(t0)
