"""Every command and the calls of the README do their job on small problems."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import QUICK, SMALL, Place, everything, run, shared_runs, train, words
from PIL import Image
from warmflow.metrics.comparison import interval

import warmflow
from warmflow import budget
from warmflow.budget import updates_within
from warmflow.measuring import read_rows

ARRAY = words("--updates 20 --samples 400 --rounds 2 --width 16 --depth 1 --batch 64 --seeds 2 --jobs 1")
ROW = {"arm", "solver", "steps", "calls", "seconds", "distance", "low", "high", "variation", "copying"}
VERDICT = {
    "claim", "holds", "margin", "metric", "samples", "factor_calls", "factor_seconds", "difference", "rows", "audit", "seeds"
}  # fmt: skip


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def place(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path)
    return Place(shared, tmp_path)


def ok(*args: Any) -> str:
    code, out, err = run([str(a) for a in args])
    assert code == 0, err
    assert not err or "--quiet" not in args, err
    return out


def sound(folder: Path, seeds: list[int]) -> dict[str, Any]:
    """The verdict of a comparison's folder, after its form is checked."""
    facts: dict[str, Any] = json.loads((folder / "verdict.json").read_text())
    assert facts.keys() >= VERDICT
    assert isinstance(facts["claim"], str) and facts["claim"] and isinstance(facts["holds"], bool)
    assert facts["margin"] > 0 and facts["samples"] > 0 and facts["metric"]["name"]
    assert facts["difference"].keys() >= {"estimate", "low", "high", "level"}
    assert facts["seeds"] == seeds
    assert facts["rows"] and all(row.keys() >= ROW for row in facts["rows"])
    kept = [row for row in read_rows(folder) if not row.arm.endswith("_doubled")]
    for row in facts["rows"][1:]:  # every interval of the table follows from the rows that were kept
        key = (row["arm"], row["solver"], row["steps"])
        group = {r.seed: r.measure for r in kept if (r.arm, r.solver, r.steps) == key}
        for name, found in row["distances"].items():
            assert found == interval(group, name), (key, name)
    page = (folder / "report.html").read_text()
    assert "<html" in page and "http://" not in page.replace("http://www.w3.org", "")
    assert json.loads((folder / "config.json").read_text())["warmflow"] == warmflow.__version__
    return facts


def test_bare_warmflow_shows_its_help() -> None:
    out = ok()
    assert out.startswith("Usage: warmflow") and "..." not in out.split("Commands:")[1]


# train


def test_train_again_does_nothing(place: Place) -> None:
    folder = place.copy("warm0")
    before = everything(folder)
    train(folder, "warm", 0)
    assert everything(folder) == before


def test_train_continues_to_the_same_weights(place: Place) -> None:
    folder = place.copy("started")
    train(folder, "warm", 0)
    same = (folder / "model.safetensors").read_bytes() == (place.shared / "warm0" / "model.safetensors").read_bytes()
    assert same


def test_train_writes_what_a_run_is_made_of(place: Place) -> None:
    found = {p.name for p in (place.shared / "warm0").iterdir()}
    assert found >= {
        "config.json",
        "checkpoint.safetensors",
        "model.json",
        "model.safetensors",
        "log.jsonl",
        "README.md",
    }


def test_dry_run_prints_json_and_writes_nothing(place: Place) -> None:
    facts = json.loads(ok("train", "toy.moons", *QUICK, "--dry-run", "--t0", "0.5", "--out", place.here / "run"))
    assert facts["settings"]["t0"] == 0.5
    assert facts["parameters"] > 0 and facts["calls_per_second_at_batch_64"] > 0 and facts["training_minutes"] >= 0
    assert not list(place.here.iterdir())


def test_from_begins_with_what_the_cold_run_knows(place: Place) -> None:
    """Fine-tuning starts as the cold field: its first loss is below an untrained one's."""
    quick = [*QUICK, "--updates", "1", "--width", "32", "--sigma", "0.3", "--seed", "0"]
    cold = [*QUICK, "--updates", "200", "--width", "32", "--arm", "cold", "--out", "cold"]
    ok("train", "toy.moons", *cold)
    ok("train", "toy.moons", *quick, "--out", "fresh")
    ok("train", "toy.moons", *quick, "--out", "tuned", "--from", "cold")
    fresh, tuned = (
        json.loads(Path(name, "log.jsonl").read_text().splitlines()[0])["loss"] for name in ("fresh", "tuned")
    )
    assert tuned < 0.8 * fresh


# sample


