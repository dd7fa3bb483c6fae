"""Runs read back from their folders: what was asked of them, their problem, method and sampler, a student's teacher."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from warmflow.checkpoints import check_version, load
from warmflow.drafts import Own
from warmflow.experiments.run import Given, MethodTold, RunAsked, RunConfig, data_print, heldout_print, weights_of
from warmflow.fields import network_of
from warmflow.files import read_json
from warmflow.methods import Method, method_from
from warmflow.options import changed
from warmflow.problems import problem_from, problem_of
from warmflow.sampler import Sampler, placed
from warmflow.setup import Setup, Training


@dataclass(frozen=True, eq=False)
class SavedRun:
    """A training run, read from its folder.

    Args:
        folder: the run folder.
        config: its config.json.
        method: the method, as it was run.
        draft: the user's own draft model, given again where the run was made with one.
    """

    folder: Path
    config: RunConfig
    method: Method
    draft: object = None

    @property
    def asked(self) -> RunAsked:
        """The options that the run was made with."""
        return self.config["asked"]

    @property
    def seed(self) -> int:
        return int(self.asked["seed"])

    @property
    def complete(self) -> bool:
        return self.config.get("state") == "complete"

    @property
    def seconds(self) -> float:
        """What training took."""
        return float((self.config.get("training") or {}).get("seconds", 0.0))

    @property
    def spent(self) -> Mapping[str, float]:
        """The seconds of the run's parts (draft, pairs, prior), by their name in the bill; empty if they were not stored."""
        return {str(k): float(v) for k, v in (self.config.get("spent") or {}).items()}

    @property
    def cost(self) -> float:
        """All seconds that it took."""
        return self.seconds + sum(self.spent.values())

    @property
    def parts(self) -> Path | None:
        """The folder of its drafts and pairs, in the run (``train_run``) or beside it (a comparison); None without pairs."""
        places = (self.folder / "parts", self.folder.parent)
        return next((place for place in places if (place / "pairs").is_dir()), None)

    def sampler(self, device: str = "cpu") -> Sampler:
        """The sampler with averaged weights."""
        given: Given = {} if self.draft is None else {"draft": self.draft}
        return placed(load(self.folder, **given), device)

    def setup(self, problem: object = None) -> Setup:
        """The run's problem made ready.

        Args:
            problem: the problem given again, where the run was trained on the user's own arrays.

        Raises:
            ValueError: arrays that are not given again, or data that are not those that the run was trained on.
        """
        asked = problem_from(self.asked["problem"]) if problem is None else problem_of(problem)
        found = asked.setup(changed(Training(), self.asked["training"]))
        self.check_data(found)
        return found

    def check_data(self, setup: Setup) -> None:
        """Raises a ValueError unless this run was trained on the data of the setup, with the same held-out data and the same
        files of drafts: a verdict on other data would say nothing about it.
        """
        if data_print(setup) != self.asked["data"]:
            raise ValueError(f"the data of {setup.name} are not those that {self.folder} was trained on: restore them")
        if self.config.get("heldout") not in (None, heldout_print(setup)):
            raise ValueError(
                f"the held-out data or the labels of {setup.name} are not those of the time when {self.folder} was trained: "
                "restore them"
            )
        files = self.method.files(setup) if "draft" in self.asked else {}  # a draft that is no file is given again
        for what, digest in files.items():
            if self.asked.get(what, digest) != digest:
                raise ValueError(f"the files of {what} are not those that {self.folder} was trained with: restore them")


def read_asked(run: Path) -> RunAsked:
    """What a training run's config.json says was asked.

    Raises:
        ValueError: a folder that is no training run of this version.
    """
    return _read(run)["asked"]


def read_run(run: Path, draft: object = None) -> SavedRun:
    """The training run in a folder; ``draft`` is the user's own draft model, where the run was made with one.

    Raises:
        ValueError: a folder that is no training run of this version.
    """
    config = _read(run)
    told = config["asked"].get("method")
    if not told:
        raise ValueError(f"{run} does not say which method it was trained with: train it again")
    if "OwnModel" in (told.get("class"), told.get("teacher", {}).get("class")):
        raise ValueError(
            f"{run} is of a model of your own, which it does not hold: load it with load({str(run)!r}, network=...)"
        )
    return SavedRun(run, config, method_from(_with_draft(told, draft)), draft)


def _with_draft(told: MethodTold, draft: object) -> MethodTold:
    """The method with the user's own draft put in again where its folder cannot hold it."""
    found: MethodTold = {**told}
    if "teacher" in found:
        found["teacher"] = _with_draft(found["teacher"], draft)
    match found.get("draft"):
        case {"class": "Own", "aligned": aligned} if draft is not None:
            found["draft"] = Own(samples=draft, aligned=aligned)
    return found


def _read(run: Path) -> RunConfig:
    found = read_json(run / "config.json")
    if not isinstance(found, dict) or not isinstance(found.get("asked"), dict):
        raise ValueError(
            f"{run / 'config.json'} is not one of warmflow's: give a folder that warmflow train has written"
        )
    check_version(found, run)
    if found.get("kind") != "run":
        some = next((str(p.parent) for p in sorted(run.glob("seeds/*/*/config.json"))), f"{run}/seeds/0/warm-start")
        raise ValueError(f"{run} is a {found.get('kind')}, not a training run; name one of the runs in it, like {some}")
    return cast(RunConfig, found)


def digest_of(sampler: Sampler) -> str:
    """A digest of the weights of a sampler's network."""
    return weights_of(network_of(sampler.field))


def digest_of_runs(runs: Sequence[Path]) -> str:
    """A digest of the weights of finished runs and of their order."""
    found = hashlib.sha256()
    for run in runs:
        found.update(hashlib.sha256((run / "model.safetensors").read_bytes()).digest())
    return found.hexdigest()[:16]


def teacher_of(student: Path) -> Path:
    """The folder of a student's teacher: where it was, as far from the student as it was, inside the student's folder
    (``train_run``), or beside it (a comparison).

    Raises:
        ValueError: it is at none of these places.
    """
    config = read_json(student / "config.json")
    told = config.get("teacher") or {}
    places = [Path(told["path"]), (student / told["from_here"]).resolve()] if told else []
    places.append(student / "teacher")
    if not told:
        places += _beside(student, str((config.get("asked") or {}).get("teacher")))
    found = next((p for p in places if (p / "config.json").exists()), None)
    if found is None:
        raise ValueError(f"{student} is the student of {places[0]}, which is not there: compare where it was distilled")
    return found


def _beside(student: Path, digest: str) -> list[Path]:
    """The finished runs beside a student whose weights have this digest."""
    found = []
    for path in sorted(student.parent.glob("*/model.json")):
        try:
            ours = path.parent != student and digest_of(load(path.parent)) == digest
        except ValueError:  # a run with a draft model of the user's own, or of another version
            continue
        if ours:
            found.append(path.parent)
    return found
