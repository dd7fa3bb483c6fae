"""Couplings of tokens against enumerated laws, and their audit against closed forms."""

from __future__ import annotations

import itertools
import json
import math

import pytest
import torch
from torch import Tensor

from warmflow.contracts import Batch, Start
from warmflow.couplings import (
    AssignmentHamming,
    Given,
    Independent,
    Maximal,
    NearestDatumHamming,
    NearestDraftHamming,
    Resampled,
    Rewritten,
    prepare,
)
from warmflow.couplings import channel as channel_module
from warmflow.couplings.channel import drawn_near, messages, table_of
from warmflow.couplings.hamming import hamming
from warmflow.metrics.audit import auc
from warmflow.metrics.audit_tokens import TokenAudit, audit_tokens, divergence, features, shift
from warmflow.networks import TokenLSTM
from warmflow.noise import Noise, mix
from warmflow.sources import LSTM, Autoregressive, MarkovChain, NGram, StandardNormal, UniformTokens, random_chain

V, L = 3, 4
TEXTS = torch.cartesian_prod(*[torch.arange(V)] * L)
STREAM = random_chain(V, 3000, seed=5, sharpness=1.0).draw(1, noise=Noise.of(0, 1)).x0[0]


def ngram(order: int) -> NGram:
    """An n-gram whose contexts say much: of a stream in which every third token repeats the one three before."""
    x = STREAM.clone()
    for i in range(3, len(x)):
        if i % 4:
            x[i] = (x[i - 1] + x[i - 3]) % V
    return NGram.fit(x, vocabulary=V, order=order, length=L)


def code(x: Tensor) -> Tensor:
    return (x * V ** torch.arange(x.shape[1] - 1, -1, -1)).sum(1)


def law_near(model: Autoregressive, y: Tensor, strength: float) -> Tensor:
    """The enumerated law of texts near y, in the order of TEXTS."""
    log = model.log_chances(TEXTS).sum(1) - strength * (y != TEXTS).sum(1)
    return torch.softmax(log, 0)


def shares(x: Tensor) -> Tensor:
    return torch.bincount(code(x), minlength=V ** x.shape[1]).double() / len(x)


def far(found: Tensor, law: Tensor) -> float:
    """Total variation."""
    return float((found - law).abs().sum() / 2)


def misfit(x: Tensor, law: Tensor) -> float:
    """The chi-square statistic of texts against a law over all texts, in standard deviations above its mean."""
    expected, counts = law * len(x), shares(x) * len(x)
    keep = expected > 5
    rest = torch.tensor([expected[~keep].sum(), counts[~keep].sum()])
    chi = ((counts - expected) ** 2 / expected)[keep].sum() + (rest[1] - rest[0]) ** 2 / rest[0].clamp(min=1)
    freedom = int(keep.sum()) - 1
    return float((chi - freedom) / (2 * freedom) ** 0.5)


# Hamming


