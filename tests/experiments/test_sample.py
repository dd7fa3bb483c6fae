"""Samples of a finished run in a file: the same seed gives the same file, options of tokens and labels, errors in one line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_runs import COLD, WARM, copied, everything, trained

from warmflow.checkpoints import load
from warmflow.contracts import Batch, Samples, Start
from warmflow.data import load as read_data
from warmflow.data.images import digits
from warmflow.data.text import LETTERS, Alphabet
from warmflow.experiments.sample import Labels, _lines, in_a_line, picture, sample_run
from warmflow.experiments.sample_options import LabelOptions, TokenOptions, label_of
from warmflow.experiments.saved_runs import read_run
from warmflow.fields import Guided
from warmflow.methods.cold import Cold
from warmflow.methods.warm_start import WarmStart
from warmflow.options import OptionError
from warmflow.problems import problem_of

TOKENS: dict[str, Any] = {"heads": 2, "batch": 32}
GUIDED: dict[str, Any] = {"conditional": True, "guidance": 1.5, "batch": 32, "network": "mlp"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    trained(root / "warm", WARM)
    trained(root / "cold", COLD)
    trained(root / "grid", Cold(start="mask"), problem=problem_of("grid", train=400, heldout=400), **TOKENS)
    trained(
        root / "text", WarmStart(rounds=1, pairing="maximal"), problem=problem_of("text", length=32, most=200), **TOKENS
    )
    trained(root / "labels", WarmStart(rounds=1, draft="gaussian"), problem="digits", **GUIDED)
    copied(root / "cold", root / "started", ["model.json", "model.safetensors"], state="started")
    return root


def sample(run: Path, out: Path, n: int = 20, **more: Any) -> str:
    return sample_run(run, n, out, progress=False, **more)


@pytest.mark.parametrize("suffix", [".png", ".npy", ".npz"])
def test_the_same_seed_gives_the_same_file(runs: Path, tmp_path: Path, suffix: str) -> None:
    files = [tmp_path / f"{k}{suffix}" for k in range(3)]
    before = everything(runs / "warm")
    for file, seed in zip(files, (3, 3, 4), strict=True):
        said = sample(runs / "warm", file, 50, seed=seed)
        assert said.startswith(f"{file}: 50 samples, 4 steps, 4 calls a sample, ")
    a, b, c = (file.read_bytes() for file in files)
    if suffix == ".npz":
        a, b, c = (np.load(file)["x"].tobytes() for file in files)
    assert a == b != c
    assert len(list(tmp_path.iterdir())) == 3 and everything(runs / "warm") == before
    if suffix == ".png":
        assert Image.open(files[0]).size == (600, 600)
        return
    found = np.load(files[0])
    x = found if suffix == ".npy" else found["x"]
    assert x.shape == (50, 2) and x.dtype == np.float32
    assert np.array_equal(x, load(runs / "warm")(50, seed=3).x.numpy())


def test_batches_change_no_sample(runs: Path, tmp_path: Path) -> None:
    for batch in (7, 64):
        sample(runs / "warm", tmp_path / f"{batch}.npy", 64, batch=batch)
    assert np.abs(np.load(tmp_path / "7.npy") - np.load(tmp_path / "64.npy")).max() < 1e-5


def test_solvers_count_their_calls(runs: Path, tmp_path: Path) -> None:
    for solver, counted in (("euler", 4), ("heun", 7), ("midpoint", 8), ("rk4", 15)):
        sample(runs / "cold", tmp_path / "x.npz", 5, solver=solver)
        assert (np.load(tmp_path / "x.npz")["calls"] == counted).all()
    sample(runs / "cold", tmp_path / "x.npz", 5, solver="euler", steps=9)
    assert (np.load(tmp_path / "x.npz")["calls"] == 9).all()


def test_raw_weights_are_other_weights(runs: Path, tmp_path: Path) -> None:
    sample(runs / "warm", tmp_path / "a.npy", raw=True)
    assert np.array_equal(np.load(tmp_path / "a.npy"), load(runs / "warm", raw=True)(20, seed=0).x.numpy())
    assert not np.array_equal(np.load(tmp_path / "a.npy"), load(runs / "warm")(20, seed=0).x.numpy())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda r, o: sample(r / "cold", o / "x.npy", 0), "n is 0; ask for at least 1 sample"),
        (lambda r, o: sample(r / "cold", o / "x.npy", steps=0), "steps is 0; take at least 1 step"),
        (lambda r, o: sample(r / "cold", o / "x.npy", batch=0), "batch is 0; draw at least 1 sample at a time"),
        (lambda r, o: sample(r / "cold", o / "x.npy", solver="eular"), "did you mean 'euler'"),
        (lambda r, o: sample(r / "cold", o / "x.npy", device="toaster"), "toaster"),
        (lambda r, o: sample(r / "cold", o / "no" / "x.npy"), "there is no folder"),
        (lambda r, o: sample(r / "cold", o), "which is a folder; name a file in it"),
        (lambda r, o: sample(r / "cold", o / "x.tiff"), "its suffix is .png"),
        (lambda r, o: sample(r / "cold", o / "x.png", 5000), "a picture shows at most 4096 samples, use .npz"),
        (lambda r, o: sample(r / "cold", o / "x.txt"), "makes no texts; write .npz or .npy"),
        (lambda r, o: sample(r / "text", o / "x.png"), "makes texts; write .txt, .jsonl, .npz or .npy"),
        (lambda r, o: sample(r / "text", o / "x.npy", solver="heun"), "sampled by jumps: leave it out"),
        (lambda r, o: sample(r / "nowhere", o / "x.npy"), "not a run folder"),
        (lambda r, o: sample(r / "started", o / "x.npy"), "run the same training command again"),
        (lambda r, o: sample(r / "cold", o / "x.npy", tokens=TokenOptions(temperature=0.5)), "temperature is 0.5, which"),
        (lambda r, o: sample(r / "cold", o / "x.npy", tokens=TokenOptions(prefix="a")), "which is for flows of tokens"),
        (lambda r, o: sample(r / "grid", o / "x.npy", tokens=TokenOptions(prefix="a")), "but this run makes no texts"),
        (lambda r, o: sample(r / "text", o / "x.npy", tokens=TokenOptions(template="a_" * 17)), "has 34 symbols, but"),
        (lambda r, o: sample(r / "text", o / "x.npy", tokens=TokenOptions(prefix="a" * 33)), "has 33 symbols, but"),
        (lambda r, o: sample(r / "text", o / "x.npy", tokens=TokenOptions(template="a_7")), "holds '7' at position"),
        (lambda r, o: sample(r / "text", o / "x.npy", tokens=TokenOptions(prefix="the", template="a" + "_" * 31)), "fixed twice"),
    ],
)  # fmt: skip
def test_impossible_requests_are_named_and_nothing_is_written(
    runs: Path, tmp_path: Path, make: Callable[[Path, Path], Any], says: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        make(runs, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: TokenOptions(temperature=0), "temperature is 0; it must be greater than 0"),
        (lambda: TokenOptions(top_p=1.5), "top_p is 1.5; it must be at most 1"),
        (lambda: TokenOptions(renoise=1), "renoise is 1; it must be less than 1"),
        (lambda: TokenOptions(free="ab"), "free is 'ab'"),
        (lambda: LabelOptions(guidance=-2), "guidance is -2; it must be at least 0"),
        (lambda: LabelOptions(guidance=float("nan")), "guidance is nan"),
    ],
)
def test_impossible_options_are_named(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(OptionError, match=re.escape(says)):
        make()


# ---------------------------------------------------------------- tokens


def test_a_grid_is_sampled_as_tokens_and_as_a_picture(runs: Path, tmp_path: Path) -> None:
    for suffix in ("npy", "png"):
        sample(runs / "grid", tmp_path / f"x.{suffix}", steps=8)
    x = np.load(tmp_path / "x.npy")
    assert x.shape == (20, 2) and x.dtype == np.int64 and x.min() >= 0 and x.max() < 128
    assert Image.open(tmp_path / "x.png").size == (600, 600)


def test_texts_are_written_as_lines_and_as_json(runs: Path, tmp_path: Path) -> None:
    sample(runs / "text", tmp_path / "x.txt", 5)
    sample(runs / "text", tmp_path / "x.jsonl", 5)
    lines = (tmp_path / "x.txt").read_text().splitlines()
    assert len(lines) == 5 and all(len(line) == 32 and set(line) <= set(LETTERS) for line in lines)
    rows = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert [row["text"] for row in rows] == lines and all(len(row["draft"]) == 32 and row["calls"] <= 4 for row in rows)


def test_text_that_is_given_stays_and_the_draft_sees_it(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.jsonl"
    sample(runs / "text", out, 6, tokens=TokenOptions(prefix="the first "))
    for line in out.read_text().splitlines():
        row = json.loads(line)
        assert row["text"].startswith("the first ") and row["draft"].startswith("the first ")
    template = "of " + "_" * 20 + " is" + "_" * 6
    sample(runs / "text", out, 6, tokens=TokenOptions(template=template, temperature=0.8, renoise=0.2))
    for line in out.read_text().splitlines():
        assert re.fullmatch(template.replace("_", "."), json.loads(line)["text"])


# ---------------------------------------------------------------- labels


@pytest.mark.parametrize(
    ("options", "pattern", "told"),
    [
        (TokenOptions(prefix="Hello?"), "hello .*", "note: prefix is read as 'hello '"),
        (TokenOptions(prefix="Le 7 É"), "le seven e.*", "note: prefix is read as 'le seven e'"),
        (TokenOptions(template="the _ "), "the . .*", ""),
        (TokenOptions(template="The ____ ÉT"), "the .... et.*", "note: template is read as 'the ____ et'"),
        (TokenOptions(template="of **** is", free="*"), "of .... is.*", ""),
        (TokenOptions(template="of__" + "_" * 27 + "z"), "of.*z", ""),
    ],
)  # fmt: skip
def test_text_that_is_given_is_brought_to_the_alphabet_and_templates_may_be_short(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: TokenOptions, pattern: str, told: str
) -> None:
    sample(runs / "text", tmp_path / "x.txt", 3, tokens=options)
    lines = (tmp_path / "x.txt").read_text().splitlines()
    assert len(lines) == 3 and all(re.fullmatch(pattern, line) and len(line) == 32 for line in lines)
    said = capsys.readouterr().err
    assert told in said and ("note:" in said) == bool(told)


def test_texts_with_their_own_alphabet_stay_as_they_are() -> None:
    code = Alphabet.of("def f_a(x):\n")
    assert code.brought("f_a\n") == code.brought("f_a\n", "_") == "f_a\n"
    (line,) = TokenOptions(template="f_a").notes(code)
    assert "--free" in line and TokenOptions(template="f_*", free="*").notes(code) == []
    many = Alphabet.of("".join(chr(300 + k) for k in range(300)))
    assert many.brought("?" + many.symbols[0]) == many.symbols[-1] + many.symbols[0]
    assert "read as" in TokenOptions(prefix="?").notes(many)[0]
    with pytest.raises(ValueError, match="holds 'Z'"):
        code.encode(code.brought("Z"))


def test_a_sample_is_one_line_of_a_file() -> None:
    assert in_a_line("two\nlines\n") == "two\u2424lines\u2424" and in_a_line("one") == "one"


def test_a_label_is_asked_for(runs: Path, tmp_path: Path) -> None:
    sampler = load(runs / "labels")
    assert isinstance(sampler.field, Guided) and sampler.field.scale == 1.5

    def drawn(**options: Any) -> tuple[np.ndarray, np.ndarray]:
        sample(runs / "labels", tmp_path / "x.npz", steps=4, solver="euler", labels=LabelOptions(**options))
        with np.load(tmp_path / "x.npz") as found:
            return found["x"], found["calls"]

    three, calls = drawn(label=3)
    sample(runs / "labels", tmp_path / "y.npz", steps=4, labels=LabelOptions(label=3))
    given = {"label": torch.full((20,), 3)}
    assert np.array_equal(np.load(tmp_path / "y.npz")["x"], sampler(20, seed=0, steps=4, condition=given).x.numpy())
    assert set(calls) == {8} and not np.array_equal(three, drawn(label=4)[0])
    assert set(drawn(guidance=1)[1]) == {4}
    # t is 0.8, 0.85, 0.9, 0.95: two of them are guided
    assert set(drawn(guidance=3, guidance_interval="0.82,0.92")[1]) == {6}


NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose classes have other names than their numbers."""
    data = replace(digits(), classes=NAMES)
    return trained(tmp_path_factory.mktemp("named") / "run", COLD, problem=data, **{**GUIDED, "guidance": 1})


