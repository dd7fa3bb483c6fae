"""Identical methods are not called faster, and methods that are faster are: hundreds of studies of known truth."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from warmflow.evaluation.exchange import Rules, exchanges, quoted

ROOT = Path(__file__).parents[3]
SPEC = importlib.util.spec_from_file_location("calibration", ROOT / "runs" / "calibration.py")
calibration = importlib.util.module_from_spec(SPEC)
sys.modules["calibration"] = calibration
SPEC.loader.exec_module(calibration)
Model = calibration.Model


def results(model, times, seed=0):
    generator = np.random.default_rng(seed)
    return [calibration.model_study(model, generator) for _ in range(times)]


def claimed(rows):
    return np.array([np.inf if r["rate"] is None else r["rate"] for r in rows])


IDENTICAL = {
    "at the data, training noise": Model(0, 1, 5, 0.3),
    "at the data, no training noise": Model(0, 1, 5, 0.02),
    "three seeds": Model(1, 1, 3, 0.3),
    "five seeds": Model(1, 1, 5, 0.3),
    "far from the data": Model(6, 1, 5, 1.0, row=0.1),
    "rows with noise of their own": Model(1, 1, 5, 0.0, row=0.03),
    "rows with tiny noise of their own": Model(1, 1, 5, 0.0, row=0.01),
    "both noises": Model(1, 1, 5, 0.03, row=0.03),
    "three baselines, two metrics": Model(1, 1, 5, 0.3, baselines=3, metrics=2),
    "two metrics": Model(1, 1, 5, 0.0, metrics=2),
}


@pytest.mark.long
@pytest.mark.parametrize("case", IDENTICAL)
def test_identical_methods_are_called_faster_in_at_most_one_study_in_twenty(case):
    rows = results(IDENTICAL[case], 200)
    false = int((claimed(rows) > 1).sum())
    assert stats.binomtest(false, 200, 0.05, alternative="greater").pvalue > 0.01


@pytest.mark.parametrize("speed", [2, 4, 8])
@pytest.mark.parametrize("training", [0.0, 0.3])
def test_methods_that_are_faster_are_found_and_not_flattered(speed, training):
    rows = results(Model(1, speed, 5, training), 120)
    rate = claimed(rows)
    over = int(sum(r.get("over", 0.0) for r in rows))
    assert stats.binomtest(over, 120, 0.05, alternative="greater").pvalue > 0.01
    assert (rate > 1).mean() >= 0.8
    assert speed / 2 <= np.median(rate) <= speed


def test_a_slower_method_is_not_called_faster():
    generator, false = np.random.default_rng(3), 0
    for _ in range(150):
        slow, fast = calibration.synthetic(Model(1, 2, 5, 0.3), generator)[::-1]
        best = quoted(exchanges(slow, [fast], Rules(floor={"m": 0.02})))
        false += best is not None and best.rate > 1
    assert false <= 2


def test_more_samples_lower_nothing_and_make_nothing_up():
    def of(samples, speed, times=60):
        generator = np.random.default_rng(5)
        model = Model(1, speed, 5, 0.02, row=0.1)
        return claimed([calibration.model_study(model, generator, samples=samples) for _ in range(times)])

    few, many = np.median(of(1, 4)), np.median(of(10, 4))
    assert 2 <= few <= many <= 4
    assert stats.binomtest(int((of(10, 1) > 1).sum()), 60, 0.05, alternative="greater").pvalue > 0.01


# ---------------------------------------------------------------- planted samples


def test_planted_samples_have_the_distances_that_the_honest_path_measures():
    generator = np.random.default_rng(0)
    planted = calibration.Planted.of(generator)
    z = calibration.gaussian(generator, 400)
    shifts = np.array([0.0, 0.2, 1.0, 3.0])
    distance, replicates, validation = planted.measure(z, shifts)
    for i, s in enumerate(shifts):
        honest = planted.data.measure(z + s * planted.direction)
        assert distance[i] == pytest.approx(honest.distance["values"], abs=1e-9)
        assert validation[i] == pytest.approx(honest.validation["values"], abs=1e-9)
        assert replicates[i] == pytest.approx(honest.replicates["values"].numpy(), abs=1e-9)


def test_planted_distances_are_the_closed_form():
    generator = np.random.default_rng(1)
    planted = calibration.Planted.of(generator)
    scale = planted.metric.scale
    wanted = np.array([0.001, 0.01, 0.05])
    shifts = calibration.shift_for(wanted, scale)
    x, y = calibration.gaussian(generator, 2_000), calibration.gaussian(generator, 2_000)
    for s, d in zip(shifts, wanted, strict=True):
        found = planted.metric.distance(x + float(s) * planted.direction, y)
        assert found == pytest.approx(d, abs=2e-3)


@pytest.mark.long
def test_planted_samples_four_times_faster_are_found_and_identical_ones_are_not():
    calibration.MARGIN[:] = [0.0018]
    generator = np.random.default_rng(2)
    torch.set_num_threads(1)
    fast = [calibration.real_study(calibration.Real(1, 4, 3, 0.1), generator) for _ in range(8)]
    same = [calibration.real_study(calibration.Real(1, 1, 3, 0.1), generator) for _ in range(8)]
    assert (claimed(fast) > 1).mean() >= 0.8 and np.median(claimed(fast)) >= 2
    assert (claimed(same) > 1).sum() <= 3
    calibration.MARGIN.clear()