@pytest.mark.parametrize(("high", "low"), [(2, 0), (27, 0), (40_000, 0), (5, -3)])
def test_hamming_counts_what_differs(high: int, low: int, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = (Noise.of(0, n).integers("x", 7, high=high - low) + low for n in (40, 31))
    direct = (a[:, None] != b).sum(2)
    assert torch.equal(hamming(a, b).long(), direct)
    monkeypatch.setattr("warmflow.couplings.hamming.ENTRIES", 64)
    assert torch.equal(hamming(a, b).long(), direct) and hamming(a, b[:0]).shape == (40, 0)
    with pytest.raises(ValueError, match="one length"):
        hamming(a, b[:, :3])


@pytest.mark.parametrize("kind", [NearestDatumHamming, NearestDraftHamming])
def test_nearest_is_nearest_and_equals_are_chosen_alike(kind: type) -> None:
    n = 400
    x1 = Noise.of(1, n).integers("x1", L, high=V)
    pair = kind().pair(Batch(x1, {}, torch.arange(n)), UniformTokens((L,), V), noise=Noise.of(0, n))
    drafts = UniformTokens((L,), V).draw(n, noise=Noise.of(0, n)).x0
    distance = hamming(pair.start.x0, x1) if kind is NearestDatumHamming else hamming(pair.x1, drafts)
    assert torch.equal((pair.start.x0 != pair.x1).sum(1), distance.long().amin(1))
    # one text only: every row is as near as every other
    same = Batch(torch.zeros(n, L, dtype=torch.int64), {}, torch.arange(n))
    pair = kind().pair(same, UniformTokens((L,), V), noise=Noise.of(0, n))
    if kind is NearestDatumHamming:
        uses = torch.bincount(pair.index, minlength=n)
        assert uses.max() < 10 and float((uses == 0).double().mean()) == pytest.approx(math.exp(-1), abs=0.08)


def test_assignment_has_the_least_total_of_all_permutations() -> None:
    n = 6
    for seed in range(5):
        x1 = Noise.of(seed, n).integers("x1", L, high=V)
        source = UniformTokens((L,), V)
        pair = AssignmentHamming().pair(Batch(x1), source, noise=Noise.of(seed + 9, n))
        cost = hamming(x1, source.draw(n, noise=Noise.of(seed + 9, n)).x0)
        best = min(sum(int(cost[i, j]) for i, j in enumerate(p)) for p in itertools.permutations(range(n)))
        assert int((pair.start.x0 != pair.x1).sum()) == best


# maximal


def test_maximal_drafts_have_the_law_of_their_source_where_the_data_s_is_known() -> None:
    """Texts of three tokens, enumerated; and the first token agrees with its datum in 1 - TV of the cases."""
    n, length = 200_000, 3
    p, q = (random_chain(V, length, seed=s, sharpness=0.8) for s in (1, 2))
    x1 = p.draw(n, noise=Noise.of(0, n)).x0
    pair = Maximal(p).pair(Batch(x1, {}, torch.arange(n)), q, noise=Noise.of(1, n))
    texts = torch.cartesian_prod(*[torch.arange(V)] * length)
    assert misfit(pair.start.x0, q.log_chances(texts).sum(1).exp()) < 4
    assert misfit(x1, q.log_chances(texts).sum(1).exp()) > 50, "the two laws are too alike to tell anything"
    agree = float((pair.start.x0[:, 0] == x1[:, 0]).double().mean())
    assert agree == pytest.approx(float(torch.minimum(p.initial, q.initial).sum()), abs=4 * 0.5 / n**0.5)
    independent = float((q.draw(n, noise=Noise.of(2, n)).x0 == x1).double().mean())
    assert float((pair.start.x0 == x1).double().mean()) > independent + 0.1


def test_maximal_with_the_source_s_own_model_copies_and_with_a_wrong_one_shifts() -> None:
    n, length = 20_000, 3
    p, q, wrong = (random_chain(V, length, seed=s) for s in (1, 2, 3))
    x1 = p.draw(n, noise=Noise.of(0, n)).x0
    batch = Batch(x1, {}, torch.arange(n))
    assert torch.equal(Maximal(p).pair(batch, p, noise=Noise.of(1, n)).start.x0, x1)
    off = Maximal(wrong).pair(batch, q, noise=Noise.of(1, n)).start.x0
    texts = torch.cartesian_prod(*[torch.arange(V)] * length)
    assert misfit(off, q.log_chances(texts).sum(1).exp()) > 50


def test_maximal_names_what_it_cannot_do() -> None:
    p, batch = random_chain(V, L, seed=1), Batch(TEXTS)
    noise = Noise.of(0, len(TEXTS))
    with pytest.raises(ValueError, match="UniformTokens"):
        Maximal(p).pair(batch, UniformTokens((L,), V), noise=noise)
    with pytest.raises(ValueError, match="has 4 tokens"):
        Maximal(p).pair(batch, random_chain(4, L), noise=noise)
    with pytest.raises(ValueError, match="hold token 11"):
        Maximal(p).pair(Batch(TEXTS + 9), p, noise=noise)
    with pytest.raises(ValueError, match="given"):
        Maximal(p).pair(Batch(TEXTS, {"given": TEXTS}), p, noise=noise)


# texts near a text


MODELS = {
    "chain": lambda: random_chain(V, L, seed=4),
    "bigram": lambda: ngram(2),
    "fourgram": lambda: ngram(4),
}


@pytest.mark.parametrize("strength", [0.5, 2.0])
@pytest.mark.parametrize("name", MODELS)
def test_exact_draws_have_the_enumerated_law(name: str, strength: float) -> None:
    model, n = MODELS[name](), 40_000
    for k, y in enumerate(TEXTS[[0, 17, 40, 77]]):
        x = drawn_near(model, y.expand(n, L), strength, noise=Noise.of(k, n))
        assert misfit(x, law_near(model, y, strength)) < 4


@pytest.mark.parametrize("name", MODELS)
def test_messages_are_the_mass_of_all_continuations(name: str) -> None:
    model, strength, y = MODELS[name](), 1.3, torch.tensor([2, 0, 1, 1])
    table = table_of(model, "model")
    off = torch.full((1, L), math.exp(-strength), dtype=torch.float64)
    found = messages(table, y[None], off)
    tails = torch.cartesian_prod(*[torch.arange(V)] * 2)
    for state in range(len(table.chances)):
        first, second = tails.T
        mass = table.chances[state, first] * table.chances[table.after[state, first], second]
        mass = (mass * torch.exp(-strength * (tails != y[2:]).sum(1).double())).sum()
        if state == 0:
            scale = mass / found[2, 0, 0]
        assert float(found[2, state, 0] * scale) == pytest.approx(float(mass), rel=1e-9)
    assert float(found.amax(1).min()) == 1 == float(found.max())


@pytest.mark.long
def test_particles_approach_the_law_and_a_local_rule_does_not() -> None:
    """A four-gram guided by a bigram, by a unigram (the local rule), and by many particles of either."""
    model, n, strength = ngram(4), 20_000, 2.0
    y = torch.tensor([0, 1, 2, 2])
    law = law_near(model, y, strength)

    def distance(lookahead: NGram, particles: int) -> float:
        x = drawn_near(model, y.expand(n, L), strength, noise=Noise.of(3, n), lookahead=lookahead, particles=particles)
        return far(shares(x), law)

    chance = far(shares(drawn_near(model, y.expand(n, L), strength, noise=Noise.of(3, n))), law)
    local, guided = distance(ngram(1), 1), distance(ngram(2), 1)
    many, many_local = distance(ngram(2), 64), distance(ngram(1), 64)
    assert chance < 0.02
    assert local > 0.1, "this text does not tell a local rule from the law"
    assert many < 0.02 and many_local < 0.03 and guided < local
    # a third order guide sees further than a second order one, the model itself sees everything
    assert distance(ngram(4), 1) < 0.02


def test_the_local_rule_is_what_a_guide_of_one_state_leaves() -> None:
    model, n, strength = ngram(4), 20_000, 2.0
    y = torch.tensor([0, 1, 2, 2])
    state, law = model.first(len(TEXTS), "cpu"), torch.ones(len(TEXTS), dtype=torch.float64)
    for i in range(L):
        weight = model.chances(state) * torch.exp(-strength * (torch.arange(V) != y[i]))
        law *= (weight / weight.sum(1, keepdim=True)).gather(1, TEXTS[:, i : i + 1])[:, 0]
        state = model.after(state, TEXTS[:, i])
    x = drawn_near(model, y.expand(n, L), strength, noise=Noise.of(3, n), lookahead=ngram(1))
    assert misfit(x, law) < 4


def test_no_strength_is_the_model_and_the_greatest_is_the_text() -> None:
    model, n = ngram(3), 20_000
    y = TEXTS[Noise.of(0, n).integers("y", high=len(TEXTS))]
    assert misfit(drawn_near(model, y, 0.0, noise=Noise.of(1, n)), law_near(model, TEXTS[0], 0.0)) < 4
    for more in ({}, {"lookahead": ngram(2), "particles": 3}):
        assert torch.equal(drawn_near(model, y, 100.0, noise=Noise.of(1, n), **more), y)  # type: ignore[arg-type]


@pytest.mark.parametrize("more", [{}, {"lookahead": "bigram", "particles": 64}])
def test_fixed_positions_are_conditioned_on(more: dict) -> None:
    model, n, strength = ngram(4), 20_000, 1.0
    y, fixed = torch.tensor([0, 2, 1, 1]), torch.tensor([False, False, True, False])
    law = law_near(model, y, strength) * (TEXTS[:, 2] == y[2])
    if more:
        more = {**more, "lookahead": ngram(2)}
    x = drawn_near(model, y.expand(n, L), strength, noise=Noise.of(2, n), fixed=fixed.expand(n, L), **more)
    assert far(shares(x), law / law.sum()) < 0.02


def test_long_texts_do_not_underflow_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model, n = random_chain(V, 400, seed=4), 9
    y = UniformTokens((400,), V).draw(n, noise=Noise.of(0, n)).x0
    whole = drawn_near(model, y, 8.0, noise=Noise.of(1, n))
    assert float((whole == y).double().mean()) > 0.5
    monkeypatch.setattr(channel_module, "ENTRIES", 5000)
    assert torch.equal(drawn_near(model, y, 8.0, noise=Noise.of(1, n)), whole)


def test_impossible_settings_are_named() -> None:
    model, y, noise = ngram(3), TEXTS, Noise.of(0, len(TEXTS))
    lstm = LSTM(TokenLSTM(V, width=8), (L,))
    cases = [
        ({"strength": -1.0}, "strength is -1"), ({"strength": float("nan")}, "strength is nan"),
        ({"particles": 0}, "particles is 0"), ({"particles": 2.0}, "particles is 2.0"),
        ({"lookahead": random_chain(5, L)}, "lookahead has 5 tokens"), ({"model": lstm}, "pass lookahead"),
        ({"lookahead": lstm}, "use an NGram of order 2 or 3"),
        ({"model": lstm, "lookahead": ngram(2), "particles": 2}, "particles=1"),
        ({"text": y + 1}, "hold token 3"),
    ]  # fmt: skip
    for changed, match in cases:
        given = {"model": model, "text": y, "strength": 1.0, **changed}
        with pytest.raises(ValueError, match=match):
            drawn_near(**given, noise=noise)  # type: ignore[arg-type]
        if "text" not in changed and "particles=1" not in match:
            given.pop("text")
            for kind in (Rewritten, Resampled):
                with pytest.raises(ValueError, match=match):
                    kind(**given)


def test_a_model_too_large_for_messages_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "STATES", 13)
    with pytest.raises(ValueError, match="more than 13 states.*pass lookahead"):
        Rewritten(ngram(4), 2.0)
    Rewritten(ngram(4), 2.0, ngram(3))
    with pytest.raises(ValueError, match="lookahead has more than 13 states"):
        Rewritten(ngram(4), 2.0, ngram(4))


