"""A finished comparison read back from its folder: its problem, its methods and their trained flows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmflow.evaluation.record import read_study
from warmflow.experiments.work import Work
from warmflow.files import read_json
from warmflow.methods import method_from
from warmflow.methods.base import Member
from warmflow.problems import problem_from
from warmflow.setup import Training


@dataclass(frozen=True)
class Finished:
    """A finished comparison.

    Args:
        work: what it trained, in its folder: runs are read, parts that are missing are made again.
        calls, samples: how every method was measured.
    """

    work: Work
    seeds: tuple[int, ...]
    calls: tuple[int, ...]
    samples: int

    @classmethod
    def read(cls, folder: Path) -> Finished:
        """The comparison in a folder.

        Raises:
            ValueError: it is not finished, or of another version.
        """
        config: dict[str, Any] = read_json(folder / "config.json")
        asked = config["asked"]
        if asked["kind"] != "compare" or config["state"] != "complete":
            raise ValueError(f"{folder} is not a finished comparison: finish it with warmflow compare --out {folder}")
        study, training = read_study(folder), Training(**asked["training"])
        members = []
        for name, told in asked["methods"].items():
            found = study.method(name)
            members.append(Member(name, method_from(told), found.role, found.of))
        work = Work(problem_from(asked["problem"]), training, tuple(members), folder, asked["device"])
        return cls(work, tuple(asked["seeds"]), tuple(asked["calls"]), asked["samples"])
