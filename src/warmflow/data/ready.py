"""Ready samples as generators, and the inputs of an evaluation whose samples answer an input.

    ready samples                           (n, *S) by number of calls
    generator(n, steps=, seed=, inputs=)    takes inputs (n, *S'), returns outputs (n, *S), one draw of each under this seed
    ready answers                           (K, m, *S) by number of calls: K draws for each of the m inputs, in their order

A proper score depends on the spread of a method's draws, so ready answers need at least 4 of them. They are looked up by
input, so that they can be called like a generator: an evaluation measures answers to validation inputs against test pairs,
and answers to test inputs against validation pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from warmflow.contracts import Samples
from warmflow.data.given import as_set, halves
from warmflow.noise import permutation
from warmflow.number_checks import is_seed
from warmflow.user_code import evaluating, naming

DRAWS = 4
"""Fewest draws of each answer; a proper score depends on their spread."""


@dataclass(frozen=True, eq=False)
class Part:
    """Inputs (m, *S') with their truths (m, *S)."""

    inputs: Tensor
    truth: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def first(self, n: int) -> Part:
        return Part(self.inputs[:n], self.truth[:n])


@dataclass(frozen=True, eq=False)
class Ready:
    """Ready samples by number of calls, as a generator that returns n of them in a fixed random order.

    The last quarter of a row is used for model selection. If samples were sorted by class, the two parts would contain
    different classes. One permutation for all sets makes both parts random and keeps paired sets aligned.
    """

    samples: Mapping[int, Tensor]

    @property
    def sets(self) -> Mapping[int, Tensor]:
        """All samples by number of calls."""
        return self.samples

    def __call__(self, n: int, *, steps: int, seed: int) -> Tensor:
        x = self.samples[steps]
        return x[permutation(0, len(x), "rows")[:n]]


@dataclass(frozen=True, eq=False)
class Called:
    """The user's generator of this name, called in evaluation mode; its samples are clipped to a range if one is given."""

    generator: Callable[..., object]
    name: str
    clip: tuple[float, float] | None = None

    def __call__(self, n: int, *, steps: int, seed: int, **given: Tensor) -> Tensor | Samples:
        told = "".join(f", {name}=..." for name in given)
        failed = f"{self.name} failed when it was called as generator({n}, steps={steps}, seed={seed}{told})"
        with evaluating(self.generator), naming(failed):
            found = self.generator(n, steps=steps, seed=seed, **given)
        if isinstance(found, Samples):
            return found if self.clip is None else replace(found, x=found.x.clamp(*self.clip))
        return torch.as_tensor(found) if self.clip is None else torch.as_tensor(found).clamp(*self.clip)


@dataclass(frozen=True, eq=False)
class Inputs:
    """The inputs (m, *S') of the rows of ``real``, ``train`` and ``validation`` of an evaluation."""

    real: Tensor
    train: Tensor
    validation: Tensor | None = None

    def checked(self) -> Inputs:
        """The same inputs, converted and checked by ``as_set``."""
        real, train = as_set(self.real, "inputs.real"), as_set(self.train, "inputs.train")
        return Inputs(
            real, train, None if self.validation is None else as_set(self.validation, "inputs.validation", real)
        )

    @property
    def asked(self) -> Tensor:
        """All inputs that a method has to answer, in the order of ready answers."""
        return self.real if self.validation is None else torch.cat([self.real, self.validation])

    def parts(self, real: Tensor, train: Tensor, validation: Tensor | None) -> tuple[Part, Part, Part]:
        """(train, test, validation): inputs with their truths. Without ``validation``, a third of the real pairs is used."""
        for name, inputs, truth in (("real", self.real, real), ("train", self.train, train)):
            _aligned(name, inputs, truth)
        if validation is not None:
            if self.validation is None:
                raise ValueError("validation is given without its inputs; give Inputs(real, train, validation)")
            _aligned("validation", self.validation, validation)
            return Part(self.train, train), Part(self.real, real), Part(self.validation, validation)
        test, chosen = (rows.long() for rows in halves(torch.arange(len(real))))
        return (
            Part(self.train, train),
            Part(self.real[test], real[test]),
            Part(self.real[chosen], real[chosen]),
        )


def _aligned(name: str, inputs: Tensor, truth: Tensor) -> None:
    if len(inputs) != len(truth):
        raise ValueError(f"inputs.{name} has {len(inputs)} rows and {name} {len(truth)}; give one input for each row")


def _row_keys(inputs: Tensor) -> list[bytes]:
    return [row.tobytes() for row in inputs.reshape(len(inputs), -1).contiguous().numpy()]


@dataclass(frozen=True, eq=False)
class Answers:
    """Ready answers (K, m, *S) by number of calls, looked up by input; the seed selects the draw. Build it with ``of``."""

    samples: Mapping[int, Tensor]
    rows: Mapping[bytes, int]

    @staticmethod
    def of(samples: Mapping[int, Tensor], inputs: Tensor, name: str) -> Answers:
        """The answers to inputs (m, *S') of the method ``name``.

        Raises:
            ValueError: equal inputs, a shape other than (K, m, *S), or fewer than 4 draws.
        """
        rows = {key: i for i, key in enumerate(_row_keys(inputs))}
        if len(rows) < len(inputs):
            raise ValueError(
                f"inputs has {len(inputs) - len(rows)} duplicate rows; ready answers are looked up by input: give a generator "
                "instead"
            )
        for calls, x in samples.items():
            if x.ndim < 3 or x.shape[1] != len(inputs) or len(x) < DRAWS:
                raise ValueError(
                    f"{name} at {calls} calls has answers of shape {tuple(x.shape)}; give at least {DRAWS} draws of each input, "
                    f"({DRAWS}, {len(inputs)}, ...)"
                )
        return Answers(samples, rows)

    @property
    def sets(self) -> Mapping[int, Tensor]:
        """All draws as one set (K m, *S), by number of calls."""
        return {calls: x.flatten(0, 1) for calls, x in self.samples.items()}

    def __call__(self, n: int, *, steps: int, seed: int, inputs: Tensor) -> Tensor:
        x = self.samples[steps]
        return x[seed % len(x)][torch.tensor([self.rows[key] for key in _row_keys(inputs)])]


def most(test: int, validation: int) -> int:
    """The most samples of a row for which ``Paired.asked`` uses no input twice."""
    return min(4 * validation // 3, 4 * test + 3)


def by_seed(name: str, given: object) -> dict[int, object]:
    """The generator, or the samples by number of calls, of each training seed."""
    if isinstance(given, Mapping) and given and all(isinstance(v, Mapping) or callable(v) for v in given.values()):
        bad = [k for k in given if not is_seed(k)]
        if bad:
            raise ValueError(
                f"{name} has samples under the training seed {bad[0]!r}; give whole numbers from 0 to 2^63 - 1"
            )
        return dict(sorted((int(k), one) for k, one in given.items()))
    found = (
        dict(enumerate(given)) if isinstance(given, Sequence | Iterator) and not isinstance(given, str) else {0: given}
    )
    if len({id(one) for one in found.values() if callable(one)}) < sum(callable(one) for one in found.values()):
        raise ValueError(f"{name} has one generator under several training seeds; one model is one seed")
    if not found:
        raise ValueError(f"{name} is empty; give a generator, or samples by number of calls, for each training seed")
    return found


def equally_many(ready: Mapping[str, Tensor]) -> None:
    """Raises ValueError if sets of ready samples differ in size."""
    first = next(iter(ready.items()), None)
    for name, x in ready.items():
        if first is not None and len(x) != len(first[1]):
            raise ValueError(f"{name} has {len(x)} samples and {first[0]} {len(first[1])}; give equally many of each")


def same_steps(name: str, sets: Mapping[int, Mapping[int, Tensor]]) -> list[int]:
    """The numbers of calls of ready samples; ValueError if they differ between seeds, or if sets differ in size."""
    first = next(iter(sets))
    for seed, samples in sets.items():
        if list(samples) != list(sets[first]):
            raise ValueError(
                f"{name} has samples at {list(sets[first])} calls under seed {first} and at {list(samples)} under seed {seed}; "
                "give the same numbers of calls under every seed"
            )
        if len({len(x) for x in samples.values()}) > 1:
            have = ", ".join(f"{len(x)} at {k}" for k, x in samples.items())
            raise ValueError(
                f"{name} has unequal numbers of samples ({have}); give equally many at every number of calls"
            )
    return list(sets[first])
