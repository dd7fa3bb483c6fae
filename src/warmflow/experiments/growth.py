"""A finished run or comparison that goes on: with more updates, and a comparison also with more seeds.

More updates: training goes on from the weights that it ended with, and the learning rate rises and falls once more. The number of
updates at which it had ended is then an option of the training (``Training.restarts``), so that the result equals that of a fresh
run with the same restarts; it does not equal that of a fresh run without any.

More seeds: a seed depends on no other one, so the result equals that of a fresh comparison of all seeds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warmflow.options import changed
from warmflow.run_config import read_config
from warmflow.setup import Training, ends_of

GROWS = ("updates", "restarts")


def goes_on(before: Any, now: Any) -> bool:
    """Whether a run of the settings ``before`` (JSON values) can go on to the settings ``now``."""
    try:
        ends, more = _ends(before), _ends(now)
        seeds = set(before.get("seeds") or ()) <= set(now.get("seeds") or ())
    except (AttributeError, KeyError, TypeError, ValueError):
        return False
    return seeds and more[: len(ends)] == ends and _rest(before) == _rest(now)


def extended(training: Training, folder: Path, asked: Mapping[str, object]) -> Training:
    """The training as it is in a folder that may hold the same run with fewer updates: with these as restarts.

    Args:
        asked: what is asked, as for ``open_run``.

    Raises:
        ValueError: the folder holds the same run with more updates.
    """
    if training.restarts is not None or not (folder / "config.json").exists():
        return training
    before, now = read_config(folder).get("asked"), json.loads(json.dumps(asked))
    try:
        ends, other = _ends(before), _rest(before) != _rest(now)
    except (AttributeError, KeyError, TypeError, ValueError):
        return training
    if training.updates < ends[-1] and not other:  # of another run, opening the folder names the difference
        raise ValueError(
            f"{folder} holds a run of {ends[-1]} updates, more than {training.updates}: ask for {ends[-1]} or more, or choose "
            "another --out"
        )
    restarts = tuple(end for end in ends if end < training.updates)
    return changed(training, {"restarts": ",".join(map(str, restarts))}) if restarts else training


def longer(folder: Path, training: Training) -> str:
    """The line that says that a training goes on."""
    return (
        f"{folder} was trained for {training.ends[-2]} updates and goes on to {training.updates}; the learning rate rises "
        f"and falls again, as with --restarts {training.restarts}"
    )


def _ends(asked: Any) -> tuple[int, ...]:
    """The updates at which the learning rate has come down."""
    training = asked["training"]
    return ends_of(training.get("restarts"), int(training["updates"]))


def _rest(asked: Any) -> dict[str, object]:
    """What is asked beside the seeds and the updates; options that are null are the same as those that are not there."""
    training = {k: v for k, v in asked["training"].items() if k not in GROWS and v is not None}
    return {**{k: v for k, v in asked.items() if k != "seeds"}, "training": training}
