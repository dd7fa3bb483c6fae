"""What holds of every class that speaks tokens, by kind: the contracts of the house, stated again where floats stood."""

import dataclasses
import json

import pytest
import torch
from token_examples import TEXT, TOKEN_EXAMPLES, L, V, transformer

from examples import below, concrete
from warmflow.checkpoints import config, rebuild
from warmflow.contracts import (
    Batch,
    Coupling,
    Field,
    JumpPath,
    Objective,
    Pair,
    Path,
    Solver,
    Source,
    Start,
)  # fmt: skip
from warmflow.fields import TokenField
from warmflow.networks import Network
from warmflow.noise import Noise
from warmflow.paths import MixturePath
from warmflow.records import concatenate
from warmflow.sampler import Sampler
from warmflow.solvers import Jump
from warmflow.sources import LSTM, Autoregressive, MarkovChain, NGram, UniformTokens

N = 23
BASES = (Source, Coupling, Path, Field, Solver, Objective, Network)


def cases(*bases):
    return [
        pytest.param(kind, k, id=f"{kind.__name__}-{k}")
        for base in bases
        for kind in concrete(base, tokens=True)
        for k in range(len(TOKEN_EXAMPLES[kind]))
    ]


def example(kind, k=0):
    return TOKEN_EXAMPLES[kind][k]()


def tokens(name, n=N, high=V):
    return Noise.of(98, n).integers(name, L, high=high)


def start_of(n=N, **more):
    return Start(tokens("x0", n), {"draft": tokens("draft", n), "label": torch.arange(n) % 3}, **more)


def same(a, b):
    """Two configurations and their tensors, equal in every bit."""
    return json.dumps(a[0]) == json.dumps(b[0]) and all(
        torch.equal(a[1][k], b[1][k]) for k in a[1].keys() | b[1].keys()
    )


KINDS = sorted({k for base in BASES for k in concrete(base, tokens=True)}, key=lambda k: k.__qualname__)


def test_every_example_is_of_a_class_that_is_found():
    assert set(KINDS) == set(TOKEN_EXAMPLES)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_final_and_frozen(kind):
    assert all(type(build()) is kind for build in TOKEN_EXAMPLES[kind])
    assert not [k for k in below(kind) if k.__module__.startswith("warmflow")]
    if not issubclass(kind, Network):
        assert dataclasses.is_dataclass(kind) and kind.__dataclass_params__.frozen


@pytest.mark.parametrize(("kind", "k"), cases(Source, Coupling, Path, Field, Solver, Network))
def test_config_then_rebuild_is_the_identity(kind, k):
    part = example(kind, k)
    described, tensors = config(part)
    again = rebuild(json.loads(json.dumps(described)), tensors)
    assert type(again) is kind and same(config(again), (described, tensors))


# sources


@pytest.mark.parametrize("batch", [1, 7, N])
@pytest.mark.parametrize(("kind", "k"), cases(Source))
def test_one_seed_gives_the_same_tokens_at_every_batch_size(kind, k, batch):
    source = example(kind, k)
    whole = source.draw(N, noise=Noise.of(3, N))
    assert whole.x0.shape == (N, L) and whole.x0.dtype == torch.int64
    firsts = range(0, N, batch)
    parts = concatenate([source.draw(min(batch, N - i), noise=Noise.of(3, min(batch, N - i), i)) for i in firsts])
    if kind is LSTM:  # matrix products: their last bits, and so in rare cases a draw, change with the batch
        likely = [source.log_chances(whole.x0[i : i + batch]) for i in firsts]
        assert torch.allclose(torch.cat(likely), source.log_chances(whole.x0), atol=1e-5)
    else:
        assert torch.equal(whole.x0, parts.x0)
    tag = {"tag": torch.arange(N)}
    assert torch.equal(source.draw(N, tag, noise=Noise.of(3, N)).condition["tag"], tag["tag"])
    assert source.draw(0, noise=Noise.of(0, 0)).x0.shape == (0, L)


