"""The tables of a report: cells, every row, equal calls, guards, the audit, the bill.

Every string from a file is escaped, every number stands in full in its cell's ``data-value``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from warmflow.report import words
from warmflow.report.folder import Row, Verdict
from warmflow.report.words import escape

_LEVEL = ' colspan="2"'
_LEFT = ("recipe", "verdict", "claim", "flags")


def cell(value: Any, text: str | None = None, kind: str = "") -> str:
    """A table cell; a number is shown rounded and kept whole in ``data-value``."""
    x = words.real(value)
    data = "" if x is None else f' data-value="{value!r}"'
    shown = escape(words.plain(value)) if text is None else text
    return f"<td{f' class={kind!r}' if kind else ''}{data}>{shown}</td>"


def table(head: Sequence[str], rows: Iterable[str], kind: str = "") -> str:
    cells = "".join(f"<th{' class=left' if h in _LEFT else ''}>{escape(h)}</th>" for h in head)
    top = f"<thead><tr>{cells}</tr></thead>" if head else ""
    return f'<div class="{kind}"><div class="scroll"><table>{top}<tbody>{"".join(rows)}</tbody></table></div></div>'


def fact_table(facts: Mapping[str, Any]) -> str:
    rows = [f"<tr><td>{escape(words.phrase(str(k)))}</td>{cell(v)}</tr>" for k, v in facts.items()]
    return table((), rows, "facts") if rows else ""


def _extra_columns(verdict: Verdict) -> list[str]:
    """Keys of a row's ``distances`` that are not the metric of the claim, in the order they appear."""
    found: dict[str, None] = {}
    for row in verdict.rows:
        distances = row.get("distances")
        if isinstance(distances, Mapping):
            found.update(dict.fromkeys(str(k) for k in distances))
    return [k for k in found if k != verdict.metric.get("name")]


def _row(row: Row, verdict: Verdict, shown: Sequence[str], extra: Sequence[str]) -> str:
    scale, arm = words.metric_scale(verdict.metric), str(row.get("arm", ""))
    kind, tag = ("level", "") if arm in words.LEVELS else ("", "")
    if row is verdict.best_cold:
        kind, tag = "cold", f'<span class="tag">best {escape(verdict.bare[1])}</span>'
    elif row is verdict.winner:
        kind, tag = "warm", '<span class="tag">as good</span>'
    band = ""
    if words.real(row.get("low")) is not None and words.real(row.get("high")) is not None:
        low, high = words.number(row["low"], scale), words.number(row["high"], scale)
        band = f' <span class="dim" title="{row["low"]!r} to {row["high"]!r}">{low} to {high}</span>'
    cells = [f"<td{_LEVEL if kind == 'level' else ''}>{escape(words.row_name(row))}</td>"] if kind == "level" else []
    for key in shown:
        value = row.get(key)
        if kind == "level" and key in ("steps", "calls"):
            continue
        if key == "steps":
            cells.append(cell(value, f"{words.number(value)} {tag}".strip()))
        elif key == "distance":
            cells.append(cell(value, words.number(value, scale) + band))
        elif key.startswith("seconds"):
            cells.append(cell(value, words.duration(value)))
        else:
            cells.append(cell(value, words.number(value)))
    distances = row.get("distances")
    for key in extra:
        value = distances.get(key) if isinstance(distances, Mapping) else None
        value = value.get("distance") if isinstance(value, Mapping) else value
        cells.append(cell(value, words.number(value, words.metric_scale(key))))
    return f"<tr{f' class={kind!r}' if kind else ''}>{''.join(cells)}</tr>"


