"""Training: what a step does is a function of (seed, step) and of the weights; so resuming changes no bit."""

import json
import math

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from warmflow.contracts import Batch, Objective, Pair, Player, Start
from warmflow.couplings import Assignment, Independent
from warmflow.fields import NetworkField
from warmflow.files import read_tensors, write_json, write_tensors
from warmflow.networks import MLP, seeded
from warmflow.noise import Noise
from warmflow.objectives import FlowMatching
from warmflow.paths import LinearPath
from warmflow.sources import Blurred, Gaussian, StandardNormal
from warmflow.training import Diverged, rate, train

N, BATCH, STEPS, SAVE = 50, 8, 23, 5
X = Noise.of(1, N).normal("x", 2) * 0.5 + 1


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Rows:
    """Data that loads on demand, and fails or spoils its rows when asked for the k-th time."""

    def __init__(self, fail=None, spoil=None, error=RuntimeError):
        self.batch, self.asked, self.fail, self.spoil, self.error = Batch(X, {}, torch.arange(N)), 0, fail, spoil, error
        self.rows = []

    def __len__(self):
        return N

    def __getitem__(self, rows):
        self.asked += 1
        self.rows.append(rows)
        if self.asked == self.fail:
            raise self.error("planted")
        batch = self.batch[rows]
        if self.asked == self.spoil:
            batch.x1[0] = float("nan")
        return batch


def objective(coupling=None, dropout=0.0, ema=0.9, learning_rate=1e-2):
    network = seeded(0, lambda: MLP((2,), sees={"draft": (2,)}, width=8, depth=1, dropout=dropout))
    field = NetworkField(network, LinearPath(0.6), "velocity", ("draft",))
    return FlowMatching(
        field, Blurred(Gaussian.fit(X), 0.3), coupling or Assignment(), Player(network, learning_rate, ema=ema)
    )


def run(folder, data=None, what=None, **more):
    if folder is not None:
        folder.mkdir(exist_ok=True)
    settings = {"steps": STEPS, "batch": BATCH, "seed": 3, "warmup": 4, "save_every": SAVE, "log_every": 1, **more}
    return train(what or objective(), data or Rows(), folder=folder, **settings)


def weights(trained):
    return [*trained.networks["flow"].state_dict().values(), *trained.raw["flow"].state_dict().values()]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def checkpoint(folder):
    tensors, facts = read_tensors(folder / "checkpoint.safetensors")
    return tensors, facts


def log(folder):
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"]) for line in lines]


# resuming


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        ({}, None), ({}, {"step": "x"}), ({}, {"step": "-5"}), ({}, {"seconds": "inf"}), ({}, {"step": "10000"}),
        ({"flow.updates": None}, {}), ({"raw": torch.zeros(3)}, {}), ({"raw": math.nan}, {}), ({"average": None}, {}),
        ({"exp_avg": torch.zeros(2)}, {}),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_a_checkpoint_that_is_readable_but_wrong_is_one_line_and_never_trained_on(tmp_path, change, facts, capsys):
    """One without usable facts is made again, with a warning; one of other tensors is refused."""
    whole = run(tmp_path / "a")
    tensors, told = checkpoint(tmp_path / "a")
    for part, value in change.items():
        key = next(k for k in tensors if part in k and "step" not in k)
        tensors = {k: v for k, v in tensors.items() if k != key or value is not None}
        tensors |= {} if value is None else {key: value if isinstance(value, torch.Tensor) else tensors[key] * value}
    write_tensors(tmp_path / "a" / "checkpoint.safetensors", tensors, {} if facts is None else {**told, **facts})
    if change or facts == {"step": "10000"}:
        with pytest.raises(ValueError, match=r"checkpoint.safetensors does not fit this network and training \(.+\)"):
            run(tmp_path / "a")
    else:
        assert same(weights(run(tmp_path / "a")), weights(whole))
        assert "is not as warmflow writes it: the training begins again" in capsys.readouterr().err


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("fail", [1, 4, 11, 12, 23])
def test_a_run_cut_off_and_continued_equals_one_that_was_not(tmp_path, fail, error):
    whole = run(tmp_path / "whole")
    with pytest.raises(error, match="planted"):
        run(tmp_path / "cut", Rows(fail=fail, error=error))
    again = run(tmp_path / "cut")
    assert same(weights(whole), weights(again))
    a, b = checkpoint(tmp_path / "whole")[0], checkpoint(tmp_path / "cut")[0]
    assert a.keys() == b.keys() and same(a.values(), b.values())
    assert any("optimiser" in k and "exp_avg_sq" in k for k in a)
    # the log: every step once, in order, with the same losses
    assert log(tmp_path / "cut") == log(tmp_path / "whole")
    assert [step for step, _ in log(tmp_path / "cut")] == list(range(1, STEPS + 1))


