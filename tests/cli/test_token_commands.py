"""Every command on tokens does its job: grids are shown as points, texts beside each other with their edits marked."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from bad_input import words
from test_commands import calls, methods, ok, sound

from warmflow.data.text import LETTERS, text
from warmflow.drafts import Place
from warmflow.drafts.own import Own
from warmflow.evaluation import real
from warmflow.problems.text import Text

GRID = words("--updates 20 --train 400 --width 16 --depth 1 --heads 2 --batch 32")
TEXT = words("--updates 20 --width 16 --depth 1 --heads 2 --batch 32 --length 32 --most 400")
ONCE = words("--warm-start.rounds 1")
FEW = words("--samples 400")


@pytest.fixture(autouse=True)
def few_resamplings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts of k-grams are made once for every resampling of the real data: intervals are not what is tested here."""
    monkeypatch.setattr(real, "RESAMPLES", 20)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.long
def test_a_grid_is_compared_and_shown_as_points(here: Path) -> None:
    ok(
        "compare",
        "grid",
        *GRID,
        *ONCE,
        *FEW,
        "--warm-start.block",
        "400",
        "--calls",
        "1,2,16",
        "--seeds",
        "2",
        "--jobs",
        "1",
        "--quiet",
        "--out",
        "c",
    )
    facts = sound(here / "c", [0, 1])
    assert methods(facts) == {"warm-start-start", "cold", "cold-mask", "warm-start", "warm-start-from-noise"}
    assert calls(facts, "cold-mask")[0] == 1 and max(calls(facts, "cold-mask")) <= 2, "two masked positions, two calls"
    for curve in facts["curves"]:
        if curve["role"] != "start":  # steps that change nothing cost no call
            assert [p["steps"] for p in curve["points"]] == [1, 2, 16]
            assert all(p["calls"] <= p["steps"] for p in curve["points"])
    page = (here / "c" / "report.html").read_text()
    assert "Trajectories" in page and 'class="text"' not in page


@pytest.mark.long
def test_a_grid_is_sampled_as_tokens_and_as_a_picture(here: Path) -> None:
    ok("train", "grid", *GRID, "--method", "cold-mask", "--quiet", "--out", "run")
    for suffix in ("npy", "png"):
        ok("sample", "run", "-n", "20", "--steps", "8", "--quiet", "--out", f"x.{suffix}")
    x = np.load(here / "x.npy")
    assert x.shape == (20, 2) and x.dtype == np.int64 and x.min() >= 0 and x.max() < 128
    ok("train", "grid", *GRID, *ONCE, "--quiet", "--from", "run", "--out", "tuned")
    assert (here / "tuned" / "model.json").exists()


@pytest.mark.long
def test_a_text_is_compared_and_its_edits_are_marked(here: Path) -> None:
    ok("compare", "text", *TEXT, *ONCE, *FEW, "--calls", "2,4", "--seeds", "2", "--jobs", "1", "--quiet", "--out", "c")
    facts = sound(here / "c", [0, 1])
    assert "rewritten" in facts["audit"] and methods(facts) == {"warm-start-start", "cold", "cold-mask", "warm-start"}
    assert facts["items"] == "texts" and [m["name"] for m in facts["metrics"]][:2] == ["4-grams", "3-grams"]
    page = (here / "c" / "report.html").read_text()
    assert page.count("<mark>") > 3 and "% changed" in page and "real data" in page


