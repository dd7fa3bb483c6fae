"""The jump solver's law equals the enumerated law of its own n-step factorised chain; calls follow their formula."""

import itertools
import warnings

import pytest
import torch
from scipy import stats

from warmflow.contracts import Field, Start
from warmflow.fields import ExactMarkov, ExactTokens, Guided, Tempered, TokenField
from warmflow.networks import TokenTransformer, seeded
from warmflow.noise import Noise
from warmflow.paths import MixturePath
from warmflow.sampler import Sampler
from warmflow.solvers import Jump, grid
from warmflow.solvers.jump import categorical
from warmflow.sources import (
    Corrupted,
    External,
    Filled,
    MarkovChain,
    MaskTokens,
    Shown,
    UniformTokens,
    partly_known,
    random_chain,
    uniform_kernel,
)

DRAWS = 100_000
ENDS = torch.tensor([[0, 0], [1, 2], [2, 1], [2, 2]])
WEIGHTS = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
DRAFTS = torch.tensor([[0, 1], [1, 1], [2, 1], [0, 2]])
UNIFORM = torch.full((3,), 1 / 3, dtype=torch.float64)
MASKED = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64)


def problem(kind, power):
    """A field and the law (K, L), (K,) of its starts."""
    if kind == "uniform":
        starts = torch.tensor(list(itertools.product(range(3), repeat=2)))
        return ExactTokens(ENDS, WEIGHTS, 3, MixturePath(0.0, power), source=UNIFORM), starts, torch.full((9,), 1 / 9)
    if kind == "mask":
        path = MixturePath(0.0, power, mask=3)
        return ExactTokens(ENDS, WEIGHTS, 3, path, source=MASKED), torch.tensor([[3, 3]]), torch.ones(1)
    return ExactTokens(ENDS, WEIGHTS, 3, MixturePath(0.6, power), starts=DRAFTS), DRAFTS, WEIGHTS


def chain_law(field, starts, weights, steps):
    """The law over tokens^L of the chain that fires and draws position by position, by enumeration."""
    length, tokens = starts.shape[1], 3 if field.path.mask is None else 4
    states = torch.tensor(list(itertools.product(range(tokens), repeat=length)))
    number = {tuple(s.tolist()): i for i, s in enumerate(states)}
    law = torch.zeros(len(states), dtype=torch.float64)
    for s, w in zip(starts, weights, strict=True):
        law[number[tuple(s.tolist())]] += float(w)
    path, t0 = field.path, field.path.t0
    times = [((steps - i) * t0 + i) / steps for i in range(steps + 1)]
    start = Start(states)
    for t, s in itertools.pairwise(times):
        k = lambda u: ((u - t0) / (1 - t0)) ** path.power  # noqa: E731
        p = (k(s) - k(t)) / (1 - k(t))
        q = torch.softmax(field(states, torch.full((len(states),), t, dtype=torch.float64), start).logits, 2)
        move = torch.zeros(len(states), len(states), dtype=torch.float64)
        for i, x in enumerate(states):
            here = []
            for j in range(length):
                one = torch.zeros(tokens, dtype=torch.float64)
                still = path.mask is not None and int(x[j]) != path.mask
                one[int(x[j])] += 1.0 if still else 1 - p
                if not still:
                    one[: q.shape[2]] += p * q[i, j]
                here.append(one)
            joint = here[0]
            for one in here[1:]:
                joint = (joint[:, None] * one).flatten()
            move[i] = joint
        law = law @ move
    return states, law


