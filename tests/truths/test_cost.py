"""Timing in alternating rounds, on a clock that only the timed functions move."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from warmflow.metrics.cost import Interleaved, interleaved, median_rank


class Machine:
    """A clock in seconds. ``work(s)`` is a function that takes s, times how slow the machine is at that moment."""

    def __init__(self, slowness: Callable[[float], float] = lambda now: 1.0) -> None:
        self.now, self.slowness, self.calls = 0.0, slowness, []  # type: ignore[var-annotated]

    def clock(self) -> float:
        return self.now

    def work(self, name: str, seconds: float) -> Callable[[], None]:
        def call() -> None:
            self.calls.append(name)
            self.now += seconds * self.slowness(self.now)

        return call


def test_every_round_calls_each_function_once_and_warm_up_is_not_timed() -> None:
    machine = Machine(lambda now: 100.0 if now < 3.5 else 1.0)  # the first calls are slow
    functions = {name: machine.work(name, s) for name, s in (("a", 0.01), ("b", 0.02), ("c", 0.005))}
    found = interleaved(functions, repeats=8, warmup=1, clock=machine.clock)
    assert machine.calls[:3] == ["a", "b", "c"]
    rounds = [tuple(machine.calls[i : i + 3]) for i in range(3, 27, 3)]
    assert len(machine.calls) == 27 and all(sorted(r) == ["a", "b", "c"] for r in rounds)
    assert len(set(rounds)) > 2, "the order changes"
    for name, seconds in (("a", 0.01), ("b", 0.02), ("c", 0.005)):
        assert found.seconds[name] == pytest.approx([seconds] * 8)


def test_the_order_is_a_function_of_the_seed() -> None:
    def order(seed: int) -> list[str]:
        machine = Machine()
        interleaved({n: machine.work(n, 1) for n in "abcd"}, repeats=5, warmup=0, seed=seed, clock=machine.clock)
        return machine.calls

    assert order(3) == order(3) != order(4)


def test_a_machine_that_slows_down_does_not_decide() -> None:
    """Twice as slow after 30 s. One after the other, equal functions differ by half; in rounds they do not."""

    def equal() -> tuple[Machine, dict[str, Callable[[], None]]]:
        machine = Machine(lambda now: 1 + now / 30)
        return machine, {n: machine.work(n, 1.0) for n in "ab"}

    machine, functions = equal()
    apart = [
        interleaved({n: f}, repeats=15, warmup=0, clock=machine.clock).median(n).value for n, f in functions.items()
    ]
    assert apart[1] > 1.5 * apart[0]
    machine, functions = equal()
    found = interleaved(functions, repeats=15, warmup=0, clock=machine.clock).ratio("b", "a")
    assert found.value == pytest.approx(1, abs=0.05) and found.low <= 1 <= found.high


def test_what_slows_a_whole_round_cancels_in_the_ratio() -> None:
    slow = np.random.default_rng(0).lognormal(0, 1, 15)
    found = Interleaved({"a": tuple(2 * slow), "b": tuple(slow)}).ratio("a", "b")
    assert (found.value, found.low, found.high) == pytest.approx((2, 2, 2))
    shuffled = Interleaved({"a": tuple(2 * slow), "b": tuple(slow[::-1])}).ratio("a", "b")
    assert shuffled.high - shuffled.low > 1, "unpaired rounds do not"


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
def test_ranks_of_the_interval_are_the_largest_that_hold_the_level(level: float) -> None:
    for n in range(1, 60):
        rank, confidence = median_rank(n, level)
        assert confidence == pytest.approx(1 - 2 * binom.cdf(rank - 1, n, 0.5))
        assert confidence >= level or rank == 1
        assert 1 - 2 * binom.cdf(rank, n, 0.5) < level
    assert median_rank(6, 0.95) == (1, pytest.approx(0.96875)) and median_rank(9, 0.95)[0] == 2


def test_intervals_cover_the_true_median_as_often_as_they_say() -> None:
    """Exponential times, median log 2: a skewed distribution of which the interval knows nothing."""
    times = np.random.default_rng(1).exponential(size=(4_000, 9))
    found = [Interleaved({"a": tuple(row)}).median("a") for row in times]
    covered = np.mean([e.low <= np.log(2) <= e.high for e in found])
    assert found[0].confidence == pytest.approx(1 - 20 / 512)
    assert covered == pytest.approx(found[0].confidence, abs=0.012)


def test_interval_of_a_ratio_covers() -> None:
    """Two times as slow, with independent skewed times: the bootstrap of 15 rounds holds 95 % about."""
    rng = np.random.default_rng(2)
    covered = []
    for _ in range(200):
        a, b = 2 * rng.lognormal(0, 0.2, 15), rng.lognormal(0, 0.2, 15)
        found = Interleaved({"a": tuple(a), "b": tuple(b)}).ratio("a", "b")
        covered.append(found.low <= 2 <= found.high)
    assert np.mean(covered) > 0.9


def test_too_few_rounds_say_what_their_interval_holds() -> None:
    found = Interleaved({"a": (3.0, 1.0, 2.0)}).median("a")
    assert (found.value, found.low, found.high, found.confidence) == (2, 1, 3, pytest.approx(0.75))
    single = Interleaved({"a": (3.0,)}).median("a")
    assert (single.low, single.high, single.confidence) == (3, 3, 0)


def test_errors_name_the_argument() -> None:
    with pytest.raises(ValueError, match="functions is empty"):
        interleaved({})
    with pytest.raises(ValueError, match="repeats is 0"):
        interleaved({"a": lambda: None}, repeats=0)
    with pytest.raises(ValueError, match="warmup is -1"):
        interleaved({"a": lambda: None}, warmup=-1)
    timed = Interleaved({"a": (1.0, 1.0), "b": (0.0, 1.0)})
    with pytest.raises(ValueError, match="no function 'c'"):
        timed.ratio("a", "c")
    with pytest.raises(ValueError, match="'b' took 0 seconds"):
        timed.ratio("a", "b")
    with pytest.raises(ValueError, match="level is 1"):
        timed.median("a", 1.0)
