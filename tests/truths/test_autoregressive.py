"""Networks that read from left to right: one law by step and by text, blind to the future, trained to a known entropy."""

import pytest
import torch

from warmflow.checkpoints import load_part
from warmflow.contracts import Batch, Player
from warmflow.drafts.autoregressive import train_draft, train_judge
from warmflow.networks import (
    MLP,
    CausalTransformer,
    TokenLSTM,
    TokenTransformer,
    causal,
    log_chances,
    lstm,
    parameters,
    seeded,
    transformer,
)
from warmflow.networks.base import preset
from warmflow.noise import Noise
from warmflow.objectives import NextToken
from warmflow.sources import LSTM, random_chain
from warmflow.sources.markov import stationary

pytestmark = pytest.mark.long

V, L, N = 5, 24, 2048
CHAIN = random_chain(V, L, seed=3, sharpness=1.5)
TEXT = CHAIN.draw(N, noise=Noise.of(0, N)).x0
READERS = {
    "LSTM of one layer": lambda: TokenLSTM(V, width=24, layers=1),
    "LSTM": lambda: TokenLSTM(V, width=24, layers=3, dropout=0.4),
    "transformer of one block": lambda: CausalTransformer(V, width=32, depth=1, heads=2),
    "transformer": lambda: CausalTransformer(V, width=32, depth=2, heads=2, dropout=0.4),
    "tied transformer": lambda: CausalTransformer(V, width=32, depth=2, heads=4, tied=True),
}
TRAINERS = {
    "draft": lambda tokens, **more: train_draft(
        tokens, V, **{"steps": 300, "batch": 32, "seed": 0, "width": 32, "layers": 1, "learning_rate": 1e-2, **more}
    ),
    "judge": lambda tokens, **more: train_judge(
        tokens, V, **{"steps": 300, "batch": 32, "seed": 0, "width": 32, "depth": 2, "learning_rate": 3e-3, **more}
    ),
}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def reader(name, seed=0):
    """A network with no weight at zero."""

    def build():
        network = READERS[name]()
        for p in network.parameters():
            torch.nn.init.normal_(p, std=0.4)
        return network

    return seeded(seed, build).eval()


def network_of(part):
    return part.network if isinstance(part, LSTM) else part


@pytest.fixture(scope="module")
def trained():
    return {name: build(TEXT) for name, build in TRAINERS.items()}


# one law, from left to right


@pytest.mark.parametrize("name", ["LSTM of one layer", "LSTM"])
def test_stepping_equals_forward(name):
    network, x = reader(name), TEXT[:40]
    whole = network(x).detach()
    token, state = torch.full((40,), V), network.start(40)
    kept = []
    for i in range(L):
        before = [v.clone() for v in (*state.h, *state.c)]
        logits, after = network.advance(token, state)
        assert float((logits - whole[:, i]).abs().max()) < 1e-5 and not logits.requires_grad
        assert all(torch.equal(a, b) for a, b in zip(before, (*state.h, *state.c), strict=True)), "a step is pure"
        kept.append(logits)
        token, state = x[:, i], after
    assert float(torch.stack(kept, 1).std()) > 0.1, "these networks say nothing"


def test_dropout_is_for_training_alone():
    network, x = reader("LSTM"), TEXT[:8]
    source = LSTM(network, (L,))
    before, noise = log_chances(network, x), Noise.of(0, 8)
    drawn = source.draw(8, noise=noise).x0
    network.train()
    assert not torch.equal(network(x), network(x))
    assert torch.equal(log_chances(network, x), before) and network.training
    assert torch.equal(source.draw(8, noise=noise).x0, drawn)
    assert float((source.log_chances(x) - before).abs().max()) < 1e-5


@pytest.mark.parametrize("name", READERS)
def test_the_future_never_changes_earlier_logits_and_the_past_does(name):
    network, x = reader(name), TEXT[:16]
    whole = network(x)
    assert whole.shape == (16, L, V)
    for i in (0, 1, 7, L - 1):
        other = x.clone()
        other[:, i:] = (other[:, i:] + 1) % V
        found = network(other)
        assert torch.equal(found[:, : i + 1], whole[:, : i + 1]), "a logit saw its own token or a later one"
        if i + 1 < L:
            assert bool((found[:, i + 1] != whole[:, i + 1]).any(1).all()), "a logit does not see the token before it"
    assert torch.allclose(network(x[:, :9]), whole[:, :9], atol=1e-5), "the length changes what is said"


@pytest.mark.parametrize("name", ["transformer", "tied transformer"])
def test_the_first_token_is_seen_to_the_end(name):
    network, x = reader(name), TEXT[:16]
    other = x.clone()
    other[:, 0] = (other[:, 0] + 1) % V
    assert bool((network(other) != network(x))[:, 1:].any(2).all())