def test_the_names_of_the_classes_are_in_the_run(named: Path, runs: Path) -> None:
    config = json.loads((named / "config.json").read_text())
    assert config["classes"] == list(NAMES) and "0 zero, 1 one, 2 two" in (named / "README.md").read_text()
    assert json.loads((runs / "labels" / "config.json").read_text())["classes"] == [str(k) for k in range(10)]
    assert "classes" not in json.loads((runs / "cold" / "config.json").read_text())


def test_a_class_is_asked_for_by_its_name_or_number_and_labels_are_in_every_file(named: Path, tmp_path: Path) -> None:
    said = [sample(named, tmp_path / f"{k}.npz", labels=LabelOptions(label=k)) for k in (3, "3", "three")]
    assert all(line.endswith("; label 3 (three)") for line in said)
    a, b, c = (np.load(tmp_path / f"{k}.npz") for k in (3, "3", "three"))
    assert np.array_equal(a["x"], b["x"]) and np.array_equal(a["x"], c["x"])
    assert a["labels"].tolist() == [3] * 20 and a["classes"].tolist() == list(NAMES)
    drawn = load(named)(20, seed=0).start.condition["label"].tolist()
    sample(named, tmp_path / "x.npz")
    assert np.load(tmp_path / "x.npz")["labels"].tolist() == drawn
    for suffix in ("npy", "png"):
        said = [sample(named, tmp_path / f"x.{suffix}")]
        beside = tmp_path / f"x.{suffix}.labels.json"
        assert said[0].endswith(f"; labels in {beside}")
        assert json.loads(beside.read_text()) == {"labels": drawn, "classes": list(NAMES)}


