"""Numbers of users are checked in one place: found for every public function and every option, not listed."""

from __future__ import annotations

import importlib
import inspect
import itertools
import pkgutil
from collections.abc import Sequence

import numpy as np
import pytest
import torch

import warmflow
from warmflow.checkpoints import config
from warmflow.data import DataSet
from warmflow.experiments import compare_runs, sample, train
from warmflow.noise import Noise
from warmflow.number_checks import LARGEST, LONGEST, numbers_checked, plain_number
from warmflow.options import OptionError, fields_of
from warmflow.solvers import Euler
from warmflow.sources import StandardNormal

X = np.random.default_rng(0).normal(size=(64, 2)).astype("f4")
NUMBERS = ("int", "float", "Sequence[int]", "tuple[int", "tuple[float")
BAD_WHOLE = (
    True,
    np.True_,
    "3",
    2.5,
    np.float64(2.0),
    [1],
    np.array([1, 2]),
    1j,
    torch.tensor(True),
    2**70,
)


def readers():
    """The functions of warmflow.data that return a DataSet."""
    import warmflow.data as data

    for module in pkgutil.iter_modules(data.__path__, "warmflow.data."):
        for name, found in vars(importlib.import_module(module.name)).items():
            public = inspect.isfunction(found) and not name.startswith("_") and found.__module__ == module.name
            if public and inspect.signature(found).return_annotation == DataSet.__name__:
                yield f"{module.name}.{name}", found


def entries():
    """Every public function, and the calls of a sampler and of the commands."""
    exported = ((name, getattr(warmflow, name)) for name in warmflow.__all__)
    yield from ((name, found) for name, found in exported if inspect.isfunction(found))
    yield from readers()
    yield "Sampler.__call__", warmflow.Sampler.__call__
    for module, name in (
        (train, "train_run"),
        (train, "dry_run"),
        (sample, "sample_run"),
        (compare_runs, "compare_runs"),
    ):
        yield name, getattr(module, name)


ENTRIES = dict(entries())
BY_CALLERS = {"warmflow.data.demand.on_demand", "warmflow.data.images.official"}
"""Called by other functions here, with numbers that are checked already."""


def test_the_entries_are_found():
    assert {"compare", "evaluate", "pair", "sample", "prepare", "train", "distill", "Sampler.__call__"} <= set(ENTRIES)
    assert {"warmflow.data.text.text", "warmflow.data.arrays.from_array", "warmflow.data.image_files.folder"} <= set(
        ENTRIES
    )


@pytest.mark.parametrize("name", ENTRIES)
def test_every_number_of_an_entry_is_checked(name):
    asked = {
        p.name for p in inspect.signature(ENTRIES[name]).parameters.values() if str(p.annotation).startswith(NUMBERS)
    }
    assert name in BY_CALLERS or asked <= set(getattr(ENTRIES[name], "numbers", ())), f"{name} lacks numbers_checked"


def options_classes():
    """Every class of options, by name."""
    import warmflow.experiments.sample_options

    for module in pkgutil.walk_packages(warmflow.__path__, "warmflow."):
        found = vars(importlib.import_module(module.name)).values()
        yield from (
            (k.__name__, k)
            for k in found
            if inspect.isclass(k) and "__pydantic_fields__" in vars(k) and not inspect.isabstract(k)
        )


OPTIONS = dict(options_classes())
WHOLE = [(k, f.name) for k in OPTIONS.values() for f in fields_of(k)
         if str(k.__annotations__.get(f.name)).startswith(("Count", "Whole", "Annotated[Count"))]  # fmt: skip
REAL = [(k, f.name) for k in OPTIONS.values() for f in fields_of(k)
        if str(k.__annotations__.get(f.name)).startswith(("Positive", "NotNegative", "Share", "Annotated[float"))]  # fmt: skip


def accepted(kind, name):
    """A value that the option takes: its default, or a small number."""
    for value in (1, 2, 4, 8, 64, 200, 0.5):
        try:
            kind(**{name: value})
        except ValueError:
            continue
        return value
    pytest.skip("depends on other options")


@pytest.mark.parametrize(("kind", "name"), WHOLE, ids=lambda x: getattr(x, "__name__", x))
def test_every_whole_option_takes_numpys_numbers_and_nothing_else(kind, name):
    value = accepted(kind, name)
    for given in (np.int64(value), np.uint8(value), torch.tensor(value), np.array(value)):
        found = getattr(kind(**{name: given}), name)
        assert type(found) is int and found == value
    for given in BAD_WHOLE:
        with pytest.raises(OptionError, match=rf"^{name} "):
            kind(**{name: given})