def test_the_order_of_the_past_is_seen():
    """Without positions, one block of attention is a bag of what came before."""
    network, x = reader("transformer of one block"), torch.tensor([[0, 1, 2, 3, 4, 0]])
    change = network(x) - network(x[:, [1, 0, 2, 3, 4, 5]])
    assert bool((change[0, 3:].abs().amax(1) > 1e-3).all())


@pytest.mark.parametrize("name", READERS)
def test_chances_sum_to_one_over_all_texts(name):
    network = reader(name)
    for length in (1, 2, 4):
        texts = torch.cartesian_prod(*[torch.arange(V)] * length).reshape(-1, length)
        found = log_chances(network, texts, batch=100)
        assert found.dtype == torch.float64 and found.shape == texts.shape
        assert float(found.sum(1).exp().sum()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", READERS)
def test_log_chances_are_equal_at_every_batch_size(name):
    network = reader(name)
    whole = log_chances(network, TEXT[:50], batch=50)
    for batch in (1, 7, 256):
        assert float((log_chances(network, TEXT[:50], batch) - whole).abs().max()) < 1e-5
    with pytest.raises(ValueError, match="batch is 0"):
        log_chances(network, TEXT, 0)


@pytest.mark.parametrize("name", ["LSTM of one layer", "LSTM", "transformer"])
def test_an_untrained_network_finds_every_token_equally_likely(name):
    assert torch.equal(seeded(0, READERS[name])(TEXT[:4]), torch.zeros(4, L, V))


def test_calls_count_the_network_s_evaluations():
    network, count = reader("LSTM"), [0]
    network.out.register_forward_hook(lambda *_: count.__setitem__(0, count[0] + 1))
    start = LSTM(network, (L,)).draw(3, noise=Noise.of(0, 3))
    assert start.calls.tolist() == [count[0]] * 3 == [L] * 3


# the next token


def test_the_loss_is_the_mean_of_minus_log_chances_and_draws_nothing():
    network = reader("LSTM of one layer")
    objective = NextToken(network, Player(network))
    batch = Batch(TEXT[:30], {}, torch.arange(30))
    pair = objective.pair(batch, noise=None)
    assert torch.equal(pair.start.x0, batch.x1) and pair.x1 is batch.x1 and pair.index is batch.index
    loss = objective.loss(objective.turn(7), pair, noise=None)[0]
    assert loss.item() == pytest.approx(-float(log_chances(network, batch.x1).mean()), rel=1e-5)
    with pytest.raises(ValueError, match="player's network"):
        NextToken(network, Player(seeded(0, lambda: MLP((2,)))))


@pytest.mark.parametrize("name", TRAINERS)
def test_training_reaches_the_chain_s_entropy_rate(name, trained):
    """On fresh texts within 0.003 nats a token of the chain itself, not below it but by chance; its own is the entropy rate."""
    x = CHAIN.draw(2000, noise=Noise.of(1, 2000)).x0
    own, found = CHAIN.log_chances(x)[:, 1:], log_chances(network_of(trained[name]), x)[:, 1:]
    rows = CHAIN.transition
    entropy = -float(stationary(rows) @ (rows * rows.log()).sum(1))
    assert -float(own.mean()) == pytest.approx(entropy, abs=0.01)
    excess = (own - found).mean(1)
    error = float(excess.std()) / len(x) ** 0.5
    assert -3 * error < float(excess.mean()) < 0.003
    assert entropy < 0.9 * torch.log(torch.tensor(float(V))), "the chain is too flat to learn anything from"


def test_draws_follow_the_chances():
    """Chi-square of the first three tokens and of two in the middle, by a network that is far from uniform."""
    source, n = LSTM(reader("LSTM"), (6,)), 50_000
    x = source.draw(n, noise=Noise.of(5, n)).x0

    def chi_square(found, law):
        counts = torch.bincount(found, minlength=len(law)).double()
        keep = law * n > 5
        free = int(keep.sum()) - 1
        return float(((counts - law * n) ** 2 / (law * n))[keep].sum()), free + 4 * (2 * free) ** 0.5

    texts = torch.cartesian_prod(*[torch.arange(V)] * 3)
    law = log_chances(source.network, texts).sum(1).exp()
    assert float(law.max() / law.min()) > 5
    value, bound = chi_square((x[:, :3] * torch.tensor([V * V, V, 1])).sum(1), law)
    assert value < bound
    texts = torch.cartesian_prod(*[torch.arange(V)] * 5)
    law = log_chances(source.network, texts, batch=1000).sum(1).exp().reshape(-1, V * V).sum(0)
    value, bound = chi_square(V * x[:, 3] + x[:, 4], law)
    assert value < bound


# folders


class Interrupted:
    """Rows that end the program when they are asked for the k-th time."""

    def __init__(self, tokens, fail):
        self.batch, self.left = Batch(tokens, {}, torch.arange(len(tokens))), fail

    def __len__(self):
        return len(self.batch)

    def __getitem__(self, rows):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return self.batch[rows]


def weights(part):
    return network_of(part).state_dict()


@pytest.mark.parametrize("name", TRAINERS)
def test_training_is_resumed_bit_for_bit(name, tmp_path):
    few = {"steps": 12, "dropout": 0.2, "layers": 2} if name == "draft" else {"steps": 12, "dropout": 0.2}
    whole = TRAINERS[name](TEXT, **few)
    for fail in (6, 5):  # the first row is looked at before training
        with pytest.raises(KeyboardInterrupt):
            TRAINERS[name](Interrupted(TEXT, fail), folder=tmp_path / "run", **few)
        with pytest.raises(ValueError, match="no finished model"):
            load_part(tmp_path / "run")
    again = TRAINERS[name](TEXT, folder=tmp_path / "run", **few)
    loaded = load_part(tmp_path / "run")
    read = TRAINERS[name](Interrupted(TEXT, 2), folder=tmp_path / "run", **few)  # finished: no row is asked for
    for other in (again, loaded, read):
        assert type(other) is type(whole) and weights(other).keys() == weights(whole).keys()
        assert all(torch.equal(v, weights(other)[k]) for k, v in weights(whole).items())
        assert not network_of(other).training
    if name == "draft":
        assert loaded.shape == (L,) and loaded.vocabulary == V
        noise = Noise.of(2, 9)
        assert torch.equal(loaded.draw(9, noise=noise).x0, whole.draw(9, noise=noise).x0)


@pytest.mark.parametrize("name", TRAINERS)
def test_a_folder_of_another_run_is_named(name, tmp_path):
    TRAINERS[name](TEXT[:64], folder=tmp_path, steps=2)
    with pytest.raises(ValueError, match=r"network\.width was 32, is now 16"):
        TRAINERS[name](TEXT[:64], folder=tmp_path, steps=2, width=16)
    with pytest.raises(ValueError, match="other settings: rows was 64, is now 65"):
        TRAINERS[name](TEXT[:65], folder=tmp_path, steps=2)


@pytest.mark.parametrize("name", TRAINERS)
def test_the_averaged_weights_are_what_is_returned(name):
    raw, averaged = (weights(TRAINERS[name](TEXT[:64], steps=9, ema=ema)) for ema in (0.0, 0.9))
    assert not any(torch.equal(raw[k], averaged[k]) for k in raw)


def test_training_leaves_torch_s_generator_alone():
    before = torch.get_rng_state()
    for build in TRAINERS.values():
        build(TEXT[:64], steps=2, dropout=0.3)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", TRAINERS)
@pytest.mark.parametrize(
    ("tokens", "more", "match"),
    [
        (TEXT + 1, {}, r"tokens hold 5; with a vocabulary of 5 they must be in 0 \.\. 4"),
        (TEXT - 1, {}, "tokens hold -1"),
        (TEXT.int(), {}, "tokens are int32"),
        (TEXT[0], {}, r"of shape \(24,\); give int64 \(n, L\), a long text cut into windows"),
        (TEXT[:0], {}, "give at least one row"),
        (TEXT, {"preset": "huge"}, "preset 'huge' is unknown; known: "),
        (TEXT, {"steps": 0}, "steps is 0"),
        (TEXT, {"batch": 0}, "batch is 0"),
    ],
)
def test_impossible_training_is_named(name, tokens, more, match):
    with pytest.raises(ValueError, match=match) as error:
        TRAINERS[name](tokens, **more)
    assert "\n" not in str(error.value)


def test_impossible_networks_and_sources_are_named():
    for name in ("vocabulary", "width", "layers"):
        with pytest.raises(ValueError, match=f"{name} is 0"):
            TokenLSTM(**{"vocabulary": V, "width": 8, "layers": 1, name: 0})
    with pytest.raises(ValueError, match="even width per head"):
        CausalTransformer(V, width=20, heads=4)
    with pytest.raises(ValueError, match=r"shape is \(2, 3\)"):
        LSTM(reader("LSTM"), (2, 3))


@pytest.mark.parametrize(
    ("kind", "presets", "more", "counts"),
    [
        (TokenLSTM, lstm.PRESETS, {}, [839_387, 4_230_683]),
        (CausalTransformer, causal.PRESETS, {}, [602_139, 3_173_659, 25_248_283]),
        (TokenTransformer, transformer.PRESETS, {"extra": 1}, [955_419, 4_962_075, 38_659_611]),
    ],
)
def test_presets_have_the_parameters_that_are_stated(kind, presets, more, counts):
    with torch.device("meta"):
        found = [parameters(kind(**preset(presets, name, 27, **more))) for name in presets]
    assert found == counts
    with pytest.raises(ValueError, match="preset 'huge' is unknown"):
        preset(presets, "huge", 27)
