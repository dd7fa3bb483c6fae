"""Flows of tokens: the toys on a grid, characters of a text. Two cold flows, from uniform tokens and from the mask; the warm one
from a draft that the field sees. On a grid the control "noise" is the warm recipe with uniform tokens as its draft; texts have
none: most of their pairings rewrite the draft, and uniform tokens leave nothing to rewrite.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from warmflow.contracts import Batch, Coupling, Player, Source
from warmflow.couplings import (
    Assignment,
    AssignmentHamming,
    Given,
    Independent,
    Maximal,
    NearestDatum,
    NearestDatumHamming,
    NearestDraft,
    NearestDraftHamming,
    Resampled,
    Rewritten,
)
from warmflow.data.fresh import FreshToy
from warmflow.data.grid import Gridded
from warmflow.data.grid import grid as read_grid
from warmflow.data.text import text as read_text
from warmflow.fields import TokenField
from warmflow.networks import TokenTransformer, seeded
from warmflow.objectives import DiscreteFlowMatching
from warmflow.paths import MixturePath
from warmflow.recipes.flows import take_over
from warmflow.recipes.plan import Arm, Flow, Plan, ready, set_up
from warmflow.recipes.settings import Grid, Text
from warmflow.sampler import Sampler
from warmflow.solvers import Jump
from warmflow.sources import Jittered, MaskTokens, NGram, Shown, UniformTokens

STEPS = {"grid": (1, 2, 4, 8, 16, 32, 64, 128), "text": (4, 8, 16, 32, 64)}
"""What the cold arms are walked by."""
PARTICLES = 16
"""Texts weighted against each other where drafts are rewritten (runs/rewriting.py: one is not enough)."""
ON_THE_GRID: dict[str, Coupling] = {
    "assignment": Assignment(),
    "nearest-datum": NearestDatum(),
    "nearest-draft": NearestDraft(),
    "independent": Independent(),
}
OF_TEXTS: dict[str, Coupling] = {
    "hamming-datum": NearestDatumHamming(),
    "hamming-draft": NearestDraftHamming(),
    "hamming-assignment": AssignmentHamming(),
    "independent": Independent(),
}


@dataclass(frozen=True)
class TokenFlow(Flow):
    """ "cold" (uniform starts), "cold_masked", "warm" and on a grid "noise", on the mixture path.

    Args:
        kind: "grid" or "text".
    """

    kind: str

    @property
    def arms(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("cold", "cold_masked", "warm", "noise") if self.kind == "grid" else ("cold", "cold_masked", "warm")

    @property
    def offline(self) -> tuple[str, ...]:  # type: ignore[override]
        if self.kind == "grid":
            return ("assignment", "nearest-datum", "nearest-draft")
        return ("rewritten", "resampled", "maximal", "hamming-datum", "hamming-draft", "hamming-assignment")

    def warm_source(self, plan: Plan, draft: Source) -> Source:
        return Shown(draft) if plan.settings.seen else draft

    def noise(self, plan: Plan) -> Source:
        return UniformTokens(plan.data.shape, len(plan.data.codec))

    def coupling(self, plan: Plan, pairing: str) -> Coupling:
        if self.kind == "grid":
            if pairing not in ON_THE_GRID:
                raise ValueError(f"--pairing is {pairing!r}; on a grid it is one of {', '.join(ON_THE_GRID)}")
            return ON_THE_GRID[pairing]
        return text_coupling(plan, pairing)

    def arm(
        self, plan: Plan, name: str, seed: int, draft: Source | None, paired: Batch | None, begin: Any = None
    ) -> Arm:
        s, shape, size = plan.settings, plan.data.shape, len(plan.data.codec)
        assert isinstance(s, Grid | Text)
        source: Source
        coupling: Coupling = Independent()
        data, path = plan.data.train, MixturePath(0.0, s.power)
        sees: tuple[str, ...] = ()
        if name in self.arms and (made := self.paired(plan, name)) is not None:
            assert draft is not None and paired is not None
            source, data, path = self.warm_source(plan, draft), paired, MixturePath(s.t0, s.power)
            coupling = Given() if made[1] in (*self.offline, "given") else self.coupling(plan, made[1])
            sees = ("draft",) if s.seen else ()
        elif name == "cold":
            source = self.noise(plan)
        elif name == "cold_masked":
            source, path = MaskTokens(shape, size), MixturePath(0.0, s.power, size)
        else:
            raise ValueError(f"arm {name!r} is unknown; known: {', '.join(self.arms)}")
        net = plan.network(shape, dict.fromkeys(sees, shape), seed)
        if begin is not None:
            if not isinstance(begin, nn.Module):
                raise ValueError("a token flow is fine-tuned from a trained cold token flow: give such a run")
            take_over(net, begin)
        field = TokenField(net, path, sees, s.autocast)
        player = Player(net, s.learning_rate, ema=s.ema)
        objective = DiscreteFlowMatching(field, source, coupling, player, s.weighting)
        return Arm(name, objective, data, Sampler(source, field, Jump(), 16))


def network(settings: Grid | Text, vocabulary: int, length: int) -> Any:
    """The recipes' network: a transformer; every arm's has the mask among its tokens, so that all are of one size.
    ``length`` > 0 gives places a vector of their own."""

    def build(shape: tuple[int, ...], sees: dict[str, tuple[int, ...]], seed: int) -> nn.Module:
        s = settings
        return set_up(seeded(seed, lambda: TokenTransformer(
            vocabulary, extra=1, sees=tuple(sees), length=length, width=s.width, depth=s.depth, heads=s.heads,
            dropout=s.dropout)), s)  # fmt: skip

    return build


def grid(settings: Grid) -> Plan:
    """A toy on a grid; a draft of grade s is a fresh point plus N(0, s^2 I), on the grid."""
    heldout = max(settings.samples, 300)
    data = read_grid(
        settings.law, levels=settings.levels, train=settings.train, heldout=heldout, seed=settings.data_seed
    )
    fresh: Source = UniformTokens((2,), settings.levels)
    if settings.draft == "jittered":
        fresh = Gridded(Jittered(FreshToy(settings.law), settings.spread), settings.levels)
    return Plan("toy.grid", settings, data, ready(fresh), network(settings, settings.levels, 2), TokenFlow("grid"))


def characters(settings: Text, name: str) -> Plan:
    """Characters of the embedded prose, or of the user's text."""
    source = settings.path or "embedded"
    data = read_text(source, length=settings.length, alphabet=settings.alphabet, most=settings.most)
    size = len(data.codec)

    def draft(folder: Path | None = None, progress: bool = False, seed: int = 0) -> Source:
        if settings.draft == "uniform":
            return UniformTokens((settings.length,), size)
        if settings.draft == "lstm":
            from warmflow.drafts.autoregressive import train_draft

            label = "draft" if progress else None
            return train_draft(
                data.train, size, steps=settings.draft_updates, batch=64, seed=seed, folder=folder,
                progress=label,
            )  # fmt: skip
        return NGram.fit(data.streams["train"], vocabulary=size, order=settings.order, length=settings.length)

    return Plan(name, settings, data, draft, network(settings, size, 0), TokenFlow("text"))


@lru_cache(maxsize=2)
def _ngram(stream: Tensor, vocabulary: int, order: int, length: int) -> NGram:
    """A model of the training part, kept: pairs and their audit ask for the same one."""
    return NGram.fit(stream, vocabulary=vocabulary, order=order, length=length)


def text_coupling(plan: Plan, pairing: str) -> Coupling:
    """The couplings of texts: those with a model fit it to the training part."""
    s, size = plan.settings, len(plan.data.codec)
    assert isinstance(s, Text)
    if pairing in OF_TEXTS:
        return OF_TEXTS[pairing]
    stream = plan.data.streams["train"]
    if pairing == "resampled":
        return Resampled(_ngram(stream, size, s.order, s.length), s.strength)
    writer = _ngram(stream, size, s.writer, s.length)
    if pairing == "maximal":
        return Maximal(writer)
    if pairing == "rewritten":
        ahead = _ngram(stream, size, min(3, s.writer), s.length)
        return Rewritten(writer, s.strength, ahead, particles=PARTICLES)
    raise ValueError(f"--pairing is {pairing!r}, which texts do not have")
