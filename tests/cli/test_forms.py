"""Every command understands the same names of data, or answers with the form that it takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from warmflow.cli import main
from warmflow.data import DataSet, load
from warmflow.data.forms import form_of
from warmflow.problems import problem_of

PROSE = "the quick brown fox runs on and on over the lazy dog " * 1200


class Loaded(Exception):
    """What a command would have trained on."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with data of every form."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    points, pixels = rng.normal(size=(300, 2)).astype("f4"), rng.integers(0, 255, (300, 8, 8), np.uint8)
    np.save("points.npy", points)
    np.savez("points.npz", x=points)
    save_file({"x": torch.from_numpy(points)}, "points.safetensors")
    Path("photos").mkdir()
    for k in range(300):
        Image.fromarray(pixels[k]).save(f"photos/{k}.png")
    Path("prose.txt").write_text(PROSE)
    Path("letters").mkdir()
    Path("letters/one.txt").write_text(PROSE)
    Path("table.csv").write_text("1,2\n" * 300)
    Path("run").mkdir()
    Path("run/config.json").write_text(json.dumps({"kind": "run"}))
    return tmp_path


def stub(problem: Any, *rest: Any, **options: Any) -> Any:
    data: DataSet = problem_of(problem).load()
    raise Loaded(f"{data.kind} {data.shape}")


DATA = {
    "digits": "images (1, 8, 8)", "moons": "points (2,)",
    "points.npy": "points (2,)", "./points.npy": "points (2,)", "points.npz": "points (2,)", "points.safetensors": "points (2,)",
    "photos": "images (1, 8, 8)", "photos/": "images (1, 8, 8)", "folder:photos": "images (1, 8, 8)",
    "prose.txt": "tokens (64,)", "text:prose.txt": "tokens (64,)", "letters": "tokens (64,)", "text:letters": "tokens (64,)",
}  # fmt: skip
OPTIONS = {"train": ["--method", "cold"], "compare": ["--methods", "cold"], "audit": []}


@pytest.mark.parametrize("word", DATA)
@pytest.mark.parametrize("command", OPTIONS)
def test_commands_that_train_read_every_form(
    command: str, word: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmflow.experiments.train.train_run", stub)
    monkeypatch.setattr("warmflow.experiments.compare.compare", stub)
    monkeypatch.setattr("warmflow.experiments.audit.audit", stub)
    with pytest.raises(Loaded, match=r".*") as found:
        main([command, word, *OPTIONS[command]])
    assert str(found.value) == DATA[word]


@pytest.mark.parametrize("word", DATA)
def test_functions_read_every_form(word: str, here: Path) -> None:
    for given in (word, Path(word)) if ":" not in word and Path(word).exists() else (word,):
        if isinstance(given, str) and Path(given).is_dir():  # a text that names a folder might be a data set's name
            with pytest.raises(
                ValueError, match=f'is a folder; to read its (images|texts), give "(folder|text):{word}"'
            ):
                load(given)
            continue
        data = load(given)
        assert f"{data.kind} {data.shape}" == DATA[word]
        assert problem_of(given).load().shape == data.shape


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize("command", OPTIONS)
@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("run", "run is a run folder, not data; warmflow sample draws from runs"),
        ("folder:run", "run is a run folder, not data"),
        ("table.csv", "save the array with numpy.save"),
        ("no.npy", "does not exist"),
        ("no.txt", "does not exist"),
        ("no.safetensors", "does not exist"),
        ("folder:no", "does not exist"),
        ("text:no", "does not exist"),
        ("folder:points.npy", "is a file; give the folder that holds it"),
        ("text:photos", "holds no .txt files"),
        ("digit", "did you mean 'digits'?"),
        ("nothing-like-it", "FILE.txt"),
    ],
)
def test_other_names_are_answered_with_a_hint(
    command: str, word: str, hint: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if command == "compare" and word == "run":
        return  # a finished run is judged
    assert hint in refused(capsys, command, word, *OPTIONS[command])


@pytest.mark.parametrize("word", ["points.npy", "points.npz", "points.safetensors", "./points.npy"])
def test_evaluate_reads_files_by_every_name(word: str, here: Path) -> None:
    from warmflow.data.samples import read_samples

    assert read_samples(word).shape == (300, 2)


def test_evaluate_reads_folders_and_texts_by_every_name(here: Path) -> None:
    from warmflow.data.samples import read_samples

    assert read_samples("photos").shape == read_samples("folder:photos").shape == (300, 1, 8, 8)
    Path("lines.txt").write_text("abcd\nbcda\n" * 50)
    assert read_samples("lines.txt").shape == read_samples("text:lines.txt").shape == (100, 4)


@pytest.mark.parametrize(
    ("word", "hint"), [("digits", "names a data set"), ("hf:some/set", "names a data set"), ("no.npy", "exist")]
)
def test_evaluate_answers_other_names_with_a_hint(
    word: str, hint: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = ["--baseline", "a:1@0=points.npy", "--candidate", "b:1@0=points.npz"]
    assert hint in refused(capsys, "evaluate", "--real", word, *sets, "--out", "never")


@pytest.mark.parametrize("word", ["digits", "points.npy", "folder:photos", "photos", "prose.txt", "hf:some/set"])
@pytest.mark.parametrize("command", ["sample", "distill", "plan", "report"])
def test_commands_on_runs_say_how_data_become_one(
    command: str, word: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = {"sample": ["--out", "x.npz"], "distill": [], "plan": [], "report": []}[command]
    first = "warmflow train" if command in ("sample", "distill") else "warmflow compare"
    assert f"{word} is data, not a run folder: give the folder that {first} {word} --out" in refused(
        capsys, command, word, *more
    )


def test_forms_are_told_by_their_names(here: Path) -> None:
    assert form_of("corpus.tar.gz") == ("text", "corpus.tar.gz") and form_of("a.tgz")[0] == "text"
    assert form_of("hf:a/b") == ("hf", "a/b") and form_of("digits") == ("", "digits") and form_of("X.NPY")[0] == "array"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("letters/picture.png")
    assert form_of("letters")[0] == "folder"


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"x": 1, "drafts": 1}, "not used: drafts"), ({"x": 1, "x_test": 2}, "not used: x_test"),
        ({"x": 1, "y": 0, "drafts": 1}, "not used: drafts"),
    ],
)  # fmt: skip
def test_arrays_that_are_not_used_are_told(arrays: dict[str, int], told: str, here: Path) -> None:
    rng = np.random.default_rng(1)
    made = {k: np.arange(300) % 3 if not n else rng.normal(size=(300 * n, 2)) for k, n in arrays.items()}
    np.savez("several.npz", **made)
    (line,) = load("several.npz").warnings
    assert told in line


@pytest.mark.parametrize("names", [("a", "b"), ("arr_0", "arr_1"), ("x_train", "x_test")])
def test_several_arrays_without_the_name_x_are_refused_by_name(
    names: tuple[str, ...], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from warmflow.data.samples import read_samples

    np.savez("several.npz", **{name: np.zeros((300, 2)) + np.arange(300)[:, None] for name in names})
    for command in OPTIONS:
        said = refused(capsys, command, "several.npz", *OPTIONS[command])
        assert ", ".join(names) in said and "name the data x" in said
    with pytest.raises(ValueError, match=f"{', '.join(names)}; name the data x"):
        read_samples("several.npz")
