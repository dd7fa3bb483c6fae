"""What a run folder holds, read without a model: JSON, JSON lines and safetensors, nothing else.

A folder holds a ``config.json`` written by this version, or at least the ``verdict.json`` of an evaluation. Everything else may
be missing, and what is missing is empty here. A file that is present but broken is a ValueError of one line that names it.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator, OnErrorOmit, TypeAdapter

from warmflow import __version__
from warmflow.brief import Brief
from warmflow.files import TENSOR_BYTES, check_file, check_inside, parse_json, read_bytes, read_lines, reason
from warmflow.printing import in_brief
from warmflow.report import words
from warmflow.report.records import Name, Options, Record, Texts, mapping, texts
from warmflow.report.verdict import VERSION, Verdict, parse
from warmflow.run_config import refuse_old

Row = Mapping[str, object]
KINDS = ("compare", "run", "evaluate")
MOST_IMAGES = 64
"""Images of a sheet at most."""
MOST_PICTURES, PICTURE_VALUES, PICTURE_BYTES = 500, 2**24, 2**29
"""Pictures of a run, values of one of them and bytes of all, at most."""
LOG_BYTES = 2**26
"""Bytes of all logs that are read; those beyond are left out."""


@dataclass(frozen=True)
class Asked(Record):
    """The command or call that made the run; empty if it was not stored."""

    problem: Options = field(default_factory=dict)
    method: Options = field(default_factory=dict)
    methods: dict[str, Options] = field(default_factory=dict)
    training: Options = field(default_factory=dict)
    seeds: list[object] | None = None
    json: Options = field(default_factory=dict)


@dataclass(frozen=True)
class Config(Record):
    """``config.json`` as attributes; ``json`` is all of it.

    Args:
        command: the words that were typed, where they are kept.
        methods_given: the labels of the methods that the user named; ``methods_described``: a sentence on each method.
    """

    kind: str = ""
    command: Annotated[str, BeforeValidator(lambda said: shlex.join(texts(said)) or said)] = ""
    asked: Asked = Asked()
    methods_given: tuple[Name, ...] | None = None
    methods_described: dict[str, OnErrorOmit[str]] = field(default_factory=dict)
    data: Options = field(default_factory=dict)
    facts: Options = field(default_factory=dict)
    training: Options = field(default_factory=dict)
    settings: Options = field(default_factory=dict)
    versions: Options = field(default_factory=dict)
    notes: Texts = ()
    json: Options = field(default_factory=dict)

    @property
    def parts(self) -> dict[str, dict[str, object]]:
        """By method, what was measured of the parts it is made of."""
        return {name: mapping(told) for name, told in mapping(self.facts.get("parts")).items()}

    @property
    def problem(self) -> str:
        """The user's name of the problem; empty if it is not known."""
        return str(self.json.get("recipe") or self.asked.problem.get("name") or "")


_CONFIG = TypeAdapter(Config)


def configured(raw: Mapping[str, object]) -> Config:
    """The view of what config.json holds."""
    asked = mapping(raw.get("asked"))
    return _CONFIG.validate_python({**raw, "asked": {**asked, "json": asked}, "json": raw})


