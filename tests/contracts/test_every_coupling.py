"""Couplings: the marginals they declare are kept as multisets, what belongs together travels together."""

from dataclasses import dataclass, field, replace

import pytest
import torch

from examples import cases, concrete, example, normal
from warmflow.contracts import Batch, Coupling, Source, Start
from warmflow.couplings import (
    Assignment,
    Encoded,
    Given,
    Independent,
    NearestDatum,
    NearestDraft,
    Semidiscrete,
    Walked,
    prepare,
)
from warmflow.noise import Noise
from warmflow.sources import Blurred, External, StandardNormal

N = 24


@dataclass(frozen=True, eq=False)
class Recorded(Source):
    """A source that remembers what it drew; knows labels where told to."""

    shape: tuple = (2,)
    takes: frozenset = frozenset({"label"})
    ready: torch.Tensor | None = None
    drawn: list = field(default_factory=list)

    def draw(self, n, condition=None, *, noise):
        given = dict(condition or {})
        x = self.ready if self.ready is not None else noise.normal("recorded", *self.shape)
        if "label" in self.takes and "label" in given:
            x = x + 100 * given["label"][:, None]
        self.drawn.append(x)
        return Start(x, given)


@dataclass(frozen=True, eq=False)
class WithLatent(Source):
    """A source that takes a latent z as well, and ignores it: what an encoder's coupling asks for."""

    source: Source

    @property
    def takes(self):
        return self.source.takes | {"z"}

    @property
    def shape(self):
        return self.source.shape

    def draw(self, n, condition=None, *, noise):
        given = dict(condition or {})
        start = self.source.draw(n, {k: v for k, v in given.items() if k != "z"}, noise=noise)
        return Start(start.x0, {**given, **start.condition})


def data(n=N):
    label = torch.arange(n) % 3
    return Batch(normal("x1", n, 2) + 100 * label[:, None], {"label": label, "tag": torch.arange(n)}, torch.arange(n))


def recorded(coupling):
    """A source that takes labels, but for couplings that would mix them."""
    mixes = isinstance(coupling, Assignment | Semidiscrete) and getattr(coupling, "within", None) is None
    return Recorded((2,), frozenset() if mixes else frozenset({"label"}))


def fitted_to(coupling, n):
    """A coupling that belongs to one set, cut to a set of n."""
    if not isinstance(coupling, Semidiscrete):
        return coupling
    return replace(
        coupling, dual=coupling.dual[:n], shares=None if coupling.shares is None else torch.full((n,), 1 / n)
    )


def paired(coupling, batch, source, seed=0):
    """The pairs; a coupling of given starts gets independent ones."""
    coupling = fitted_to(coupling, len(batch))
    noise = Noise.of(seed, len(batch))
    if isinstance(coupling, Given):
        pair = Independent().pair(batch, source, noise=noise)
        batch = Batch(pair.x1, batch.condition, pair.index, pair.start)
    if isinstance(coupling, Encoded):
        source = WithLatent(source)
    return coupling.pair(batch, source, noise=noise)


def multiset(x):
    return sorted(map(tuple, x.flatten(1).tolist()))


@pytest.mark.parametrize(("kind", "k"), cases(Coupling))
def test_declared_marginals_are_kept_exactly(kind, k):
    coupling, batch = example(kind, k), data()
    pair = paired(coupling, batch, source := recorded(coupling))
    assert coupling.preserves <= {"source", "data"}
    if "source" in coupling.preserves:
        assert multiset(pair.start.x0) == multiset(torch.cat(source.drawn))
    if "data" in coupling.preserves:
        assert multiset(pair.x1) == multiset(batch.x1)
        assert sorted(pair.index.tolist()) == list(range(N))


PLANTED = Batch(torch.tensor([[0.0], [10.0], [11.0], [12.0]]), {}, torch.arange(4))
DRAFTS = torch.tensor([[0.1], [0.2], [0.3], [50.0]])
MAKERS = {"source": NearestDraft(), "data": NearestDatum()}


