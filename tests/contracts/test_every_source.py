"""Sources: one seed gives the same draws at every batch size, names open independent rooms, conditions are kept."""

import pytest
import torch

from examples import cases, example, own_draft
from warmflow.contracts import Source
from warmflow.noise import Noise
from warmflow.records import concatenate
from warmflow.sampler import Sampler
from warmflow.sources import Blurred, Conditioned, Decoded, External, Jittered, Labelled, LearnedPrior, StandardNormal

N = 23
BY_NETWORKS = (Sampler, LearnedPrior, Decoded)
"""Their arithmetic may depend on the batch in its last bits."""


def own_randomness(source):
    """A user's callable draws as it likes: the one declared exception to the batch-size rule."""
    return isinstance(source, External) and not isinstance(source.draft, torch.Tensor)


@pytest.mark.parametrize("batch", [1, 7, N])
@pytest.mark.parametrize(("kind", "k"), cases(Source))
def test_one_seed_gives_the_same_draws_at_every_batch_size(kind, k, batch):
    source = example(kind, k)
    whole = source.draw(N, noise=Noise.of(3, N))
    assert whole.x0.shape == (N, *source.shape) and whole.x0.dtype == torch.float32
    if own_randomness(source):
        assert torch.equal(whole.x0, source.draw(N, noise=Noise.of(3, N)).x0)
        return
    firsts = range(0, N, batch)
    parts = concatenate([source.draw(min(batch, N - i), noise=Noise.of(3, min(batch, N - i), i)) for i in firsts])
    both = [(whole.x0, parts.x0), *((whole.condition[k], parts.condition[k]) for k in whole.condition)]
    for a, b in both:
        assert torch.allclose(a, b, atol=1e-5) if kind in BY_NETWORKS else torch.equal(a, b)


@pytest.mark.parametrize(("kind", "k"), cases(Source))
def test_a_row_draws_the_same_wherever_it_stands(kind, k):
    source = example(kind, k)
    if own_randomness(source):
        return
    rows = torch.tensor([20, 0, 5, 5])
    whole, part = source.draw(N, noise=Noise.of(3, N)), source.draw(4, noise=Noise.of(3, N)[rows])
    assert torch.allclose(whole.x0[rows], part.x0, atol=1e-5 if kind in BY_NETWORKS else 0)


@pytest.mark.parametrize(("kind", "k"), cases(Source))
def test_seeds_and_folds_give_other_draws(kind, k):
    source = example(kind, k)
    a = source.draw(N, noise=Noise.of(3, N)).x0
    for other in (Noise.of(4, N), Noise.of(3, N).fold("x"), Noise.of(3, N, N)):
        assert not torch.equal(a, source.draw(N, noise=other).x0)
    assert len(a.unique(dim=0)) > N // 2, "rows repeat"


@pytest.mark.parametrize(("kind", "k"), cases(Source))
def test_conditions_that_it_does_not_take_are_passed_on(kind, k):
    source = example(kind, k)
    tag = torch.arange(N) * 10
    with_tag = source.draw(N, {"tag": tag}, noise=Noise.of(3, N))
    assert torch.equal(with_tag.condition["tag"], tag)
    assert torch.equal(with_tag.x0, source.draw(N, noise=Noise.of(3, N)).x0)


@pytest.mark.parametrize(("kind", "k"), cases(Source))
def test_no_rows_is_no_error(kind, k):
    source = example(kind, k)
    if not own_randomness(source) and kind not in BY_NETWORKS:
        assert source.draw(0, noise=Noise.of(0, 0)).x0.shape == (0, *source.shape)


def correlation(a, b):
    a, b = a.flatten().double(), b.flatten().double()
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


@pytest.mark.parametrize(
    "wrapper", [lambda s: Blurred(s, 0.5), lambda s: Jittered(s, 0.5)], ids=["Blurred", "Jittered"]
)
@pytest.mark.parametrize("inner", [lambda: StandardNormal((2,)), lambda: Jittered(StandardNormal((2,)), 1.0),
                                   lambda: Blurred(StandardNormal((2,)), 1.0)])  # fmt: skip
def test_noise_that_is_added_is_independent_of_what_it_is_added_to(wrapper, inner):
    """Var(x0) = Var(draft) + sigma^2: a name used twice would make it (std + sigma)^2."""
    n = 20_000
    source = wrapper(inner())
    spread = float(inner().draw(n, noise=Noise.of(1, n)).x0.double().var())
    x = source.draw(n, noise=Noise.of(1, n)).x0.double()
    assert abs(float(x.var()) - (spread + 0.25)) < 5 * (spread + 0.25) * (2 / (2 * n)) ** 0.5