@pytest.mark.parametrize(("kind", "name"), REAL, ids=lambda x: getattr(x, "__name__", x))
def test_every_real_option_takes_numpys_numbers_and_nothing_else(kind, name):
    value = 0.5
    for given in (np.float64(value), np.float32(value), np.float16(value), torch.tensor(value)):
        found = getattr(kind(**{name: given}), name) if name not in ("guidance", "real") else value
        assert type(found) is float and found == value
    for given in (True, np.True_, "0.5", [0.5], 1j, float("nan"), 10**400):
        with pytest.raises(OptionError, match=rf"^{name} "):
            kind(**{name: given})


@numbers_checked
def asked(
    n: int, share: float | None = None, *, seed: int = 0, seeds: Sequence[int] = (), shape: tuple[int, ...] | None = None
):  # fmt: skip
    return n, share, seed, seeds, shape


@pytest.mark.parametrize("given", [3, np.int8(3), np.uint64(3), torch.tensor(3), np.array(3)])
def test_whole_numbers_become_pythons(given):
    n, share, seed, seeds, shape = asked(given, given, seed=given, seeds=iter([given]), shape=np.array([given, given]))
    assert [type(v) for v in (n, share, seed, *seeds, *shape)] == [int] * 6
    assert (n, share, seed, seeds, shape) == (3, 3, 3, (3,), (3, 3))


@pytest.mark.parametrize(
    "given", [(k for k in (1, 2)), range(1, 3), np.arange(1, 3), torch.arange(1, 3), [1, 2], (1, 2)]
)
def test_lists_may_be_walked_through_once(given):
    assert asked(1, seeds=given)[3] == (1, 2)


SAID = [
    ({"n": True}, "n is True; it must be a whole number"),
    ({"n": np.float32(2)}, r"n is np.float32\(2.0\)|n is 2.0; it must be a whole number"),
    ({"n": "3"}, "n is '3'; it must be a whole number"),
    ({"n": 2**70}, f"n is {2**70}; it must be a whole number"),
    ({"n": 1, "share": "a"}, "share is 'a'; it must be a number"),
    ({"n": 1, "share": True}, "share is True; it must be a number"),
    ({"n": 1, "seed": -1}, r"seed is -1; a seed is a whole number from 0 to 2\^63 - 1"),
    ({"n": 1, "seed": 2**63}, "a seed is a whole number from 0"),
    ({"n": 1, "seeds": [0, np.int64(-1)]}, r"seeds holds -1; a seed is a whole number from 0 to 2\^63 - 1"),
    ({"n": 1, "seeds": 3}, r"seeds is 3; give whole numbers in a list, range\(3\)"),
    ({"n": 1, "seeds": "12"}, "seeds is '12'; give whole numbers in a list"),
    ({"n": 1, "shape": 3}, r"shape is 3; give whole numbers in a list, like \[3\]"),
    ({"n": 1, "shape": [2.0]}, "shape holds 2.0; it must be a whole number"),
    ({"n": 1, "shape": itertools.count()}, f"shape holds more than {LONGEST:,} numbers"),
]


@pytest.mark.parametrize(("given", "said"), SAID, ids=[said[:30] for _, said in SAID])
def test_what_is_no_number_is_named(given, said):
    with pytest.raises(ValueError, match=said) as found:
        asked(**given)
    assert "\n" not in str(found.value)


def sampler():
    return warmflow.Sampler(StandardNormal((2,)), warmflow.ExactGaussian(
        torch.zeros(2), torch.eye(2, dtype=torch.float64), torch.zeros(2), torch.eye(2, dtype=torch.float64),
        warmflow.LinearPath(0.0)), Euler(), 2)  # fmt: skip


