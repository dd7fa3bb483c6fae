"""A finished comparison read back from its folder: its problem, its methods and their trained flows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmflow.evaluation.record import read_study
from warmflow.experiments.run import data_print
from warmflow.experiments.work import Work
from warmflow.files import read_json
from warmflow.methods import method_from
from warmflow.methods.base import Member
from warmflow.problems import problem_from, problem_of
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
    def read(cls, folder: Path, data: Path | None = None) -> Finished:
        """The comparison in a folder; ``data`` is a file with its arrays, if it was made from arrays in Python.

        Raises:
            ValueError: it is not finished, of another version, or of arrays that are not given again.
        """
        config: dict[str, Any] = read_json(folder / "config.json")
        asked = config["asked"]
        if asked.get("kind") != "compare" or config["state"] != "complete":
            raise ValueError(f"{folder} is not a finished comparison: finish it with warmflow compare --out {folder}")
        study, training = read_study(folder), Training(**asked["training"])
        members = []
        for name, told in asked["methods"].items():
            found = study.method(name)
            members.append(Member(name, method_from(told), found.role, found.of))
        problem = problem_from(asked["problem"]) if data is None else problem_of(str(data))
        work = Work(problem, training, tuple(members), folder, asked["device"])
        if data_print(work.setup()) != asked["data"]:
            raise ValueError(
                f"the data are not those that {folder} was made with: restore them, or give them with --data"
            )
        return cls(work, tuple(asked["seeds"]), tuple(asked["calls"]), asked["samples"])