def test_a_network_is_guided_by_a_bigram() -> None:
    """A model whose states cannot be listed: the weights are its own, one particle at a time."""
    lstm, n = LSTM(TokenLSTM(V, width=8), (L,)), 2000
    y = torch.tensor([0, 1, 2, 2]).expand(n, L)
    x = drawn_near(lstm, y, 2.0, noise=Noise.of(0, n), lookahead=ngram(1))
    kept = float((x == y).double().mean())
    assert kept == pytest.approx(1 / (1 + 2 * math.exp(-2.0)), abs=0.03)  # an untrained network is uniform


def test_impossible_fixed_tokens_are_named() -> None:
    turn = MarkovChain(torch.tensor([1.0, 0, 0]), torch.eye(3)[[1, 2, 0]], (L,))  # 0 1 2 0 ..., nothing else
    y, fixed = torch.tensor([[0, 1, 1, 0]]), torch.tensor([[False, False, True, False]])
    with pytest.raises(ValueError, match="fix fewer tokens"):
        drawn_near(turn, y, 2.0, noise=Noise.of(0, 1), fixed=fixed)
    assert drawn_near(turn, y, 2.0, noise=Noise.of(0, 1)).tolist() == [[0, 1, 2, 0]]


def test_rewritten_pairs_are_of_the_stated_joint_law() -> None:
    """q(x0) pi(x1 | x0) over all pairs of texts of two tokens; resampled pairs the other way round."""
    n, length, strength = 60_000, 2, 1.0
    p, q = (random_chain(V, length, seed=s) for s in (1, 2))
    texts = torch.cartesian_prod(torch.arange(V), torch.arange(V))
    differ = (texts[:, None] != texts).sum(2)
    for coupling in (Rewritten(p, strength), Resampled(q, strength)):
        x1 = p.draw(n, noise=Noise.of(0, n)).x0
        pair = coupling.pair(Batch(x1, {}, torch.arange(n)), q, noise=Noise.of(1, n))
        written, near = (p, q) if isinstance(coupling, Rewritten) else (q, p)
        inner = torch.softmax(written.log_chances(texts).sum(1) - strength * differ, 1)  # (near, written)
        joint = near.log_chances(texts).sum(1).exp()[:, None] * inner
        first, second = (pair.start.x0, pair.x1) if isinstance(coupling, Rewritten) else (pair.x1, pair.start.x0)
        assert misfit(torch.cat([first, second], 1), joint.flatten()) < 4


