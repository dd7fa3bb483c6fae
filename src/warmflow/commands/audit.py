"""``warmflow audit``: whether a warm start will help, before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from cyclopts import Parameter

from warmflow.command_line import Command, Given, Group, flag_of, typed
from warmflow.commands import groups
from warmflow.commands.checks import Json, Threads, use_threads
from warmflow.methods.warm_start import WarmStart
from warmflow.printing import answer

SWITCHES = ("--json",)
TRAINED = ("t0", "seen")
"""Options of a warm start that matter only where it is trained."""
MORE = "warmflow audit PROBLEM --draft DRAFT --help shows the options of a problem and of a draft."


def command(words: Sequence[str]) -> Command:
    """The command with the options of the problem and of the draft that were typed."""
    found = groups.words_of(words, SWITCHES)
    if not found:
        return Command("audit", audit, epilogue=f"{groups.problems()}\n\n{MORE}", unknown=groups.no_problem)
    draft = typed(words, "--draft")
    more = [flag_of("draft", WarmStart.name), draft] if draft else []  # --draft stands for --warm-start.draft
    asked = groups.Asked(groups.Named.of(found[0]), (WarmStart.name,), [*words, *more])
    return Command("audit", audit, [without_training(group) for group in asked.groups() if group.key != groups.TRAINING],
                   {"asked": asked}, unknown=lambda flag: unknown(flag, asked), hint=found[0])  # fmt: skip


def without_training(group: Group) -> Group:
    """A group without what matters only in training."""
    return replace(group, without=TRAINED) if group.key == WarmStart.name else group


def unknown(flag: str, asked: groups.Asked) -> str:
    """The error for a flag of something that the command does not use; empty if nothing has this flag."""
    trained = [*asked.problem.training.flags, *(flag_of(name, WarmStart.name) for name in TRAINED)]
    if flag in trained:
        return f"{flag} is an option of training, and an audit trains nothing: leave it out"
    return asked.unknown(flag)


def audit(
    problem: str,
    /,
    *,
    asked: groups.Asked,
    given: Given,
    draft: Annotated[
        str | None,
        Parameter(
            help="mixture, gaussian, vae, gan, diffusers:PATH, or a file or folder of drafts; by default the problem's."
        ),
    ] = None,
    as_json: Json = False,
    threads: Threads = None,
) -> None:
    """Estimate whether a warm start will help on a PROBLEM: a minute's answer, before anything is trained.

    warmflow audit digits
    warmflow audit folder:photos --size 32 --draft vae
    """
    use_threads(threads)
    if draft:
        given[WarmStart.name].setdefault("draft", draft)
    chosen, (method,) = asked.problem.problem(given), asked.make(given)
    assert isinstance(method, WarmStart)
    from warmflow.experiments.audit import audit as look

    found = look(chosen, method=method, progress=not as_json)
    answer(json.dumps(found.to_json(), indent=1) if as_json else found.text())