def chi_square(x, states, law):
    """p-value of counts of x (n, L) against a law over states."""
    tokens = int(states.max()) + 1
    code = lambda v: sum(v[:, j] * tokens ** (v.shape[1] - 1 - j) for j in range(v.shape[1]))  # noqa: E731
    counts = torch.bincount(code(x), minlength=len(states)).double()
    assert float(counts[law <= 1e-15].sum()) == 0, "a state of chance 0 was reached"
    keep = law * len(x) >= 5
    seen, expected = counts[keep], law[keep] * len(x)
    rest = (counts[~keep].sum(), law[~keep].sum() * len(x))
    if float(rest[1]) > 1:
        seen, expected = torch.cat([seen, rest[0][None]]), torch.cat([expected, rest[1][None]])
    expected = expected * seen.sum() / expected.sum()
    return float(stats.chisquare(seen, expected).pvalue) if len(seen) > 1 else 1.0


def source_of(kind):
    if kind == "uniform":
        return UniformTokens((2,), 3)
    return MaskTokens((2,), 3)


def walked(kind, field, steps, seed=0, n=DRAWS):
    if kind == "warm":
        rows = torch.multinomial(WEIGHTS, n, replacement=True, generator=torch.Generator().manual_seed(seed))
        return Sampler(MaskTokens((2,), 3), field, Jump(), steps)(start=Start(DRAFTS[rows]), seed=seed)
    return Sampler(source_of(kind), field, Jump(), steps)(n, seed=seed)


@pytest.mark.parametrize("steps", [1, 2, 4, 16])
@pytest.mark.parametrize("power", [1.0, 2.0, 0.5])
@pytest.mark.parametrize("kind", ["uniform", "mask", "warm"])
def test_the_law_is_that_of_the_enumerated_chain(kind, power, steps):
    field, starts, weights = problem(kind, power)
    states, law = chain_law(field, starts, weights, steps)
    assert chi_square(walked(kind, field, steps).x, states, law) > 1e-3


@pytest.mark.parametrize("steps", [1, 3, 16])
@pytest.mark.parametrize("power", [1.0, 3.0])
@pytest.mark.parametrize("kind", ["uniform", "mask"])
def test_one_token_has_the_law_of_the_data_at_any_number_of_steps(kind, power, steps):
    ends, weights = torch.tensor([[0], [1], [2]]), torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    path = MixturePath(0.0, power, mask=3 if kind == "mask" else None)
    field = ExactTokens(ends, weights, 3, path, source=MASKED if kind == "mask" else UNIFORM)
    source = MaskTokens((1,), 3) if kind == "mask" else UniformTokens((1,), 3)
    x = Sampler(source, field, Jump(), steps)(DRAWS, seed=1).x[:, 0]
    counts = torch.bincount(x, minlength=3)
    assert stats.chisquare(counts, weights * DRAWS).pvalue > 1e-3


def test_the_common_small_step_rule_is_another_law():
    """1 - exp(-h k'/(1-k)) never fires fully: total variation 0.019 on one token at 4 steps. Ours must not be it."""
    t = torch.tensor([0.0, 0.25, 0.5, 0.75], dtype=torch.float64)
    stay = (1 - MixturePath().fires(t, t + 0.25)).prod()
    assert float(stay) == 0.0
    assert float(torch.exp(-0.25 * MixturePath().rate(t)[:3]).prod()) > 0.3


@pytest.mark.long
@pytest.mark.parametrize("power", [1.0, 2.0])
@pytest.mark.parametrize("kind", ["uniform", "mask"])
def test_many_steps_reach_the_law_of_the_data(kind, power):
    field, _, _ = problem(kind, power)
    x = walked(kind, field, 400, n=20_000).x
    states = torch.tensor(list(itertools.product(range(3), repeat=2)))
    law = torch.zeros(9, dtype=torch.float64)
    law[(3 * ENDS[:, 0] + ENDS[:, 1])] = WEIGHTS
    counts = torch.bincount(3 * x[:, 0] + x[:, 1], minlength=9).double() / len(x)
    assert len(states) == 9 and float((counts - law).abs().sum()) / 2 < 0.02


