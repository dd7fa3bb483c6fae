"""Every command and the calls of the README do their job on small problems."""

from __future__ import annotations

import html
import importlib
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bad_input import (
    PAIRED,
    QUICK,
    SMALL,
    TOY,
    TRAINING,
    Place,
    everything,
    quick,
    run,
    shared_runs,
    train,
    with_options,
    words,
)
from PIL import Image

import warmflow
from warmflow.command_line import documented
from warmflow.commands import compare, groups
from warmflow.commands import train as train_command
from warmflow.drafts import Own, draft_of
from warmflow.drafts.mixture import Mixture
from warmflow.evaluation.evaluate import Evaluation
from warmflow.evaluation.record import read_study, save_row, verdict_json
from warmflow.evaluation.verdict import Outcome
from warmflow.experiments import audit as prospect
from warmflow.experiments import compare as comparison
from warmflow.experiments import measure as measuring
from warmflow.experiments import pipeline
from warmflow.experiments.budget import Cost
from warmflow.methods.own import OwnModel
from warmflow.methods.warm_start import WarmStart
from warmflow.problems import PROBLEMS

pytestmark = pytest.mark.long

ARRAY = words("--updates 20 --samples 400 --warm-start.rounds 2 --width 16 --depth 1 --batch 64 --seeds 2 --jobs 1")
ARRAYS_FLOWS = {"cold", "cold-minibatch", "cold-whole-set", "warm-start", "warm-start-from-noise", "warm-start-start"}
FEW = WarmStart(draft=Mixture(components=2), rounds=1)
MOONS = ["compare", "moons", *TRAINING, *TOY, *PAIRED, "--samples", "400", "--quiet"]
VERDICT = {
    "version", "candidates", "curves", "metrics", "samples", "seeds", "test", "validation", "trained", "choices", "audit", "bill"
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
    assert facts.keys() >= VERDICT and facts["version"] == 2
    assert facts["samples"] > 0 and facts["seeds"] == seeds and facts["test"] > facts["validation"] > 0
    study = read_study(folder)
    again = json.loads(json.dumps(verdict_json(Evaluation.of(study))))
    for key in (
        "candidates",
        "curves",
        "metrics",
        "samples",
        "seeds",
    ):  # everything follows from the rows that were kept
        assert facts[key] == again[key], key
    for curve in facts["curves"]:
        for point in curve["points"]:
            rows = study.rows_of(curve["name"], point["steps"])
            assert [row.seed for row in rows] == seeds
            for name, found in point["metrics"].items():
                assert found["distance"] == pytest.approx(np.mean([row.measure.distance[name] for row in rows]))
                assert found["low"] <= found["distance"] <= found["high"]
    for verdict in facts["candidates"].values():
        assert verdict["outcome"] in set(Outcome) and verdict["words"]["question"] and verdict["words"]["text"]
    page = (folder / "report.html").read_text()
    assert "<html" in page and "http://" not in page.replace("http://www.w3.org", "")
    config = json.loads((folder / "config.json").read_text())
    assert config["warmflow"] == warmflow.__version__ and config["state"] == "complete"
    assert not (folder / "measured").exists() and not list(folder.glob("rows.*"))
    return facts


def methods(facts: dict[str, Any]) -> set[str]:
    return {curve["name"] for curve in facts["curves"]}


def calls(facts: dict[str, Any], name: str) -> list[float]:
    """The calls that a method was measured at."""
    return next([p["calls"] for p in curve["points"]] for curve in facts["curves"] if curve["name"] == name)


def said(folder: Path) -> str:
    """The text of a page."""
    page = re.sub(r"<style.*?</style>|<[^>]*>", "", (folder / "report.html").read_text(), flags=re.DOTALL)
    return html.unescape(page)


def test_bare_warmflow_shows_its_help() -> None:
    out = ok()
    assert out.startswith("Usage: warmflow") and "..." not in out.split("Commands:")[1]


def flat(*args: Any) -> str:
    """What a command prints, in one line and without the frames of the help."""
    return re.sub(r"[\s│]+", " ", ok(*args))


def test_the_help_of_a_problem_has_its_options_and_those_of_its_methods() -> None:
    plain = flat("compare", "--help")
    for word in (
        "Problems:",
        "8 x 8 digits.",
        "Methods:",
        "A flow from a draft.",
        "--methods",
        "compare PROBLEM --methods",
    ):
        assert word in plain, word
    assert "--warm-start.sigma" not in plain and "--data-seed" not in plain
    digits = flat("compare", "digits", "--help")
    for word in (
        "--updates",
        "256]",
        "--warm-start.sigma",
        "--mixture.components",
        "--data-seed",
        "Other methods: ",
        "cold, distillation",
    ):
        assert word in digits, word
    assert "--size INT" not in digits and "--gan.updates INT" not in digits and "--learned-prior.scale" not in digits
    more = flat("compare", "folder", "--methods", "learned-prior,distillation", "--help")
    assert all(word in more for word in ("--size", "--learned-prior.scale", "--distillation.alpha", "--cold.pairing"))
    assert "--gan.updates" in flat("train", "digits", "--warm-start.draft", "gan", "--help")


@pytest.mark.parametrize("problem", sorted(PROBLEMS.keys() - {"arrays"}))
def test_no_two_options_share_a_flag(problem: str) -> None:
    for method in groups.NAMES:
        for make, flag in ((compare.command, "--methods"), (train_command.command, "--method")):
            command = make([problem, flag, method])
            assert len(command.flags) == len(set(command.flags))


def test_every_option_has_a_text_in_the_help() -> None:
    for group in groups.every():
        assert set(documented(group.kind)) >= {name for name in group.names if group.kind is not Own}, group.kind


@pytest.mark.parametrize("name", ["digits", "moons", "grid"])
def test_the_draft_shown_in_the_help_is_the_one_that_is_used(name: str) -> None:
    found = PROBLEMS[name]().setup()
    assert found.defaults["draft"] == PROBLEMS[name].draft


# train


def test_train_again_does_nothing(place: Place) -> None:
    folder = place.copy("warm0")
    before = everything(folder)
    train(folder, "warm-start", 0)
    assert everything(folder) == before


def test_train_continues_to_the_same_weights(place: Place) -> None:
    folder = place.copy("started")
    train(folder, "warm-start", 0)
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
    facts = json.loads(ok("train", "moons", *QUICK, "--dry-run", "--warm-start.t0", "0.5", "--out", place.here / "run"))
    assert facts["method"]["t0"] == 0.5
    assert facts["parameters"] > 0 and facts["calls_per_second_at_batch_64"] > 0 and facts["training_minutes"] >= 0
    assert not list(place.here.iterdir())


@pytest.mark.parametrize("minutes", [["--minutes", "0.5"], ["--minutes=0.5"]])
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_minutes_that_are_too_short_are_refused_with_a_command_that_fits(
    minutes: list[str], dry: list[str], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command as it was typed, with other minutes; typed again it is accepted, though all takes 1.4 times as long."""
    cost = Cost(parts=30, update=0.01, row=10, ending=20)
    monkeypatch.setattr(comparison, "cost_of", lambda *_: cost)
    ends = ["--seeds", "2", "--jobs", "1", "--quiet", "--out", "my result"]
    typed = ["compare", "moons", *TRAINING, *TOY, *minutes, *ends]
    code, _, error = run([*typed, *dry])
    assert code == 2 and error.startswith("error: --minutes is 0.5, which is too short") and error.count("\n") == 1
    assert not list(place.here.iterdir())
    again = shlex.split(error.rpartition(": warmflow ")[2])
    enough = ["--minutes", "3"] if minutes[1:] else ["--minutes=3"]
    assert again == ["compare", "moons", *TRAINING, *TOY, *enough, *ends, *dry]
    cost = cost.slower(1.4)
    assert "updates of each flow, " in ok(*again, *([] if dry else ["--dry-run"]))
    assert not list(place.here.iterdir())


def test_a_dry_run_of_a_comparison_tells_every_stage(place: Place) -> None:
    told = ok("compare", "moons", *QUICK, "--seeds", "2", "--samples", "400", "--jobs", "1", "--dry-run")
    assert "10 updates of each flow, 400 samples" in told
    stages = [
        "reading and timing",
        "drafts and pairs",
        "training",
        "measuring",
        "audit of pairs",
        "verdict and report",
        "all",
    ]
    found = [line[:24].strip() for line in told.splitlines() if line[24:].strip().replace(".", "").isdigit()]
    assert found == stages and not list(place.here.iterdir())
    code, _, error = run(["compare", place.shared / "warm0", place.shared / "cold0", "--dry-run"])
    assert code == 2 and "is already trained: leave --dry-run out" in error


def test_from_begins_with_what_the_cold_run_knows(place: Place) -> None:
    """Fine-tuning starts as the cold field: its first loss is below an untrained one's."""
    warm = with_options(QUICK, "--updates", "1", "--width", "32", "--warm-start.sigma", "0.3", "--seed", "0")
    cold = with_options(quick("cold"), "--updates", "200", "--width", "32", "--method", "cold", "--out", "cold")
    ok("train", "moons", *cold)
    ok("train", "moons", *warm, "--out", "fresh")
    ok("train", "moons", *warm, "--out", "tuned", "--from", "cold")
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
    for solver, counted in (("euler", 4), ("heun", 7), ("midpoint", 8), ("rk4", 15)):
        ok("sample", place.shared / "cold0", "-n", 5, "--solver", solver, "--out", "x.npz", "--quiet")
        assert (np.load("x.npz")["calls"] == counted).all()


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
    ok("compare", *place.runs("warm0", "warm1", "cold0", "cold1"), "--calls", "1,2", "--out", "c", "--quiet")
    facts = sound(Path("c"), [0, 1])
    assert methods(facts) == {"warm-start", "cold", "warm-start-start"} and calls(facts, "warm-start-start") == [0]
    for name in ("warm-start", "cold"):  # a solver of two calls a step reaches one call only
        assert calls(facts, name) in ([1], [1, 2]), name
    assert {c["name"]: c["role"] for c in facts["curves"]} == {
        "warm-start": "candidate",
        "cold": "baseline",
        "warm-start-start": "start",
    }
    assert everything(place.shared) == before
    ok("report", "c", "--out", "page.html")
    assert html.escape(facts["candidates"]["warm-start"]["words"]["answer"]) in Path("page.html").read_text()


def test_rows_of_other_runs_are_not_taken_for_these(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison that is cut off leaves its rows; other runs into the same folder are measured anew, the same ones are not."""
    rows = count_rows(monkeypatch, stop_after=3)
    names = [*place.runs("cold0"), str(place.copy("warm0"))]
    command = ["compare", *names, "--calls", "1,2", "--out", "c", "--quiet"]
    assert run(command)[0] == 130 and len(rows) == 3
    kept = list(Path("c/measured").glob("*/*/row.json"))
    assert len(kept) == 3
    shutil.copytree("c", "d")
    rows = count_rows(monkeypatch)
    ok(*command)
    assert (
        len(rows)
        == sum(len(calls(sound(Path("c"), [0]), name)) for name in ("cold", "warm-start", "warm-start-start")) - 3
    )
    shutil.copy(place.shared / "warm0" / "raw.safetensors", place.here / "warm0" / "model.safetensors")  # other weights
    command[command.index("c")] = "d"
    rows = count_rows(monkeypatch)
    ok(*command)
    assert len(rows) == sum(
        len(calls(sound(Path("d"), [0]), name)) for name in ("cold", "warm-start", "warm-start-start")
    )


def count_rows(monkeypatch: pytest.MonkeyPatch, stop_after: int = -1) -> list[str]:
    """The rows that are measured from now on, by name; Ctrl-C after so many of them."""
    found: list[str] = []

    def keep(folder: Path, row: Any) -> None:
        save_row(folder, row)
        found.append(f"{row.method} {row.steps} {row.seed}")
        if len(found) == stop_after:
            raise KeyboardInterrupt

    monkeypatch.setattr(measuring, "save_row", keep)
    return found


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
    small = [*ARRAY, "--size", "6", "--mixture.components", "4"]
    code, _, err = run(["compare", f"folder:{folder}", *small, "--calls", "1", "--out", "c", "--quiet"])
    assert code == 0 and err.startswith("warning: ") and "broken.png" in err and err.count("\n") == 1, err
    sound(Path("c"), [0, 1])
    data = json.loads(Path("c/config.json").read_text())["data"]
    assert data["classes"] == ["bright", "dark"]
    assert data["notes"]["read"] == 240 and data["notes"]["unreadable"] == 1
    assert data["notes"]["unreadable_files"][0]["file"] == "dark/broken.png"
    assert "broken.png" in Path("c/report.html").read_text() or "unreadable" in Path("c/report.html").read_text()


def test_compare_of_an_array_with_drafts_and_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
    x[:, 1] += np.sign(x[:, 0])
    data, drafts = place.array("data.npy", x), place.array("drafts.npy", np.random.default_rng(1).normal(size=(300, 2)))
    command = ["compare", data, "--warm-start.draft", drafts, *ARRAY, "--calls", "1,2", "--out", "c", "--quiet"]
    rows = count_rows(monkeypatch, stop_after=5)
    code, _, err = run(command)
    assert code == 130 and "nothing is lost" in err and not Path("c/verdict.json").exists()
    runs = everything(*Path("c/seeds").iterdir())
    more = count_rows(monkeypatch)
    out = ok(*command)  # nothing is trained again, and what was measured is not measured again
    assert everything(*Path("c/seeds").iterdir()) == runs
    facts = sound(Path("c"), [0, 1])
    assert methods(facts) == ARRAYS_FLOWS and not set(rows) & set(more)
    assert len(rows) + len(more) == 2 * sum(len(curve["points"]) for curve in facts["curves"])
    assert facts["candidates"]["warm-start"]["words"]["text"] in out and "c/report.html" in out
    assert "given this draft" in facts["candidates"]["warm-start"]["words"]["text"], (
        "the same drafts for every training seed"
    )
    # a finished comparison is judged again from its rows: nothing is sampled
    monkeypatch.setattr(comparison, "conclude", None)
    kept = Path("c/verdict.json").read_text()
    spoiled = json.loads(kept)
    spoiled["candidates"]["warm-start"]["outcome"] = "forged"
    Path("c/verdict.json").write_text(json.dumps(spoiled))
    assert ok(*command) == out and json.loads(Path("c/verdict.json").read_text()) == json.loads(kept)
    code, _, err = run(with_options(command, "--updates", "19"))
    assert code == 2 and "holds a run of 20 updates, more than 19" in err
    code, _, err = run(with_options(command, "--calls", "1"))
    assert code == 2 and "calls was [1, 2], is now [1]" in err
    place.array("drafts.npy", np.zeros((300, 2)))
    code, _, err = run(command)
    assert code == 2 and "warm-start's draft was" in err
    assert everything(*Path("c/seeds").iterdir()) == runs


def test_audit_says_one_sentence(place: Place) -> None:
    data = place.array("data.npy", np.random.default_rng(0).normal(size=(300, 2)))
    text = ok("audit", data, "--mixture.components", "2").strip()
    facts = json.loads(ok("audit", data, "--mixture.components", "2", "--json"))
    assert text.splitlines()[-1] == facts["sentence"] and facts["sentence"].endswith(".")
    assert {"whole-set", "nearest-data", "nearest-draft", "independent"} <= facts["audit"].keys()
    assert facts["margin"] > 0


@pytest.mark.parametrize("name", [["moons", "--train", "600", "--heldout", "800"], ["digits"]])
def test_audit_of_problems(name: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prospect, "ROWS", 200)
    facts = json.loads(ok("audit", *name, "--json"))
    assert facts["sentence"].endswith(".") and facts["data"]


# Python


def test_compare_from_python(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    x = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))

    def draft(n: int, seed: int) -> torch.Tensor:
        return 1.3 * torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))

    small = {**SMALL, "updates": 30}
    warm = WarmStart(draft=draft_of(draft), rounds=2)
    monkeypatch.chdir(place.here)
    report = warmflow.compare(x, [warm], calls=[1, 2], seeds=[0, 1], progress=False, **small)
    (folder,) = place.here.glob("warmflow-*")
    assert report.run.folder == folder.relative_to(place.here) and (folder / "report.html").exists()
    assert f"the result goes to {folder.name}/" in capsys.readouterr().err
    begun = (folder / "study.json").stat().st_mtime_ns
    warmflow.compare(x, [warm], calls=[1, 2], seeds=[0, 1], progress=False, **small)
    assert (folder / "study.json").stat().st_mtime_ns == begun, "the same call finds its result"
    verdict = report.verdict
    assert verdict.claim == verdict.answer and verdict.outcome in set(Outcome)
    assert list(verdict.candidates) == ["warm-start"] and verdict.candidates["warm-start"].outcome == verdict.outcome
    page = report.save(place.here / "out")
    assert page == place.here / "out" / "report.html" and page.stat().st_size > 10_000
    assert {"calls", "seconds"} <= report.figures.keys()
    assert "<html" not in report._repr_html_()


def test_a_wrapped_model_takes_the_cold_place(place: Place) -> None:
    x = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    mine = warmflow.wrap(lambda z, t: torch.zeros_like(z), predicts="velocity")
    report = warmflow.compare(
        x, [FEW, OwnModel(field=mine)], calls=[1], seeds=[0, 1], out=place.here / "c", progress=False, **SMALL
    )
    facts = sound(place.here / "c", [0, 1])
    assert (
        methods(facts) == {"warm-start", "warm-start-from-noise", "cold", "warm-start-start"}
        and "your cold model" in report.html()
    )
    assert "training of cold" not in facts["bill"] and facts["bill"]["training of warm-start"] > 0
    assert not (place.here / "c" / "seeds" / "0" / "cold").exists()


def test_convergence_trains_the_best_cold_flow_twice_as_long(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it has converged is said by the numbers beside it, and the verdict against the longer one stands there too."""
    command = [*MOONS, "--seeds", "2", "--jobs", "1", "--calls", "1", "--convergence", "--out", "c"]
    ok(*command)
    facts = sound(Path("c"), [0, 1])
    doubled = facts["doubled"]
    assert doubled["baseline"] in {c["name"] for c in facts["curves"] if c["role"] == "baseline"}
    settled = [found["settled"] for found in doubled["settled"].values()]
    assert len(settled) == len(facts["metrics"])
    assert facts["trained"] == ("convergence" if all(settled) else "equal training")
    for seed in ("0", "1"):
        longer = json.loads((Path("c/seeds") / seed / f"{doubled['baseline']}-doubled" / "config.json").read_text())
        assert longer["asked"]["training"]["updates"] == 20 == 2 * facts_updates(Path("c"))
    assert doubled["verdicts"].keys() == doubled["words"].keys() == {"warm-start"}
    monkeypatch.setattr(comparison, "conclude", None)
    ok(*command)
    assert sound(Path("c"), [0, 1])["doubled"] == doubled, "what is beside the verdict is kept when it is judged again"


def facts_updates(folder: Path) -> int:
    return int(json.loads((folder / "config.json").read_text())["updates"])


def test_two_processes_train_and_measure_the_same_rows(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a second process that measures too: distances do not depend on who measured them."""
    monkeypatch.setattr(pipeline, "WORTH", -1.0)
    began: list[int] = []
    beside = pipeline._measure_beside

    def measured(*given: Any) -> None:
        began.append(given[5])
        beside(*given)

    monkeypatch.setattr(pipeline, "_measure_beside", measured)
    small = [*MOONS, "--seeds", "2", "--calls", "1,2"]
    ok(*small, "--jobs", "2", "--out", "2")
    shutil.copytree("2", "1")  # the same flows, measured by one process
    config = json.loads(Path("1/config.json").read_text())
    Path("1/config.json").write_text(json.dumps({**config, "state": "started"}))
    for name in ("verdict.json", "study.json"):
        (Path("1") / name).unlink()
    ok(*small, "--jobs", "1", "--out", "1")
    assert began == [2]
    two, one = sound(Path("2"), [0, 1]), sound(Path("1"), [0, 1])
    assert {c["method"]: c["chosen"] for c in two["choices"]} == {c["method"]: c["chosen"] for c in one["choices"]}
    for ours, theirs in zip(two["curves"], one["curves"], strict=True):
        assert [p["metrics"] for p in ours["points"]] == [p["metrics"] for p in theirs["points"]], ours["name"]


def test_every_name_can_be_imported() -> None:
    assert set(warmflow.__all__) <= set(dir(warmflow))
    for name in warmflow.__all__:
        assert getattr(warmflow, name) is not None
    for module in set(warmflow._MODULE_OF.values()):
        importlib.import_module(f"warmflow.{module}")
    with pytest.raises(AttributeError, match="nothing"):
        _ = warmflow.nothing
