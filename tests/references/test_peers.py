"""The benchmark beside other flow libraries: what is to be the same is the same, and clocks and bounds say what they claim."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from warmflow.contracts import Batch, Player
from warmflow.couplings import Independent
from warmflow.evaluation.study import Measure, Method, MetricFacts, RealFacts, Role, Row, Study
from warmflow.evaluation.verdict import Outcome
from warmflow.fields import NetworkField
from warmflow.networks import UNet, seeded
from warmflow.noise import Noise
from warmflow.objectives import FlowMatching
from warmflow.options import changed
from warmflow.paths import LinearPath
from warmflow.problems.own import Arrays
from warmflow.sampler import Sampler
from warmflow.setup import Training
from warmflow.solvers import Euler
from warmflow.sources import StandardNormal
from warmflow.training import train

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from peers_flows import PEERS, Loop, Peer, drawn, own_randomness, rows_of
from peers_quality import OUR_SOLVERS, PeerFlow, between, of_ours, of_peer, pairs_told, starts, trained_peer
from peers_speed import OURS, Clocked, Turns, order, ratios

SHAPE = (1, 8, 8)
SETTINGS = Training(batch=12)


def network(seed=0):
    return seeded(seed, lambda: UNet(SHAPE, width=4))


def images(n=40):
    return Noise.of(3, n).normal("images", *SHAPE).tanh()


def cold(net, predicts="velocity"):
    field, source = NetworkField(net, LinearPath(), predicts), StandardNormal(SHAPE)
    return FlowMatching(field, source, Independent(), Player(net, SETTINGS.learning_rate, ema=SETTINGS.ema))


def peer(name):
    found = PEERS[name]
    if found.missing:
        pytest.skip(found.missing)
    return found


def test_rows_come_in_the_order_of_our_training():
    taken = []

    class Noted(Independent):
        def pair(self, batch, source, *, noise):
            taken.append(batch.index)
            return super().pair(batch, source, noise=noise)

    objective = replace(cold(network()), coupling=Noted())
    train(objective, Batch(images(), {}, torch.arange(40)), steps=9, batch=12, seed=5)
    theirs = rows_of(40, 12, 5)
    assert all(torch.equal(rows, next(theirs)) for rows in taken) and len(taken) == 9


def test_the_plain_loop_makes_the_updates_of_our_training():
    """Fed with our own pairs and times, it ends at our weights, raw and averaged."""
    steps, x1 = 15, images()
    ours = train(cold(network()), Batch(x1, {}, torch.arange(40)), steps=steps, batch=12, seed=2, warmup=1)
    objective, step = cold(network()), iter(range(steps))

    def match(rows):
        k = next(step)
        noise = Noise.of(2, 12, k * 12).fold("train")
        pair = objective.pair(Batch(rows, {}, torch.arange(12)), noise=noise)
        t = noise.uniform("t")
        point = objective.field.path.sample(pair, t, noise=noise.fold("path"))
        return t.float(), point.x_t, point.velocity

    loop = Loop(match, network(), x1, SETTINGS, steps, 2)
    loop.run(10)
    loop.run(5)
    for found, wanted in ((loop.network, ours.raw["flow"]), (loop.average, ours.networks["flow"])):
        for a, b in zip(found.parameters(), wanted.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_joins_noise_and_images_by_straight_lines(name):
    """x_t + (1 - t) velocity is an image of the batch: time and velocity are ours, t = 0 at the noise."""
    found, x1 = peer(name), images(16)
    with own_randomness(0):
        t, x_t, target = found.match()(x1)
    end = target if found.predicts == "x1" else x_t + (1 - t).reshape(-1, 1, 1, 1) * target
    nearest = torch.cdist(end.flatten(1), x1.flatten(1)).min(1)
    assert t.shape == (16,) and float(nearest.values.max()) < 1e-4
    if name != "torchcfm_ot":
        assert torch.equal(nearest.indices, torch.arange(16))


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_is_trained_by_its_seed_and_leaves_the_generators_alone(name):
    found, x1 = peer(name), images()
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    losses = []
    for seed in (1, 1, 2):
        with own_randomness(seed):
            loop = Loop(found.match(), network(), x1, SETTINGS, 3, 0)
            loop.run(3)
        losses.append(loop.loss)
    assert losses[0] == losses[1] != losses[2]
    assert torch.equal(states[0], torch.get_rng_state()) and (states[1] == np.random.get_state()[1]).all()


@pytest.mark.parametrize("name", PEERS)
def test_a_peers_euler_is_ours_and_calls_are_counted(name):
    found, net = peer(name), network()
    torch.nn.init.normal_(net.out.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    sampler = Sampler(StandardNormal(SHAPE), NetworkField(net, LinearPath(), found.predicts), Euler(), 4)
    start = sampler.source.draw(10, noise=Noise.of(0, 10).fold("source"))
    for solver, per_step in found.solvers.items():
        for calls in (4, 20, 50) if per_step else ():
            x, counted, _ = drawn(found, net, start.x0, solver, calls // per_step, 4)
            assert counted == calls
            if solver == "euler":
                torch.testing.assert_close(x, sampler(start=start, steps=calls).x, rtol=1e-3, atol=1e-4)


def test_an_adaptive_solver_ends_where_many_steps_do():
    found, net = peer("torchcfm"), network()
    torch.nn.init.normal_(net.out.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    x, calls, _ = drawn(found, net, images(6), "dopri5", 0, 6)
    far, _, _ = drawn(found, net, images(6), "euler", 400, 6)
    assert calls >= 7 and float((x - far).abs().max()) < 0.02


def test_a_peer_that_is_not_installed_says_so():
    assert Peer("x", ("no_such_package", "torch"), lambda: images).missing == (
        "no_such_package is not installed (pip install 'warmflow[peers]')"
    )


class Clipping:
    """What a generator asks of a setup."""

    shape = SHAPE

    @staticmethod
    def clip(x):
        return x.clamp(-1, 1)


@pytest.mark.parametrize("name", PEERS)
def test_a_generator_of_a_peer_takes_the_calls_it_is_asked_for_and_no_adaptive_solver(name):
    found, net = peer(name), network()
    by_solver = of_peer(found, {0: net}, Clipping, ("euler", "midpoint", "dopri5"))
    assert set(by_solver) == set(found.solvers) - {"dopri5"}
    for solver, seeds in by_solver.items():
        per_step = found.solvers[solver]
        for calls in (1, 3, 8):
            samples = seeds[0](6, steps=calls, seed=0)
            wanted = calls // per_step * per_step or 1
            assert samples.calls.tolist() == [wanted] * 6 and float(samples.x.abs().max()) <= 1


def test_ours_and_a_peer_start_from_the_same_noise():
    found, net = peer("torchcfm"), network()
    torch.nn.init.normal_(net.out.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    sampler = Sampler(StandardNormal(SHAPE), NetworkField(net, LinearPath(), "velocity"), Euler(), 4)
    ours = of_ours({3: sampler}, ("euler",))["euler"][3](10, steps=5, seed=3)
    theirs = PeerFlow(found, net, Clipping, "euler")(10, steps=5, seed=3)
    torch.testing.assert_close(theirs.start.x0, starts(Clipping, 10, 3))
    torch.testing.assert_close(theirs.x, ours.x.clamp(-1, 1), rtol=1e-3, atol=1e-4)
    assert all(solver.calls_per_step == solver.calls_last_step == 1 for solver in OUR_SOLVERS.values())


def test_blocks_alternate_inside_of_our_training():
    """Ours makes as many updates in its blocks as the others in theirs, in the order that was asked."""
    told = []
    blocks = order(["a", "b"], 3)
    others = {name: lambda n, name=name: told.append((name, n, len(steps))) for name in ("a", "b")}
    turns, steps = Turns(list(blocks), 4, others), []

    def begins():
        turns()
        steps.append(turns.done)

    train(Clocked(cold(network()), begins), Batch(images(), {}, torch.arange(40)), steps=13, batch=12, seed=0)
    assert blocks == [OURS, "a", "b", "b", "a", OURS, OURS, "a", "b"]
    assert told == [("a", 4, 4), ("b", 4, 4), ("b", 4, 4), ("a", 4, 4), ("a", 4, 12), ("b", 4, 12)]
    assert {name: len(times) for name, times in turns.seconds.items()} == {OURS: 3, "a": 3, "b": 3}
    assert not turns.blocks and all(min(times) >= 0 for times in turns.work.values())


def test_ratios_and_their_lower_bound():
    random = np.random.default_rng(0)
    mood = np.exp(random.normal(size=20))  # of the machine: the same for all within a round
    seconds = {OURS: mood, "slow": 2 * mood, "fast": 0.5 * mood}
    found = ratios(10, seconds)
    for name, wanted in (("slow", 2.0), ("fast", 0.5), ("best", 0.5)):
        assert found[name] == pytest.approx((wanted, wanted))
    noisy = {name: 1 + 0.1 * random.random(20) for name in (OURS, "a", "b")}
    found = ratios(10, noisy)
    assert found["best"][1] < found["best"][0] and found["best"][0] == min(found["a"][0], found["b"][0])
    assert 0.9 < found["best"][1] < 1.1


def study(**distances):
    """Three seeds of each flow with these distances at 1, 2, 3, ... calls, on one metric; seeds and real data differ by 1e-4."""

    def row(name, calls, d, seed):
        real = 1e-4 * Noise.of(9, 200).normal("real").double()
        x = d + 1e-4 * float(Noise.of(seed, 1).normal(f"{name} {calls}"))
        return Row(name, calls, float(calls), seed, Measure(100, {"D": x}, {"D": x + real}, {"D": d}))

    rows = [
        row(name, calls, d, seed)
        for name, values in distances.items()
        for calls, d in enumerate(values, 1)
        for seed in range(3)
    ]
    methods = [Method(name, Role.CANDIDATE if name == "warm-start" else Role.BASELINE) for name in distances]
    return Study(tuple(methods), tuple(rows), (MetricFacts("D", 1.0),), RealFacts(1000, 1000))


def test_two_flows_of_a_study_are_judged_by_themselves():
    """cold is as good at 2 calls as torchcfm at 4; a better flow that is not asked about changes nothing."""
    slow, fast = ([max(0.4 / (speed * calls) ** 3, 0.012) for calls in range(1, 9)] for speed in (1, 2))
    found = study(**{"warm-start": [0.001] * 8}, cold=fast, torchcfm=slow)
    v = between(found, "cold", "torchcfm")
    assert v.outcome is Outcome.FASTER and v.exchange.baseline == "torchcfm"
    assert v.rate == 2 and v.exchange.calls == 2
    assert between(found, "torchcfm", "cold").outcome is not Outcome.FASTER
    lines = pairs_told(found).splitlines()
    assert [line.split(" | ")[:2] for line in lines[2:]] == [["| cold", "torchcfm"], ["| torchcfm", "cold"]]


def test_a_trained_peer_is_found_again_and_another_is_refused(tmp_path):
    found, x = peer("torchcfm"), images(300).flatten(1).numpy()
    setup = Arrays(data=x).setup(updates=3, width=16, depth=1, batch=12)
    first = trained_peer(setup, found, 0, tmp_path)
    written = (tmp_path / "weights.safetensors").stat().st_mtime_ns
    again = trained_peer(setup, found, 0, tmp_path)
    assert (tmp_path / "weights.safetensors").stat().st_mtime_ns == written and not again.training
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    with pytest.raises(ValueError, match=r"has updates 3, asked is 4: choose another --out"):
        trained_peer(replace(setup, training=changed(setup.training, {"updates": 4})), found, 0, tmp_path)
