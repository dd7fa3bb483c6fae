"""All methods answer the same few inputs: what these happen to be is noise of a difference, and is counted."""

import numpy as np
import pytest
import torch

from warmflow.data.ready import Part
from warmflow.evaluation.paired import paired_data
from warmflow.noise import permutation

NOISE, BIAS = 0.3, 0.6


def pairs(n, g):
    inputs = torch.randn(n, 1, generator=g)
    return Part(inputs, inputs + NOISE * torch.randn(n, 1, generator=g))


@pytest.mark.long
@pytest.mark.parametrize("metric", ["pairs of input and output", "outputs"])
def test_the_spread_of_a_difference_is_the_one_that_is_told(metric):
    """Answers that are off by +b and by -b are equally far from the truth by symmetry. Without the inputs' own noise the told
    standard deviation was 0.7 of the true one, and 14 to 25 % of differences significant at 5 %."""
    differences, told = [], []
    for k in range(60):
        g = torch.Generator().manual_seed(k)
        train, test, validation = pairs(200, g), pairs(120, g), pairs(60, g)
        real = paired_data(train, test, validation, samples=160, seed=k)
        measures = []
        for bias in (BIAS, -BIAS):
            inputs = real.paired.asked(160, 0)
            x = real.paired.halves.joined(inputs, inputs + bias + NOISE * torch.randn(160, 1, generator=g))
            measures.append(real.paired.resampled(real, real.measure(x), x, 0))
        differences.append(measures[0].distance[metric] - measures[1].distance[metric])
        told.append(float((measures[0].replicates[metric] - measures[1].replicates[metric]).std()))
    ratio = np.mean(told) / np.std(differences, ddof=1)
    assert 0.8 < ratio < 1.6  # the answers' own noise is the seeds', and is not in it


def test_each_input_is_asked_in_the_order_that_its_seed_names():
    g = torch.Generator().manual_seed(0)
    real = paired_data(pairs(100, g), pairs(80, g), pairs(40, g), samples=80)
    chosen, tested = real.paired.asked_rows(80, 3)
    assert torch.equal(chosen, torch.cat([permutation(3, 40, "asked"), permutation(4, 40, "asked")])[:60])
    assert torch.equal(tested, permutation(3, 80, "asked")[:20])
    asked = torch.cat([real.paired.validation.inputs[chosen], real.paired.test.inputs[tested]])
    assert torch.equal(real.paired.asked(80, 3), asked)
