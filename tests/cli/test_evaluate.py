"""``warmflow evaluate``: files give the verdict of the same tensors, number for number; bad input is one line and exit code 2."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from bad_input import everything, run
from spots import blobs, to_bytes, write_images
from torch import Tensor

from warmflow.data.images import from_uint8
from warmflow.evaluation.evaluate import Evaluation, Extras, evaluate
from warmflow.evaluation.exchange import Rules
from warmflow.evaluation.record import read_study, verdict_json
from warmflow.evaluation.study import Training

N = 160
CALLS = (1, 2, 4)
NOISE = {"cold": 1.6, "warm": 0.3}
LONGEST = 400


def seed_of(name: str, calls: int, seed: int) -> int:
    return 1_000 + 100 * seed + 10 * calls + len(name) + (name == "warm") * 5_000


def samples(name: str, calls: int, seed: int) -> Tensor:
    return blobs(N, seed_of(name, calls, seed), NOISE[name] / calls)


def rounded(x: Tensor) -> Tensor:
    return from_uint8(to_bytes(x))


@dataclass(frozen=True)
class Place:
    here: Path

    def array(self, name: str, x: Tensor) -> str:
        path = self.here / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, x.numpy())
        return str(path)

    def sets(self, seeds: Sequence[int] = (0, 1)) -> list[str]:
        """The options of a small evaluation that is in order, from arrays."""
        words = ["evaluate", "--quiet", "--out", str(self.here / "out"), "--real", self.array("real", blobs(240, 1))]
        for name, option in (("cold", "--baseline"), ("warm", "--candidate")):
            for k in (1, 2):
                for s in seeds:
                    path = self.array(f"{name}{k}_{s}", samples(name, k, s))
                    words += [option, f"{name}:{k}@{s}={path}"]
        return words

    def changed(self, file: str, change: Callable[[Tensor], Tensor], *more: str) -> list[str]:
        """The same with one file changed, and more options."""
        words = self.sets()
        path = self.here / f"{file}.npy"
        np.save(path, change(torch.from_numpy(np.load(path))).numpy())
        return [*words, *more]

    def without(self, option: str) -> list[str]:
        words = self.sets()
        return [w for i, w in enumerate(words) if w != option and (i == 0 or words[i - 1] != option)]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# ---------------------------------------------------------------- the verdict


@pytest.mark.long
def test_folders_of_images_are_judged_as_the_same_tensors(tmp_path: Path) -> None:
    real, train = blobs(300, 1), blobs(200, 2)
    words = [
        "--real",
        str(write_images(real, tmp_path / "real")),
        "--train",
        str(write_images(train, tmp_path / "train")),
    ]
    given: dict[str, dict[int, dict[int, Tensor]]] = {}
    for name in NOISE:
        for s in (0, 1, 2):
            for k in CALLS:
                x = samples(name, k, s)
                write_images(x, tmp_path / name / f"{k}@{s}")
                given.setdefault(name, {}).setdefault(s, {})[k] = rounded(x)
    start = [blobs(N, 70 + s, 0.9) for s in (0, 1, 2)]
    for s in (0, 1, 2):
        words += ["--start", f"warm@{s}={write_images(start[s], tmp_path / 'drafts' / str(s))}"]
    words += ["--baseline", f"cold={tmp_path / 'cold'}", "--candidate", f"warm={tmp_path / 'warm'}"]
    words += ["--seconds", "warm:2=0.25", "--trained", "equal", "--counted", "draft, pairing", "--useful", "0.4"]
    code, out, err = run(["evaluate", *words, "--items", "spots", "--out", tmp_path / "out", "--quiet"])
    assert code == 0, err
    expected = evaluate(
        rounded(real), baseline={"cold": given["cold"]}, candidates={"warm": given["warm"]}, train=rounded(train),
        rules=Rules(useful=0.4),
        extras=Extras(
            starts={"warm": {s: {0: rounded(x)} for s, x in enumerate(start)}}, seconds={"warm": {2: 0.25}},
            trained=Training.EQUAL, counted=("draft", "pairing"), items="spots",
        ),
    )  # fmt: skip
    found = json.loads((tmp_path / "out" / "verdict.json").read_text())
    assert found == json.loads(json.dumps(verdict_json(expected)))
    assert found["candidates"]["warm"]["outcome"] == "faster"
    answer = expected.answers["warm"]
    assert answer.text in out and all(note in out for note in answer.notes)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["kind"], config["state"], config["data"]["kind"]) == ("evaluate", "complete", "images")
    assert "warmflow" in config and (tmp_path / "out" / "report.html").exists()
    again = read_study(tmp_path / "out")
    assert [r.measure.distance for r in again.rows] == [r.measure.distance for r in expected.study.rows]
    assert Evaluation.of(again, rules=Rules(useful=0.4)).answers["warm"] == answer, "judged again from its files"
    page = (tmp_path / "out" / "report.html").read_text()
    assert config["notes"] and all(note in page for note in (*config["notes"], *answer.notes))


def test_one_seed_makes_a_table_and_says_that_it_is_no_verdict(place: Place) -> None:
    words = [w.replace("@0", "") for w in place.sets(seeds=[0])]
    code, out, err = run(words)
    assert code == 0, err
    found = json.loads((place.here / "out" / "verdict.json").read_text())["candidates"]["warm"]
    assert found["outcome"] == "cannot tell" and found["missing"] == ["seeds"] and found["rate"] is None
    assert "one training seed" in out and "train at least two more" in out
    table = {line.split()[0]: line for line in out.splitlines() if line.startswith("  ")}
    assert "1: " in table["cold"] and "2: " in table["warm"]


def test_clipping_all_methods_is_the_remedy_for_one(place: Place) -> None:
    words = place.changed(
        "cold2_0", lambda x: x + 0.3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    )
    code, out, err = run(words)
    assert code == 2 and "clip all or none (--clip LOW,HIGH)" in err
    code, out, err = run([*words, "--clip", "-1,1"])
    assert code == 0, err


@pytest.mark.long
def test_the_same_command_again_is_welcome_and_another_is_not(place: Place) -> None:
    words = place.sets()
    assert run(words)[0] == 0
    first = (place.here / "out" / "verdict.json").read_bytes()
    assert run(words)[0] == 0
    assert (place.here / "out" / "verdict.json").read_bytes() == first
    code, _, err = run([*words, "--useful", "0.3"])
    assert (
        code == 2
        and "useful was 0.5, is now 0.3" in err
        and (place.here / "out" / "verdict.json").read_bytes() == first
    )


# ---------------------------------------------------------------- bad input


@dataclass(frozen=True)
class Bad:
    name: str
    make: Callable[[Place], list[str]]
    says: tuple[str, ...]


def beyond(x: Tensor) -> Tensor:
    return x + 0.3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))


def with_nan(x: Tensor) -> Tensor:
    x = x.clone()
    x[5] = torch.nan
    return x


def folder_of(place: Place, *names: str) -> list[str]:
    for name in names:
        place.array(f"all/{name}", samples("warm", 1, 0))
    return [*place.without("--candidate"), "--candidate", f"warm={place.here / 'all'}"]


def more(*words: str) -> Callable[[Place], list[str]]:
    return lambda p: [*p.sets(), *(w.format(here=p.here) for w in words)]


BAD = [
    Bad("no baseline", lambda p: p.without("--baseline"), ("--baseline is missing", "NAME:CALLS@SEED=PATH")),
    Bad("no candidate", lambda p: p.without("--candidate"), ("--candidate is missing", "needs a baseline and a candidate")),
    Bad("steps no number", more("--candidate", "warm:few={here}/warm1_0.npy"), ("'few' is not a number of calls", "at least 1")),
    Bad("zero steps", more("--candidate", "warm:0={here}/warm1_0.npy"), ("'0' is not a number of calls", "at least 1")),
    Bad("half a step", more("--candidate", "warm:1.5={here}/warm1_0.npy"), ("'1.5' is not a number of calls", "whole number")),
    Bad("seed no number", more("--baseline", "cold:4@a={here}/cold1_0.npy"), ("'a' is not a training seed", "whole number")),
    Bad("no path", more("--baseline", "cold:4"), ("'cold:4'", "give NAME:CALLS@SEED=PATH")),
    Bad("no calls", more("--baseline", "cold@0={here}/cold1_0.npy"), ("without a number of calls", "NAME:CALLS@SEED=PATH")),
    Bad("no calls, no folder", more("--baseline", "cold={here}/cold1_0.npy"), ("has no number of calls", "named 4 or 4@0")),
    Bad("folder of names", lambda p: folder_of(p, "1@0", "two@0"), ("'two' is not a number of calls", "4 or 4@0")),
    Bad("calls of a start", more("--start", "warm:1={here}/warm1_0.npy"), ("a start has no number of calls", "NAME@SEED=PATH")),
    Bad("start of none", more("--start", "hot={here}/warm1_0.npy"), ("'hot', which is not a candidate", "known: warm")),
    Bad("control of none", more("--control", "cold:1={here}/warm1_0.npy"), ("'cold', which is not a candidate", "known: warm")),
    Bad("given twice", more("--candidate", "warm:1@0={here}/cold1_0.npy"), ("warm:1@0 is given twice", "its own seed")),
    Bad("both", more("--baseline", "warm:1@0={here}/cold1_0.npy"), ("'warm' is a baseline and a candidate", "its own name")),
    Bad("one path twice", more("--candidate", "warm:3@0={here}/cold1_0.npy", "--candidate", "warm:3@1={here}/cold1_0.npy"),
        ("cold1_0.npy is given for", "each needs its own samples")),
    Bad("seeds left out", more("--candidate", "warm:4@1={here}/warm1_0.npy"), ("warm:4 [1]", "under the same seeds")),
    Bad("missing real", lambda p: [*p.without("--real"), "--real", "nowhere"], ("nowhere does not exist", "a folder of images")),
    Bad("missing train", more("--train", "{here}/nowhere.npy"), ("nowhere.npy does not exist", "give a folder of images")),
    Bad("other file", more("--train", __file__), ("test_evaluate.py has an unsupported suffix", ".safetensors")),
    Bad("empty folder", more("--train", str(Path(__file__).parent)), ("holds no images", "png, jpg")),
    Bad("0..1 beside -1..1", lambda p: p.changed("warm2_1", lambda x: (x + 1) / 2), ("[0, 1] beside [-1, 1]", "warm2_1.npy=0,1")),
    Bad("floats to 255", lambda p: p.changed("warm2_1", lambda x: (x + 1) * 127.5), ("outside -1 .. 1", "--range")),
    Bad("colour", lambda p: p.changed("warm2_1", lambda x: x.expand(-1, 3, -1, -1)), ("is in colour", "--mode L")),
    Bad("sizes", lambda p: p.changed("warm2_1", lambda x: x[:, :, :6]), ("8 x 6", "resize all images to one size")),
    Bad("unequal N", lambda p: p.changed("warm2_1", lambda x: x[1:]), ("has 160 samples", "159; give equally many")),
    Bad("too few", lambda p: p.changed("real", lambda x: x[:50]), ("has 50 rows", "hold out more real data")),
    Bad("NaN", lambda p: p.changed("warm2_1", with_nan), ("NaN", "the first is sample 5", "repair")),
    Bad("real is train", more("--train", "{here}/real.npy"), ("240 rows of", "hold out real data")),
    Bad("real is the candidate's", lambda p: p.changed("warm2_1", lambda x: blobs(240, 1)[:N]), ("160 rows of", "hold out")),
    Bad("one clipped", lambda p: p.changed("cold1_0", beyond), ("are clipped at", "clip all or none (--clip LOW,HIGH)")),
    Bad("clip of one number", more("--clip", "1"), ("--clip is '1'", "LOW,HIGH, like -1,1")),
    Bad("clip turned round", more("--clip", "1,-1"), ("--clip is '1,-1'", "LOW,HIGH, like -1,1")),
    Bad("range of words", more("--range", "dark,bright"), ("--range is 'dark,bright'", "LOW,HIGH")),
    Bad("range of none", more("--range", "elsewhere=0,1"), ("'elsewhere', which is not a set", "as in the other options")),
    Bad("mode", more("--mode", "CMYK"), ("--mode is 'CMYK'", "RGB (colour) or L (grey)")),
    Bad("trained", more("--trained", "alike"), ("--trained is 'alike'", "known: equal, convergence, unknown")),
    Bad("useful", more("--useful", "2"), ("--useful is 2", "at most 1")),
    Bad("seconds of none", more("--seconds", "warm:9=0.1"), ("'warm:9', which has no samples", "known: cold:1")),
    Bad("seconds of words", more("--seconds", "warm:1=fast"), ("--seconds is 'warm:1=fast'", "NAME:CALLS=SECONDS")),
    Bad("negative seconds", more("--seconds", "warm:1=-1"), ("--seconds is 'warm:1=-1'", "positive seconds")),
    Bad("unknown option", more("--candidates", "x"), ("--candidates", "warmflow evaluate --help")),
]  # fmt: skip


@pytest.mark.parametrize("case", BAD, ids=lambda c: c.name)
def test_bad_input_is_one_line_and_leaves_nothing(case: Bad, place: Place) -> None:
    words = case.make(place)
    before = everything(place.here)
    code, out, err = run(words)
    lines = err.splitlines()
    assert code == 2 and out == "", (code, out, err)
    assert lines[-1].startswith("error: ") and all(line.startswith("note: ") for line in lines[:-1]), err
    assert all(part in lines[-1] for part in case.says), lines[-1]
    assert len(lines[-1].replace(str(place.here), "")) < LONGEST, lines[-1]
    assert everything(place.here) == before


def test_help_explains_a_set_by_an_example() -> None:
    code, out, _ = run(["evaluate", "--help"])
    assert code == 0
    assert "warmflow evaluate --real" in out and "--baseline cold:8@0=" in out and "NAME:CALLS@SEED=PATH" in out
