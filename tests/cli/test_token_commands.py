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
from warmflow.recipes.build import plan_for

from warmflow.data.text import LETTERS, text
from warmflow.evaluation import real

GRID = words("--updates 20 --train 400 --samples 400 --rounds 1 --block 400 --width 16 --depth 1 --heads 2 --batch 32")
TEXT = words("--updates 20 --samples 400 --rounds 1 --width 16 --depth 1 --heads 2 --batch 32 --length 32 --most 400")


@pytest.fixture(autouse=True)
def few_resamplings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts of k-grams are made once for every resampling of the real data: intervals are not what is tested here."""
    monkeypatch.setattr(real, "RESAMPLES", 20)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_grid_is_compared_and_shown_as_points(here: Path) -> None:
    ok("compare", "toy.grid", *GRID, "--calls", "1,2,16", "--seeds", "2", "--jobs", "1", "--quiet", "--out", "c")
    facts = sound(here / "c", [0, 1])
    assert methods(facts) == {"draft", "cold", "cold_masked", "warm", "noise"}
    assert calls(facts, "cold_masked")[0] == 1 and max(calls(facts, "cold_masked")) <= 2, (
        "two masked positions, two calls"
    )
    for curve in facts["curves"]:
        if curve["role"] != "start":  # steps that change nothing cost no call
            assert [p["steps"] for p in curve["points"]] == [1, 2, 16]
            assert all(p["calls"] <= p["steps"] for p in curve["points"])
    page = (here / "c" / "report.html").read_text()
    assert "Trajectories" in page and 'class="text"' not in page


def test_a_grid_is_sampled_as_tokens_and_as_a_picture(here: Path) -> None:
    ok("train", "toy.grid", *GRID, "--arm", "cold_masked", "--quiet", "--out", "run")
    for suffix in ("npy", "png"):
        ok("sample", "run", "-n", "20", "--steps", "8", "--quiet", "--out", f"x.{suffix}")
    x = np.load(here / "x.npy")
    assert x.shape == (20, 2) and x.dtype == np.int64 and x.min() >= 0 and x.max() < 128
    ok("train", "toy.grid", *GRID, "--quiet", "--from", "run", "--out", "tuned")
    assert (here / "tuned" / "model.json").exists()


def test_a_text_is_compared_and_its_edits_are_marked(here: Path) -> None:
    ok("compare", "text.characters", *TEXT, "--calls", "2,4", "--seeds", "2", "--jobs", "1", "--quiet", "--out", "c")
    facts = sound(here / "c", [0, 1])
    assert "rewritten" in facts["audit"] and methods(facts) == {"draft", "cold", "cold_masked", "warm"}
    assert facts["items"] == "texts" and [m["name"] for m in facts["metrics"]][:2] == ["4-grams", "3-grams"]
    page = (here / "c" / "report.html").read_text()
    assert page.count("<mark>") > 3 and "% changed" in page and "real data" in page


def test_an_lstm_drafts_by_its_name_and_is_kept(here: Path) -> None:
    """The name is known on the command line; the trained draft is read again, not trained again; two processes agree."""
    asked = ["text.characters", *TEXT, "--draft", "lstm", "--draft-updates", "3", "--pairing", "maximal"]
    asked += ["--calls", "2", "--seeds", "2", "--jobs", "2", "--quiet", "--out", "c"]
    ok("compare", *asked)
    facts = sound(here / "c", [0, 1])
    assert methods(facts) >= {"draft", "warm"} and "maximal" in facts["audit"]
    kept = (here / "c" / "seeds" / "0" / "draft.safetensors").stat().st_mtime_ns
    for name in ("verdict.json", "study.json", "study.safetensors"):
        (here / "c" / name).unlink()
    config = json.loads((here / "c" / "config.json").read_text())
    (here / "c" / "config.json").write_text(json.dumps({**config, "state": "started"}))
    ok("compare", *asked)
    assert (here / "c" / "seeds" / "0" / "draft.safetensors").stat().st_mtime_ns == kept
    for ours, theirs in zip(sound(here / "c", [0, 1])["curves"], facts["curves"], strict=True):
        assert [p["metrics"] for p in ours["points"]] == [p["metrics"] for p in theirs["points"]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text") / "run"
    ok("train", "text.characters", *TEXT, "--quiet", "--out", folder)
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


def test_pairs_from_a_file_are_trained_on_as_they_are(here: Path) -> None:
    data = text(length=32, most=300)
    rows = [data.codec.decode(x) for x in data.train.x1]
    lines = [json.dumps({"draft": row[::-1], "refined": row}) for row in rows]
    (here / "pairs.jsonl").write_text("\n".join(lines) + "\n")
    plan = plan_for("text", "pairs.jsonl", pairing="given", length=32, most=300)
    assert plan.given is not None and plan.given.start is not None
    assert len(plan.given) == 240 and torch.equal(plan.given.start.x0, plan.given.x1.flip(1))
    used = {tuple(x) for x in plan.given.start.x0.tolist()}
    assert not used & {tuple(x) for x in plan.draft().draft.tolist()}, "samples start from drafts that were trained on"
    ok("compare", "text.characters", *TEXT[:-4], "--length", "32", "--most", "300", "--draft", "pairs.jsonl", "--pairing",
       "given", "--calls", "4", "--seeds", "2", "--jobs", "1", "--quiet", "--out", "c")  # fmt: skip
    assert "given" in sound(here / "c", [0, 1])["audit"]