def test_lines_of_json_have_labels() -> None:
    tokens, label = torch.tensor([[0, 1], [1, 1]]), torch.tensor([1, 0])
    start = Start(torch.zeros(2, 2), {"label": label})
    drawn = Samples(tokens, start, 4, torch.tensor([4, 4]), 0.0, 0.0)
    for names, classes in (((), (None, None)), (("prose", "verse"), ("verse", "prose"))):
        lines = _lines(drawn, Alphabet(("a", "b")), Labels.of(drawn, names)).splitlines()
        found = [json.loads(line) for line in lines]
        assert [(row["text"], row["label"], row["class"]) for row in found] == [
            ("ab", 1, classes[0]),
            ("bb", 0, classes[1]),
        ]


def test_the_samples_of_a_file_are_data_with_the_same_classes(named: Path, tmp_path: Path) -> None:
    sample(named, tmp_path / "x.npz", 300)
    data = read_data(tmp_path / "x.npz")
    assert data.classes == NAMES and not data.warnings


def test_labels_of_an_earlier_file_do_not_stay(named: Path, runs: Path, tmp_path: Path) -> None:
    sample(named, tmp_path / "x.npy")
    sample(runs / "cold", tmp_path / "x.npy")
    assert [p.name for p in tmp_path.iterdir()] == ["x.npy"]


