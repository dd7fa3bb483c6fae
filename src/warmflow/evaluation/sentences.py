"""The verdict as text: a question, an answer for readers without background, and its conditions, generated from values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from warmflow.evaluation.study import Role, Study, Training
from warmflow.evaluation.verdict import Credit, Interval, Missing, Note, Outcome, Verdict
from warmflow.rounding import rounded

COUNTS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine", 10: "ten"}

MISSING: Mapping[Missing, str] = {
    Missing.SEEDS: "more training seeds are needed",
    Missing.SAMPLES: "more samples and more held-out real data are needed",
    Missing.TRAINING: "no baseline is near the data: it is not trained enough, or not sampled as it was trained",
    Missing.QUALITY: "the candidate is not near enough to the data to be useful at any number of calls: it needs more training",
    Missing.SOLVERS: "the baseline was not measured with the candidate's solver",
    Missing.GRID: "the baseline was not measured at as few calls as the candidate: measure it there too",
}

NOTES: Mapping[Note, str] = {
    Note.UNTRAINED_BASELINE: "The draft alone is nearer to the data than every baseline row, which may be trained too little.",
    Note.METRICS_DISAGREE: "The metrics disagree: one of them alone would give half of this rate, or less.",
    Note.GRID: "The baseline was not measured at all relevant numbers of calls, and may be good enough there: measure it.",
    Note.NO_SECONDS: "Seconds were not measured.",
    Note.UNKNOWN_TRAINING: "It is not known whether the methods had equal training.",
    Note.NO_TRAINING_DATA: "Copying was not checked: no training data were given.",
    Note.CALLS_GIVEN: "The numbers of calls were stated with the samples and not counted.",
    Note.SOLVERS_UNKNOWN: "It is not known which solvers were used.",
    Note.SEEDS_WITH_GAPS: "The training seeds are not consecutive: say why the others were left out.",
}

ASKED: Mapping[Training, str] = {
    Training.EQUAL: "equal training",
    Training.EQUAL_FLOWS: "equal training of the flows",
    Training.CONVERGENCE: "at convergence",
    Training.DISTILLED: "distilled from a trained flow",
    Training.UNKNOWN: "training not known",
}


@dataclass(frozen=True)
class Answer:
    """The first lines of a report."""

    question: str
    answer: str
    credit: str
    conditions: str
    notes: tuple[str, ...]

    @property
    def text(self) -> str:
        """The answer and its credit as one paragraph."""
        return f"{self.answer} {self.credit}".strip()


def calls(n: float) -> str:
    return "1 call" if abs(n - 1) < 1e-9 else f"{round(n, 1):g} calls"


def _good(quality: Interval | None, study: Study) -> str:
    if quality is None:
        return "reaches this quality"
    if math.isinf(quality.estimate):
        return f"cannot be distinguished from real {study.items} by {study.primary.name}"
    return f"is as good as {rounded(quality.estimate)} real {study.items}"


def _first(text: str) -> str:
    return text[:1].upper() + text[1:]


def conditions(study: Study, candidate: str) -> str:
    """ "five training seeds, equal training, the cost of draft and pairing counted"."""
    n, (held, counted) = len(study.seeds), study.apart.get(candidate, (study.trained, study.counted))
    said = ["one training seed" if n == 1 else f"{COUNTS.get(n, n)} training seeds", ASKED[held]]
    if counted:
        said.append(f"the cost of {' and '.join(counted)} counted")
    if study.given:
        said.append(f"given this {' and '.join(study.given)}")
    return ", ".join(said)


def _credited(verdict: Verdict, study: Study) -> str:
    e, control = verdict.exchange, verdict.control_quality
    if verdict.credit is Credit.UNKNOWN or control is None or e is None or verdict.outcome is not Outcome.FASTER:
        return ""
    same = f"the same recipe from noise with {calls(e.calls)} {_good(control, study)}"
    if verdict.credit is Credit.DRAFT:
        return f"The draft is credited: {same}, which is shown to be worse."
    if verdict.credit is Credit.UNDECIDED:
        return (
            f"It is undecided whether the gain is due to draft or pairing: {same}; the difference may be large or none."
        )
    return f"Most of the gain is due to the pairing: {same}, and the difference between the two is small or none."


def _time(verdict: Verdict) -> str:
    """A sentence on the ratio of seconds; empty unless the outcome is faster and seconds were measured."""
    s = verdict.seconds
    if s is None or verdict.outcome is not Outcome.FASTER:
        return ""
    shown = "" if s.low > 1 else ": the candidate is slower" if s.high < 1 else ": undecided"
    ratio = f"{s.estimate:.2f} times as long per sample (95 % interval {s.low:.2f} to {s.high:.2f})"
    return f"In time, everything counted, the baseline takes {ratio}{shown}."


def _noted(verdict: Verdict) -> tuple[str, ...]:
    found = [_time(verdict)]
    if Note.COSTLY_START in verdict.notes and verdict.start_calls is not None:
        found.append(f"Drawing a start takes as long as {calls(verdict.start_calls)} of the network.")
    return tuple(text for text in (*found, *(NOTES.get(note, "") for note in verdict.notes)) if text)


def _failed(verdict: Verdict) -> str:
    """The guards that the faster rows fail, with the numbers of the first."""
    faster = [guards for e, guards in zip(verdict.rows, verdict.guarded, strict=True) if e.useful and e.rate > 1]
    failed = [g for guards in faster for g in guards if not g.passes]
    if not failed:
        return "the rows that are faster are worse than the baseline's by some metric"
    told = failed[0].detail or f"{failed[0].estimate:.3f} where {failed[0].limit:.3f} is allowed"
    return f"the rows that are faster fail the guard against {' and '.join(dict.fromkeys(g.name for g in failed))} ({told})"


def _answer(verdict: Verdict, study: Study) -> str:
    ours = study.method(verdict.candidate).shown
    name, e = _first(ours), verdict.exchange
    baselines = [m.shown for m in study.named(Role.BASELINE)]
    several = len(baselines) > 1
    them = "the baseline" if several else baselines[0]
    if verdict.outcome is Outcome.FASTER and e is not None:
        begins = f"{name} with {calls(e.calls)} {_good(verdict.quality, study)}"
        if math.isinf(e.rate):
            within = f"within {calls(e.horizon)}"
            none = "no baseline {0} is as good" if several else f"{them} is not as good {{0}}"
            return f"{begins}; {none.format(within)}"
        best = f"the best baseline, {study.method(e.baseline).shown}," if several else them
        return f"{begins}; {best} needs at least {calls(e.baseline_calls)} for that, {e.rate:.1f} times as many"
    if verdict.outcome is Outcome.NEARER and e is not None:
        near = f"is nearer to the data than {them} within {calls(e.horizon)}, but not faster"
        return f"{name} with {calls(e.calls)} {near}"
    if verdict.outcome is Outcome.DRAFT_ENOUGH:
        return "No flow is needed: none is shown to be better than the draft alone, which is at least half as good as the best"
    if verdict.outcome is Outcome.NO_FASTER:
        return f"{name} is no faster: {them} is as good with as few calls"
    if len(study.seeds) < 2:
        return "No verdict: one training seed does not show the variation of training; train at least two more"
    why = [_failed(verdict) if m is Missing.GUARDS else MISSING[m] for m in verdict.missing]
    return f"Cannot tell whether {ours} is faster: {' and '.join(why)}"


def answer(verdict: Verdict, study: Study, plan: str = "") -> Answer:
    """The text of one verdict; ``plan`` is the text of a plan, if there is one."""
    *most, last = (m.shown for m in study.named(Role.BASELINE))
    baselines = f"{', '.join(most)} or {last}" if most else last
    said = conditions(study, verdict.candidate)
    return Answer(
        question=f"Does {study.method(verdict.candidate).shown} need fewer network calls than {baselines} for the same quality?",
        answer=f"{_answer(verdict, study)} ({said}).",
        credit=_credited(verdict, study),
        conditions=said,
        notes=(*_noted(verdict), *((plan,) if plan else ())),
    )