def test_cut_off_again_and_again(tmp_path):
    whole = run(None)
    for fail in (7, 3, 8, 2):
        with pytest.raises(RuntimeError):
            run(tmp_path / "cut", Rows(fail=fail))
    assert same(weights(whole), weights(run(tmp_path / "cut")))


@pytest.mark.parametrize("at", [8, 13])
def test_ctrl_c_between_the_optimiser_and_the_rest_of_a_step(tmp_path, at):
    """Ctrl-C may come anywhere, also when the weights have moved and the step is not yet counted."""
    whole, count = run(None), [0]

    def interrupt(*_):
        count[0] += 1
        if count[0] == at:
            raise KeyboardInterrupt

    hook = register_optimizer_step_post_hook(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "cut")
    finally:
        hook.remove()
    assert same(weights(whole), weights(run(tmp_path / "cut")))


def test_dropout_is_resumed_bit_for_bit_as_well(tmp_path):
    """Its masks must not hang on the global generator, which no checkpoint holds."""
    before = torch.get_rng_state()
    whole = run(None, what=objective(dropout=0.5))
    with pytest.raises(RuntimeError):
        run(tmp_path / "cut", Rows(fail=12), objective(dropout=0.5))
    assert same(weights(whole), weights(run(tmp_path / "cut", what=objective(dropout=0.5))))
    assert torch.equal(before, torch.get_rng_state())


def test_a_finished_run_is_read_not_repeated(tmp_path):
    first, data = run(tmp_path / "run"), Rows()
    again = run(tmp_path / "run", data)
    assert data.asked == 0 and same(weights(first), weights(again))


def test_facts_of_a_run_killed_just_before_it_was_called_complete_can_be_written(tmp_path):
    """Killed between the last checkpoint and the end of the command: the same command must still complete."""
    run(tmp_path / "run")
    again = run(tmp_path / "run")
    write_json(tmp_path / "facts.json", dict(again.facts))
    assert math.isfinite(again.facts["loss"])


def test_a_log_line_cut_short_is_dropped(tmp_path):
    whole = run(tmp_path / "whole")
    with pytest.raises(RuntimeError):
        run(tmp_path / "cut", Rows(fail=13))
    with open(tmp_path / "cut" / "log.jsonl", "a") as file:
        file.write('{"step": 13, "lo')
    assert same(weights(whole), weights(run(tmp_path / "cut"))) and log(tmp_path / "cut") == log(tmp_path / "whole")


@pytest.mark.parametrize("changed", [{"steps": 30}, {"batch": 4}, {"seed": 4}], ids=str)
def test_another_run_is_not_continued(tmp_path, changed):
    with pytest.raises(RuntimeError):
        run(tmp_path / "run", Rows(fail=12))
    with pytest.raises(ValueError, match="choose another folder"):
        run(tmp_path / "run", **changed)


def test_a_folder_that_does_not_exist_is_made(tmp_path):
    train(objective(), Rows(), steps=2, batch=BATCH, seed=0, folder=tmp_path / "not" / "yet")
    assert (tmp_path / "not" / "yet" / "checkpoint.safetensors").exists()


# what a step is


def test_every_epoch_visits_every_row_once():
    data = Rows()
    run(None, data, steps=25)  # 200 rows: four epochs of fifty
    epochs = torch.cat(data.rows).reshape(4, N)
    assert all(sorted(epoch.tolist()) == list(range(N)) for epoch in epochs)
    assert not torch.equal(epochs[0], epochs[1])


def test_a_batch_larger_than_the_data_is_allowed():
    data = Rows()
    run(None, data, steps=2, batch=120)
    assert [len(rows) for rows in data.rows] == [120, 120]
    assert int(torch.bincount(torch.cat(data.rows)).max()) == 5


def test_every_step_has_its_own_noise():
    """Times and starts of one step are not those of another."""
    starts, times = [], []

    class Spy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.w = torch.nn.Parameter(torch.zeros(2))

        def forward(self, x, t):
            times.append(t.clone())
            starts.append(x.detach().clone())
            return x * self.w

    network = Spy()
    what = FlowMatching(NetworkField(network, LinearPath()), StandardNormal((2,)), Independent(), Player(network))
    run(None, what=what)
    assert len(torch.cat(times).unique()) == STEPS * BATCH
    times.clear()
    run(None, what=what, seed=4)
    assert len(torch.cat(times).unique()) == STEPS * BATCH


