"""``warmflow audit``: whether a warm start will help, before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from warmflow.command_line import Command, Given, Group, typed
from warmflow.commands import groups
from warmflow.commands.checks import Json, Threads, use_threads
from warmflow.methods.warm_start import WarmStart

SWITCHES = ("--json",)
PAIRED = "pairs"
MORE = "warmflow audit PROBLEM --draft DRAFT --help shows the options of a problem and of a draft."


def command(words: Sequence[str]) -> Command:
    """The command with the options of the problem and of the draft that were typed."""
    found = groups.words_of(words, SWITCHES)
    if not found:
        return Command("audit", audit, epilogue=f"{groups.catalogue()}\n\n{MORE}", unknown=groups.no_problem)
    problem = groups.Named.of(found[0])
    draft = groups.class_of_draft(typed(words, "--draft", problem.kind.draft))
    pairing = Group(PAIRED, WarmStart, "", "Options of the warm start", without=("draft", "t0", "seen"))
    own = [problem.group, pairing, *([groups.draft_group(draft)] if draft is not None else [])]

    def unknown(flag: str) -> str:
        return groups.other_problem(flag, problem) or not_trained(flag)

    return Command("audit", audit, own, {"asked": problem}, unknown=unknown, hint=found[0])


def not_trained(flag: str) -> str:
    """What is wrong with an option of training; empty for any other flag."""
    known = flag in Group("", groups.Training, "", "").flags
    return f"{flag} is an option of training, and an audit trains nothing: leave it out" if known else ""


def audit(
    problem: str,
    /,
    *,
    asked: groups.Named,
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
    chosen = asked.problem(given)
    WarmStart(**given[PAIRED])  # validated before anything is read
    word = draft or asked.kind.draft
    from warmflow.experiments.audit import audit as look

    found = look(chosen, groups.draft_from(word, given) or draft, **given[PAIRED])
    print(json.dumps(found.to_json(), indent=1) if as_json else found.text())
