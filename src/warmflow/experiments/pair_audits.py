"""Audits of the pairings that a comparison trains on, and of the others beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from warmflow.contracts import Batch, Source
from warmflow.couplings import prepare
from warmflow.data import DataSet
from warmflow.data.grid import Grid
from warmflow.data.text import Alphabet
from warmflow.metrics.audit import audit_pairs
from warmflow.noise import Noise, permutation
from warmflow.recipes.plan import Plan

AUDITED = 10_000
"""Of a larger training set, the rows that each pairing is audited on."""


def seen_as(data: DataSet, x: Tensor) -> Tensor:
    """Samples as they are measured and drawn: tokens of a grid as points of the plane, all else as it is."""
    return data.codec.decode(x) if isinstance(data.codec, Grid) else x


def audits(plan: Plan, draft: Source, paired: Batch | None) -> dict[str, Any]:
    """The audit of the pairing that is trained on, and beside it of the others on one round."""
    if isinstance(plan.data.codec, Alphabet):
        return _text_audits(plan, draft, paired)
    whole, s = plan.data.train, plan.settings
    data = whole
    if len(whole) > AUDITED:  # pairing all of a large set by every pairing would take longer than training on it
        data = whole[permutation(s.data_seed, len(whole), "audit")[:AUDITED]]
        data = replace(data, index=torch.arange(AUDITED))
    m = min(len(data), 2000)
    fresh = seen_as(plan.data, draft.draw(m, noise=Noise.of(s.data_seed + 7919, m)).x0)
    x1 = seen_as(plan.data, data.x1)
    found = {}
    nearest = () if "label" in draft.takes else ("nearest-datum", "nearest-draft")  # may be of another label
    others = ("assignment", *nearest, "independent")
    for name in dict.fromkeys((s.pairing, *others)):
        block = 256 if name == "minibatch-assignment" else s.block
        trained_on = name == s.pairing and paired is not None and paired.start is not None
        rows, ends = data, x1
        if (
            trained_on and name == "given"
        ):  # no other pairs of some rows can be made: these are audited as they are, all
            assert paired is not None
            part, rows, ends = paired[torch.arange(len(whole))], whole, seen_as(plan.data, whole.x1)
        elif trained_on and data is whole:
            assert paired is not None
            part = paired[torch.arange(len(data))]
        else:
            part = prepare(plan.flow.coupling(plan, name), data, draft, block=block, seed=s.data_seed)
        assert part.start is not None and part.index is not None
        labels = rows.condition.get("label")
        start, end = seen_as(plan.data, part.start.x0), seen_as(plan.data, part.x1)
        audit = audit_pairs(start, end, part.index, len(rows), labels, fresh, ends, s.data_seed)
        found[name] = audit.to_json()
    return found


def _text_audits(plan: Plan, draft: Source, paired: Batch | None, rows: int = 2000) -> dict[str, Any]:
    """The audit of the pairing of texts that is trained on, and of independent pairs: each made once more, on some rows of
    the data (pairs from a file are taken as they are)."""
    from warmflow.metrics.audit_tokens import audit_tokens

    data, s, found = plan.data.train, plan.settings, {}
    few = data[permutation(s.data_seed, len(data), "audit")[:rows]]
    few = Batch(few.x1, {}, torch.arange(len(few)))
    fresh = draft.draw(len(few), noise=Noise.of(s.data_seed + 7919, len(few))).x0
    for name in dict.fromkeys((s.pairing, "independent")):
        if name == "given":
            assert paired is not None
            part = paired[torch.arange(min(rows, len(paired)))]
        else:
            part = prepare(plan.flow.coupling(plan, name), few, draft, block=s.block, seed=s.data_seed)
        assert part.start is not None
        index = None if name == "given" else part.index
        audit = audit_tokens(part.start.x0, part.x1, index, len(few), fresh, few.x1, len(plan.data.codec), s.data_seed)
        found[name] = audit.to_json()
    return found