@pytest.mark.parametrize("suffix", [".png", ".npy", ".npz"])
def test_the_same_seed_gives_the_same_file(place: Place, suffix: str) -> None:
    files = [place.here / f"{k}{suffix}" for k in range(3)]
    for file, seed in zip(files, (3, 3, 4), strict=True):
        ok("sample", place.shared / "warm0", "-n", 50, "--seed", seed, "--out", file, "--quiet")
    a, b, c = (file.read_bytes() for file in files)
    if suffix == ".npz":
        a, b, c = (np.load(file)["x"].tobytes() for file in files)
    assert a == b != c
    assert len(list(place.here.iterdir())) == 3
    if suffix == ".png":
        assert Image.open(files[0]).size == (600, 600)
    else:
        found = np.load(files[0])
        x = found if suffix == ".npy" else found["x"]
        assert x.shape == (50, 2) and x.dtype == np.float32


def test_batches_change_no_sample(place: Place) -> None:
    for batch in (7, 64):
        ok("sample", place.shared / "warm0", "-n", 64, "--batch-size", batch, "--out", f"{batch}.npy", "--quiet")
    assert np.abs(np.load("7.npy") - np.load("64.npy")).max() < 1e-5


def test_solvers_count_their_calls(place: Place) -> None:
    for solver, calls in (("euler", 4), ("heun", 7), ("midpoint", 8), ("rk4", 15)):
        ok("sample", place.shared / "cold0", "-n", 5, "--solver", solver, "--out", "x.npz", "--quiet")
        assert (np.load("x.npz")["calls"] == calls).all()


def test_raw_weights_are_other_weights(place: Place) -> None:
    ok("sample", place.shared / "warm0", "-n", 5, "--out", "a.npy", "--quiet")
    ok("sample", place.shared / "warm0", "-n", 5, "--raw", "--out", "b.npy", "--quiet")
    assert not np.array_equal(np.load("a.npy"), np.load("b.npy"))


def test_a_run_is_loaded_by_name(place: Place) -> None:
    ok("sample", place.shared / "warm0", "-n", 9, "--seed", 2, "--out", "x.npy", "--quiet")
    x = warmflow.load(place.shared / "warm0")(9, seed=2).x
    assert np.array_equal(x.numpy(), np.load("x.npy"))


# compare, audit, report


def test_compare_of_finished_runs(place: Place) -> None:
    before = everything(place.shared)
    ok("compare", *place.runs("warm0", "warm1", "cold0", "cold1"), "--steps", "1,2", "--out", "c", "--quiet")
    facts = sound(Path("c"), [0, 1])
    assert {row["arm"] for row in facts["rows"]} >= {"warm", "cold", "draft"}
    assert {row["steps"] for row in facts["rows"] if row["arm"] == "warm"} == {1, 2}
    assert everything(place.shared) == before
    assert "claims nothing" not in ok("report", "c", "--out", "page.html")
    assert facts["claim"].split(":")[0][:40] in Path("page.html").read_text()


def test_report_of_several_runs(place: Place) -> None:
    ok("report", *place.runs("warm0", "cold0"), "--out", "page.html")
    page = Path("page.html").read_text()
    assert "warm0" in page and "cold0" in page


def photos(folder: Path, n: int = 240) -> Path:
    rng = np.random.default_rng(0)
    for k in range(n):
        name = "bright" if k % 2 else "dark"
        (folder / name).mkdir(parents=True, exist_ok=True)
        x = rng.integers(0, 90, (6, 6, 3)) + (150 if k % 2 else 0)
        x[k % 6] //= 2
        Image.fromarray(x.astype(np.uint8)).save(folder / name / f"{k:03d}.png")
    (folder / "dark" / "broken.png").write_bytes(b"not a picture")
    return folder


def test_compare_of_a_folder_of_images(place: Place) -> None:
    folder = photos(place.here / "photos")
    small = [*ARRAY, "--size", "6", "--components", "4"]
    code, _, err = run(["compare", f"folder:{folder}", *small, "--steps", "1,2", "--out", "c", "--quiet"])
    assert code == 0 and err.startswith("warning: ") and "broken.png" in err and err.count("\n") == 1, err
    sound(Path("c"), [0, 1])
    data = json.loads(Path("c/config.json").read_text())["data"]
    assert data["classes"] == ["bright", "dark"]
    assert data["notes"]["read"] == 240 and data["notes"]["unreadable"] == 1
    assert data["notes"]["unreadable_files"][0]["file"] == "dark/broken.png"
    assert "broken.png" in Path("c/report.html").read_text() or "unreadable" in Path("c/report.html").read_text()


