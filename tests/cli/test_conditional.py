"""Flows that are given labels, from the command line: trained, guided, judged in calls, sampled label by label."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from bad_input import run as run_command
from bad_input import words
from PIL import Image
from test_commands import ARRAYS_FLOWS, methods, ok, photos, sound

from warmflow.checkpoints import load
from warmflow.fields import Guided

pytestmark = pytest.mark.long

QUICK = words("--updates 20 --width 16 --depth 1 --batch 64 --quiet")
PAIRED = words("--warm-start.rounds 1 --mixture.components 10")


def refused(*arguments: object) -> str:
    """The one line that an impossible command prints."""
    code, out, err = run_command([str(a) for a in arguments])
    lines = err.strip().splitlines()
    assert code == 2 and not out and len(lines) == 1 and lines[0].startswith("error: "), (code, lines)
    return lines[0]


@pytest.fixture(scope="module")
def guided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("conditional") / "c"
    ok("compare", "digits", "--conditional", "--guidance", "1.5", *QUICK, *PAIRED, "--samples", "400", "--calls", "2,4",
       "--seeds", "2", "--jobs", "1",
       "--out", out)  # fmt: skip
    return out


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("plain") / "run"
    ok("train", "digits", *QUICK, *PAIRED, "--out", out)
    return out


def test_calls_of_guided_flows_are_counted_alike(guided: Path) -> None:
    """Guidance asks the network twice in every evaluation, and both are counted for every method."""
    found = sound(guided, [0, 1])
    assert methods(found) == ARRAYS_FLOWS and set(found["audit"]) == {"whole-set", "independent"}
    for curve in found["curves"]:
        for point in curve["points"]:
            evaluations = 2 * point["steps"] - 1 if curve["solver"] == "Heun" else point["steps"]
            assert point["calls"] == 2 * evaluations, (curve["name"], point["steps"])


@pytest.mark.parametrize("draft", ["mixture", "gan"])
def test_a_dry_run_of_flows_with_labels(draft: str, tmp_path: Path) -> None:
    told = ok(
        "train", "digits", "--conditional", *QUICK, "--warm-start.draft", draft, "--dry-run", "--out", tmp_path / "x"
    )
    assert json.loads(told)["parameters"] > 0 and json.loads(told)["classes"] == [str(k) for k in range(10)]


def test_runs_with_and_without_labels_are_of_unequal_training(guided: Path, plain: Path, tmp_path: Path) -> None:
    said = refused("compare", plain, guided / "seeds" / "0" / "cold", "--out", tmp_path / "never")
    assert "trained unequally" in said and "conditional is False and True" in said


def test_a_label_is_asked_for(guided: Path, tmp_path: Path) -> None:
    run = guided / "seeds" / "0" / "warm-start"
    sampler = load(run)
    assert isinstance(sampler.field, Guided) and sampler.field.scale == 1.5

    def drawn(*more: str) -> tuple[np.ndarray, np.ndarray]:
        out = tmp_path / "x.npz"
        ok("sample", run, "-n", "20", "--steps", "4", "--out", out, "--quiet", *more)
        with np.load(out) as found:
            return found["x"], found["calls"]

    three, calls = drawn("--label", "3")
    label = {"label": torch.full((20,), 3)}
    assert np.array_equal(three, sampler(20, seed=0, steps=4, condition=label).x.numpy()) and set(calls) == {8}
    assert not np.array_equal(three, drawn("--label", "4")[0])
    assert set(drawn("--guidance", "1")[1]) == {4}
    # t is 0.8, 0.85, 0.9, 0.95: two of them are guided
    assert set(drawn("--guidance", "3", "--guidance-interval", "0.82,0.92")[1]) == {6}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--label 10", "--label is 10; the labels of"),
        ("--label -1", "--label is -1"),
        ("--label three", "--label is 'three'; known: 0, 1, 2, 3"),
        ("--guidance nan", "--guidance is nan"),
        ("--guidance -2", "--guidance is -2.0"),
        ("--guidance 2 --guidance-interval 0.8,0.2", "LOW below HIGH"),
        ("--guidance 2 --guidance-interval 0.8", "two times with a comma"),
        ("--guidance 1 --guidance-interval 0.2,0.8", "guidance is 1, which is off"),
    ],
)
def test_impossible_wishes_are_named(guided: Path, tmp_path: Path, arguments: str, says: str) -> None:
    run = guided / "seeds" / "0" / "cold"
    assert says in refused("sample", run, "-n", "2", "--out", tmp_path / "x.npz", *words(arguments))


def test_a_flow_without_labels_has_none_to_ask_for(plain: Path, tmp_path: Path) -> None:
    for wish in ("--label 1", "--guidance 2", "--guidance-interval 0.1,0.2"):
        said = refused("sample", plain, "-n", "2", "--out", tmp_path / "x.npz", *words(wish))
        assert wish.split()[0] in said and "train it with conditional" in said


@pytest.mark.parametrize(
    ("recipe", "arguments", "says"),
    [
        ("digits", "--guidance 2", "conditional"),
        ("digits", "--conditional --guidance nan", "--guidance is nan"),
        ("digits", "--conditional --guidance 2 --guidance-interval 0.9,0.1", "LOW below HIGH"),
        ("digits", "--conditional --guidance 2 --guidance-interval x,y", "two times with a comma"),
        ("digits", "--conditional --guidance-interval 0.1,0.9", "guidance is 1, which is off"),
        ("digits", "--conditional --warm-start.pairing nearest-data", "pair across labels"),
        ("digits", "--conditional --method learned-prior", "carries no labels"),
        ("denoising", "--images digits --conditional", "answer an input"),
    ],
)
def test_impossible_settings_are_named(tmp_path: Path, recipe: str, arguments: str, says: str) -> None:
    assert says in refused("train", recipe, *words(arguments), "--out", tmp_path / "never")


def test_an_array_has_no_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "points.npy", np.random.default_rng(0).normal(size=(600, 2)))
    assert "has none" in refused("train", tmp_path / "points.npy", "--conditional", "--out", tmp_path / "never")


def test_a_folder_s_classes(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos")
    small = [*QUICK[2:], "--size", "8", "--updates", "3", "--conditional", "--mixture.components", "10", "--out"]
    for pairing in ("whole-set", "minibatch"):
        out = tmp_path / pairing
        ok("train", f"folder:{folder}", "--warm-start.pairing", pairing, *small, out)
        sampler = load(out)
        assert sampler.field.network.arguments["classes"] == 2  # type: ignore[attr-defined]
        assert set(sampler(50, seed=0).start.condition["label"].tolist()) == {0, 1}
        names = json.loads((out / "config.json").read_text())["classes"]
        assert f"; label 1 ({names[1]})" in ok(
            "sample", out, "--label", names[1], "-n", "4", "--out", tmp_path / "x.npz"
        )
        assert np.load(tmp_path / "x.npz")["labels"].tolist() == [1] * 4
        said = refused("sample", out, "--label", f"{names[1]}x", "-n", "4", "--out", tmp_path / "y.npz")
        assert f"did you mean '{names[1]}'?" in said
    bare = tmp_path / "bare"
    bare.mkdir()
    for k, file in enumerate(sorted(folder.glob("*/*.png"))):
        if file.name != "broken.png":
            Image.open(file).save(bare / f"{k}.png")
    assert "has none: leave it out" in refused("train", f"folder:{bare}", *small, tmp_path / "never")


def test_drafts_of_your_own_have_no_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "drafts.npy", np.zeros((300, 1, 8, 8), np.float32))
    said = refused(
        "compare",
        "digits",
        "--conditional",
        "--warm-start.draft",
        tmp_path / "drafts.npy",
        *QUICK,
        "--out",
        tmp_path / "c",
    )
    assert "leave one of the two out" in said