@pytest.mark.parametrize("side", ["source", "data"])
@pytest.mark.parametrize("kind", concrete(Coupling), ids=lambda k: k.__name__)
def test_marginals_that_are_not_declared_are_lost_on_a_planted_example(kind, side):
    coupling = fitted_to(example(kind), 4)
    if side in coupling.preserves or isinstance(coupling, Encoded | Walked):
        return  # what an encoder loses of its source, a flow of the data: tests/truths/test_learned_prior.py, test_reflow.py
    source = Recorded((1,), frozenset(), DRAFTS)
    batch = prepare(MAKERS[side], PLANTED, source) if isinstance(coupling, Given) else PLANTED
    pair = coupling.pair(batch, source, noise=Noise.of(0, 4))
    kept = {"source": (pair.start.x0, DRAFTS), "data": (pair.x1, PLANTED.x1)}
    assert multiset(kept[side][0]) != multiset(kept[side][1]), "declare the marginal in `preserves`: it is kept"


@pytest.mark.parametrize("blurred", [False, True])
@pytest.mark.parametrize(("kind", "k"), cases(Coupling))
def test_conditions_travel_with_their_datum_and_drafts_with_their_start(kind, k, blurred):
    coupling, batch = example(kind, k), data()
    source = Blurred(recorded(coupling), 1e-4) if blurred else recorded(coupling)
    if isinstance(coupling, Walked):
        return  # its targets are no data
    pair = paired(coupling, batch, source)
    assert torch.equal(pair.x1, batch.x1[pair.index])
    assert torch.equal(pair.start.condition["tag"], batch.condition["tag"][pair.index])
    assert torch.equal(pair.start.condition["label"], batch.condition["label"][pair.index])
    if blurred:
        assert float((pair.start.x0 - pair.start.condition["draft"]).abs().max()) < 1e-3


@pytest.mark.parametrize("kind", concrete(Coupling), ids=lambda k: k.__name__)
def test_drafts_that_the_data_names_travel_with_their_start_too(kind):
    """A draft given as a condition of the batch, as where it is a function of another condition."""
    source = Blurred(StandardNormal((2,)), 1e-4)
    batch = Batch(normal("x1", N, 2), {"draft": 5 * normal("d", N, 2)}, torch.arange(N))
    pair = paired(example(kind), batch, source)
    assert float((pair.start.x0 - pair.start.condition["draft"]).abs().max()) < 1e-3


@pytest.mark.parametrize("blurred", [False, True])
def test_pairing_within_labels_stays_within_labels(blurred):
    source = Blurred(Recorded(), 0.01) if blurred else Recorded()
    pair = Assignment(within="label").pair(data(), source, noise=Noise.of(0, N))
    start = pair.start.condition["draft"] if blurred else pair.start.x0
    assert torch.equal((start[:, 0] / 100).round().long(), pair.start.condition["label"])
    # and within a label it is the best permutation of that label's rows
    for label in range(3):
        rows = pair.start.condition["label"] == label
        a, b = start[rows].double(), pair.x1[rows].double()
        best = Assignment().pair(Batch(b.float()), Recorded((2,), frozenset(), a.float()), noise=Noise.of(0, len(a)))
        cost = (a - b).square().sum()
        assert float(cost) == pytest.approx(float((best.start.x0 - best.x1).double().square().sum()), rel=1e-6)


def test_pairing_within_a_label_that_the_draft_ignores_is_an_error():
    for source in (StandardNormal((2,)), Blurred(StandardNormal((2,)), 0.3)):
        with pytest.raises(ValueError, match="within 'label'"):
            Assignment(within="label").pair(data(), source, noise=Noise.of(0, N))
    with pytest.raises(ValueError, match="within 'label'"):
        Assignment(within="label").pair(Batch(torch.zeros(N, 2)), Recorded(), noise=Noise.of(0, N))