# the audit


def texts_of(n: int, seed: int, length: int = 16, model: int = 1) -> Tensor:
    return random_chain(8, length, seed=model).draw(n, noise=Noise.of(seed, n)).x0


def audited(**changed: object) -> TokenAudit:
    data = texts_of(1200, 0)
    given = {
        "x0": texts_of(1200, 1, model=2), "x1": data, "index": torch.arange(1200), "n_data": 1200,
        "fresh_drafts": texts_of(1000, 2, model=2), "data_x1": data, "vocabulary": 8, "seed": 0,
    }  # fmt: skip
    return audit_tokens(**{**given, **changed})  # type: ignore[arg-type]


def test_independent_pairs_of_the_data_raise_no_flag() -> None:
    found = audited()
    assert found.flags == () and found.never_chosen == 0 and found.effective_sample_size == 1
    assert found.agreement == pytest.approx(found.agreement_random, abs=0.02)
    assert found.mean_hamming == pytest.approx(16 * (1 - found.agreement))
    assert 0 <= found.divergence < found.divergence_floor < 0.05 and found.draft_shift < 0.56
    assert TokenAudit(**{**json.loads(json.dumps(found.to_json())), "flags": ()}) == found


@pytest.mark.long
def test_each_number_sees_its_own_fault() -> None:
    few = audited(index=torch.arange(1200) % 300, x1=texts_of(1200, 0)[torch.arange(1200) % 300])
    assert few.never_chosen == 0.75 and few.effective_sample_size == 0.25 and "75%" in few.flags[0]
    copied = audited(x0=texts_of(1200, 0))
    assert copied.agreement == 1 and copied.mean_hamming == 0 and copied.draft_shift > 0.9
    other = audited(x1=texts_of(1200, 5, model=3), index=None)
    assert other.never_chosen is None and other.effective_sample_size is None
    assert other.divergence > 3 * other.divergence_floor and len(other.flags) == 1 and "bigrams" in other.flags[0]
    again = audited(x1=texts_of(1200, 5), index=None)  # fresh texts of the data's law
    assert again.divergence < 1.3 * again.divergence_floor
    mask = audited(x0=torch.full((1200, 16), 8), fresh_drafts=torch.full((1200, 16), 8))
    assert mask.agreement == 0 and mask.draft_shift == 0.5
    part = audited(index=torch.arange(300), x0=texts_of(300, 1, model=2), x1=texts_of(1200, 0)[:300])
    assert part.never_chosen == 0.75 and part.effective_sample_size == 1 and part.flags == ()