@pytest.mark.parametrize("kind", [k for k in concrete(Source, tokens=True) if issubclass(k, Autoregressive)])
def test_likelihood_and_draws_are_of_one_law(kind):
    """Chances sum to 1 over all continuations, and the first two tokens drawn follow them."""
    n = 40_000
    for k in range(len(TOKEN_EXAMPLES[kind])):
        source = example(kind, k)
        pairs = torch.cartesian_prod(torch.arange(V), torch.arange(V))
        law = source.log_chances(pairs).sum(1).exp()
        assert float(law.sum()) == pytest.approx(1, abs=1e-6)
        x = source.draw(n, noise=Noise.of(0, n)).x0[:, :2]
        counts = torch.bincount(V * x[:, 0] + x[:, 1], minlength=V * V).double()
        keep = law * n > 5
        chi = ((counts - law * n) ** 2 / (law * n))[keep].sum()
        assert float(chi) < int(keep.sum()) + 4 * (2 * int(keep.sum())) ** 0.5


@pytest.mark.parametrize("kind", [k for k in concrete(Source, tokens=True) if issubclass(k, Autoregressive)])
def test_given_tokens_are_written_and_seen_from_the_right(kind):
    source, n = example(kind, len(TOKEN_EXAMPLES[kind]) - 1), 4000
    given = torch.full((n, L), -1)
    given[:, 0], given[:, 3] = 2, 1
    start = source.draw(n, {"given": given}, noise=Noise.of(0, n))
    assert bool((start.x0[:, 0] == 2).all() and (start.x0[:, 3] == 1).all())
    assert torch.equal(start.fixed, given >= 0) and "given" not in start.condition
    law = source.log_chances(torch.stack([torch.full((V,), 2), torch.arange(V)], 1))[:, 1].exp()
    found = torch.bincount(start.x0[:, 1], minlength=V).double() / n
    assert float((found - law).abs().max()) < 0.03


# paths


@pytest.mark.parametrize(("kind", "k"), cases(Path))
def test_ends_are_exact_and_the_share_between_is_the_schedule_s(kind, k):
    path, n = example(kind, k), 4000
    assert issubclass(kind, JumpPath)
    pair = Pair(Start(tokens("a", n) + V), tokens("b", n))  # no token of a start is one of a datum
    begin = path.begin(pair.start)
    at = lambda t: path.sample(pair, t, noise=Noise.of(0, n)).x_t  # noqa: E731
    assert torch.equal(at(begin), pair.start.x0) and torch.equal(at(torch.ones(n)), pair.x1)
    t = begin + 0.4 * (1 - begin)
    share = float((at(t) == pair.x1).double().mean())
    assert share == pytest.approx(float(path.kappa(t)[0]), abs=4 * 0.5 / (n * L) ** 0.5)
    assert share == pytest.approx(0.4**path.power, abs=4 * 0.5 / (n * L) ** 0.5)
    first, second = (at(t) == pair.x1)[:, 0].double(), (at(t) == pair.x1)[:, 1].double()
    assert abs(float(torch.corrcoef(torch.stack([first, second]))[0, 1])) < 4 / n**0.5, "positions jump together"


@pytest.mark.parametrize(("kind", "k"), cases(Path))
def test_chances_to_fire_chain_and_rates_are_their_slopes(kind, k):
    """Not fired by s, then not by r, is not fired by r; the rate is the limit; both ends are exact."""
    path = example(kind, k)
    begin = path.begin(Start(torch.zeros(200, L)))
    u = Noise.of(1, 200).uniform("u", 2).sort(1).values
    t, s = (begin + (1 - begin) * u[:, i] for i in (0, 1))
    one = torch.ones(200, dtype=torch.float64)
    assert torch.allclose((1 - path.fires(begin, t)) * (1 - path.fires(t, s)), 1 - path.fires(begin, s), atol=1e-12)
    assert torch.equal(path.fires(t, one), one) and torch.equal(path.fires(begin, one), one)
    assert torch.equal(path.fires(t, t), 0 * one) and torch.equal(path.fires(one, one), 0 * one)
    t = begin + (1 - begin) * (0.05 + 0.9 * u[:, 0])
    assert torch.allclose(path.fires(t, t + 1e-6) / 1e-6, path.rate(t), rtol=1e-3)
    near = torch.full((200,), 1 - 1e-6, dtype=torch.float64)
    assert bool(torch.isfinite(path.rate(near)).all()) and bool(torch.isfinite(path.rate(one)).all())


