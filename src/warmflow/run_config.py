"""``config.json`` of run folders: the types of what is read from it. What only the report shows is not listed here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter
from typing_extensions import TypedDict

from warmflow import __version__
from warmflow.files import Damaged, read_json
from warmflow.schemas import Finite, Seconds, Seed, Whole, checked

MethodTold = TypedDict("MethodTold", {"class": str, "teacher": "MethodTold", "draft": object}, total=False)
"""A method's options as JSON, those that are read from run folders."""


class RunTrained(TypedDict, total=False):
    """Facts about a training."""

    seconds: Seconds
    batch: Whole
    warning: str


class RunAsked(TypedDict, total=False):
    """What was asked of a run."""

    problem: dict[str, object]
    method: MethodTold
    training: dict[str, object]
    seed: Seed
    data: str
    teacher: str
    begin: str


class CodecTold(TypedDict, total=False):
    """What tokens mean: the symbols of a text, or a grid."""

    symbols: Annotated[list[str], Field(min_length=1)]
    levels: Annotated[int, Field(ge=1, le=10**6)]
    low: Finite
    high: Finite


class TeacherTold(TypedDict):
    """Where the teacher of a student is: its path, and the path from the student's folder."""

    path: str
    from_here: str
    signed: NotRequired[str | None]


class RunConfig(TypedDict, total=False):
    """The config.json of a run."""

    warmflow: str
    kind: str
    state: str
    asked: RunAsked
    training: RunTrained | None
    spent: dict[str, Seconds] | None
    classes: list[str] | None
    codec: CodecTold | None
    teacher: TeacherTold | None
    signed: str | None
    heldout: str


for told in (MethodTold, RunTrained, RunAsked, RunConfig):
    setattr(told, "__pydantic_config__", ConfigDict(extra="allow"))  # noqa: B010
_CONFIG = TypeAdapter(RunConfig)


def read_config(folder: Path) -> RunConfig:
    """The config.json of a run folder.

    Raises:
        ValueError: one line, if it is missing, damaged, or of other types.
    """
    path = folder / "config.json"
    try:
        found = read_json(path)
    except Damaged as error:  # weights without it would be taken for those of whatever is asked next
        said = str(error).partition(": delete")[0]
        raise Damaged(f"{said}: restore it, or run the command into another folder") from None
    refuse_old(found, folder)
    return checked(_CONFIG, found, path)


def seconds_of(config: Mapping[str, object]) -> float:
    """The seconds of a training that a config.json tells; 0 where it does not."""
    match config.get("training"):
        case {"seconds": int() | float() as seconds}:
            return float(seconds)
    return 0.0


def refuse_old(found: object, folder: Path) -> None:
    """ValueError for a config.json of warmflow 0.1, which named its runs by recipes."""
    if not isinstance(found, Mapping):
        raise ValueError(
            f"{folder / 'config.json'} is not one of warmflow's: give a folder that warmflow train has written"
        )
    asked = found.get("asked")
    if str(found.get("warmflow", "")).startswith("0.1.") or (isinstance(asked, Mapping) and "recipe" in asked):
        raise ValueError(f"{folder} was made by warmflow 0.1, which this version cannot read: train it again")


def check_version(found: Mapping[str, object], folder: Path) -> None:
    """Raises ValueError, naming both versions, if the run was made by another major.minor version."""
    refuse_old(found, folder)
    theirs = str(found.get("warmflow", "unknown"))
    if theirs.split(".")[:2] != __version__.split(".")[:2]:
        raise ValueError(
            f"{folder} was made by warmflow {theirs}, this is {__version__}: install that version to use it"
        )
