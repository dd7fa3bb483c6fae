"""What a run folder names outside of itself is opened if the caller names it, or if this user has made the run.
See docs/security.md."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from warmflow import ownership
from warmflow.cli import main
from warmflow.data import load as load_data
from warmflow.experiments.compare_runs import compare_runs
from warmflow.experiments.distill import distill
from warmflow.experiments.saved_runs import read_run, teacher_of
from warmflow.experiments.train import train_run
from warmflow.files import read_json, write_json
from warmflow.methods.cold import Cold
from warmflow.methods.warm_start import WarmStart
from warmflow.report import Report

SMALL = {"updates": 2, "batch": 16, "width": 8, "depth": 1}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user with a secret of his own; another value of the variable is another user."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "mine"))
    return tmp_path


def another_user(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(place / "theirs"))


@pytest.fixture
def run(home: Path) -> Path:
    """A run on the user's own file, with his own drafts."""
    x = np.random.default_rng(0).normal(size=(260, 2)).astype(np.float32)
    np.save(home / "data.npy", x)
    np.save(home / "drafts.npy", x + 0.1)
    train_run(
        str(home / "data.npy"), WarmStart(draft=str(home / "drafts.npy"), rounds=1, block=64), out=home / "run", progress=False,
        echo=lambda _: None, **SMALL,
    )  # fmt: skip
    return home / "run"


def test_the_secret_is_private_and_made_once(home: Path) -> None:
    first = ownership.signature({"a": 1})
    key = home / "mine" / "warmflow" / "key"
    assert key.stat().st_mode & 0o077 == 0 and len(key.read_bytes()) == 32
    assert first == ownership.signature({"a": 1}) != ownership.signature({"a": 2})
    assert ownership.is_ours({"a": 1}, first) and not ownership.is_ours({"a": 2}, first)
    for wrong in (None, "", 7, first.upper() if first else "", "\ud800"):
        assert not ownership.is_ours({"a": 1}, wrong)


def test_nothing_is_signed_where_nothing_outside_is_named(home: Path) -> None:
    train_run("moons", Cold(), out=home / "moons", progress=False, echo=lambda _: None, **SMALL)
    assert "signed" not in read_json(home / "moons" / "config.json") and not (home / "mine").exists()
    assert len(read_run(home / "moons").setup().data.train)


def test_without_a_home_names_are_given_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "file"))
    assert ownership.signature({}) is None and not ownership.is_ours({}, "0" * 64)


def test_a_users_own_run_is_read_without_naming_its_data_again(run: Path) -> None:
    assert len(read_run(run).setup().data.train)