CALLS = {
    "sampler": lambda k: sampler()(k(8), seed=k(3), steps=k(2), batch=k(4)).x,
    "pair": lambda k: warmflow.pair(X, draft="noise", rounds=k(2), block=k(16), passes=k(0), seed=k(3)).starts,
    "prepare": lambda k: warmflow.prepare(warmflow.Independent(), warmflow.data.load(np.tile(X, (4, 1))).train,
                                          StandardNormal((2,)), block=k(32), rounds=k(2), seed=k(3)).x1,
    "sample": lambda k: warmflow.sample(lambda x, t: x, None, n=k(4), shape=(k(2),), seed=k(1), batch=k(2), steps=k(2)),
    "toy": lambda k: warmflow.data.load("moons", train=k(300), heldout=k(200), seed=k(2)).train.x1,
    "noise": lambda k: Noise.of(k(5), 4).uniform("a"),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("kind", [np.int64, np.int16, torch.tensor, np.array])
def test_numpys_numbers_give_the_same_result_as_pythons(name, kind):
    assert torch.equal(CALLS[name](kind), CALLS[name](int))


@pytest.mark.parametrize("seed", [2**32, LARGEST])
def test_huge_seeds_work_wherever_seeds_do(seed):
    """scikit-learn's own seeds have 32 bits."""
    assert len(warmflow.pair(X, draft="mixture", rounds=1, seed=seed)) == 64
    assert sampler()(4, seed=seed).x.isfinite().all()


def test_seeds_below_2_32_are_unchanged_by_the_reduction_to_32_bits():
    mixture = warmflow.GaussianMixture.fit(torch.from_numpy(X), components=3, seed=2**32 - 1)
    again = warmflow.GaussianMixture.fit(torch.from_numpy(X), components=3, seed=2**33 - 1)
    assert torch.equal(mixture.means, again.means)


def test_numbers_of_numpy_in_a_part_are_kept_as_numbers():
    described, _ = config(warmflow.AdamsBashforth(np.float32(0.5)))
    assert described["fields"] == {"spacing": 0.5}
    described, _ = config(warmflow.NearestDatum(capacity=np.int64(3)))
    assert type(described["fields"]["capacity"]) is int


def test_values_that_are_no_numbers_stay_as_they_are():
    for value in (None, "a", [1], X, torch.zeros(2)):
        assert plain_number(value) is value


def own_generator(of):
    """A user's generator, whose samples are farther from the data in fewer steps."""

    def draw(n, *, steps, seed):
        return (1 + 0.5 / steps) * Noise.of(seed, n).fold(of).normal("x", 2)

    return draw


def evaluated(**more):
    real, train = (Noise.of(k, 300).normal("real", 2) for k in (100, 101))
    asked = {
        "baseline": {"a": [own_generator(0), own_generator(1)]},
        "candidates": {"b": [own_generator(2), own_generator(3)]},
    }
    return warmflow.evaluate(real, train=train, **{**asked, "samples": 100, **more}).study


def test_an_evaluation_takes_numpys_numbers_and_what_is_walked_through_once():
    from warmflow.metrics.defaults import default_metrics

    metrics = default_metrics(Noise.of(101, 300).normal("real", 2), 25)
    asked = {"baseline": {"a": iter([own_generator(0), own_generator(1)])}, "metrics": iter(metrics),
             "candidates": {"b": {np.int64(0): own_generator(2), np.int64(1): own_generator(3)}}}  # fmt: skip
    again = evaluated(samples=np.int64(100), clip=np.array([-9.0, 9.0]), **asked)
    plain = evaluated(clip=(-9.0, 9.0), metrics=metrics)
    assert [row.measure.distance for row in again.rows] == [row.measure.distance for row in plain.rows]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"samples": True}, "samples is True; it must be a whole number"),
        ({"samples": 5}, "samples is 5; a distance needs at least 20"),
        ({"clip": 3}, "clip is 3; give numbers in a list"),
        ({"clip": (1, 2, 3)}, r"clip is \(1, 2, 3\); give two numbers"),
        ({"clip": (1, -1)}, "clip is .*; give the low end first"),
        ({"metrics": 3}, "metrics is of type int; give a list"),
        ({"baseline": {"a": {-1: own_generator(0)}}}, "training seed -1; give whole numbers from 0"),
    ],
    ids=itertools.count(),
)
def test_an_evaluation_names_what_is_no_number(given, said):
    with pytest.raises(ValueError, match=said):
        evaluated(**given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"seeds": [2**70]}, "seeds holds .*; a seed is a whole number from 0"),
        ({"seeds": [-1]}, "seeds holds -1; a seed is"),
        ({"seeds": np.array([0.5])}, "seeds holds 0.5; a seed is"),
        ({"calls": (k for k in ())}, "calls is empty"),
        ({"calls": np.array([0])}, "calls holds 0"),
        ({"samples": np.float64(400)}, "samples is 400.0; it must be a whole number"),
        ({"minutes": np.True_}, "minutes is True; it must be a positive number"),
        ({"jobs": True}, "jobs is True; it must be a whole number"),
        ({"methods": warmflow.WarmStart()}, "methods is of type WarmStart; give a list"),
    ],
    ids=itertools.count(),
)
def test_a_comparison_names_what_is_no_number_before_anything_is_written(given, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        warmflow.compare("moons", out=tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


def test_a_network_of_numpys_numbers_is_kept_in_a_run_folder(tmp_path):
    from warmflow.checkpoints import save_part
    from warmflow.files import read_json
    from warmflow.networks import MLP

    save_part(tmp_path, "model", MLP((np.int64(2),), width=np.int64(8), depth=torch.tensor(1)))
    assert read_json(tmp_path / "model.json")["arguments"]["width"] == 8


@pytest.mark.long
def test_a_comparison_takes_numpys_numbers_and_the_largest_seed(tmp_path):
    x = np.random.default_rng(0).normal(size=(300, 2))
    made = warmflow.compare(
        x, (warmflow.WarmStart(draft=draft) for draft in ("mixture", "gaussian")), out=tmp_path, seeds=iter([np.uint64(LARGEST)]),
        calls=np.arange(1, 3), samples=np.int32(200), updates=torch.tensor(5), width=np.int16(8), depth=1, progress=False,
    )  # fmt: skip
    assert made.config["seeds"] == [LARGEST] and made.config["settings"]["updates"] == 5
    assert made.verdict.answer