def test_averaged_weights_follow_their_recursion():
    """w <- d w + (1 - d) theta, d = min(ema, (1 + k) / (10 + k)); the first update is taken as it is."""
    what, history = objective(ema=0.9), []
    network = what.field.network
    hook = register_optimizer_step_post_hook(
        lambda *_: history.append([p.detach().clone().double() for p in network.parameters()])
    )
    try:
        trained = run(None, what=what)
    finally:
        hook.remove()
    average = history[0]
    for k, theta in enumerate(history[1:], 1):
        d = min(0.9, (1 + k) / (10 + k))
        average = [d * w + (1 - d) * p for w, p in zip(average, theta, strict=True)]
    found = list(trained.networks["flow"].parameters())
    assert all(torch.allclose(a, b.double(), atol=1e-6) for a, b in zip(average, found, strict=True))
    assert not same([p.float() for p in history[-1]], found), "the average is not the last iterate"
    assert same([p.float() for p in history[-1]], trained.raw["flow"].parameters())


def test_without_averaging_both_networks_are_one():
    trained = run(None, what=objective(ema=0.0))
    assert same(trained.networks["flow"].parameters(), trained.raw["flow"].parameters())


def test_the_rate_rises_then_falls_to_two_percent():
    assert [round(rate(k, 1000, 10), 3) for k in (0, 4)] == [0.1, 0.5]
    assert rate(10, 1000, 10) == pytest.approx(1, abs=1e-3) and rate(999, 1000, 10) == pytest.approx(0.02, abs=1e-4)
    assert rate(500, 1000, 10) == pytest.approx(0.51)


@pytest.mark.long
def test_training_lowers_the_loss_to_the_law_s_own():
    """On one datum from N(0, I) the best loss is 0: the velocity is known from x_t."""
    network = seeded(0, lambda: MLP((2,), width=32, depth=1))
    field = NetworkField(network, LinearPath(), "x1")
    what = FlowMatching(field, StandardNormal((2,)), Independent(), Player(network, 1e-2, ema=0.9))
    trained = train(what, Batch(torch.tensor([[1.0, -2.0]])), steps=150, batch=32, seed=0, warmup=10)
    assert trained.facts["loss"] < 1e-2 and trained.facts["steps"] == 150


# players that take turns


class Turns(Objective):
    """Two players; the second has its first turn at step 2 and every third step from there."""

    product = "late"

    def __init__(self):
        nets = {name: seeded(k, lambda: torch.nn.Linear(2, 2)) for k, name in enumerate(("early", "late"))}
        self.players = {name: Player(net, 1e-2, ema=0.9) for name, net in nets.items()}

    def turn(self, step):
        return "late" if step % 3 == 2 else "early"

    def pair(self, batch, *, noise):
        return Pair(Start(noise.normal("x0", 2)), batch.x1)

    def loss(self, turn, pair, *, noise):
        return (self.players[turn].network(pair.start.x0) - pair.x1).square().mean(), {}