def row_table(verdict: Verdict) -> str:
    if not verdict.rows:
        return ""
    heads = {
        "steps": "steps",
        "calls": "calls",
        "distance": f"D, {words.metric_name(verdict.metric)}",
        "seconds": "time a sample",
        "seconds_single": "time, one at a time",
        "frechet": "Fréchet distance",
        "variation": "class variation",
        "copying": "copying",
    }
    core = ("steps", "calls", "distance")
    shown = [k for k in heads if k in core or any(words.real(r.get(k)) is not None for r in verdict.rows)]
    extra = _extra_columns(verdict)
    ranked = sorted(
        verdict.rows,
        key=lambda r: (
            words.order(str(r.get("arm", ""))),
            str(r.get("solver") or ""),
            words.real(r.get("calls")) or words.real(r.get("steps")) or 0.0,
        ),
    )
    head = [*(heads[k] for k in shown), *(words.metric_name(k) for k in extra)]
    lines, group = [], ""
    for row in ranked:
        if row.get("arm") not in words.LEVELS and words.row_name(row) != group:
            group = words.row_name(row)
            title = f"<span>{escape(group)}</span>"
            lines.append(f'<tr class="group"><th colspan="{len(head)}" scope="rowgroup">{title}</th></tr>')
        lines.append(_row(row, verdict, shown, extra))
    note = "Beside each distance stands its interval." if any("low" in r for r in ranked) else ""
    return table(head, lines, "rows") + (f'<p class="soft">{note}</p>' if note else "")


def beside_table(verdict: Verdict) -> str:
    """What was measured of every row and is not judged."""
    found = [(row, row["beside"]) for row in verdict.rows if isinstance(row.get("beside"), Mapping) and row["beside"]]
    names = list(dict.fromkeys(str(name) for _, beside in found for name in beside))
    rows = []
    for row, beside in sorted(found, key=lambda f: words.order(str(f[0].get("arm", "")))):
        cells = [f"<td>{escape(words.row_name(row))}</td>", cell(row.get("steps") or None)]
        cells += [cell(beside.get(k), words.number(beside.get(k), words.metric_scale(k))) for k in names]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return table(("", "steps", *(words.metric_name(k) for k in names)), rows, "rows") if rows else ""


def equal_calls(verdict: Verdict) -> str:
    """Beside each warm row the best cold row of no more calls: what the warm start buys where nobody spends more."""
    rows = []
    found = verdict.json.get("equal_calls")
    for line in found if isinstance(found, list) else []:
        for metric, gain in line["gain"].items():
            times = words.metric_scale(metric)
            numbers = [words.number(gain.get(k), times) for k in ("estimate", "low", "high", "margin")]
            cold = f"{words.row_name(line['cold'])}, {words.number(line['cold']['calls'])} calls"
            cells = [cell(line["calls"], words.number(line["calls"])), f"<td>{escape(cold)}</td>"]
            cells += [f"<td>{escape(words.metric_name(metric))}</td>", *(cell(None, n) for n in numbers)]
            rows.append(f"<tr>{''.join(cells)}</tr>")
    if not rows:
        return ""
    ours, theirs = verdict.bare
    head = (
        "calls",
        f"best {theirs} within them",
        "distance",
        f"D({theirs}) - D({ours})",
        "at least",
        "at most",
        "margin",
    )
    return (
        table(head, rows)
        + f'<p class="soft">Above 0 {escape(ours)} is nearer to the data; bounds are one-sided, 95 %.</p>'
    )


def doubled(verdict: Verdict) -> str:
    """What is left of the claim against a cold flow that was trained twice as long."""
    found = verdict.json.get("doubled")
    if not isinstance(found, Mapping) or not isinstance(found.get("claim"), str):
        return ""
    settled = found.get("settled")
    moved = [
        f"{words.metric_name(name)} {words.number(v['cold'], words.metric_scale(name))} to "
        f"{words.number(v['cold_doubled'], words.metric_scale(name))}"
        for name, v in (settled.items() if isinstance(settled, Mapping) else ())
    ]
    return (
        f"<p>{escape(found['claim'][:1].upper() + found['claim'][1:])}.</p>"
        f'<p class="soft">Doubling moved the best cold distance: {escape("; ".join(moved))}.</p>'
    )


def _passed(value: Any) -> bool | None:
    """Whether a guard passed, where it says so."""
    if isinstance(value, bool):
        return value
    if isinstance(value, Mapping):
        for key in ("passed", "passes", "pass", "ok", "holds"):
            if isinstance(value.get(key), bool):
                return bool(value[key])
    return None


