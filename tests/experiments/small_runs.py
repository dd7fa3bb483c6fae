"""Tiny runs on two half circles, for tests of what is done with finished runs."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from warmflow.experiments.train import train_run
from warmflow.methods import Method
from warmflow.methods.cold import Cold
from warmflow.methods.warm_start import WarmStart
from warmflow.options import changed
from warmflow.problems import problem_of

MOONS = problem_of("moons", train=400, heldout=400)
TINY = {"updates": 10, "batch": 64, "width": 16, "depth": 1}
COLD = Cold()
WARM = WarmStart(rounds=1, block=400)
SAMPLES = 400


def quiet(text: str) -> None:
    pass


def trained(out: Path, method: Method | str = COLD, seed: int = 0, problem: Any = MOONS, **changes: Any) -> Path:
    """A run folder; ``changes`` are those of the training, or of the method where it has such an option."""
    own = {k: v for k, v in changes.items() if not isinstance(method, str) and hasattr(method, k)}
    chosen = changed(method, own) if own and not isinstance(method, str) else method
    more = {**TINY, **{k: v for k, v in changes.items() if k not in own}}
    train_run(problem, chosen, out, seed=seed, progress=False, echo=quiet, **more)
    return out


def everything(*folders: Path) -> dict[str, str]:
    """The content of every file below, by a hash; folders too."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for folder in folders
        for path in sorted(folder.rglob("*"))
    }


def facts_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "verdict.json").read_text())
    return found


def roles(facts: dict[str, Any]) -> dict[str, str]:
    return {curve["name"]: curve["role"] for curve in facts["curves"]}


def calls(facts: dict[str, Any], name: str) -> list[float]:
    """The calls that a method was measured at."""
    return next([p["calls"] for p in curve["points"]] for curve in facts["curves"] if curve["name"] == name)


def copied(run: Path, to: Path, without: Sequence[str] = (), **config: Any) -> Path:
    """A copy of a run, without some files and with other keys in config.json."""
    shutil.copytree(run, to)
    for name in without:
        (to / name).unlink()
    if config:
        found = json.loads((to / "config.json").read_text()) | config
        (to / "config.json").write_text(json.dumps(found))
    return to