def test_a_reversed_schedule_fails():
    """The chance to fire read from the wrong end of time gives another law."""
    field, starts, weights = problem("mask", 2.0)
    states, law = chain_law(field, starts, weights, 4)

    class Reversed(MixturePath):
        def fires(self, t, s):
            chance = MixturePath.fires(self, 1 - s.clamp(max=1 - 1e-9), 1 - t)
            return torch.where(s >= 1, torch.ones_like(chance), chance)

    wrong = ExactTokens(ENDS, WEIGHTS, 3, Reversed(0.0, 2.0, 3), source=MASKED)
    assert chi_square(walked("mask", wrong, 4).x, states, law) < 1e-6


# calls


@pytest.mark.long
@pytest.mark.parametrize(("t0", "steps", "says"), [(0.0, 1024, 206), (0.8, 205, 111)])
def test_calls_at_batch_one_follow_their_formula(t0, steps, says):
    length = 64
    formula = sum(1 - (1 - 1 / m) ** length for m in range(1, steps + 1))
    assert round(formula) == says
    flat = torch.full((8,), 1 / 8, dtype=torch.float64)
    field = ExactMarkov(flat, flat.expand(8, 8), flat.expand(8, 8), MixturePath(t0))
    calls = torch.cat([Sampler(UniformTokens((length,), 8), field, Jump(), steps)(1, seed=s).calls for s in range(12)])
    assert float(calls.double().mean()) == pytest.approx(formula, rel=0.03)
    together = Sampler(UniformTokens((length,), 8), field, Jump(), steps)(40, seed=99).calls
    assert float(together.double().mean()) == pytest.approx(formula, rel=0.03), "a batch must not cost its rows more"


def test_masked_positions_alone_cost_calls():
    """A masked sample needs at most one call a position: those that have jumped never fire again."""
    length, steps = 16, 4096
    flat = torch.full((8,), 1 / 8, dtype=torch.float64)
    kernel = torch.zeros(8, 9, dtype=torch.float64)
    kernel[:, 8] = 1
    field = ExactMarkov(flat, flat.expand(8, 8), kernel, MixturePath(mask=8))
    drawn = Sampler(MaskTokens((length,), 8), field, Jump(), steps)(3)
    assert bool((drawn.calls <= length).all()) and bool((drawn.x < 8).all())
    assert float(drawn.calls.double().mean()) == pytest.approx(steps * (1 - (1 - 1 / steps) ** length), rel=0.1)


class Counted(Field):
    """Asks an exact field, and notes how many rows and positions it was asked for."""

    def __init__(self, field):
        self.field, self.path, self.rows, self.positions = field, field.path, 0, 0

    def __call__(self, x_t, t, start, *, at=None):
        assert at is not None and bool(at.any(1).all()), "a row in which nothing fires was sent to the network"
        assert bool((t < 1).all())
        self.rows += len(x_t)
        estimate = self.field(x_t, t, start, at=at)
        self.positions += len(estimate.logits)
        return estimate


@pytest.mark.parametrize("kind", ["uniform", "mask"])
@pytest.mark.parametrize("steps", [1, 7, 64])
def test_calls_are_counted_on_the_field(kind, steps):
    field = Counted(problem(kind, 1.0)[0])
    drawn = Sampler(source_of(kind), field, Jump(), steps)(50, seed=2)
    assert int(drawn.calls.sum()) == field.rows <= 50 * steps
    assert field.positions <= 2 * field.rows
    if kind == "mask":
        assert field.positions == 50 * 2, "each masked position is drawn exactly once"


# fixed positions, starts on their way


@pytest.mark.parametrize("kind", ["uniform", "mask"])
def test_infilling_has_the_conditional_law(kind):
    """Fix the second token: the first must follow p(x^1 | x^2), which one step already gives."""
    field, _, _ = problem(kind, 1.0)
    for steps in (1, 5):
        given = torch.full((DRAWS, 2), -1, dtype=torch.int64)
        given[:, 1] = 2
        x0 = torch.where(given >= 0, given, source_of(kind).draw(DRAWS, noise=Noise.of(0, DRAWS)).x0)
        drawn = Sampler(source_of(kind), field, Jump(), steps)(start=Start(x0, fixed=given >= 0), seed=3)
        assert bool((drawn.x[:, 1] == 2).all())
        counts = torch.bincount(drawn.x[:, 0], minlength=3)
        assert int(counts[0]) == 0
        assert stats.chisquare(counts[1:], torch.tensor([0.75, 0.25]) * DRAWS).pvalue > 1e-3