def test_blur_is_fresh_and_unseen_and_independent_of_the_draft():
    n = 20_000
    source = Blurred(StandardNormal((2,)), 0.5)
    start = source.draw(n, noise=Noise.of(1, n))
    draft = start.condition["draft"]
    eps = (start.x0 - draft) / 0.5
    assert abs(correlation(eps, draft)) < 4 / (2 * n) ** 0.5
    assert abs(float(eps.mean())) < 4 / (2 * n) ** 0.5 and abs(float(eps.std()) - 1) < 4 / (4 * n) ** 0.5
    # a given draft is taken as it is, and blurred anew by every stream
    again = source.draw(n, {"draft": draft}, noise=Noise.of(2, n))
    assert torch.equal(again.condition["draft"], draft)
    assert abs(correlation(again.x0 - draft, start.x0 - draft)) < 4 / (2 * n) ** 0.5
    # the same stream: the same blur, whether the draft was drawn or given
    same = source.draw(n, {"draft": draft}, noise=Noise.of(1, n))
    assert torch.equal(same.x0, start.x0)


def test_blur_of_zero_is_the_draft():
    start = Blurred(StandardNormal((2,)), 0.0).draw(9, noise=Noise.of(1, 9))
    assert torch.equal(start.x0, start.condition["draft"])


@pytest.mark.parametrize("sigma", [-0.1, float("inf"), float("nan")])
def test_an_impossible_sigma_is_an_error(sigma):
    with pytest.raises(ValueError, match="sigma is"):
        Blurred(StandardNormal((2,)), sigma)


def test_external_rows_are_taken_by_index_and_drawn_without_order():
    ready = torch.arange(40.0).reshape(20, 2)
    source = External.of(ready, (2,))
    rows = torch.tensor([3, 3, 19])
    assert torch.equal(source.draw(3, {"index": rows}, noise=Noise.of(0, 3)).x0, ready[rows])
    drawn = (source.draw(8000, noise=Noise.of(0, 8000)).x0[:, 0] / 2).long()
    counts = torch.bincount(drawn, minlength=20).double()
    assert float(((counts - 400) ** 2 / 400).sum()) < 45  # chi-square with 19 degrees: p = 0.0007


@pytest.mark.parametrize(
    ("draft", "match"),
    [
        (torch.zeros(4, 3), "shape"), (torch.zeros(0, 2), "empty"), (torch.full((4, 2), float("nan")), "NaN"),
        (torch.zeros(4, 2, dtype=torch.int64), "float"), ("hello", "draft"), (lambda n, seed: torch.zeros(n, 5), "shape"),
    ],
)  # fmt: skip
def test_bad_drafts_are_refused_by_name(draft, match):
    with pytest.raises(ValueError, match=match):
        External.of(draft, (2,))


def test_a_users_callable_gets_another_seed_for_every_batch():
    seeds = []

    def draft(n, seed):
        seeds.append(seed)
        return own_draft(n, seed)

    source = External(draft, (2,))
    for first in range(0, 50, 10):
        source.draw(10, noise=Noise.of(0, 10, first))
    assert len(set(seeds)) == 5


def test_mixture_rows_are_not_grouped_by_component():
    """scikit-learn's own ``sample`` is: the first rows then hold few modes."""
    from warmflow.sources import GaussianMixture

    x = torch.cat([torch.randn(200, 1, generator=torch.Generator().manual_seed(k)) * 0.01 + 10 * k for k in range(5)])
    drawn = GaussianMixture.fit(x, components=5, dimensions=1).draw(100, noise=Noise.of(0, 100)).x0[:, 0]
    modes = (drawn / 10).round()
    assert len(modes[:20].unique()) >= 4
    assert int((modes[1:] < modes[:-1]).sum()) > 20


@pytest.mark.parametrize(("kind", "k"), cases(Source))
def test_what_a_source_says_of_itself_is_what_it_draws(kind, k):
    source = example(kind, k)
    drawn = source.draw(N, noise=Noise.of(3, N))
    if source.draft_source is not None:
        assert drawn.condition["draft"].shape == (N, *source.draft_source.shape)
    shares = source.label_shares
    assert (shares is not None) == ("label" in drawn.condition)
    if shares is not None:
        assert float(shares.sum()) == pytest.approx(1) and int(drawn.condition["label"].max()) < len(shares)


def test_labels_and_drafts_are_found_below_wrappers():
    noise, shares = StandardNormal((2,)), torch.full((3,), 1 / 3)
    labelled = Labelled(Conditioned(noise, "y", torch.zeros(4, 1)), shares)
    assert Blurred(labelled, 0.1).label_shares is shares and Blurred(labelled, 0.1).draft_source is labelled