@pytest.mark.parametrize(
    ("label", "says"),
    [
        ("tree", "label is 'tree'; did you mean 'three'? known: zero, one, two, three, four"),
        ("Three", "did you mean 'three'?"),
        ("", "label is ''; known: zero, one"),
        ("10", "label is 10; the labels of "),
        (-1, "are 0 .. 9: 0 zero, 1 one"),
        ("3.0", "label is '3.0'; known: zero"),
    ],
)
def test_an_unknown_class_is_named(named: Path, tmp_path: Path, label: int | str, says: str) -> None:
    with pytest.raises(OptionError, match=re.escape(says)):
        sample(named, tmp_path / "x.npz", labels=LabelOptions(label=label))
    assert not list(tmp_path.iterdir())


def test_a_name_comes_before_a_number() -> None:
    run = Path("run")
    assert [label_of(k, ("1", "2", "10"), 3, run) for k in (1, "2", "10")] == [0, 1, 2]
    for k in (0, 3):
        with pytest.raises(OptionError, match=f"label is {k}; the labels of run are 1, 2, 10"):
            label_of(k, ("1", "2", "10"), 3, run)
    assert label_of("1", (), 3, run) == 1, "labels without names are numbers"
    names = ("caf\udce9", "the\u0301")
    assert [label_of(k, names, 2, run) for k in (names[0], r"caf\udce9", "th\xe9", names[1])] == [0, 0, 1, 1]
    with pytest.raises(OptionError, match="label is 'cat'; the labels of run are 0 .. 2 .it holds no names of classes"):
        label_of("cat", (), 3, run)