def test_each_players_average_counts_its_own_updates():
    """A player whose turn comes late must not begin its average with untrained weights."""
    what, history = Turns(), {"early": [], "late": []}
    owners = {id(p): name for name, player in what.players.items() for p in player.network.parameters()}

    def note(optimiser, *_):
        weights = optimiser.param_groups[0]["params"]
        history[owners[id(weights[0])]].append([p.detach().clone().double() for p in weights])

    hook = register_optimizer_step_post_hook(note)
    try:
        trained = run(None, what=what)
    finally:
        hook.remove()
    assert {name: len(v) for name, v in history.items()} == {"early": STEPS - STEPS // 3, "late": STEPS // 3}
    for name, iterates in history.items():
        average = iterates[0]
        for k, theta in enumerate(iterates[1:], 1):
            d = min(0.9, (1 + k) / (10 + k))
            average = [d * w + (1 - d) * p for w, p in zip(average, theta, strict=True)]
        found = trained.networks[name].parameters()
        assert all(torch.allclose(a, b.double(), atol=1e-6) for a, b in zip(average, found, strict=True))


def test_every_line_of_the_log_tells_the_gradients_of_all_players(tmp_path):
    """Lines fall on every third step, always the late player's turn: the early one's last norm must be there as well."""
    run(tmp_path, what=Turns(), log_every=3)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert len(lines) == STEPS // 3 + 1  # and the last step
    assert all(set(line["gradient_norm"]) == {"early", "late"} for line in lines)
    assert len({line["gradient_norm"]["early"] for line in lines}) == len(lines)


def test_the_first_average_of_a_late_player_is_its_first_iterate():
    """After three steps it has moved once: nothing of its untrained weights may be left."""
    trained = run(None, what=Turns(), steps=3)
    ours, theirs = (list(t["late"].parameters()) for t in (trained.networks, trained.raw))
    assert same(ours, theirs)
    assert not same(ours, Turns().players["late"].network.parameters())


@pytest.mark.parametrize("fail", [2, 3, 4, 12])
def test_players_that_take_turns_are_resumed_bit_for_bit(tmp_path, fail):
    whole = run(None, what=Turns())
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", Rows(fail=fail, error=KeyboardInterrupt), Turns())
    again = run(tmp_path / "cut", what=Turns())
    for part in ("networks", "raw"):
        for name in ("early", "late"):
            ours, theirs = (list(getattr(t, part)[name].parameters()) for t in (whole, again))
            assert same(ours, theirs)


# networks with running statistics, as users bring them


class Normed(torch.nn.Module):
    """A network with batch normalisation: its buffers are moved by the forward pass, not by the optimiser."""

    def __init__(self):
        super().__init__()
        self.norm, self.out = torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 2)

    def forward(self, x, t):
        return self.out(self.norm(x))


def normed():
    network = seeded(0, Normed)
    field = NetworkField(network, LinearPath())
    return FlowMatching(field, StandardNormal((2,)), Independent(), Player(network, 1e-2, ema=0.9))


def test_averaged_weights_come_with_the_running_statistics_of_the_run():
    """With those of the untrained network the averaged one would normalise by the wrong numbers."""
    trained = run(None, what=normed())
    ours, theirs = (dict(m["flow"].named_buffers()) for m in (trained.networks, trained.raw))
    assert float(theirs["norm.running_mean"].abs().max()) > 0.1
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_running_statistics_are_resumed_bit_for_bit(tmp_path):
    whole = run(None, what=normed())
    with pytest.raises(RuntimeError):
        run(tmp_path / "cut", Rows(fail=12), normed())
    assert same(weights(whole), weights(run(tmp_path / "cut", what=normed())))


def test_a_divergence_leaves_no_nan_in_the_running_statistics(tmp_path):
    """The forward pass that met the NaN has already moved them when the loss is looked at."""
    with pytest.raises(Diverged, match="step 8:"):
        run(tmp_path / "run", Rows(spoil=8), normed())
    tensors, _ = checkpoint(tmp_path / "run")
    assert all(bool(torch.isfinite(t).all()) for t in tensors.values())
    assert same(weights(run(tmp_path / "run", what=normed())), weights(run(None, what=normed())))


# divergence


@pytest.mark.parametrize("step", [1, 8, 12])
def test_nan_in_the_data_names_the_step_and_keeps_the_last_good_weights(tmp_path, step):
    with pytest.raises(Diverged, match=f"step {step}:"):
        run(tmp_path / "run", Rows(spoil=step), objective(Independent()))
    tensors, facts = checkpoint(tmp_path / "run")
    assert int(facts["step"]) == step - 1 and all(bool(torch.isfinite(t).all()) for t in tensors.values())
    # the checkpoint is loadable: with the data mended the run continues and equals one that never met a NaN
    again = run(tmp_path / "run", what=objective(Independent()))
    assert same(weights(again), weights(run(None, what=objective(Independent()))))


def test_nan_in_the_data_is_a_divergence_under_assignment_too(tmp_path):
    with pytest.raises(ValueError, match=r"step 8|index|NaN"):
        run(tmp_path / "run", Rows(spoil=8))


def test_an_infinite_loss_is_a_divergence():
    class Explodes(FlowMatching):
        def loss(self, turn, pair, *, noise):
            loss, numbers = FlowMatching.loss(self, turn, pair, noise=noise)
            return loss * (float("inf") if turn else 1), numbers

    o = objective()
    with pytest.raises(Diverged, match="step 1:"):
        run(None, what=Explodes(o.field, o.source, o.coupling, o.player))


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"steps": 2.5}, "steps is"),
        ({"batch": True}, "batch is"),
        ({"steps": "3"}, "steps is"),
    ],
)
def test_impossible_settings_are_named(more, match):
    with pytest.raises(ValueError, match=match):
        run(None, **more)