def test_a_linear_schedule_s_rate_does_not_know_t0():
    t = torch.linspace(0.7, 0.99, 30, dtype=torch.float64)
    for power, alike in ((1.0, True), (2.0, False)):
        a, b = MixturePath(0.0, power).rate(t), MixturePath(0.6, power).rate(t)
        assert torch.allclose(a, b, rtol=1e-9) is alike


@pytest.mark.parametrize(
    "bad", [{"t0": 1.0}, {"t0": -0.1}, {"t0": float("nan")}, {"power": 0.0}, {"power": float("inf")}]
)
def test_impossible_schedules_are_named(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))} is"):
        MixturePath(**bad)


# fields


def ask(field, rows=slice(None), at=None, start=None):
    start = start_of() if start is None else start
    t = field.path.begin(start)
    t = t + (1 - t) * Noise.of(1, N).uniform("t")
    x = tokens("x_t")
    return field(x[rows], t[rows], start[rows], at=None if at is None else at[rows])


@pytest.mark.parametrize(("kind", "k"), cases(Field))
def test_logits_at_some_positions_are_those_of_all(kind, k):
    field = example(kind, k)
    whole = ask(field)
    assert whole.logits.shape == (N, L, V) and whole.calls.tolist() == [1] * N
    for at in (tokens("at") > 2, torch.ones(N, L, dtype=torch.bool), torch.arange(N * L).reshape(N, L) == 40):
        part = ask(field, at=at).logits
        assert torch.allclose(part, whole.logits[at], atol=1e-5) and len(part) == int(at.sum())


@pytest.mark.parametrize(("kind", "k"), cases(Field))
def test_rows_are_independent_and_of_the_start_only_its_condition_is_seen(kind, k):
    field, rows = example(kind, k), torch.tensor([20, 2, 2])
    assert torch.allclose(ask(field).logits[rows], ask(field, rows).logits, atol=1e-5)
    other = dataclasses.replace(start_of(), x0=tokens("other"))
    assert torch.equal(ask(field).logits, ask(field, start=other).logits)


@pytest.mark.parametrize(("kind", "k"), cases(Field))
def test_a_condition_that_is_missing_is_named(kind, k):
    field = example(kind, k)
    if getattr(field, "sees", ()):
        with pytest.raises(ValueError, match=field.sees[0]):
            ask(field, start=Start(tokens("x0")))


def test_time_and_conditions_change_the_answer_and_positions_matter():
    network = transformer(sees=("draft",), classes=3)
    x, t, label = tokens("x"), torch.full((N,), 0.3), torch.arange(N) % 3
    base = network(x, t, draft=x, label=label)
    assert not torch.allclose(base, network(x, t + 0.3, draft=x, label=label), atol=1e-4)
    assert not torch.allclose(base, network(x, t, draft=tokens("y"), label=label), atol=1e-4)
    assert not torch.allclose(base, network(x, t, draft=x, label=label * 0 - 1), atol=1e-4)
    turned = network(x.flip(1), t, draft=x.flip(1), label=label).flip(1)
    assert not torch.allclose(base, turned, atol=1e-4), "without positions the network is a bag of tokens"


