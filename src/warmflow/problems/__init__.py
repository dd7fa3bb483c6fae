"""Problems: what there is to generate. ``PROBLEMS`` finds them by name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from warmflow.data import named
from warmflow.data.forms import KNOWN, form_of
from warmflow.discovery import classes_in
from warmflow.options import suggestion
from warmflow.problems.base import Problem
from warmflow.problems.own import Arrays, Folder
from warmflow.problems.text import Text

__all__ = ["PROBLEMS", "Problem", "problem_from", "problem_of"]

PROBLEMS: dict[str, type[Problem]] = classes_in(sys.modules[__name__], Problem)  # type: ignore[type-abstract]


def problem_of(given: object, **changes: object) -> Problem:
    """The problem that a user means: a ``Problem``, the name of one, "folder:PATH", "text:PATH", "hf:NAME", the path of a folder
    or of a file of arrays or of a text, an array, a tensor or a DataSet.

    Raises:
        ValueError: a name that is unknown, or options that the problem does not have.
    """
    if isinstance(given, Problem):
        return given
    kind, more = class_of(given)
    make: Callable[..., Problem] = kind
    return make(**more, **changes)


def class_of(given: object) -> tuple[type[Problem], dict[str, object]]:
    """The class of a problem, and the options that its name carries."""
    name = named(given)
    if name is None:
        return Arrays, {"data": given}
    if name in PROBLEMS:
        return PROBLEMS[name], {}
    form, rest = form_of(name)
    path = Path(name).expanduser()
    if (path / "config.json").is_file() or (Path(rest).expanduser() / "config.json").is_file():
        raise ValueError(
            f"{rest} is a run folder, not data; warmflow sample draws from runs, warmflow compare judges several"
        )
    if form in ("folder", "text"):
        return (Folder if form == "folder" else Text), {"path": rest}
    if form or path.is_file():
        return Arrays, {"data": name}
    raise ValueError(f"problem {name!r} is unknown; {suggestion(name, [*PROBLEMS, *KNOWN.split(', ')])}")


def problem_from(told: Mapping[str, object]) -> Problem:
    """The problem that a run's config.json tells ("problem" of what was asked).

    Raises:
        ValueError: a problem of another version, or the user's own arrays, which a run folder does not hold.
    """
    name, options = str(told.get("name")), {k: v for k, v in told.items() if k != "name"}
    if name not in PROBLEMS:
        raise ValueError(f"problem {name!r} is unknown; {suggestion(name, PROBLEMS)}")
    if PROBLEMS[name] is Arrays and "data" not in options:
        raise ValueError(
            "the run was trained on arrays that its folder does not hold: compare and distil it from Python"
        )
    make: Callable[..., Problem] = PROBLEMS[name]
    return make(**options)