def test_compare_of_an_array_with_drafts_and_again(place: Place) -> None:
    x = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
    x[:, 1] += np.sign(x[:, 0])
    data, drafts = place.array("data.npy", x), place.array("drafts.npy", np.random.default_rng(1).normal(size=(300, 2)))
    command = ["compare", data, "--draft", drafts, *ARRAY, "--steps", "1,2", "--out", "c", "--quiet"]
    out = ok(*command)
    facts = sound(Path("c"), [0, 1])
    assert facts["claim"] in out and "c/report.html" in out
    runs = everything(Path("c/seeds"))
    ok(*command)  # nothing is trained again
    assert everything(Path("c/seeds")) == runs
    code, _, err = run([*command, "--updates", "21"])
    assert code == 2 and "updates was 20, is now 21" in err
    place.array("drafts.npy", np.zeros((300, 2)))
    code, _, err = run(command)
    assert code == 2 and "draft was" in err
    assert everything(Path("c/seeds")) == runs


def test_audit_says_one_sentence(place: Place) -> None:
    data = place.array("data.npy", np.random.default_rng(0).normal(size=(300, 2)))
    text = ok("audit", data, "--components", "2").strip()
    facts = json.loads(ok("audit", data, "--components", "2", "--json"))
    assert text.splitlines()[-1] == facts["sentence"] and facts["sentence"].endswith(".")
    assert {"assignment", "nearest-datum", "nearest-draft", "independent"} <= facts["audit"].keys()
    assert facts["margin"] > 0


@pytest.mark.parametrize("name", [["toy.moons", "--train", "600", "--samples", "800"], ["images.digits"]])
def test_audit_of_recipes(name: list[str]) -> None:
    facts = json.loads(ok("audit", *name, "--json"))
    assert facts["sentence"].endswith(".") and facts["data"]


# Python


def test_compare_from_python(place: Place) -> None:
    x = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))

    def draft(n: int, seed: int) -> torch.Tensor:
        return 1.3 * torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))

    small = {**SMALL, "updates": 30, "rounds": 2}
    report = warmflow.compare(data=x, draft=draft, steps=[1, 2], seeds=[0, 1], progress=False, **small)
    assert report.verdict.claim and isinstance(report.verdict.holds, bool)
    page = report.save(place.here / "out")
    assert page == place.here / "out" / "report.html" and page.stat().st_size > 10_000
    assert {"calls", "seconds"} <= report.figures.keys()
    assert "<html" not in report._repr_html_()


def test_minutes_choose_the_updates(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[float] = []
    monkeypatch.setattr(budget, "updates_within", lambda *given: (asked.extend(given), (117, 90.0))[1])
    x = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    small = {k: v for k, v in SMALL.items() if k != "updates"}
    out = place.here / "c"
    warmflow.compare(x, steps=[1], minutes=0.02, seeds=[0, 1], out=out, progress=False, components=2, **small)
    assert json.loads((out / "config.json").read_text())["updates"] == 117
    assert "sampling alone takes about 2 minutes" in capsys.readouterr().err
    seconds, seeds, update, sampling = asked
    assert (seconds, seeds) == (pytest.approx(1.2), 2) and update > 0 and sampling > 0
    sound(out, [0, 1])


def test_minutes_are_for_training_and_sampling() -> None:
    """1,000 s for two seeds, 0.1 s an update of all arms: what 100 and 249 s of sampling a seed leave of nine tenths; and where
    sampling asks for more than half, the training keeps two fifths and the user is told."""
    assert updates_within(1000, 2, 0.1, 100) == (3500, 0)
    assert updates_within(1000, 2, 0.1, 249) == (2010, 0)
    assert updates_within(1000, 2, 0.1, 300) == (2000, 600)
    assert updates_within(10, 2, 0.1, 1) == (100, 0) and updates_within(1e9, 2, 0.1, 1) == (30_000, 0)


def test_a_wrapped_model_takes_the_cold_place(place: Place) -> None:
    x = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    mine = warmflow.wrap(lambda z, t: torch.zeros_like(z), predicts="velocity")
    report = warmflow.compare(
        x, steps=[1], seeds=[0, 1], cold=mine, out=place.here / "c", progress=False, components=2, **SMALL
    )
    sound(place.here / "c", [0, 1])
    assert {r["arm"] for r in report.verdict.rows} == {"real", "warm", "noise", "cold", "draft"}
    assert not (place.here / "c" / "seeds" / "0" / "cold").exists()


def test_a_named_recipe_trains_in_two_processes(place: Place) -> None:
    small = [*QUICK[:-1], "--seeds", "2", "--jobs", "2", "--steps", "1,2"]
    ok("compare", "toy.moons", *small, "--out", "c", "--quiet")
    sound(Path("c"), [0, 1])


def test_every_name_can_be_imported() -> None:
    assert set(warmflow.__all__) <= set(dir(warmflow))
    for name in warmflow.__all__:
        assert getattr(warmflow, name) is not None
    for room in set(warmflow._WHERE.values()):
        importlib.import_module(f"warmflow.{room}")
    with pytest.raises(AttributeError, match="nothing"):
        _ = warmflow.nothing