def test_names_of_another_number_are_refused(named: Path, tmp_path: Path) -> None:
    copied(named, tmp_path / "run", classes=["a", "b"])
    with pytest.raises(ValueError, match="names 2 classes, and the model knows 10"):
        sample(tmp_path / "run", tmp_path / "x.npz")


def test_a_run_whose_labels_mean_something_else_does_not_go_on(tmp_path: Path) -> None:
    """Classes in another order are other labels; the digest of the data tells, whether the run is finished or not."""
    data, options = digits(), {**GUIDED, "guidance": 1}
    trained(tmp_path / "run", COLD, problem=data, **options)
    order = torch.tensor([0, 1, 3, 2, 4, 5, 6, 7, 8, 9])

    def moved(part: Batch) -> Batch:
        return replace(part, condition={"label": order[part.condition["label"]]})

    other = replace(data, train=moved(data.train), heldout=moved(data.heldout))
    for state in ("complete", "started"):
        path = tmp_path / "run" / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "state": state}))
        with pytest.raises(ValueError, match="holds a run with other settings: data was"):
            trained(tmp_path / "run", COLD, problem=other, **options)
    with pytest.raises(ValueError, match="are not those that"):
        read_run(tmp_path / "run").setup(other)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"label": 10}, "label is 10; the labels of .* are 0 .. 9"),
        ({"label": -1}, "label is -1"),
        ({"guidance": 2, "guidance_interval": "0.8,0.2"}, "LOW below HIGH"),
        ({"guidance": 2, "guidance_interval": "0.8"}, "two times with a comma"),
        ({"guidance": 1, "guidance_interval": "0.2,0.8"}, "guidance is 1, which is off"),
    ],
)
def test_labels_that_cannot_be_sampled_are_named(
    runs: Path, tmp_path: Path, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        sample(runs / "labels", tmp_path / "x.npz", labels=LabelOptions(**options))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("options", [{"label": 1}, {"guidance": 2}, {"guidance_interval": "0.1,0.2"}])
def test_a_flow_without_labels_has_none_to_ask_for(runs: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(OptionError, match=f"{name} is .* is given no labels: train it with conditional"):
        sample(runs / "cold", tmp_path / "x.npz", labels=LabelOptions(**options))


# ---------------------------------------------------------------- pictures


def test_a_picture_is_a_grid_of_the_images_enlarged(tmp_path: Path) -> None:
    x = torch.full((5, 3, 8, 8), -1.0)
    x[0] = 1.0
    picture(x, tmp_path / "x.png")
    found = np.asarray(Image.open(tmp_path / "x.png"))
    assert found.shape == (2 * 9 * 4, 3 * 9 * 4, 3), "three columns and two rows of 8 + 1 pixels, four times as large"
    assert (found[:32, :32] == 255).all() and (found[:32, 36:68] == 0).all() and (found[36:, 72:] == 255).all()
    picture(x[:, :1], tmp_path / "grey.png")
    assert np.asarray(Image.open(tmp_path / "grey.png")).ndim == 2
    with pytest.raises(ValueError, match="images with 2 channels make no picture"):
        picture(x[:, :2], tmp_path / "two.png")
