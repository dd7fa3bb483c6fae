"""The benchmark beside other flow libraries: what is to be the same is the same, and clocks and bounds say what they claim."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from warmflow.contracts import Batch, Player
from warmflow.couplings import Independent
from warmflow.fields import NetworkField
from warmflow.metrics.ruler import Measure
from warmflow.networks import UNet, seeded
from warmflow.noise import Noise
from warmflow.objectives import FlowMatching
from warmflow.paths import LinearPath
from warmflow.recipes.build import plan_for
from warmflow.recipes.settings import settings_of
from warmflow.sampler import Sampler
from warmflow.solvers import Euler
from warmflow.sources import StandardNormal
from warmflow.training import train

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from peers_flows import PEERS, Loop, Peer, drawn, own_randomness, rows_of
from peers_quality import Walked, best, bounds, compared, kept, our_walks, peer_walks, said, trained_peer
from peers_speed import OURS, Clocked, Turns, order, ratios

SHAPE = (1, 8, 8)
SETTINGS = settings_of("images.fashion", batch=12)


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
    for solver, steps, budget in peer_walks(found, (4, 20, 50), ("euler", "midpoint")):
        x, calls, _ = drawn(found, net, start.x0, solver, steps, 4)
        assert calls == budget
        if solver == "euler":
            torch.testing.assert_close(x, sampler(start=start, steps=steps).x, rtol=1e-3, atol=1e-4)


def test_an_adaptive_walk_ends_where_a_long_one_does():
    found, net = peer("torchcfm"), network()
    torch.nn.init.normal_(net.out.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    ((solver, steps, budget),) = peer_walks(found, (4, 20), ("dopri5",))
    x, calls, _ = drawn(found, net, images(6), solver, steps, 6)
    far, _, _ = drawn(found, net, images(6), "euler", 400, 6)
    assert (steps, budget) == (0, None) and calls >= 7 and float((x - far).abs().max()) < 0.02


def test_a_peer_that_is_not_installed_says_so():
    assert Peer("x", ("no_such_package", "torch"), lambda: images).missing == (
        "no_such_package is not installed (pip install 'warmflow[peers]')"
    )


def test_our_walks_stay_within_their_budget():
    walks = our_walks((1, 2, 4, 20, 50), ("euler", "heun"))
    sampler = Sampler(StandardNormal(SHAPE), NetworkField(network(), LinearPath()), Euler(), 4)
    for solver, steps, budget in walks:
        calls = int(replace(sampler, solver=solver)(2, steps=steps).calls.max())
        assert budget - 1 <= calls <= budget
    assert len(walks) == 8


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


def measure(distance, spread=1e-4, seed=0):
    replicates = distance + spread * Noise.of(seed, 200).normal("r").double()
    return Measure(8, {"D": distance}, {"D": replicates}, {}, 0.1, 0.0, 0.9)


def row(arm, budget, distance, seed=0, solver="euler", **more):
    return Walked(arm, seed, solver, budget, budget, "w", float(budget), 0.001, measure(distance, seed=seed, **more))


def test_what_bounds_say():
    assert said({"D": {"high": -0.1, "low": -0.3, "margin": 1.0}}, 1, 2) == "better"
    assert said({"D": {"high": -0.1, "low": -0.3, "margin": 1.0}}, 1, 1) == "as good"  # samples' noise could do that
    assert said({"D": {"high": -1.1, "low": -1.3, "margin": 1.0}}, 1, 1) == "better"
    assert said({"D": {"high": 0.5, "low": -0.3, "margin": 1.0}}, 1, 2) == "as good"
    assert said({"D": {"high": 1.5, "low": 1.1, "margin": 1.0}}, 1, 2) == "not shown"
    assert said({"D": {"high": 1.5, "low": 1.1, "margin": 1.0}}, -1, 1) == "better"
    both = {"D": {"high": -0.1, "low": -0.3, "margin": 1.0}, "E": {"high": 0.5, "low": -0.3, "margin": 1.0}}
    assert said(both, 1, 2) == "as good" and said(both, -1, 2) == "as good"
    both["E"]["high"] = 2.0
    assert said(both, 1, 2) == "not shown"


def test_one_seed_is_bounded_by_the_real_set_and_several_by_the_verdicts_rule():
    a, b = measure(1.0, spread=0.1), measure(0.5, spread=0.0)
    one = bounds({0: a}, {0: b}, "D")
    reach = 1.645 * float(a.replicates["D"].std())
    assert one == pytest.approx({"estimate": 0.5, "low": 0.5 - reach, "high": 0.5 + reach})
    several = bounds({0: a, 1: measure(1.2, spread=0.0)}, {0: b, 1: b}, "D")
    assert several["high"] - several["estimate"] > 6.3 * 0.1  # t of one degree: 6.31


def test_an_arm_is_its_best_walk_of_the_budget_over_the_seeds_in_common():
    rows = [row("cold", 4, 0.3), row("cold", 4, 0.2, solver="heun"), row("cold", 20, 0.1), row("cold", 4, 0.1, seed=1)]
    rows += [
        row("torchcfm", 4, 0.25),
        row("torchcfm", 20, 0.1001, spread=2e-3),
        row("torchcfm", 20, 0.0, solver="other", seed=3),
    ]
    assert best(rows, "cold", 4, {0}, "D")[0].solver == "heun" and not best(rows, "cold", 50, {0}, "D")
    found = compared(rows, {"D": 0.01})
    assert [(p["a"], p["b"], p["a_calls"], p["seeds"]) for p in found] == 2 * [
        ("cold", "torchcfm", 4.0, [0]),
        ("cold", "torchcfm", 20.0, [0]),
    ]
    alike, own = found[:2], found[2:]
    assert [p["a_solver"] for p in alike] == ["euler", "euler"] and own[0]["a_solver"] == "heun"
    assert [(p["a_is"], p["b_is"]) for p in alike] == [("not shown", "better"), ("as good", "as good")]
    assert [(p["a_is"], p["b_is"]) for p in own] == [("better", "not shown"), ("as good", "as good")]


def test_rows_are_kept_until_the_weights_or_the_samples_change(tmp_path):
    made = []

    class Ruler:
        def measure(self, x):
            return replace(measure(0.5), samples=len(x))

    def asked(weights, samples):
        def make():
            made.append(weights)
            return torch.zeros(samples, 2), 4.0, 1.0

        return kept(tmp_path, weights, ("cold", 0, "euler", 4, 4), samples, make, Ruler)

    first = asked("w", 8)
    again = asked("w", 8)
    assert made == ["w"] and json.dumps(first.to_json()) == json.dumps(again.to_json())
    asked("v", 8), asked("v", 10)
    assert made == ["w", "v", "v"]


def test_a_trained_peer_is_found_again_and_another_is_refused(tmp_path):
    found, x = peer("torchcfm"), images(300).flatten(1).numpy()
    plan = plan_for(x, updates=3, width=16, depth=1, batch=12, components=5)
    first = trained_peer(plan, found, 0, tmp_path)
    written = (tmp_path / "weights.safetensors").stat().st_mtime_ns
    again = trained_peer(plan, found, 0, tmp_path)
    assert (tmp_path / "weights.safetensors").stat().st_mtime_ns == written and not again.training
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    with pytest.raises(ValueError, match=r"has updates 3, asked is 4: choose another --out"):
        trained_peer(replace(plan, settings=replace(plan.settings, updates=4)), found, 0, tmp_path)