def test_the_data_and_drafts_of_anothers_run_are_not_opened(
    run: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    another_user(home, monkeypatch)
    monkeypatch.setattr("warmflow.problems.own.load", lambda name: pytest.fail(f"{name} was opened"))
    monkeypatch.setattr("warmflow.drafts.own.read_arrays", lambda name: pytest.fail(f"{name} was opened"))
    with pytest.raises(
        ValueError, match=r"names its drafts as .*drafts.npy.*, which are opened only if you name them yourself"
    ):
        read_run(run)
    drafts = str(home / "drafts.npy")
    with pytest.raises(
        ValueError, match=r"names its data as .*data.npy.* --data NAME \(problem=... in Python\)"
    ) as error:
        read_run(run, drafts).setup()
    assert "\n" not in str(error.value)
    for words in (["compare", str(run)], ["distill", str(run)], ["distill", str(run), "--draft", drafts]):
        assert main([*words, "--out", str(home / "out")]) == 2
        assert "opened only if you name them yourself" in capsys.readouterr().err


def test_what_the_caller_names_is_opened_and_compared_with_the_digest(
    run: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    another_user(home, monkeypatch)
    (home / "data.npy").rename(home / "here.npy")
    (home / "drafts.npy").rename(home / "there.npy")
    saved = read_run(run, str(home / "there.npy"))
    assert len(saved.setup(str(home / "here.npy")).data.train)
    with pytest.raises(ValueError, match="are not those that .* was trained on"):
        saved.setup(str(home / "there.npy"))


@pytest.mark.parametrize("name", ["attacker/evil", "hf:attacker/evil", "folder:/etc"])
def test_a_changed_name_is_a_strangers(name: str, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signature is of the names: another name in the same folder is not opened, also not on the hub."""
    monkeypatch.setattr("warmflow.problems.own.load", lambda name: pytest.fail(f"{name} was opened"))
    told = read_json(run / "config.json")
    told["asked"]["problem"]["data"] = name
    write_json(run / "config.json", told)
    with pytest.raises(ValueError, match="opened only if you name them yourself"):
        read_run(run)
    told["asked"]["method"]["draft"] = {"class": "Pipeline", "path": name, "steps": 2}
    write_json(run / "config.json", told)
    monkeypatch.setattr("warmflow.drafts.pipeline._tried", lambda *_: pytest.fail("it was opened"))
    with pytest.raises(ValueError, match="opened only if you name them yourself"):
        read_run(run)
    saved = read_run(run, "diffusers:mine")
    assert saved.pipeline == "mine" and saved.method.draft.path == "mine"  # type: ignore[attr-defined]


def test_a_report_shows_names_and_opens_nothing(run: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a path in the settings the page has the text alone, whatever lies there."""
    (home / "secret.txt").write_text("the user's secret")
    told = read_json(run / "config.json")
    told["settings"] = {"path": str(home / "secret.txt"), "picture": f"file://{home}/secret.txt"}
    told["asked"]["problem"]["data"] = str(home / "secret.txt")
    write_json(run / "config.json", told)
    opened = []
    sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
    page = Report.read(run).html()
    assert (
        "the user&#39;s secret" not in page
        and "the user's secret" not in page
        and "file://" not in page.split("<table")[0]
    )
    assert not [path for path in opened if "secret.txt" in path or path.endswith((".npy", "drafts"))]


def test_the_teacher_of_a_strangers_student_is_looked_for_beside_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("teacher", "elsewhere/private"):
        train_run("moons", Cold(), out=home / name, progress=False, echo=lambda _: None, **SMALL)
    distill(
        home / "elsewhere" / "private",
        home / "student",
        updates=1,
        online_updates=1,
        batch=4,
        report=False,
        progress=False,
    )
    assert teacher_of(home / "student") == home / "elsewhere" / "private", "the user's own student knows where it is"
    another_user(home, monkeypatch)
    shutil.rmtree(home / "teacher")
    with pytest.raises(ValueError, match="which is not there"):
        teacher_of(home / "student")
    shutil.copytree(home / "elsewhere" / "private", home / "beside")
    assert teacher_of(home / "student") == home / "beside"


# ---------------------------------------------------------------- data sets with code


def library(monkeypatch: pytest.MonkeyPatch, version: str = "4.0.0") -> list[str]:
    """A stand-in for the package ``datasets``; the names that it is asked for."""
    asked: list[str] = []

    def load_dataset(name: str, config: str | None = None) -> Any:
        asked.append(name)
        raise ConnectionError("no internet")

    fake = SimpleNamespace(__version__=version, load_dataset=load_dataset, load_from_disk=load_dataset)
    monkeypatch.setitem(sys.modules, "datasets", fake)
    return asked


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"photos.py": "raise SystemExit"}, r"holds a script \(photos.py\), which is not run"),
        ({"other.py": ""}, r"holds a script \(other.py\)"),
        (
            {"README.md": "---\nconfigs:\n- data_files: https://evil/x.parquet\n---\n"},
            "its README.md names data outside",
        ),
        ({"README.md": '---\nconfigs:\n- data_files: "/etc/passwd"\n---\n'}, "its README.md names data outside"),
        ({"README.md": "---\nconfigs:\n- data_files: [../*.png]\n---\n"}, "its README.md names data outside"),
        (
            {"state.json": '{"_data_files": [{"filename": "/home/me/x.arrow"}]}'},
            "its state.json names '/home/me/x.arrow'",
        ),
        ({"dataset_dict.json": '{"splits": ["../private"]}'}, "its dataset_dict.json names '../private'"),
        (
            {"dataset_dict.json": '{"splits": []}', "train/state.json": '{"_data_files": [{"filename": "../x"}]}'},
            "names '../x'",
        ),
    ],
)
def test_a_data_folder_with_code_or_names_elsewhere_is_refused_before_it_is_read(
    files: dict[str, str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = library(monkeypatch)
    for name, text in files.items():
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_text(text)
    with pytest.raises(ValueError, match=says) as error:
        load_data(f"hf:{tmp_path / 'photos'}")
    assert not asked and "\n" not in str(error.value)


def test_an_honest_data_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = library(monkeypatch)
    (tmp_path / "README.md").write_text(
        "---\nlicense: mit\nconfigs:\n- data_files:\n  - split: train\n    path: data/*.png\n---\nA https://x\n"
    )
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    with pytest.raises(ValueError, match="no internet"):
        load_data(f"hf:{tmp_path}")
    assert asked == [str(tmp_path)]


@pytest.mark.parametrize("version", ["2.14.7", "3.6.0", "x"])
def test_versions_of_datasets_that_run_scripts_are_refused(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = library(monkeypatch, version)
    with pytest.raises(ValueError, match=rf"version {version} runs scripts of data sets: install version 4 or newer"):
        load_data("hf:some/name")
    assert not asked


def test_an_image_of_a_data_set_is_not_read_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from warmflow.data.hub import _Images

    library(monkeypatch)
    sys.modules["datasets"].config = SimpleNamespace(HF_CACHE_HOME=str(tmp_path / "cache"))  # type: ignore[attr-defined]
    for place in ("set", "cache", "home"):
        (tmp_path / place).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / place / "a.png")
    images = object.__new__(_Images)
    images.what = f"hf:{tmp_path / 'set'}"
    for place in ("set", "cache"):
        assert images._inside(str(tmp_path / place / "a.png"))
    for path in (tmp_path / "home" / "a.png", tmp_path / "set" / ".." / "home" / "a.png", "https://evil/a.png"):
        with pytest.raises(ValueError, match="its file is outside of the data set"):
            images._inside(str(path))
    images.what = "hf:some/name"
    with pytest.raises(ValueError, match="its file is outside of the data set"):
        images._inside(str(tmp_path / "set" / "a.png"))


def test_compare_runs_names_are_documented() -> None:
    assert "somebody else has made" in (compare_runs.__doc__ or "")
