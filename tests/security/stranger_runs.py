"""Run folders that no training has made, to be changed as a stranger would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import warmflow
from warmflow.checkpoints import save_part
from warmflow.fields import NetworkField
from warmflow.files import write_json
from warmflow.networks import MLP
from warmflow.paths import LinearPath
from warmflow.sampler import Sampler
from warmflow.solvers import Euler
from warmflow.sources import StandardNormal


def a_run(folder: Path, source: Any = None) -> Path:
    """A finished run of points of the plane, without training."""
    folder.mkdir(parents=True)
    asked = {
        "kind": "run",
        "problem": {"name": "moons"},
        "method": {"class": "Cold"},
        "training": {},
        "seed": 0,
        "data": "",
    }
    found = {"warmflow": warmflow.__version__, "kind": "run", "state": "complete", "asked": asked}
    write_json(folder / "config.json", found)
    sampler = Sampler(
        source or StandardNormal((2,)), NetworkField(MLP((2,), width=8, depth=1), LinearPath()), Euler(), 4
    )
    for name in ("model", "raw"):
        save_part(folder, name, sampler)
    return folder


def changed(folder: Path, name: str = "model.json", **places: object) -> Path:
    """The run with other values in a JSON file; ``a__b`` is the value b of a."""
    told = json.loads((folder / name).read_text())
    for key, value in places.items():
        *way, last = key.split("__")
        at = told
        for step in way:
            at = at[step]
        at[last] = value
    (folder / name).write_text(json.dumps(told))
    return folder