@pytest.mark.parametrize(
    "coupling", [Assignment(), fitted_to(example(Semidiscrete), N)], ids=["assignment", "semidiscrete"]
)
def test_pairing_across_labels_that_the_draft_was_drawn_for_is_an_error(coupling):
    for source in (Recorded(), Blurred(Recorded(), 0.3)):
        with pytest.raises(ValueError, match=r"Assignment\(within='label'\)") as error:
            coupling.pair(data(), source, noise=Noise.of(0, N))
        assert "\n" not in str(error.value)
    bare = Batch(data().x1, {}, torch.arange(N))
    for batch, source in ((bare, Recorded()), (data(), Recorded((2,), frozenset()))):
        coupling.pair(batch, source, noise=Noise.of(0, N))


@pytest.mark.parametrize(("kind", "k"), cases(Coupling))
def test_one_seed_gives_one_pairing(kind, k):
    coupling = example(kind, k)
    a, b, c = (paired(coupling, data(), recorded(coupling), seed) for seed in (0, 0, 1))
    assert torch.equal(a.start.x0, b.start.x0) and torch.equal(a.x1, b.x1)
    assert not torch.equal(a.start.x0, c.start.x0)


@pytest.mark.parametrize(("kind", "k"), cases(Coupling))
def test_inputs_are_left_as_they_were(kind, k):
    batch, coupling = data(), example(kind, k)
    before = [batch.x1.clone(), *(v.clone() for v in batch.condition.values())]
    paired(coupling, batch, recorded(coupling))
    assert all(torch.equal(a, b) for a, b in zip(before, [batch.x1, *batch.condition.values()], strict=True))


def test_paired_data_is_not_paired_again():
    batch = prepare(Independent(), data(), StandardNormal((2,)))
    for coupling in (Independent(), Assignment(), NearestDatum(), NearestDraft()):
        with pytest.raises(ValueError, match="already paired"):
            coupling.pair(batch, StandardNormal((2,)), noise=Noise.of(0, N))
    with pytest.raises(ValueError, match="already paired|prepare"):
        Given().pair(data(), StandardNormal((2,)), noise=Noise.of(0, N))


def test_given_drafts_are_blurred_once_and_afresh_at_every_visit():
    sigma, n = 0.5, 4000
    drafts = normal("drafts", n, 2)
    batch = Batch(torch.zeros(n, 2), {}, None, Start(drafts))
    source = Blurred(StandardNormal((2,)), sigma)
    first, second = (Given().pair(batch, source, noise=Noise.of(s, n)).start for s in (0, 1))
    for start in (first, second):
        assert torch.equal(start.condition["draft"], drafts)
        assert float((start.x0 - drafts).std()) == pytest.approx(sigma, rel=0.05)
    assert float((first.x0 - second.x0).std()) == pytest.approx(sigma * 2**0.5, rel=0.05)


def test_blur_stays_independent_of_the_pairing():
    """Pairs are made by the draft: paired by x0, the blur would lean towards the datum."""
    n = 1500
    batch = Batch(normal("x1", n, 2), {}, torch.arange(n))
    start = (pair := Assignment().pair(batch, Blurred(StandardNormal((2,)), 1.0), noise=Noise.of(0, n))).start
    eps, to_datum = start.x0 - start.condition["draft"], pair.x1 - start.condition["draft"]
    r = torch.corrcoef(torch.stack([eps.flatten(), to_datum.flatten()]).double())[0, 1]
    assert abs(float(r)) < 4 / (2 * n) ** 0.5


# prepare: any coupling offline


@pytest.mark.parametrize("coupling", [Independent(), Assignment()], ids=lambda c: type(c).__name__)
@pytest.mark.parametrize(("block", "rounds"), [(100, 1), (7, 1), (10, 3), (1, 2)])
def test_prepared_pairs_use_every_datum_and_every_start_once_a_round(coupling, block, rounds):
    source, batch = Recorded((2,), frozenset()), data()
    pairs = prepare(coupling, batch, source, block=block, rounds=rounds, seed=4)
    assert len(pairs) == rounds * N
    for k in range(rounds):
        part = pairs[k * N : (k + 1) * N]
        assert sorted(part.index.tolist()) == list(range(N))
        assert torch.equal(part.x1, batch.x1[part.index])
        assert torch.equal(part.start.condition["tag"], part.index)
    assert multiset(pairs.start.x0) == multiset(torch.cat(source.drawn))
    assert len(set(multiset(pairs.start.x0))) == rounds * N, "two rounds share their starts"