@dataclass(frozen=True, eq=False)
class Run(Brief):
    """A run folder in memory. ``pictures`` name (n, C, H, W) images in [-1, 1], (n, 2) points or (steps + 1, n, 2)
    trajectories; ``captions`` are those the file gives to pictures; ``logs`` map (seed, method) to lines of a log."""

    folder: Path
    config: Config
    verdict: Verdict
    pictures: Mapping[str, np.ndarray]
    captions: Mapping[str, str]
    logs: Mapping[tuple[str, str], tuple[Row, ...]]

    @property
    def kind(self) -> str:
        return self.config.kind

    @property
    def problem(self) -> str:
        """What the user calls the problem; the folder's name where it is not known."""
        return self.config.problem or self.folder.name

    @property
    def described(self) -> Mapping[str, str]:
        """A sentence on each method, by its label, as the configuration has it."""
        return {name: sentence for name, sentence in self.config.methods_described.items() if sentence}

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that tokens of a text stand for; empty if the data are not text."""
        return texts(self.config.data.get("symbols"))

    @property
    def points(self) -> bool:
        """Whether the data are points of the plane, by the configuration, else by the pictures."""
        data = self.config.data
        if data.get("kind"):
            return "points" in (data["kind"], data.get("shown"))
        return any(x.ndim == 2 and x.shape[1] == 2 for x in self.pictures.values())


def _load(path: Path) -> dict[str, object]:
    check_inside(path)
    try:
        text = read_bytes(path)
    except FileNotFoundError:
        raise ValueError(f"{path} is not there any more") from None
    try:
        value = parse_json(text)
    except ValueError:
        raise ValueError(
            f"{path} is half-written or no JSON: run the same command again, it goes on where it stopped"
        ) from None
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds a {type(value).__name__} where an object is expected: give another run folder")
    return value


def _check_version(path: Path, written: object) -> None:
    if written is None:
        raise ValueError(f"{path} does not name the version of warmflow that wrote it: give another run folder")
    if str(written).split(".")[:2] != __version__.split(".")[:2]:
        raise ValueError(
            f"{path} was written by warmflow {written}, this is {__version__}: "
            f"install warmflow=={written} to read it, or run it again"
        )


def _verdict(path: Path, kind: str) -> Verdict:
    if not path.exists():
        if kind == "run":
            return Verdict("a training run claims nothing: compare it with another")
        return Verdict("not finished: there is no verdict yet, run the same command again to go on")
    raw = _load(path)
    version = raw.get("version", 1)
    if version != VERSION:
        raise ValueError(
            f"{path} holds a verdict of version {words.plain(version)}, this warmflow reads version {VERSION}: "
            "run the same command again"
        )
    return parse(raw)


def _pictures(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The pictures of a file, of each as many rows as are shown, and their captions."""
    if not path.exists():
        return {}, {}
    from safetensors import SafetensorError, safe_open

    check_inside(path)
    check_file(path, TENSOR_BYTES)
    found: dict[str, np.ndarray] = {}
    try:
        with safe_open(str(path), framework="numpy") as file:
            for name in list(file.keys())[: MOST_PICTURES + 1]:
                part = file.get_slice(name)
                rows = shown_rows(tuple(part.get_shape()))
                if not rows or len(found) == MOST_PICTURES or sum(x.nbytes for x in found.values()) > PICTURE_BYTES:
                    raise _TooLarge(f"{path} holds more or larger pictures than are shown: delete it")
                found[name] = part[:rows]
            return found, dict(file.metadata() or {})
    except _TooLarge:
        raise
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({reason(error)}): check the file and its permissions") from None
    except (SafetensorError, ValueError, TypeError):
        raise ValueError(
            f"{path} is half-written or no safetensors: delete it, and run the same command again"
        ) from None


class _TooLarge(ValueError):
    """Pictures that take more memory than a page may."""


def shown_rows(shape: tuple[int, ...]) -> int:
    """How many rows of a picture are read: of images those that a sheet shows; 0 where a single one is too large."""
    n, *rest = shape or (0,)
    if len(shape) == 4:
        n = min(n, MOST_IMAGES, max(2, min(8, 1024 // max(shape[3], 1))) ** 2)
    each = math.prod(rest)
    return 0 if each > PICTURE_VALUES else max(1, min(n, PICTURE_VALUES // max(each, 1)))


def _log(path: Path) -> tuple[Row, ...]:
    """The lines of a log that are whole: a run that is still going may be writing the last one."""
    try:
        check_inside(path)
        return tuple(read_lines(path))
    except ValueError:  # it cannot be read
        return ()


def read(folder: str | Path) -> Run:
    """The run in ``folder``: of a comparison, of one training run or of an evaluation.

    Raises ValueError, in one line with the file and the remedy, where the folder is none of ours, was written by
    another version (major or minor, or a verdict of version 1), or holds a file that is half-written.
    """
    folder = Path(folder)
    path = folder / "config.json"
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder: give the folder a run has written")
    config: Mapping[str, object] = {"kind": "evaluate"}
    if path.exists():
        config = _load(path)
        if config.get("kind") not in KINDS:
            kinds = ", ".join(repr(k) for k in KINDS)
            raise ValueError(
                f"{path} has kind {in_brief(repr(config.get('kind')))}, none of {kinds}: give another run folder"
            )
        if config["kind"] != "evaluate" or config.get("warmflow") is not None:
            refuse_old(config, folder)
            _check_version(path, config.get("warmflow"))
    elif not (folder / "verdict.json").exists():
        raise ValueError(
            f"{folder} is not a run folder, it has no config.json and no verdict.json: give the folder a run has written"
        )
    pictures, captions = _pictures(folder / "pictures.safetensors")
    logs: dict[tuple[str, str], tuple[Row, ...]] = {}
    left = LOG_BYTES
    for log in sorted(folder.glob("seeds/*/*/log.jsonl")):
        left -= log.stat().st_size if log.is_file() else 0
        logs[log.parent.parent.name, log.parent.name] = _log(log) if left >= 0 else ()
    if (folder / "log.jsonl").exists():
        logs["", "training"] = _log(folder / "log.jsonl")
    found = configured(config)
    verdict = _verdict(folder / "verdict.json", found.kind)
    return Run(folder, found, verdict, pictures, captions, {k: v for k, v in logs.items() if v})
