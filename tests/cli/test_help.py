"""The help of a command shows the options that apply to what was typed, and says how to see the others."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from warmflow.cli import main
from warmflow.commands import compare, groups, sample, train
from warmflow.data import load
from warmflow.methods import METHODS
from warmflow.problems import PROBLEMS, problem_of

TOKENS = {"--heads", "--power", "--weighting"}
LABELS = {"--conditional", "--guidance", "--guidance-interval"}
UNET = {"--preset", "--channels-last"}
TEXTS = {"--warm-start.writer", "--warm-start.strength"}


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[set[str], str]:
    """The flags in the panels of a help, and what stands below them."""
    assert main([*words, "--help"]) == 0
    text = capsys.readouterr().out
    panels = [line for line in text.splitlines() if line.startswith("│")]
    flags = {flag for line in panels for flag in re.findall(r"^│ +(--[a-z0-9.-]+)", line) if ".no-" not in flag}
    return {flag for flag in flags if not flag.startswith("--no-")}, text[text.rindex("╯") :]


@pytest.mark.parametrize(
    ("words", "there", "missing"),
    [
        ("compare digits", LABELS | {"--predicts", "--warm-start.sigma"}, TOKENS | UNET | TEXTS),
        ("compare digits --network unet", LABELS | UNET, TOKENS | TEXTS),
        ("compare fashion-mnist", LABELS | UNET | {"--most"}, TOKENS | TEXTS),
        ("compare text", TOKENS | TEXTS | {"--length"}, LABELS | UNET | {"--predicts", "--warm-start.sigma"}),
        ("compare grid", TOKENS, LABELS | UNET | TEXTS | {"--predicts"}),
        ("compare waves", {"--predicts"}, LABELS | TOKENS | UNET | TEXTS),
        ("compare super-resolution", UNET | {"--factor"}, LABELS | TOKENS | TEXTS),
        ("train text --method cold", {"--cold.start", "--power"}, {"--warm-start.sigma", "--predicts"}),
        ("train digits --method cold", {"--cold.pairing"}, {"--cold.start", "--cold.writer", "--power"}),
        ("audit digits", {"--warm-start.sigma"}, TEXTS | {"--updates", "--power"}),
        ("compare", {"--methods", "--calls", "--out"}, LABELS | TOKENS | UNET | TEXTS | {"--updates"}),
        ("train", {"--method", "--out"}, LABELS | TOKENS | {"--updates"}),
        ("audit", {"--draft", "--json"}, {"--warm-start.sigma"}),
    ],
)  # fmt: skip
def test_help_shows_what_applies(
    capsys: pytest.CaptureFixture[str], words: str, there: set[str], missing: set[str]
) -> None:
    flags, below = shown(capsys, *words.split())
    assert there <= flags and not missing & flags
    if len(words.split()) == 1:
        command = words
        assert f"warmflow {command} PROBLEM --" in " ".join(below.split()) and len(flags) < 15
    elif not words.startswith("audit"):
        assert "Name them with --method" in " ".join(below.split())


@pytest.mark.parametrize("name", sorted(set(PROBLEMS) - {"arrays", "folder", "pairs"}))
def test_what_is_not_shown_is_named_and_still_understood(name: str) -> None:
    """An option that is typed all the same is refused by the check of its value, or does nothing, as before."""
    for module, flag in ((compare, "--methods"), (train, "--method")):
        command = module.command([name])
        asked = groups.Asked.of(name, [name], flag)
        hidden = {group.flag(option) for group in command.groups for option in group.hidden}
        assert hidden and hidden <= set(command.flags)
        assert all(option in asked.epilogue() for option in hidden)
        assert not any(group.hidden for group in command.groups if group.key == groups.PROBLEM)


def test_marks_say_what_the_data_have(tmp_path: Path) -> None:
    for name in ("digits", "moons", "checkerboard", "eight-gaussians", "grid", "waves", "text", "super-resolution"):
        options = {"images": "digits"} if name == "super-resolution" else {}
        labels = "label" in problem_of(name, **options).load().train.condition
        assert labels == ("labels" in PROBLEMS[name].marks) or name in ("super-resolution", "grid"), name
    for name in ("grid", "text"):  # flows of tokens are given no labels
        with pytest.raises(
            ValueError, match=f"conditional is for flows of floats, and {name} is of tokens: leave it out"
        ):
            problem_of(name).setup(conditional=True)
    assert len(load("digits").classes) == 10 and all(METHODS)


@pytest.mark.parametrize(
    ("config", "there", "missing"),
    [
        ({"asked": {"training": {"conditional": True}}}, {"--label", "--guidance"}, {"--prefix", "--top-p"}),
        ({"asked": {"training": {"conditional": False}}}, {"--steps"}, {"--prefix", "--label"}),
        ({"codec": {"symbols": []}, "asked": {"training": {"conditional": False}}}, {"--prefix"}, {"--label"}),
        ({"asked": 3}, {"--prefix", "--label"}, set()),
        ([1], {"--prefix", "--label"}, set()),
    ],
)
def test_help_of_sample_shows_what_applies_to_the_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, config: object, there: set[str], missing: set[str]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    flags, _ = shown(capsys, "sample", str(tmp_path))
    assert there <= flags and not missing & flags
    assert {"--prefix", "--label"} <= shown(capsys, "sample")[0]
    assert sample.told_of(tmp_path / "nowhere") is None
