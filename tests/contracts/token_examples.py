"""One small example (or a few) of every concrete class that speaks tokens; tests of them are in test_every_token_class.py."""

import torch

from warmflow.contracts import Player
from warmflow.couplings import (
    AssignmentHamming,
    Independent,
    Maximal,
    NearestDatumHamming,
    NearestDraftHamming,
    Resampled,
    Rewritten,
)
from warmflow.data.grid import Gridded
from warmflow.fields import ExactMarkov, ExactTokens, Tempered, TokenField
from warmflow.networks import CausalTransformer, TokenLSTM, TokenTransformer, seeded
from warmflow.objectives import DiscreteFlowMatching, NextToken
from warmflow.paths import MixturePath
from warmflow.solvers import Jump
from warmflow.sources import (
    LSTM,
    Corrupted,
    Filled,
    MarkovChain,
    MaskTokens,
    NGram,
    Shown,
    StandardNormal,
    UniformTokens,
    random_chain,
    uniform_kernel,
)

V, L = 5, 6
CHAIN = random_chain(V, L, seed=1)
FLAT = torch.full((V, V), 1 / V, dtype=torch.float64)
TEXT = torch.arange(400) ** 2 % 7 % V


def transformer(seed=0, **more):
    """A transformer whose gates and output are not zero."""

    def build():
        network = TokenTransformer(V, width=16, depth=2, heads=2, **more)
        for p in network.parameters():
            torch.nn.init.normal_(p, std=0.2)
        return network

    return seeded(seed, build)


def reader(kind, seed=0, **more):
    """A network that reads from left to right, with no weight at zero."""

    def build():
        network = kind(V, width=16, **more)
        for p in network.parameters():
            torch.nn.init.normal_(p, std=0.3)
        return network

    return seeded(seed, build)


def reading(kind, **more):
    network = reader(kind, **more)
    return NextToken(network, Player(network))


def learning(path, source, weighting="cross_entropy", sees=(), **more):
    field = TokenField(transformer(extra=1, sees=sees), path, sees)
    return DiscreteFlowMatching(field, source, Independent(), Player(field.network), weighting, **more)


def ngram(order):
    return NGram.fit(TEXT, vocabulary=V, order=order, length=L)


TOKEN_EXAMPLES = {
    # sources
    UniformTokens: [lambda: UniformTokens((L,), V)],
    MaskTokens: [lambda: MaskTokens((L,), V)],
    MarkovChain: [lambda: CHAIN],
    NGram: [
        lambda: NGram.fit(TEXT, vocabulary=V, order=1, length=L),
        lambda: NGram.fit(TEXT, vocabulary=V, order=3, length=L),
    ],
    Shown: [lambda: Shown(CHAIN)],
    Filled: [lambda: Filled(Shown(CHAIN), torch.tensor([-1, 2, -1, -1, -1, 0]))],
    Gridded: [lambda: Gridded(StandardNormal((L,)), 8)],
    LSTM: [lambda: LSTM(reader(TokenLSTM), (L,)), lambda: LSTM(reader(TokenLSTM, layers=1, dropout=0.5), (L,))],
    Corrupted: [lambda: Corrupted(CHAIN, uniform_kernel(V, 0.3))],
    # couplings
    NearestDatumHamming: [NearestDatumHamming],
    NearestDraftHamming: [NearestDraftHamming],
    AssignmentHamming: [AssignmentHamming],
    Maximal: [lambda: Maximal(random_chain(V, L, seed=2)), lambda: Maximal(ngram(3))],
    Rewritten: [lambda: Rewritten(CHAIN, 1.5), lambda: Rewritten(ngram(4), 2.0, ngram(2), 4)],
    Resampled: [lambda: Resampled(CHAIN, 1.5), lambda: Resampled(ngram(4), 2.0, ngram(2), 4)],
    # paths
    MixturePath: [
        *[lambda t0=t0: MixturePath(t0) for t0 in (0.0, 0.1, 0.3, 0.7, 0.9)],
        lambda: MixturePath(0.3, 2.0),
        lambda: MixturePath(0.0, 0.5),
        lambda: MixturePath(0.0, 1.0, mask=V),
    ],
    # fields
    TokenField: [
        lambda: TokenField(transformer(), MixturePath(0.3)),
        lambda: TokenField(transformer(sees=("draft",)), MixturePath(0.7, 2.0), ("draft",)),
        lambda: TokenField(transformer(extra=1, classes=3), MixturePath(mask=V), ("label",)),
    ],
    Tempered: [lambda: Tempered(TokenField(transformer(), MixturePath(0.3)), 0.7, 0.9)],
    ExactTokens: [
        lambda: ExactTokens(CHAIN.first(0, "cpu").new_tensor([[0] * L, [1] * L, [2, 1] * 3]), torch.tensor([0.5, 0.3, 0.2]),
                            V, MixturePath(0.3), source=torch.full((V,), 1 / V)),
    ],
    ExactMarkov: [lambda: ExactMarkov(CHAIN.initial, CHAIN.transition, FLAT, MixturePath(0.2))],
    # solvers
    Jump: [Jump, lambda: Jump(0.3)],
    # networks
    TokenTransformer: [transformer, lambda: transformer(extra=1, sees=("draft",), classes=3, length=L)],
    TokenLSTM: [lambda: reader(TokenLSTM), lambda: reader(TokenLSTM, layers=3, dropout=0.1)],
    CausalTransformer: [
        lambda: reader(CausalTransformer, depth=2, heads=2),
        lambda: reader(CausalTransformer, depth=1, heads=4, tied=True, dropout=0.1),
    ],
    # objectives
    NextToken: [lambda: reading(TokenLSTM), lambda: reading(CausalTransformer, depth=2, heads=2)],
    DiscreteFlowMatching: [
        lambda: learning(MixturePath(), UniformTokens((L,), V)),
        lambda: learning(MixturePath(mask=V), MaskTokens((L,), V), "generalised_kl"),
        lambda: learning(MixturePath(0.7, 2.0), UniformTokens((L,), V), "generalised_kl"),
    ],
}  # fmt: skip
