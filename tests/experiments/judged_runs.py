"""What tests read of a comparison's folder: its verdict, checked against its rows, and the text of its page."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from warmflow.evaluation.evaluate import Evaluation
from warmflow.evaluation.record import read_study, verdict_json
from warmflow.evaluation.verdict import Outcome

VERDICT = {
    "version", "candidates", "curves", "metrics", "samples", "seeds", "test", "validation", "trained", "choices", "audit", "bill"
}  # fmt: skip


def sound(folder: Path, seeds: list[int]) -> dict[str, Any]:
    """The verdict of a comparison's folder, after its form is checked: everything follows from the rows that were kept."""
    facts: dict[str, Any] = json.loads((folder / "verdict.json").read_text())
    assert facts.keys() >= VERDICT and facts["version"] == 2
    assert facts["samples"] > 0 and facts["seeds"] == seeds and facts["test"] > facts["validation"] > 0
    study = read_study(folder)
    again = json.loads(json.dumps(verdict_json(Evaluation.of(study))))
    for key in ("candidates", "curves", "metrics", "samples", "seeds"):
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
    return facts


def roles(facts: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """(role, candidate it belongs to) of every method."""
    return {curve["name"]: (curve["role"], curve["of"]) for curve in facts["curves"]}


def bills(facts: dict[str, Any]) -> dict[str, dict[str, float]]:
    """The one-off seconds of every method, by name."""
    return {curve["name"]: curve["bill"] for curve in facts["curves"]}


def said(folder: Path) -> str:
    """The text of a page."""
    page = re.sub(r"<style.*?</style>|<[^>]*>", "", (folder / "report.html").read_text(), flags=re.DOTALL)
    return html.unescape(page)


def silent(line: str) -> None:
    """Takes what would be printed."""


def image_set(name: str) -> None:
    """Skips the test where the images of a published set are not at hand."""
    from warmflow.data.cifar10 import cifar10_folder
    from warmflow.data.idx import fashion_folder

    if (fashion_folder() if name == "fashion-mnist" else cifar10_folder()) is None:
        pytest.skip(f"the images of {name} are not here: set WARMFLOW_DATA")
