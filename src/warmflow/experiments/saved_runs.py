"""Runs read back from their folders: what was asked of them, their problem, method and sampler, a student's teacher."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from warmflow.brief import Brief
from warmflow.checkpoints import fitting, load
from warmflow.data import named
from warmflow.drafts import Own, Pipeline
from warmflow.experiments.run import Given, data_print, heldout_print, named_in, weights_of
from warmflow.fields import network_of
from warmflow.files import TENSOR_BYTES, file_digest, reason
from warmflow.methods import Method, method_from
from warmflow.options import changed
from warmflow.ownership import is_ours, outside
from warmflow.problems import PROBLEMS, problem_from, problem_of
from warmflow.run_config import MethodTold, RunAsked, RunConfig, check_version, read_config, seconds_of
from warmflow.sampler import Sampler, placed
from warmflow.setup import Setup, Training
from warmflow.sources.pipeline import PREFIX


@dataclass(frozen=True, eq=False)
class SavedRun(Brief):
    """A training run, read from its folder.

    Args:
        folder: the run folder.
        config: its config.json.
        method: the method, as it was run.
        draft: the user's own draft model, given again where the run was made with one.
        pipeline: the name of the pipeline that drafts are drawn with, which the user has given.
    """

    folder: Path
    config: RunConfig
    method: Method
    draft: object = None
    pipeline: str = ""

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
        return seconds_of(self.config)

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
        if self.pipeline:
            given["pipeline"] = self.pipeline
        found = placed(load(self.folder, **given), device)
        if not found.takes:
            with fitting(self.folder):
                found(1, seed=0, steps=1)
        return found

    def setup(self, problem: object = None) -> Setup:
        """The run's problem made ready.

        Args:
            problem: the problem given again, where the run was trained on the user's own arrays; or the path or name of its
                data, where another user has made the run.

        Raises:
            ValueError: data that are not given again, or that are not those that the run was trained on.
        """
        told = self.asked["problem"]
        if problem is None:
            _check_named(self, outside(told), "data", "data")
        again = told if problem is None else _renamed(told, named(problem))
        with said_in(self.folder / "config.json"):
            asked = None if again is None else problem_from(again)
            training = changed(Training(), self.asked["training"])
        found = (asked or problem_of(problem)).setup(training)
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
    with said_in(run / "config.json"):
        method = method_from(_with_draft(told, draft))
    if draft is None:
        _check_named(SavedRun(run, config, method), outside(told), "drafts", "draft")
    pipeline = next((str(value.path) for value in _drafts_of(method) if isinstance(value, Pipeline)), "")
    return SavedRun(run, config, method, None if pipeline else draft, pipeline)


def _check_named(run: SavedRun, names: Sequence[str], what: str, flag: str) -> None:
    """Raises ValueError if the run names things outside of its folder and was not made by this user, see ``ownership``."""
    if names and not is_ours(named_in(run.asked), run.config.get("signed")):
        raise ValueError(
            f"{run.folder} names its {what} as {', '.join(names)!r:.200}, which are opened only if you name them yourself, "
            f"because the run was not made here by you: --{flag} NAME ({'problem' if flag == 'data' else flag}=... in Python)"
        )


def _renamed(told: Mapping[str, object], name: str | None) -> Mapping[str, object] | None:
    """The problem of a run with its data under another name; None where ``name`` is not the name of its data."""
    keys = [key for key in ("path", "data") if told.get(key)]
    if name is None or len(keys) != 1 or name in PROBLEMS:
        return None
    return {**told, keys[0]: name.removeprefix("folder:") if keys[0] == "path" else name}


def _drafts_of(method: Method | None) -> Iterator[object]:
    """The drafts of a method and of its teachers."""
    while method is not None:
        yield getattr(method, "draft", None)
        method = method.needs()


@contextmanager
def said_in(path: Path) -> Iterator[None]:
    """Names the file that options come from, where they are not those of this version."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path}: {reason(error)}") from None


def _with_draft(told: MethodTold, draft: object) -> MethodTold:
    """The method with the user's own draft put in again where its folder cannot hold it, or where it is a stranger's."""
    found: MethodTold = {**told}
    if "teacher" in found:
        found["teacher"] = _with_draft(found["teacher"], draft)
    match found.get("draft"):
        case {"class": "Own", "aligned": aligned} if draft is not None:
            found["draft"] = Own(samples=draft, aligned=aligned)
        case str() as name if draft is not None and outside({"draft": name}):
            found["draft"] = draft
        case {"class": "Pipeline", **options} if draft is not None:
            found["draft"] = {"class": "Pipeline", **options, "path": str(draft).removeprefix(PREFIX)}
    return found


def _read(run: Path) -> RunConfig:
    found = read_config(run)
    if "asked" not in found:
        raise ValueError(
            f"{run / 'config.json'} is not one of warmflow's: give a folder that warmflow train has written"
        )
    check_version(found, run)
    if found.get("kind") != "run":
        some = next((str(p.parent) for p in sorted(run.glob("seeds/*/*/config.json"))), f"{run}/seeds/0/warm-start")
        raise ValueError(f"{run} is a {found.get('kind')}, not a training run; name one of the runs in it, like {some}")
    missing = [name for name in ("problem", "training", "seed", "data") if name not in found.get("asked", {})]
    if missing:
        raise ValueError(
            f"{run / 'config.json'} does not say the {missing[0]} that the run was made with: train it again"
        )
    return found


def digest_of(sampler: Sampler) -> str:
    """A digest of the weights of a sampler's network."""
    return weights_of(network_of(sampler.field))


def digest_of_runs(runs: Sequence[Path]) -> str:
    """A digest of the weights of finished runs and of their order."""
    found = hashlib.sha256()
    for run in runs:
        found.update(file_digest(run / "model.safetensors", TENSOR_BYTES))
    return found.hexdigest()[:16]


def teacher_of(student: Path) -> Path:
    """The folder of a student's teacher: where it was, as far from the student as it was, inside the student's folder
    (``train_run``), or beside it (a comparison). The first two are looked at only if this user has distilled the student.

    Raises:
        ValueError: it is at none of these places.
    """
    config = read_config(student)
    told = config.get("teacher")
    ours = told is not None and is_ours([told.get("path"), told.get("from_here")], told.get("signed"))
    places = [Path(told["path"]), (student / told["from_here"]).resolve()] if told and ours else []
    places.append(student / "teacher")
    if not ours:
        places += _beside(student, str(config.get("asked", {}).get("teacher")))
    found = next((p for p in places if (p / "config.json").exists()), None)
    if found is None:
        named = told["path"] if told else places[0]
        raise ValueError(f"{student} is the student of {named}, which is not there: compare where it was distilled")
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