def test_a_partly_known_sequence_starts_at_the_time_its_share_belongs_to():
    """k(when(a)) = a; from there only what is masked moves, and the grid ends at 1."""
    for power in (1.0, 2.0, 0.5):
        path = MixturePath(0.0, power, mask=3)
        share = torch.tensor([0.0, 0.25, 0.5, 0.9], dtype=torch.float64)
        assert torch.allclose(path.kappa(path.when(share)), share)
        start = Start(torch.tensor([[3, 2]] * 4), t=path.when(share))
        field = ExactTokens(ENDS, WEIGHTS, 3, path, source=MASKED)
        drawn = Sampler(MaskTokens((2,), 3), field, Jump(), 8)(start=start)
        assert bool((drawn.x[:, 1] == 2).all()) and bool((drawn.x[:, 0] < 3).all())
        assert torch.allclose(grid(path.begin(start), 8)[0], path.when(share))


def test_partly_known_starts_stand_where_their_share_belongs_and_keep_the_conditional_law():
    """What is given stays, whatever the source; from the mask one step has the law p(x^1 | x^2) already."""
    field, _, _ = problem("mask", 2.0)
    given = torch.tensor([[-1, 2], [-1, -1]]).repeat_interleave(DRAWS // 2, 0)
    start = partly_known(given, MaskTokens((2,), 3), field.path, noise=Noise.of(0, DRAWS))
    assert torch.allclose(field.path.kappa(start.t), (given >= 0).double().mean(1))
    x = Sampler(MaskTokens((2,), 3), field, Jump(), 6)(start=start, seed=1).x
    half = DRAWS // 2
    assert bool((x[:half, 1] == 2).all())
    counts = torch.bincount(x[:half, 0], minlength=3)
    assert stats.chisquare(counts[1:], torch.tensor([0.75, 0.25]) * half).pvalue > 1e-3
    with pytest.raises(ValueError, match="row 1 is known whole"):
        partly_known(torch.tensor([[-1, 2], [1, 2]]), MaskTokens((2,), 3), field.path, noise=Noise.of(0, 2))


def test_a_draft_that_cannot_see_what_is_given_is_overwritten_with_a_warning():
    chain = random_chain(3, 2, seed=0)
    given = {"given": torch.tensor([[2, -1]] * 50)}
    blind = External.of(torch.zeros(9, 2, dtype=torch.int64), (2,), None, 3)
    with pytest.warns(UserWarning, match="does not see"):
        start = Filled(blind, torch.tensor([-1, -1])).draw(50, given, noise=Noise.of(0, 50))
    assert bool((start.x0[:, 0] == 2).all()) and torch.equal(start.fixed, given["given"] >= 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for source in (chain, Shown(chain), Corrupted(chain, uniform_kernel(3, 0.5)), UniformTokens((2,), 3)):
            seen = Filled(source, torch.tensor([-1, 1])).draw(50, given, noise=Noise.of(0, 50))
            assert bool((seen.x0 == torch.tensor([2, 1])).all())


def test_guidance_of_logits_is_the_formula_at_two_calls():
    """u + scale (c - u) on logits, at all positions and at some."""
    network = seeded(0, lambda: TokenTransformer(4, classes=3, width=16, depth=1, heads=2))
    for p in network.parameters():
        torch.nn.init.normal_(p, std=0.3, generator=torch.Generator().manual_seed(2))
    field = TokenField(network, MixturePath(0.2), ("label",))
    x, t, label = torch.arange(12).reshape(3, 4) % 4, torch.full((3,), 0.5), torch.tensor([0, 1, 2])
    start, blind = Start(x, {"label": label}), Start(x, {"label": torch.full((3,), -1)})
    with torch.no_grad():
        c, u = field(x, t, start).logits, field(x, t, blind).logits
        whole = Guided(field, 2.5)(x, t, start)
        at = x == 1
        part = Guided(field, 2.5)(x, t, start, at=at)
    assert torch.allclose(whole.logits, u + 2.5 * (c - u), atol=1e-5) and whole.calls.tolist() == [2, 2, 2]
    assert torch.allclose(part.logits, whole.logits[at], atol=1e-5)


# draws


def test_draws_are_in_double_precision_and_never_of_chance_zero():
    """A tail of 2e-9 each in a large vocabulary holds its mass and its order; sums in float32 lose it."""
    n = 50_257
    logits = torch.full((1, n), -20.0)
    logits[0, 0] = 0.0
    each = torch.exp(torch.tensor(-20.0, dtype=torch.float64))
    total = 1 + (n - 1) * each
    wanted = torch.tensor([10, 20_000, 50_000])
    u = (1 + (wanted.double() - 0.5) * each) / total
    drawn, chance = categorical(logits.expand(3, n), u)
    assert drawn.tolist() == wanted.tolist() and torch.allclose(chance, each / total)
    impossible = torch.tensor([[-float("inf"), 0.0, -float("inf"), 0.0, -float("inf")]]).expand(7, 5)
    ends = torch.tensor([2.0**-54, 0.25, 0.5 - 1e-17, 0.5, 0.75, 1 - 2.0**-53, 1 - 2.0**-54], dtype=torch.float64)
    drawn, chance = categorical(impossible, ends)
    assert set(drawn.tolist()) == {1, 3} and bool((chance == 0.5).all())
    assert drawn[:2].tolist() == [1, 1] and drawn[-2:].tolist() == [3, 3]


def test_draws_follow_their_chances():
    logits = torch.tensor([0.3, -1.0, 2.0, -float("inf"), 0.7])
    drawn, _ = categorical(logits.expand(DRAWS, 5), Noise.of(1, DRAWS).uniform("u"))
    law = torch.softmax(logits.double(), 0)
    counts = torch.bincount(drawn, minlength=5)
    assert int(counts[3]) == 0
    assert stats.chisquare(counts[law > 0], law[law > 0] * DRAWS).pvalue > 1e-3


def test_the_callers_logits_are_left_alone():
    logits = torch.randn(4, 9, generator=torch.Generator().manual_seed(0))
    before = logits.clone()
    categorical(logits, Noise.of(0, 4).uniform("u"))
    assert torch.equal(logits, before)


# other laws, by name


def test_temperature_and_nucleus_are_what_they_say():
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    field = ExactTokens(torch.tensor([[0], [1], [2]]), weights, 3, MixturePath(), source=UNIFORM)

    def ask(f):
        x = torch.zeros(1, 1, dtype=torch.int64)
        return torch.softmax(f(x, torch.zeros(1), Start(x)).logits, 2)[0, 0]

    p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    assert torch.allclose(ask(field), p) and torch.allclose(ask(Tempered(field)), p)
    assert torch.allclose(ask(Tempered(field, 0.5)), p**2 / (p**2).sum())
    assert torch.allclose(ask(Tempered(field, top_p=0.6)), torch.tensor([0.625, 0.375, 0.0], dtype=torch.float64))
    assert torch.allclose(ask(Tempered(field, top_p=0.5)), torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64))
    assert torch.allclose(ask(Tempered(field, top_p=0.51)), torch.tensor([0.625, 0.375, 0.0], dtype=torch.float64))
    for bad in ({"temperature": 0.0}, {"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.5}):
        with pytest.raises(ValueError, match=f"{next(iter(bad))} is"):
            Tempered(field, **bad)


def test_the_corrector_keeps_the_share_that_is_drawn_and_makes_samples_likelier():
    """Low chances are put back first: at every time as many stand drawn as without, and samples lean to likely ones."""
    chain = random_chain(6, 16, seed=3, sharpness=2.0)
    kernel = torch.zeros(6, 7, dtype=torch.float64)
    kernel[:, 6] = 1
    field = ExactMarkov(chain.initial, chain.transition, kernel, MixturePath(mask=6))
    likely = {}
    for strength in (0.0, 0.3, 0.6):
        source = MaskTokens((16,), 6)
        start = source.draw(4000, noise=Noise.of(0, 4000))
        states = list(Sampler(source, field, Jump(strength), 8).walk(start, noise=Noise.of(1, 4000)))
        for i, state in enumerate(states):
            assert float((state.x < 6).double().mean()) == pytest.approx(i / 8, abs=0.01)
        assert bool((states[-1].calls <= 8).all())
        likely[strength] = float(chain.log_chances(states[-1].x).sum(1).mean())
    entropy = float(-chain.log_chances(chain.draw(4000, noise=Noise.of(2, 4000)).x0).sum(1).mean())
    assert likely[0.3] > likely[0.0] + 0.5
    assert likely[0.6] > -entropy, "likelier than the data itself: another law, and to be called so"
    for bad in (1.0, -0.1):
        with pytest.raises(ValueError, match="renoise is"):
            Jump(bad)


# exact fields


def test_the_chain_s_posteriors_equal_those_of_its_enumerated_texts():
    chain = random_chain(3, 4, seed=1)
    texts = torch.tensor(list(itertools.product(range(3), repeat=4)))
    weights = chain.log_chances(texts).sum(1).exp()
    assert float(weights.sum()) == pytest.approx(1)
    x = torch.randint(0, 3, (50, 4), generator=torch.Generator().manual_seed(0))
    t = 0.2 + 0.7 * Noise.of(0, 50).uniform("t")
    flat = torch.full((3,), 1 / 3, dtype=torch.float64)
    a = ExactMarkov(chain.initial, chain.transition, flat.expand(3, 3), MixturePath(0.2))
    b = ExactTokens(texts, weights, 3, MixturePath(0.2), source=flat)
    start = Start(x)
    assert torch.allclose(torch.softmax(a(x, t, start).logits, 2), torch.softmax(b(x, t, start).logits, 2))
    # drafts through a kernel: every (draft, text) pair, with its weight
    kernel = uniform_kernel(3, 0.4)
    drafts = texts.repeat(len(texts), 1)
    ends = texts.repeat_interleave(len(texts), 0)
    joint = weights.repeat_interleave(len(texts)) * kernel[ends, drafts].prod(1)
    a = ExactMarkov(chain.initial, chain.transition, kernel, MixturePath(0.2))
    b = ExactTokens(ends, joint, 3, MixturePath(0.2), starts=drafts)
    assert torch.allclose(torch.softmax(a(x, t, start).logits, 2), torch.softmax(b(x, t, start).logits, 2))


def test_either_drafts_or_a_law_of_starts():
    for more in ({}, {"starts": DRAFTS, "source": UNIFORM}):
        with pytest.raises(ValueError, match="starts"):
            ExactTokens(ENDS, WEIGHTS, 3, MixturePath(), **more)


def test_floating_starts_are_refused():
    field, _, _ = problem("uniform", 1.0)
    with pytest.raises(ValueError, match="int64"):
        Sampler(External.of(torch.zeros(3, 2), (2,)), field, Jump(), 2)(3)


def test_a_markov_chain_is_stationary():
    chain = random_chain(5, 3, seed=2)
    assert isinstance(chain, MarkovChain) and torch.allclose(chain.initial @ chain.transition, chain.initial)
    assert torch.allclose(chain.transition.sum(1), torch.ones(5, dtype=torch.float64))