def _guard_rows(guards: Mapping[str, Any], above: str = "") -> list[str]:
    rows: list[str] = []
    for name, value in guards.items():
        title = f"{above} · {words.phrase(str(name))}" if above else words.phrase(str(name))
        nested = isinstance(value, Mapping) and _passed(value) is None
        if nested and value and all(isinstance(v, Mapping | bool) for v in value.values()):
            rows += _guard_rows(value, title)
            continue
        passed = _passed(value)
        mark = {True: '<span class="yes">passes</span>', False: '<span class="no">fails</span>', None: words.NONE}[
            passed
        ]
        facts = value if isinstance(value, Mapping) else ({} if isinstance(value, bool) else {"": value})
        text = [str(facts["says"])] if "says" in facts else []
        for key, fact in () if text else facts.items():
            if not isinstance(fact, bool):
                shown = words.number(fact) if words.real(fact) is not None else words.plain(fact)
                text.append(f"{words.phrase(str(key))} {shown}".strip())
        rows.append(
            f'<tr><td>{escape(title)}</td><td class="left">{mark}</td>{cell("; ".join(text), None, "left long")}</tr>'
        )
    return rows


def guard_table(verdict: Verdict) -> str:
    rows = _guard_rows(verdict.guards)
    return table((), rows) if rows else ""


def audit_table(verdict: Verdict) -> str:
    names = {
        "agreement": ("tokens kept", 100.0),
        "divergence": ("bigram divergence of the targets", 1.0),
        "never_chosen": ("data never chosen", 100.0),
        "effective_sample_size": ("effective sample size", 1.0),
        "variation": ("class variation", 1.0),
        "mean_cost": ("mean cost", 1.0),
        "explained": ("velocity explained by the start", 100.0),
        "draft_shift": ("draft shift (AUC)", 1.0),
    }
    pairings = {str(k): v for k, v in verdict.audit.items() if isinstance(v, Mapping)}
    keys = [k for k in names if any(words.real(p.get(k)) is not None for p in pairings.values())]
    flagged = any(p.get("flags") for p in pairings.values())
    if not keys and not flagged:
        return ""
    rows = []
    for pairing, facts in pairings.items():
        cells = [f"<td>{escape(words.phrase(pairing))}</td>"]
        flags = facts.get("flags")
        flags = [flags] if isinstance(flags, str) else list(flags or [])
        said = "; ".join(str(f) for f in flags)
        cells.append(f'<td class="left long no">{escape(said)}</td>' if said else '<td class="left yes">none</td>')
        for key in keys:
            scale, x = names[key][1], words.real(facts.get(key))
            share = scale == 100 or (key == "effective_sample_size" and x is not None and x <= 1)
            text = words.number(x, 100.0 if share else 1.0) + (" %" if share and x is not None else "")
            cells.append(cell(facts.get(key), text))
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return table(("pairing", "flags", *(names[k][0] for k in keys)), rows, "rows")


def bill_table(verdict: Verdict) -> str:
    bill = verdict.bill
    if not bill:
        return ""
    names = {"cold": "training, cold", "warm": "training, warm", "draft": "the draft", "pairing": "pairing"}
    rows = []
    for key, value in bill.items():
        if key != "break_even_samples" and words.real(value) is not None:
            title = names.get(key, words.phrase(key))
            rows.append(f"<tr><td>{escape(title)}</td>{cell(value, words.duration(value))}</tr>")
    paid = verdict.json.get("paid")
    for steps, samples in paid.items() if isinstance(paid, Mapping) else ():
        text = words.NONE if samples is None else f"{words.number(samples)} samples"
        calls = f"{escape(steps)} call{'' if steps == '1' else 's'}"
        rows.append(f"<tr><td>paid, against {calls} of the teacher, after</td>{cell(samples, text)}</tr>")
    costs = table((), rows, "narrow") if rows else ""
    if "break_even_samples" not in bill:
        return costs
    paid, (ours, theirs) = words.real(bill["break_even_samples"]), verdict.names
    if paid is None:
        said = f"What {ours} costs beyond {theirs} is never paid back by its samples: they are no cheaper, or nothing holds."
    elif paid <= 0:
        said = f"{ours[:1].upper()}{ours[1:]} has paid from the first sample."
    else:
        said = f"What {ours} costs beyond {theirs} has paid after {words.number(paid)} samples."
    return f"{costs}<p>{escape(said)}</p>"
