"""Text is read and written in UTF-8 whatever the locale: every place in the source says so."""

import ast
from pathlib import Path

import pytest

import warmflow

SOURCE = Path(warmflow.__file__).parent
PLACES = [SOURCE, *(Path(__file__).parents[2] / name for name in ("runs", "benchmarks", "examples"))]
TEXT = ("open", "read_text", "write_text", "fdopen", "TextIOWrapper", "NamedTemporaryFile", "TemporaryFile")
IMAGES_AND_ARCHIVES = ("Image", "tarfile", "zipfile", "gzip", "archive", "_archive", "os", "webbrowser")
"""Modules whose ``open`` takes no encoding."""


def silent(tree):
    """Lines that open text without an encoding: calls of ``open`` and its kin, and of ``subprocess`` with text."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        of = getattr(call.func, "value", None)
        owner = getattr(of, "id", getattr(of, "attr", ""))
        if name in TEXT[1:3] and not isinstance(call.func, ast.Attribute):
            continue  # a function of the source with this name
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        if "encoding" in given or (name == "open" and owner in IMAGES_AND_ARCHIVES):
            continue
        strings = [
            a.value for a in [*call.args, given.get("mode")] if isinstance(a, ast.Constant) and isinstance(a.value, str)
        ]
        binary = name not in ("read_text", "write_text") and any(set(s) <= set("rwxab+") and "b" in s for s in strings)
        if (
            (name in TEXT and not binary)
            or ("text" in given and owner == "subprocess")
            or "universal_newlines" in given
        ):
            yield call.lineno


@pytest.mark.parametrize(
    "line", ['open("a")', 'path.open("w")', "path.read_text()", 'path.write_text("b")', "subprocess.run(a, text=True)"]
)
def test_the_test_sees_what_it_looks_for(line):
    assert list(silent(ast.parse(line))) == [1]


@pytest.mark.parametrize(
    "line", ['open("a", "rb")', 'path.open("w", encoding="utf-8")', "Image.open(path)", 'open(p, mode="wb")']
)
def test_the_test_leaves_the_rest_alone(line):
    assert not list(silent(ast.parse(line)))


def test_every_text_says_its_encoding():
    files = [path for place in PLACES for path in sorted(place.rglob("*.py"))]
    assert len(files) > 250
    found = [f"{path}:{line}" for path in files for line in silent(ast.parse(path.read_text(encoding="utf-8")))]
    assert not found
