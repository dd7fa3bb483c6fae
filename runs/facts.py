"""The facts of a comparison or an evaluation on one screen: the answer, every exchange with its guards, the targets, the table.
Reads a folder; computes nothing anew.

python runs/facts.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from warmflow.evaluation.evaluate import Evaluation
from warmflow.evaluation.record import read_study
from warmflow.evaluation.verdict import Verdict
from warmflow.experiments.evaluate_files import table
from warmflow.files import read_json


def show(v: Verdict) -> None:
    """One candidate: its exchanges (* is a useful row) and its targets."""
    print(
        f"\n{v.candidate}: {v.outcome}; missing: {', '.join(v.missing) or 'nothing'}; notes: {', '.join(v.notes) or 'none'}"
    )
    print(f"credit: {v.credit}; seconds: {v.seconds}; the start costs {v.start_calls} calls; n_eq: {v.quality}")
    for e, guarded in zip(v.rows, v.guarded, strict=True):
        failed = [g.name for g in guarded if not g.passes]
        each = ", ".join(f"{name} {calls / e.calls:.3g}" for name, calls in e.by_metric.items())
        print(f"  {'*' if e.useful else ' '} {e.calls:4g} calls for {e.baseline_calls:4g} of {e.baseline}: "
              f"rate {e.rate:.3g} ({each})"
              + (f"; worse on {', '.join(e.worse_on)}" if e.worse_on else "")
              + (f"; FAILS {', '.join(failed)}" if failed else ""))  # fmt: skip
    for t in v.targets:
        print(f"  n_eq {t.n_eq:5g}: candidate {t.candidate_calls:g} calls, baseline {t.baseline_calls:g}")


def main(folder: str) -> None:
    study, told = read_study(Path(folder)), read_json(Path(folder) / "verdict.json")
    evaluation = Evaluation.of(study)
    print(evaluation)
    for v in evaluation.verdicts.values():
        show(v)
    if "doubled" in told:
        print("\ntwice the training of the best baseline:", told["doubled"])
    print("\nbill, seconds:", {k: round(s, 1) for k, s in told.get("bill", {}).items()})
    print(table(study))


if __name__ == "__main__":
    main(sys.argv[1])
