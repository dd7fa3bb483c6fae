"""Couplings of tokens: the marginals they declare are kept as multisets, what belongs together travels together."""

from dataclasses import dataclass, field, replace

import pytest
import torch
from token_examples import CHAIN, TOKEN_EXAMPLES, L, V, learning, ngram

from examples import concrete
from warmflow.contracts import Batch, Coupling, Start
from warmflow.couplings import Given, Independent, Maximal, NearestDatumHamming, Resampled, Rewritten, prepare
from warmflow.noise import Noise
from warmflow.paths import MixturePath
from warmflow.records import concatenate
from warmflow.sources import Autoregressive, NGram, Shown, UniformTokens
from warmflow.training import train

N = 24
KINDS = concrete(Coupling, tokens=True)
ROWWISE = [Maximal, Rewritten, Resampled]


@dataclass(frozen=True, eq=False)
class Recorded(Autoregressive):
    """The chain as a source that remembers what it drew."""

    shape: tuple = (L,)
    vocabulary: int = V
    calls_per_token: int = 1
    drawn: list = field(default_factory=list)

    def first(self, n, device):
        return CHAIN.first(n, device)

    def chances(self, state):
        return CHAIN.chances(state)

    def after(self, state, token):
        return CHAIN.after(state, token)

    def draw(self, n, condition=None, *, noise):
        start = Autoregressive.draw(self, n, condition, noise=noise)
        self.drawn.append(start.x0)
        return start


def cases(kinds=KINDS):
    return [
        pytest.param(kind, k, id=f"{kind.__name__}-{k}") for kind in kinds for k in range(len(TOKEN_EXAMPLES[kind]))
    ]


def example(kind, k=0):
    return TOKEN_EXAMPLES[kind][k]()


def data(n=N):
    x1 = Noise.of(97, n).integers("x1", L, high=V)
    return Batch(x1, {"label": torch.arange(n) % 3, "tag": torch.arange(n)}, torch.arange(n))


def pair_of(kind, k, source=None, seed=0, batch=None):
    batch = data() if batch is None else batch
    return example(kind, k).pair(batch, source or Recorded(), noise=Noise.of(seed, len(batch)))


def multiset(x):
    return sorted(map(tuple, x.tolist()))


@pytest.mark.parametrize(("kind", "k"), cases())
def test_declared_marginals_are_kept_exactly(kind, k):
    source, batch = Recorded(), data()
    pair = pair_of(kind, k, source)
    assert kind.preserves <= {"source", "data"}
    assert pair.start.x0.dtype == pair.x1.dtype == torch.int64 and pair.start.x0.shape == (N, L)
    if "source" in kind.preserves:
        assert multiset(pair.start.x0) == multiset(torch.cat(source.drawn))
    if "data" in kind.preserves:
        assert multiset(pair.x1) == multiset(batch.x1)
        assert sorted(pair.index.tolist()) == list(range(N))


@pytest.mark.parametrize("side", ["source", "data"])
@pytest.mark.parametrize(("kind", "k"), cases())
def test_marginals_that_are_not_declared_are_lost_on_a_planted_example(kind, k, side):
    """Half of the data are texts of the source, half are one text alone."""
    coupling, n = example(kind, k), 600
    if side in coupling.preserves:
        return
    source = getattr(coupling, "model", CHAIN) if side == "source" else CHAIN
    x1 = source.draw(n, noise=Noise.of(1, n)).x0
    x1[::2] = alone = x1[0].clone()
    pair = coupling.pair(Batch(x1, {}, torch.arange(n)), source, noise=Noise.of(0, n))
    if side == "data":
        share, usual = (pair.x1 == alone).all(1).double().mean(), 0.5
    else:
        fresh = source.draw(20_000, noise=Noise.of(2, 20_000)).x0
        share, usual = (pair.start.x0 == alone).double().mean(), float((fresh == alone).double().mean())
    assert abs(float(share) - usual) > 0.1, "declare the marginal in `preserves`: it is kept"


@pytest.mark.parametrize("shown", [False, True])
@pytest.mark.parametrize(("kind", "k"), cases())
def test_conditions_travel_with_their_datum_and_drafts_with_their_start(kind, k, shown):
    source, batch = Shown(Recorded()) if shown else Recorded(), data()
    pair = pair_of(kind, k, source)
    if kind is Rewritten:  # the targets are no rows of the batch, so what belongs to those stays behind
        assert pair.index is None and set(pair.start.condition) == ({"draft"} if shown else set())
    else:
        assert torch.equal(pair.x1, batch.x1[pair.index])
        assert torch.equal(pair.start.condition["tag"], batch.condition["tag"][pair.index])
        assert torch.equal(pair.start.condition["label"], batch.condition["label"][pair.index])
    if shown:
        assert torch.equal(pair.start.x0, pair.start.condition["draft"])