@pytest.mark.long
def test_texts_drawn_with_replacement_are_like_themselves() -> None:
    pool = texts_of(500, 2, model=2)
    fresh = pool[Noise.of(0, 1000).integers("row", high=500)]
    found = audited(fresh_drafts=fresh)
    assert found.flags == () and found.draft_shift < found.draft_shift_floor
    assert any("AUC" in flag for flag in audited(x0=texts_of(1200, 0), fresh_drafts=fresh).flags)


def test_agreement_at_random_is_the_mean_over_all_re_pairings() -> None:
    x0, x1 = texts_of(60, 1), texts_of(60, 2)
    found = audited(x0=x0, x1=x1, index=None).agreement_random
    assert found == pytest.approx(float((x0[:, None] == x1).double().mean()), rel=1e-9)


def test_divergence_in_closed_form() -> None:
    a = torch.tensor([1.0, 3.0, 0.0])
    assert divergence(a, 5 * a) == pytest.approx(0, abs=1e-12)
    assert divergence(a, torch.tensor([0.0, 0.0, 2.0])) == pytest.approx(math.log(2))
    p, q = torch.tensor([[0.5, 0.5], [0.25, 0.75]]).double()
    entropy = lambda x: float(-torch.xlogy(x, x).sum())  # noqa: E731
    assert divergence(p, q) == pytest.approx(entropy((p + q) / 2) - entropy(p) / 2 - entropy(q) / 2, rel=1e-6)