def test_prepare_continues_where_it_was_cut_off_and_refuses_other_settings(tmp_path):
    source, batch = StandardNormal((2,)), data()
    whole = prepare(Assignment(), batch, source, None, block=10, rounds=2)
    first = prepare(Assignment(), batch, source, tmp_path, block=10, rounds=2)
    files = sorted(tmp_path.glob("round-*.safetensors"))
    for file in files[1::2]:
        file.unlink()
    recorded = Recorded((2,), frozenset())
    again = prepare(Assignment(), batch, source, tmp_path, block=10, rounds=2)
    for pairs in (first, again):
        assert torch.equal(pairs.start.x0, whole.start.x0) and torch.equal(pairs.index, whole.index)
        assert torch.equal(pairs.start.condition["label"], whole.start.condition["label"])
    for changed in ({"block": 5}, {"seed": 1}, {"source": recorded}, {"coupling": Independent()}, {"data": data(12)}):
        arguments = {"coupling": Assignment(), "data": batch, "source": source, "block": 10, "rounds": 2, **changed}
        with pytest.raises(ValueError, match=next(iter(changed))):
            prepare(folder=tmp_path, **arguments)


def test_stale_pairs_are_refused_when_only_the_values_changed(tmp_path):
    """Same class, same sizes: a draft trained further, or data mended, must not be given yesterday's pairs."""
    batch, sigma = data(), {"source": Blurred(Recorded((2,), frozenset()), 0.1), "data": data()}
    prepare(Assignment(), batch, sigma["source"], tmp_path, block=10)
    mended = Batch(batch.x1.clone(), batch.condition, batch.index)
    mended.x1[-1, 0] += 1e-3
    relabelled = Batch(batch.x1, {**batch.condition, "label": batch.condition["label"].flip(0)}, batch.index)
    changes = [("source", Blurred(Recorded((2,), frozenset()), 0.2)), ("data", mended), ("data", relabelled)]
    for name, value in changes:
        arguments = {**sigma, name: value}
        with pytest.raises(ValueError, match=f"pairs made with {name}"):
            prepare(Assignment(), arguments["data"], arguments["source"], tmp_path, block=10)
    again = prepare(Assignment(), batch, sigma["source"], tmp_path, block=10)
    assert torch.equal(again.start.x0, prepare(Assignment(), batch, sigma["source"], block=10).start.x0)


def test_a_source_that_does_not_repeat_itself_is_known_by_its_name(tmp_path):
    """A callable that ignores its seed still resumes: its finished blocks are read, not refused."""
    generator = torch.Generator().manual_seed(0)
    source = External(lambda n, seed: torch.randn(n, 2, generator=generator), (2,))
    first = prepare(Assignment(), data(), source, tmp_path, block=10)
    again = prepare(Assignment(), data(), source, tmp_path, block=10)
    assert torch.equal(first.start.x0, again.start.x0)


def test_a_draft_that_is_its_own_start_can_be_kept(tmp_path):
    """x0 and the draft in the condition may be one tensor."""

    @dataclass(frozen=True, eq=False)
    class Bare(Source):
        shape: tuple = (2,)
        takes: frozenset = frozenset()

        def draw(self, n, condition=None, *, noise):
            x = noise.normal("bare", 2)
            return Start(x, {**(condition or {}), "draft": x})

    pairs = prepare(Independent(), data(), Bare(), tmp_path, block=10)
    assert torch.equal(pairs.start.x0, pairs.start.condition["draft"])
