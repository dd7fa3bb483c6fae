"""Objectives: their players exist, a loss is the mean over its rows, it reaches the player's weights and no others."""

import pytest
import torch

from examples import batch_of, cases, example
from warmflow.contracts import Objective
from warmflow.noise import Noise
from warmflow.objectives import Regression


@pytest.mark.parametrize(("kind", "k"), cases(Objective))
def test_players_turns_and_product(kind, k):
    objective = example(kind, k)
    assert objective.product in objective.players
    assert all(objective.turn(step) in objective.players for step in range(20))


@pytest.mark.parametrize(("kind", "k"), cases(Objective))
def test_the_loss_of_a_batch_is_the_mean_of_its_parts(kind, k):
    """What makes two processes compute what one does."""
    objective, noise = example(kind, k), Noise.of(0, 30)
    turn, pair = objective.turn(0), objective.pair(batch_of(), noise=noise)
    whole = objective.loss(turn, pair, noise=noise)[0]
    parts = [objective.loss(turn, pair[slice(i, None, 3)], noise=noise[i::3])[0] for i in range(3)]
    assert whole.item() == pytest.approx(sum(parts).item() / 3, rel=1e-5)


@pytest.mark.parametrize(("kind", "k"), cases(Objective))
def test_a_loss_reaches_the_weights_of_its_player(kind, k):
    objective, noise = example(kind, k), Noise.of(0, 30)
    turn = objective.turn(0)
    loss, numbers = objective.loss(turn, objective.pair(batch_of(), noise=noise), noise=noise)
    loss.backward()
    gradients = [p.grad for p in objective.players[turn].network.parameters()]
    assert loss.shape == () and all(g is not None and bool(torch.isfinite(g).all()) for g in gradients)
    assert sum(float(g.abs().sum()) for g in gradients) > 0
    assert all(isinstance(v, float) for v in numbers.values())


@pytest.mark.parametrize(("kind", "k"), cases(Objective))
def test_a_loss_is_a_function_of_its_noise(kind, k):
    objective = example(kind, k)
    losses = []
    for seed in (0, 0, 1):
        noise = Noise.of(seed, 30)
        losses.append(objective.loss(objective.turn(0), objective.pair(batch_of(), noise=noise), noise=noise)[0].item())
    assert losses[0] == losses[1]
    assert kind is Regression or losses[1] != losses[2]  # a regression draws nothing