def test_rotary_positions_are_relative():
    """What attention sees of two tokens depends on their distance alone: shifted text, shifted answer in the middle."""
    from warmflow.networks.transformer import rotary, turned

    cos, sin = rotary(40, 8, torch.device("cpu"))
    q, k = Noise.of(0, 1).normal("q", 8), Noise.of(0, 1).normal("k", 8)
    score = lambda i, j: float((turned(q, cos[i], sin[i]) * turned(k, cos[j], sin[j])).sum())  # noqa: E731
    assert score(3, 7) == pytest.approx(score(30, 34), abs=1e-5)
    assert abs(score(3, 7) - score(3, 8)) > 1e-3


def test_without_places_a_masked_text_looks_alike_everywhere():
    x, t = torch.full((1, L), V), torch.zeros(1)
    for length, alike in ((0, True), (L, False)):
        logits = transformer(extra=1, length=length)(x, t)
        assert torch.allclose(logits[:, 0], logits[:, -1], atol=1e-5) is alike


def test_an_untrained_network_finds_every_token_equally_likely():
    from warmflow.networks import TokenTransformer, seeded

    network = seeded(0, lambda: TokenTransformer(V))
    assert torch.equal(network(tokens("x"), torch.rand(N)), torch.zeros(N, L, V))


# solvers


@pytest.mark.parametrize(("kind", "k"), cases(Solver))
def test_a_step_is_pure_and_rows_may_stand_still(kind, k):
    solver, field = example(kind, k), example(TokenField)
    t = torch.full((N,), 0.4, dtype=torch.float64)
    state = solver.begin(start_of(), t, noise=Noise.of(0, N))
    before = [v.clone() for v in (state.x, state.t, state.calls, state.start.x0)]
    still = torch.arange(N) % 3 == 2
    s = torch.where(still, t, torch.full_like(t, 0.8))
    with torch.no_grad():
        a, b = (solver.step(field, state, s, noise=Noise.of(0, N)) for _ in range(2))
    assert torch.equal(a.x, b.x) and torch.equal(a.t, s)
    assert all(torch.equal(u, v) for u, v in zip(before, (state.x, state.t, state.calls, state.start.x0), strict=True))
    assert torch.equal(a.x[still], state.x[still]) and int(a.calls[still].sum()) == 0 < int(a.calls.sum())


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize(("kind", "k"), cases(Solver))
@pytest.mark.parametrize("name", ["ExactMarkov", "ExactTokens"])
def test_samples_are_equal_at_every_batch_size(kind, k, batch, name):
    field = next(example(f) for f in concrete(Field, tokens=True) if f.__name__ == name)
    sampler = Sampler(UniformTokens((L,), V), field, example(kind, k), 5)
    whole, parts = sampler(N, seed=5), sampler(N, seed=5, batch=batch)
    assert torch.equal(whole.x, parts.x) and torch.equal(whole.calls, parts.calls)
    assert torch.equal(sampler(9, seed=5).x, whole.x[:9]) and not torch.equal(sampler(N, seed=6).x, whole.x)


@pytest.mark.parametrize(("kind", "k"), cases(Solver))
def test_fixed_positions_stay(kind, k):
    fixed = torch.arange(N * L).reshape(N, L) % 3 == 0
    start = start_of(fixed=fixed)
    with torch.no_grad():
        drawn = Sampler(UniformTokens((L,), V), example(TokenField), example(kind, k), 5)(start=start)
    assert torch.equal(drawn.x[fixed], start.x0[fixed]) and not torch.equal(drawn.x, start.x0)


def test_a_token_sampler_is_a_source_of_tokens():
    sampler = Sampler(UniformTokens((L,), V), example(TokenField), Jump(), 4)
    start = sampler.draw(9, noise=Noise.of(5, 9))
    assert start.x0.dtype == torch.int64 and torch.equal(start.x0, sampler(9, seed=5).x)


# objectives


def batch_of(n=30):
    return Batch(tokens("x1", n), {"label": torch.arange(n) % 3}, torch.arange(n))