@pytest.mark.long
def test_a_shift_that_spares_all_bigrams_is_seen() -> None:
    """Texts in which every third token follows from the two before, and texts of free tokens: equal shares of bigrams."""
    n, length = 1500, 24
    free = Noise.of(0, n).integers("free", length, high=6)
    for i in range(2, length, 3):
        free[:, i] = (free[:, i - 1] + free[:, i - 2]) % 6
    plain = Noise.of(1, n).integers("plain", length, high=6)
    assert auc(features(free, 6), features(plain, 6)) < 0.8 < 0.95 < shift(free, plain, 6)
    assert shift(free[:700], free[700:], 6) < 0.6 and shift(plain[:700], plain[700:], 6) < 0.6
    large = mix(free) % 50_000  # the same texts in a large vocabulary
    assert shift(large, mix(plain) % 50_000, 50_000) > 0.95


@pytest.mark.parametrize("vocabulary", [2, 27, 127, 128, 50_000])
def test_features_count_every_token_and_every_bigram(vocabulary: int) -> None:
    x = Noise.of(0, 30).integers("x", 11, high=vocabulary)
    found = features(x, vocabulary)
    assert found.shape[1] <= 256 and torch.equal(found.sum(1), torch.full((30,), 21.0))


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"x0": torch.zeros(1200, 16)}, "x0 is torch.float32"), ({"fresh_drafts": torch.zeros(1200, 9).long()}, "fresh_drafts"),
        ({"x0": texts_of(50, 0)}, "give pairs"), ({"data_x1": texts_of(4, 0)}, "too few"),
        ({"vocabulary": 3}, "tokens of x1"), ({"n_data": 50}, "index runs"), ({"index": torch.arange(3)}, "index has shape"),
    ],
)  # fmt: skip
def test_what_does_not_belong_together_is_named(changed: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        audited(**changed)


@pytest.mark.long
def test_the_audit_tells_the_couplings_apart() -> None:
    """Data of one chain, drafts of another: what each coupling keeps, bends and gains, as its page says."""
    n, length = 1500, 12
    p, q = (random_chain(6, length, seed=s, sharpness=1.5) for s in (1, 2))
    data = Batch(p.draw(n, noise=Noise.of(0, n)).x0, {}, torch.arange(n))
    fresh = q.draw(n, noise=Noise.of(9, n)).x0
    found = {}
    couplings = [Independent(), AssignmentHamming(), NearestDatumHamming(), NearestDraftHamming(), Maximal(p),
                 Rewritten(p, 2.0), Resampled(q, 4.0)]  # fmt: skip
    for coupling in couplings:
        pairs = prepare(coupling, data, q, block=n)
        assert pairs.start is not None
        found[type(coupling).__name__] = audit_tokens(pairs.start.x0, pairs.x1, pairs.index, n, fresh, data.x1, 6, 0)
    base = found["Independent"].agreement
    assert all(audit.agreement > base + 0.1 for name, audit in found.items() if name != "Independent")
    for name in ("Independent", "AssignmentHamming", "Maximal"):
        assert found[name].flags == (), name
    assert found["NearestDatumHamming"].never_chosen > 0.3 and found["NearestDatumHamming"].draft_shift < 0.6
    for name in ("NearestDraftHamming", "Resampled"):
        assert found[name].draft_shift > 0.6 and found[name].never_chosen == 0, name
    rewritten = found["Rewritten"]
    assert rewritten.draft_shift < 0.6 and rewritten.divergence > rewritten.divergence_floor


def test_given_tokens_keep_what_their_maker_kept() -> None:
    batch = Batch(TEXTS, {}, None, Start(TEXTS.flip(0)))
    pair = Given().pair(batch, random_chain(V, L), noise=Noise.of(0, len(TEXTS)))
    assert torch.equal(pair.start.x0, TEXTS.flip(0)) and torch.equal(pair.x1, TEXTS)
    with pytest.raises(ValueError, match="are torch.float32"):
        NearestDatumHamming().pair(Batch(TEXTS), StandardNormal((L,)), noise=Noise.of(0, len(TEXTS)))
