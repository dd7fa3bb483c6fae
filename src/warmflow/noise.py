"""Counter-based randomness: every random number is a pure function of (seed, sample, names, position).

The numbers of a stateful generator depend on everything drawn before them: with another batch size, a skipped step, a resumed
run or one more process, every later number changes. Here a number is a hash of *where it is used*:

    key(sample)    = mix(mix(seed) + golden * sample)          one 64-bit key per sample
    fold(name)     : key <- mix(key xor digest(name))          a name opens an independent stream
    bits(position) = mix(key + golden * (position + 1))        one 64-bit word per position

``mix`` is the finaliser of splitmix64, a bijection of 64-bit words. Batch size, skipped steps, resuming and the number of
processes therefore change nothing, and no random state is ever stored.

References:
    Fast splittable pseudorandom number generators, Steele, Lea, Flood, OOPSLA 2014 (the finaliser)
    Parallel random numbers: as easy as 1, 2, 3, Salmon et al., SC 2011 (counters in place of states)
"""

from __future__ import annotations

import hashlib
import math
import operator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from warmflow.devices import place_of_float64

GOLDEN = 0x9E3779B97F4A7C15


def _signed(word: int) -> int:
    """The int64 with the same bits as a 64-bit word."""
    word &= (1 << 64) - 1
    return word - (1 << 64) if word >> 63 else word


def _shift(x: Tensor, k: int) -> Tensor:
    """Logical right shift of int64 bits (torch's own shift copies the sign bit)."""
    return (x >> k) & ((1 << (64 - k)) - 1)


def mix(x: Tensor) -> Tensor:
    """The finaliser of splitmix64 on int64 tensors; multiplication wraps modulo 2^64."""
    x = (x ^ _shift(x, 30)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ _shift(x, 27)) * _signed(0x94D049BB133111EB)
    return x ^ _shift(x, 31)


@dataclass(frozen=True, eq=False)
class Noise:
    """One stream of random numbers per sample. ``key`` is (B,) int64, computed when it is first needed.

    ``noise.normal("x0", 3, 8, 8)`` is (B, 3, 8, 8), and the same name gives the same numbers again. Each name is therefore used
    in one place only, and every batch of a training loop needs a Noise of its own: ``noise.fold(step)``, or ``Noise.drawn``,
    whose streams are new at every call.
    """

    root: Tensor
    within: tuple[Noise, str | int] | None = None

    @cached_property
    def key(self) -> Tensor:
        if self.within is None:
            return self.root
        above, name = self.within
        digest = hashlib.blake2b(str(name).encode(), digest_size=8).digest()
        return mix(above.key ^ _signed(int.from_bytes(digest, "little")))

    @staticmethod
    def of(seed: int, n: int, first: int = 0, device: torch.device | str = "cpu") -> Noise:
        """The streams of samples first .. first + n - 1 under an integer seed.

        Raises:
            ValueError: n is negative.
        """
        if n < 0:
            raise ValueError(f"noise: n is {n}; the number of samples cannot be negative")
        start = mix(torch.tensor([_signed(operator.index(seed) + GOLDEN)], device=device))
        rows = torch.arange(first, first + n, dtype=torch.int64, device=device)
        return Noise(mix(start + rows * _signed(GOLDEN)))

    @staticmethod
    def drawn(n: int, generator: torch.Generator | None = None) -> Noise:
        """n new streams, whose keys are drawn from a generator of torch's (its default one if None): two calls never give the
        same streams, nor do two processes of ``torch.distributed``; a generator with the same state gives the same ones.

        Raises:
            ValueError: something else than a generator.
        """
        if generator is not None and not isinstance(generator, torch.Generator):
            same = ", which gives the same numbers in every batch" if isinstance(generator, Noise | int) else ""
            raise ValueError(
                f"generator is a {type(generator).__name__}{same}; give a torch.Generator, made once before the loop"
            )
        device = "cpu" if generator is None else generator.device
        low, high = torch.iinfo(torch.int64).min, torch.iinfo(torch.int64).max
        made = Noise(torch.randint(low, high, (n,), generator=generator, device=device)).to(device)
        several = torch.distributed.is_available() and torch.distributed.is_initialized()
        rank = torch.distributed.get_rank() if several else 0  # processes are often seeded alike
        return made.fold(f"rank {rank}") if rank else made

    def __len__(self) -> int:
        return len(self.root)

    def __getitem__(self, rows: Tensor | slice) -> Noise:
        return Noise(self.key[rows])

    def to(self, device: torch.device | str) -> Noise:
        """The streams on this device, or on the CPU if it has no float64, in which the numbers are computed."""
        return Noise(self.key.to(place_of_float64(device)))

    def fold(self, name: str | int) -> Noise:
        """The streams for a name or a number (a step, a round), independent of these streams and of other names."""
        return Noise(self.root, (self, name))

    def _bits(self, name: str, shape: tuple[int, ...]) -> Tensor:
        positions = torch.arange(1, math.prod(shape) + 1, dtype=torch.int64, device=self.key.device)
        word = mix(self.fold(name).key[:, None] + positions * _signed(GOLDEN))
        return word.reshape(len(self.key), *shape)

    def uniform(self, name: str, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """Uniform numbers (B, *shape) in the open interval (0, 1), 53 bits each, float64 by default. In a narrower dtype,
        values that would round to 0 or 1 are replaced by the nearest number inside the interval.
        """
        u = (_shift(self._bits(name, shape), 11).double() + 0.5) * 2.0**-53
        if dtype == torch.float64:
            return u
        narrow = torch.finfo(dtype)
        return u.to(dtype).clamp(narrow.tiny, 1 - narrow.eps / 2)

    def normal(self, name: str, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Standard normal numbers (B, *shape) by the inverse distribution function, computed in float64."""
        return torch.special.ndtri(self.uniform(name, *shape)).to(dtype)

    def integers(self, name: str, *shape: int, high: int) -> Tensor:
        """Integers (B, *shape) int64 in 0 .. high - 1; the bias of the modulo is below high * 2^-63."""
        if high < 1:
            raise ValueError(f"noise: high is {high}; integers are drawn below a positive bound")
        return _shift(self._bits(name, shape), 1) % high


def inverse(levels: Tensor, uniform: Tensor) -> Tensor:
    """Samples from discrete distributions by the inverse distribution function: the indices (n,) at which the cumulative
    weights (n, V) first exceed uniform (n,) times their total.
    """
    return (levels <= uniform[:, None] * levels[:, -1:]).sum(1).clamp(max=levels.shape[1] - 1)


def permutation(seed: int, n: int, name: str = "permutation") -> Tensor:
    """A permutation of 0 .. n - 1, (n,) int64: the sorting order of n counter-based uniform numbers."""
    return torch.argsort(Noise.of(seed, n).uniform(name), stable=True)