@pytest.mark.parametrize(("kind", "k"), cases())
def test_one_seed_gives_one_pairing(kind, k):
    a, b, c = (pair_of(kind, k, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(a.start.x0, b.start.x0) and torch.equal(a.x1, b.x1)
    assert not torch.equal(a.start.x0, c.start.x0)


@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize(("kind", "k"), cases(ROWWISE))
def test_pairs_written_row_by_row_are_the_same_at_every_batch_size(kind, k, size):
    coupling, batch, source = example(kind, k), data(), Recorded()
    whole = coupling.pair(batch, source, noise=Noise.of(3, N))
    parts = concatenate(
        [coupling.pair(batch[slice(i, i + size)], source, noise=Noise.of(3, min(size, N - i), i))
         for i in range(0, N, size)]
    )  # fmt: skip
    assert torch.equal(whole.start.x0, parts.start.x0) and torch.equal(whole.x1, parts.x1)


@pytest.mark.parametrize(("kind", "k"), cases())
def test_inputs_are_left_as_they_were(kind, k):
    batch = data()
    before = [batch.x1.clone(), *(v.clone() for v in batch.condition.values())]
    pair_of(kind, k, batch=batch)
    assert all(torch.equal(a, b) for a, b in zip(before, [batch.x1, *batch.condition.values()], strict=True))


@pytest.mark.parametrize(("kind", "k"), cases())
def test_paired_data_and_floats_are_refused(kind, k):
    batch = data()
    with pytest.raises(ValueError, match="already paired"):
        pair_of(kind, k, batch=replace(batch, start=Start(batch.x1)))
    with pytest.raises(ValueError, match="tokens, int64"):
        pair_of(kind, k, batch=replace(batch, x1=batch.x1.float()))


@pytest.mark.parametrize(("kind", "k"), cases([Rewritten, Resampled]))
def test_tokens_that_are_given_stay_and_are_fixed(kind, k):
    given = torch.where(torch.arange(L) % 3 == 0, data().x1, -1)
    pair = pair_of(kind, k, batch=replace(data(), condition={"given": given}))
    at = given >= 0
    assert torch.equal(pair.start.fixed, at)
    assert torch.equal(pair.start.x0[at], given[at]) and torch.equal(pair.x1[at], given[at])


# prepare and Given


@pytest.mark.parametrize("kind", [Independent, *KINDS], ids=lambda k: k.__name__)
def test_prepared_pairs_of_tokens_come_back_from_their_files(kind, tmp_path):
    coupling = Independent() if kind is Independent else example(kind, len(TOKEN_EXAMPLES[kind]) - 1)
    whole = prepare(coupling, data(), Recorded(), None, block=10, rounds=2)
    prepare(coupling, data(), Recorded(), tmp_path, block=10, rounds=2)
    for file in sorted(tmp_path.glob("round-*.safetensors"))[1::2]:
        file.unlink()
    again = prepare(coupling, data(), Recorded(), tmp_path, block=10, rounds=2)
    assert len(again) == 2 * N and again.start.x0.dtype == again.x1.dtype == torch.int64
    assert torch.equal(again.start.x0, whole.start.x0) and torch.equal(again.x1, whole.x1)
    assert torch.equal(again.start.calls, torch.full((2 * N,), L)) if whole.start.calls is not None else True
    if kind is Rewritten:
        assert again.index is None
    else:
        assert torch.equal(again.index, whole.index) and torch.equal(again.x1, data().x1[again.index])


def test_the_datum_of_a_pair_is_known_where_the_data_do_not_number_their_rows():
    pairs = prepare(NearestDatumHamming(), Batch(data().x1), CHAIN, block=10)
    assert torch.equal(pairs.x1, data().x1[pairs.index])


def test_pairs_made_with_another_model_are_refused(tmp_path):
    """Same class, same sizes, another table: its middle rows, which a repr would not show."""
    model = ngram(3)
    prepare(Rewritten(model, 2.0), data(), CHAIN, tmp_path, block=10)
    table = model.table.clone()
    table[len(table) // 2] = table[len(table) // 2].flip(0)
    changed = NGram(table, model.next, model.order, model.shape)
    with pytest.raises(ValueError, match="pairs made with coupling"):
        prepare(Rewritten(changed, 2.0), data(), CHAIN, tmp_path, block=10)
    with pytest.raises(ValueError, match="pairs made with coupling"):
        prepare(Rewritten(model, 2.5), data(), CHAIN, tmp_path, block=10)
    prepare(Rewritten(ngram(3), 2.0), data(), CHAIN, tmp_path, block=10)


@pytest.mark.parametrize("shown", [False, True])
def test_pairs_of_tokens_are_trained_on_as_they_are_given(shown):
    """From a user's own arrays: the starts are theirs, bit for bit, through objective and training."""
    x0, x1 = UniformTokens((L,), V).draw(N, noise=Noise.of(4, N)).x0, data().x1
    batch = Batch(x1, {}, None, Start(x0))
    source = Shown(CHAIN) if shown else CHAIN
    objective = replace(learning(MixturePath(0.5), source, sees=("draft",) if shown else ()), coupling=Given())
    pair = objective.pair(batch, noise=Noise.of(0, N))
    assert torch.equal(pair.start.x0, x0) and torch.equal(pair.x1, x1)
    if shown:
        assert torch.equal(pair.start.condition["draft"], x0)
    before = [p.clone() for p in objective.player.network.parameters()]
    trained = train(objective, batch, steps=3, batch=7, seed=0)
    assert any(not torch.equal(a, b) for a, b in zip(before, trained.raw["flow"].parameters(), strict=True))
    assert trained.facts["loss"] > 0


@pytest.mark.long
def test_a_flow_learns_given_pairs():
    """Every token has its own token to become: after training the field knows it at the start."""
    x0 = Noise.of(5, 64).integers("x0", L, high=V)
    batch = Batch((x0 + 1) % V, {}, None, Start(x0))
    objective = replace(learning(MixturePath(0.5), CHAIN), coupling=Given())
    train(objective, batch, steps=200, batch=32, seed=0, warmup=5)
    with torch.no_grad():
        told = objective.player.network.eval()(x0, torch.full((64,), 0.5)).argmax(-1)
    assert float((told == batch.x1).double().mean()) > 0.9
