"""How starts are paired with data: options that cold flows, warm flows and controls share, and the couplings behind the names.

independent     at random
minibatch       optimal assignment within each minibatch, while training
whole-set       optimal assignment over the whole set before training: ``rounds`` times with fresh starts, in blocks; the pairs
                of a round are refined by ``passes``
nearest-data    each start with its nearest sample; nearest-draft: each sample with its nearest start
given           starts that are given with the data, one for each sample
texts           rewritten, resampled, maximal, hamming-data, hamming-draft, hamming-assignment
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

from torch import Tensor

from warmflow.contracts import Batch, Coupling, Data, Source
from warmflow.couplings import (
    AssignmentHamming,
    Given,
    Independent,
    Maximal,
    NearestDatumHamming,
    NearestDraftHamming,
    Resampled,
    Rewritten,
    pairing_named,
)
from warmflow.methods.parts import Parts
from warmflow.options import Count, NotNegative, Whole, only, options, suggestion
from warmflow.setup import Setup
from warmflow.sources import NGram

PARTICLES = 16
"""Texts weighted against each other where drafts are rewritten (runs/rewriting.py: one is not enough)."""
OFFLINE = ("whole-set", "nearest-data", "nearest-draft")
OF_TEXTS = ("rewritten", "resampled", "maximal", "hamming-data", "hamming-draft", "hamming-assignment")
WHILE_TRAINING = ("independent", "minibatch")
KEEP_LABELS = ("whole-set", "minibatch", "independent")


@options
class Pairing:
    """Options of a pairing. What is left open takes the problem's value."""

    pairing: str | None = None
    """How starts are paired with data; by default whole-set, of texts rewritten."""
    rounds: Count | None = None
    """Offline pairings: how often each sample is paired, with a fresh start each time."""
    block: Count | None = None
    """Offline pairings: rows that are assigned at once."""
    passes: Annotated[Whole | None, only("floats")] = None
    """Whole-set: how often the pairs of a round are assigned anew in blocks of near ones."""
    capacity: Annotated[Whole, only("floats")] = 0
    """Nearest-data: how many starts of a block may take one sample; 0 for any number."""
    writer: Annotated[Count | None, only("texts")] = None
    """Texts: order of the n-gram model that rewrites, resamples, or stands for the data."""
    strength: Annotated[NotNegative, only("texts")] = 4.0
    """Texts: how much each changed symbol costs where drafts are rewritten or data resampled."""

    @property
    def own_pairing(self) -> Pairing:
        return self


def known_pairings(setup: Setup) -> tuple[str, ...]:
    """The pairings of a problem."""
    if setup.data.alphabet is not None:
        return (*OF_TEXTS, "independent", "given")
    if setup.training.conditional:
        return KEEP_LABELS
    if setup.inputs is not None:
        return ("independent",)
    minibatch = ("minibatch",) if setup.space == "floats" else ()
    return (*OFFLINE, *minibatch, "independent", "given")


def why_not(pairing: Pairing, setup: Setup) -> str:
    """An empty string if the pairing can be used on this problem, else a sentence that says why not."""
    known, name = known_pairings(setup), pairing.pairing
    if name is not None and name not in known:
        across = " (the others pair across labels)" if setup.training.conditional else ""
        return f"pairing is {name!r}, which {setup.name} does not have{across}; {suggestion(name, known)}"
    if pairing.passes and setup.space == "tokens":
        return f"passes is {pairing.passes}, which is for floats: pairs of tokens are not refined, leave it out"
    if pairing.capacity and name != "nearest-data":
        return f"capacity is {pairing.capacity}, which is for the pairing nearest-data: leave it out"
    return ""


def coupling_of(name: str, pairing: Pairing, setup: Setup) -> Coupling:
    """The coupling that a pairing stands for."""
    if setup.data.alphabet is not None:
        return _of_texts(name, pairing, setup)
    within = "label" if setup.training.conditional else None
    return pairing_named(name, within=within, capacity=pairing.capacity)


def _of_texts(name: str, pairing: Pairing, setup: Setup) -> Coupling:
    plain: dict[str, Coupling] = {
        "hamming-data": NearestDatumHamming(), "hamming-draft": NearestDraftHamming(),
        "hamming-assignment": AssignmentHamming(), "independent": Independent(), "given": Given(),
    }  # fmt: skip
    if name in plain:
        return plain[name]
    stream, size, length = setup.data.streams["train"], setup.vocabulary, setup.shape[0]
    order = pairing.writer or 6
    if name == "resampled":
        return Resampled(_ngram(stream, size, 3, length), pairing.strength)
    writer = _ngram(stream, size, order, length)
    if name == "maximal":
        return Maximal(writer)
    return Rewritten(writer, pairing.strength, _ngram(stream, size, min(3, order), length), particles=PARTICLES)


@lru_cache(maxsize=2)
def _ngram(stream: Tensor, vocabulary: int, order: int, length: int) -> NGram:
    """A model of the training part, kept: pairs and their audit ask for the same one."""
    return NGram.fit(stream, vocabulary=vocabulary, order=order, length=length)


def paired(
    parts: Parts, name: str, source: Source, pairing: Pairing, bill: str = "pairing", given: Batch | None = None
) -> tuple[Coupling, Data]:
    """The coupling and the data that a flow is trained with: pairs made offline, or the data with a coupling for each batch.

    Args:
        name: the name of the source and of the folder of its pairs.
        given: the pairs that were brought, for the pairing "given".

    Raises:
        ValueError: the pairing "given" without such pairs.
    """
    setup, how = parts.setup, pairing.pairing or "whole-set"
    coupling = coupling_of(how, pairing, setup)
    if how == "given":
        if given is None:
            raise ValueError(
                "pairing is 'given', which needs a draft for each sample: give drafts aligned with the data"
            )
        return coupling, given
    if how in WHILE_TRAINING:
        return coupling, setup.train
    found = parts.pairs(
        name, source, coupling, rounds=pairing.rounds or 1, block=pairing.block or 512,
        passes=(pairing.passes or 0) if how == "whole-set" and setup.space == "floats" else 0, bill=bill,
    )  # fmt: skip
    return Given(), found
