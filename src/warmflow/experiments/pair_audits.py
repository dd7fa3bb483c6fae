"""Audits of the pairing that a comparison trains on, and of other pairings for reference."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from warmflow.contracts import Batch
from warmflow.couplings import prepare
from warmflow.data import DataSet
from warmflow.methods.base import Drafted
from warmflow.methods.pairing import OFFLINE, coupling_of
from warmflow.metrics.audit import audit_pairs
from warmflow.noise import Noise, permutation
from warmflow.setup import Setup

AUDITED = 10_000
"""Largest number of training rows on which a pairing is audited."""
TEXTS = 2000
"""The same of texts."""


def seen_as(data: DataSet, x: Tensor) -> Tensor:
    """Samples as used by metrics and figures: tokens of a grid are decoded to points, everything else is unchanged."""
    return x if data.grid is None else data.grid.decode(x)


def audits(setup: Setup, drafted: Drafted) -> dict[str, dict[str, object]]:
    """The audit of the pairing that is trained on, and of the other pairings for one round, by name."""
    draft, pairing, data_seed = drafted.draft, drafted.pairing, setup.data_seed
    if setup.data.alphabet is not None:
        return _text_audits(setup, drafted, data_seed)
    whole, own, block = setup.data.train, pairing.pairing or "whole-set", pairing.block or 512
    data = whole
    if len(whole) > AUDITED:  # computing every pairing of a large set would take longer than training
        data = whole[permutation(data_seed, len(whole), "audit")[:AUDITED]]
        data = replace(data, index=torch.arange(AUDITED))
    m = min(len(data), 2000)
    fresh = seen_as(setup.data, draft.draw(m, noise=Noise.of(data_seed + 7919, m)).x0)
    nearest = () if "label" in draft.takes else ("nearest-data", "nearest-draft")  # they may pair across labels
    found = {}
    for name in dict.fromkeys((own, "whole-set", *nearest, "independent")):
        rows = whole if name == "given" else data  # given pairs cannot be recomputed for a subset, so all are audited
        if name == own and (name == "given" or (data is whole and name in OFFLINE)):
            part = drafted.pairs[torch.arange(len(rows))]
        else:
            size = 256 if name == "minibatch" else block
            part = prepare(coupling_of(name, pairing, setup), data, draft, block=size, seed=data_seed)
        found[name] = _audited(setup.data, rows, part, fresh, data_seed)
    return found


def _audited(data: DataSet, rows: Batch, part: Batch, fresh: Tensor, seed: int) -> dict[str, object]:
    """The audit of pairs of some rows of the data."""
    assert part.start is not None and part.index is not None
    start, end = seen_as(data, part.start.x0), seen_as(data, part.x1)
    audit = audit_pairs(
        start, end, part.index, len(rows), rows.condition.get("label"), fresh, seen_as(data, rows.x1), seed
    )  # fmt: skip
    return audit.to_json()


def _text_audits(setup: Setup, drafted: Drafted, seed: int) -> dict[str, dict[str, object]]:
    """The audit of the pairing of texts that is trained on, and of independent pairs. Each is computed anew on a subset of the
    data; pairs from a file are used directly."""
    from warmflow.metrics.audit_tokens import audit_tokens

    data, draft, pairing, found = setup.data.train, drafted.draft, drafted.pairing, {}
    few = data[permutation(seed, len(data), "audit")[:TEXTS]]
    few = Batch(few.x1, {}, torch.arange(len(few)))
    fresh = draft.draw(len(few), noise=Noise.of(seed + 7919, len(few))).x0
    for name in dict.fromkeys((pairing.pairing or "rewritten", "independent")):
        if name == "given":
            part = drafted.pairs[torch.arange(min(TEXTS, len(drafted.pairs)))]
        else:
            part = prepare(coupling_of(name, pairing, setup), few, draft, block=pairing.block or 1024, seed=seed)
        assert part.start is not None
        index = None if name == "given" else part.index
        audit = audit_tokens(part.start.x0, part.x1, index, len(few), fresh, few.x1, setup.vocabulary, seed)
        found[name] = audit.to_json()
    return found