@pytest.mark.long
def test_an_lstm_drafts_by_its_name_and_is_kept(here: Path) -> None:
    """The name is known on the command line; the trained draft is read again, not trained again; two processes agree."""
    asked = [
        "text",
        *TEXT,
        *ONCE,
        *FEW,
        "--warm-start.draft",
        "lstm",
        "--lstm.updates",
        "3",
        "--warm-start.pairing",
        "maximal",
    ]
    asked += ["--calls", "2", "--seeds", "2", "--jobs", "2", "--quiet", "--out", "c"]
    ok("compare", *asked)
    facts = sound(here / "c", [0, 1])
    assert methods(facts) >= {"warm-start-start", "warm-start"} and "maximal" in facts["audit"]
    (draft,) = (here / "c" / "seeds" / "0" / "drafts").glob("lstm-*/source/source.safetensors")
    kept = draft.stat().st_mtime_ns
    for name in ("verdict.json", "study.json", "study.safetensors"):
        (here / "c" / name).unlink()
    config = json.loads((here / "c" / "config.json").read_text())
    (here / "c" / "config.json").write_text(json.dumps({**config, "state": "started"}))
    ok("compare", *asked)
    assert draft.stat().st_mtime_ns == kept
    for ours, theirs in zip(sound(here / "c", [0, 1])["curves"], facts["curves"], strict=True):
        assert [p["metrics"] for p in ours["points"]] == [p["metrics"] for p in theirs["points"]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text") / "run"
    ok("train", "text", *TEXT, *ONCE, "--quiet", "--out", folder)
    return folder


def test_texts_are_written_as_lines_and_as_json(here: Path, trained: Path) -> None:
    ok("sample", trained, "-n", "5", "--steps", "4", "--quiet", "--out", "x.txt")
    ok("sample", trained, "-n", "5", "--steps", "4", "--quiet", "--out", "x.jsonl")
    lines = (here / "x.txt").read_text().splitlines()
    assert len(lines) == 5 and all(len(line) == 32 and set(line) <= set(LETTERS) for line in lines)
    rows = [json.loads(line) for line in (here / "x.jsonl").read_text().splitlines()]
    assert [row["text"] for row in rows] == lines and all(len(row["draft"]) == 32 and row["calls"] <= 4 for row in rows)


def test_what_is_given_stays_and_the_draft_sees_it(here: Path, trained: Path) -> None:
    more = ["--steps", "4", "--quiet", "--out", "x.jsonl"]
    ok("sample", trained, "-n", "6", "--prefix", "the first ", *more)
    for line in (here / "x.jsonl").read_text().splitlines():
        row = json.loads(line)
        assert row["text"].startswith("the first ") and row["draft"].startswith("the first ")
    template = "of " + "_" * 20 + " is" + "_" * 6
    ok("sample", trained, "-n", "6", "--template", template, "--temperature", "0.8", "--renoise", "0.2", *more)
    for line in (here / "x.jsonl").read_text().splitlines():
        found = json.loads(line)["text"]
        assert re.fullmatch(template.replace("_", "."), found)
    code = ["sample", trained, "-n", "2", "--prefix", "the", "--template", "a" + "_" * 31, *more]
    from bad_input import run

    assert run([str(a) for a in code])[2].startswith("error: place 0 is fixed twice")


@pytest.mark.long
def test_pairs_from_a_file_are_trained_on_as_they_are(here: Path) -> None:
    data = text(length=32, most=300)
    rows = [data.codec.decode(x) for x in data.train.x1]
    lines = [json.dumps({"draft": row[::-1], "refined": row}) for row in rows]
    (here / "pairs.jsonl").write_text("\n".join(lines) + "\n")
    setup, draft = Text(length=32, most=300).setup(width=16, depth=1, heads=2), Own(samples="pairs.jsonl", aligned=True)
    pairs = draft.given_pairs(setup)
    assert pairs is not None and pairs.start is not None
    assert len(pairs) == 240 and torch.equal(pairs.start.x0, pairs.x1.flip(1))
    used = {tuple(x) for x in pairs.start.x0.tolist()}
    fresh = draft.fit(setup, Place())
    assert not used & {tuple(x) for x in fresh.draft.tolist()}, "samples start from drafts that were trained on"  # type: ignore[attr-defined]
    ok("compare", "text", *TEXT[:-4], "--length", "32", "--most", "300", *FEW, "--warm-start.draft", "pairs.jsonl",
       "--warm-start.pairing", "given", "--calls", "4", "--seeds", "2", "--jobs", "1", "--quiet", "--out", "c")  # fmt: skip
    assert "given" in sound(here / "c", [0, 1])["audit"]