@pytest.mark.parametrize(("kind", "k"), cases(Objective))
def test_the_loss_of_a_batch_is_the_mean_of_its_parts(kind, k):
    objective, noise = example(kind, k), Noise.of(0, 30)
    turn, pair = objective.turn(0), objective.pair(batch_of(), noise=noise)
    whole = objective.loss(turn, pair, noise=noise)[0]
    parts = [objective.loss(turn, pair[slice(i, None, 3)], noise=noise[i::3])[0] for i in range(3)]
    assert whole.item() == pytest.approx(sum(parts).item() / 3, rel=1e-5)
    whole.backward()
    gradients = [p.grad for p in objective.players[turn].network.parameters()]
    assert all(bool(torch.isfinite(g).all()) for g in gradients if g is not None)
    assert sum(float(g.abs().sum()) for g in gradients if g is not None) > 0
    assert objective.product in objective.players


def test_unknown_weightings_are_named():
    objective = next(example(k) for k in concrete(Objective, tokens=True))
    with pytest.raises(ValueError, match="weighting is 'mse'"):
        dataclasses.replace(objective, weighting="mse")


# n-grams and chains in closed form


def test_ngram_chances_are_the_discounted_recursion():
    """Against a direct, dictionary-based recursion on a small text, every context of every order."""
    order = 3
    model = NGram.fit(TEXT, vocabulary=V, order=order, length=L)
    text = TEXT.tolist()
    grams = [{} for _ in range(order)]
    for m in range(order):
        for i in range(m, len(text)):
            key = tuple(text[i - m : i + 1])
            grams[m][key] = grams[m].get(key, 0) + 1

    def discount(m):
        n = [sum(1 for c in grams[m].values() if c == k) for k in (1, 2, 3, 4)]
        if not all(n):
            return [0.5, 0.75, 0.9]
        y = n[0] / (n[0] + 2 * n[1])
        raw = [1 - 2 * y * n[1] / n[0], 2 - 3 * y * n[2] / n[1], 3 - 4 * y * n[3] / n[2]]
        return [min(max(d, 0.1), k - 0.1) for k, d in enumerate(raw, 1)]

    def chance(context, w):
        lower = 1 / V if not context else chance(context[1:], w)
        if context and grams[len(context) - 1].get(context) is None:
            return lower
        m, d = len(context), discount(len(context))
        counts = [grams[m].get((*context, v), 0) for v in range(V)]
        total = sum(counts)
        if not total:
            return lower
        taken = [d[min(c, 3) - 1] if c else 0.0 for c in counts]
        return (counts[w] - taken[w] + sum(taken) * lower) / total

    x = torch.cartesian_prod(*[torch.arange(V)] * 4)
    found = model.log_chances(x).exp()
    for row, values in zip(x.tolist(), found.tolist(), strict=True):
        for i in range(4):
            assert values[i] == pytest.approx(chance(tuple(row[max(0, i - order + 1) : i]), row[i]), rel=1e-5)


@pytest.mark.long
def test_a_long_text_teaches_a_bigram_the_chain_it_came_from():
    chain = MarkovChain(example(MarkovChain).initial, example(MarkovChain).transition, (200_000,))
    text = chain.draw(1, noise=Noise.of(0, 1)).x0[0]
    model = NGram.fit(text, vocabulary=V, order=2, length=L)
    found = model.log_chances(torch.cartesian_prod(torch.arange(V), torch.arange(V)))[:, 1].exp().reshape(V, V)
    assert torch.allclose(found, chain.transition, atol=0.02)


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"order": 0}, "order is 0"), ({"order": 2.0}, "order is 2.0"), ({"order": 99}, "order is 99"),
        ({"vocabulary": 3}, "token 4"), ({"text": TEXT[:2]}, "too few"), ({"text": TEXT - 9}, "token"),
    ],
)  # fmt: skip
def test_impossible_ngrams_are_named(more, match):
    with pytest.raises(ValueError, match=match):
        NGram.fit(**{"text": TEXT, "vocabulary": V, "order": 3, "length": L, **more})
