"""Checks on sets of samples before anything is measured: what would make a distance mean something else.

    overlaps        real data that a method was trained on, or that are a method's own samples
    one_clipped     one method's samples are clipped to a range and another's are not
    copied          samples that are rows of the held-out data with a little noise
    distinct        sets that are one and the same
    repeats         samples of a set that are copies of others in it

A clipped set has an *atom* at its end: many entries are equal to the largest (or smallest) one, which in samples of a
continuous distribution has probability 0. An atom alone is no fault, for all methods may be clipped, or the data may be
bounded; an atom of one method and values of another beyond it are two post-processings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from warmflow.metrics.copying import CopyingReference

ATOM = 0.001
"""The share of entries equal to the extreme value that is called an atom."""
FEWEST = 3
"""So many entries at least: the extreme of a continuous distribution is taken once."""
BEYOND = 1e-4
"""Values past an atom by less than this share of the range are rounding."""
IN_RANGE = 2.0
"""Images whose largest value is between 0.5 and this one are taken to lie in [-1, 1]; samples may reach past 1."""
OVERLAP = 0.01
"""Of the real rows, the share that may be found again before it is an error."""


def are_images(x: Tensor) -> bool:
    """Whether x (n, *S) holds images in [-1, 1]."""
    return x.ndim == 4 and x.is_floating_point() and 0.5 < float(x.abs().max()) <= IN_RANGE


def keys(x: Tensor, as_8_bits: bool) -> list[bytes]:
    """Each row of x (n, *S) as bytes; images in [-1, 1] may be rounded to 8 bits first, as a file of them rounds them."""
    flat = x.reshape(len(x), -1)
    if as_8_bits:
        flat = ((flat.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    elif x.is_floating_point():
        flat = flat.float()
    else:
        flat = flat.long()
    return [row.tobytes() for row in flat.contiguous().numpy()]


def overlaps(real: Tensor, sets: Mapping[str, Tensor], name: str = "the real data") -> None:
    """ValueError where rows of a set are rows of the real data: a distance to these means nothing.

    Data of few possible values (short texts, counts) repeat by themselves: four times the share of rows that two halves of the
    real data have in common is allowed.

    Args:
        real: (m, *S).
        sets: by the name that the error calls them; ``name`` is that of the real data.
    """
    as_8_bits = are_images(real)  # all sets alike: one bright value in a set of copies changes nothing
    rows = keys(real, as_8_bits)
    known, half = set(rows), len(rows) // 2
    first = set(rows[:half])
    own = sum(key in first for key in rows[half:]) / max(half, 1)  # what two halves of the real data have in common
    for other, x in sets.items():
        again = sum(key in known for key in keys(x, as_8_bits))
        if again > max(1, OVERLAP * len(known), 4 * own * len(x)):
            raise ValueError(
                f"{again} rows of {other} are rows of {name} too: hold out real data that nothing was trained on or copied from"
            )


HELD_OUT_QUANTILE, SURE, MOST_NEAR = 0.05, 4.0, 0.5
"""Near is what 5 % of new real data are; a set fails where its share of near samples is above a half by 4 standard deviations."""


def copied(test: Tensor, validation: Tensor, sets: Mapping[str, Tensor]) -> None:
    """ValueError where samples of a set are near copies of the test data: nearer to them than real data ever are.

    Half of the validation set gives the distance that new data have from real ones, the other half shows what share of new data
    is nearer to the test set than that (``metrics.copying``); five in a hundred are by definition, and half of a set are too many
    for any mixture of classes. A smaller share of near copies is not noticed.

    Args:
        test, validation: held-out real data (m, *S), floats. Where a half has fewer than 20 rows nothing is checked.
    """
    half = len(validation) // 2
    if half < 1 / HELD_OUT_QUANTILE or not test.is_floating_point():
        return
    reference = CopyingReference.of(test, validation[:half], validation[half:], (HELD_OUT_QUANTILE,))
    for name, x in sets.items():
        share = float(reference.shares(x)[0])
        noise = HELD_OUT_QUANTILE * (1 - HELD_OUT_QUANTILE) / (len(validation) - half) + share * (1 - share) / len(x)
        if share - SURE * noise**0.5 > MOST_NEAR:
            raise ValueError(
                f"{share:.0%} of {name} are nearer to the held-out data than {HELD_OUT_QUANTILE:.0%} of new real data are: near "
                "copies of it; hold out real data that nothing was made from"
            )


def distinct(sets: Mapping[tuple[str, int], Sequence[Tensor]]) -> None:
    """ValueError where two methods, or two training seeds of one, have a set in common: a model that is given twice is no second
    one. A method may have equal samples at several numbers of calls.

    Args:
        sets: by method and training seed.
    """
    seen: dict[bytes, tuple[str, int]] = {}
    for key, parts in sets.items():
        for x in parts:
            found = seen.setdefault(hashlib.sha256(x.contiguous().numpy().tobytes()).digest(), key)
            if found != key:
                one, other = (f"{name} (training seed {seed})" for name, seed in (found, key))
                raise ValueError(f"{one} and {other} hold the same samples; give each its own")


def repeats(x: Tensor) -> float:
    """The share of the rows of x that are copies of another row."""
    return 1 - len(set(keys(x, are_images(x)))) / len(x)


def _end(x: Tensor, sign: float) -> tuple[float, bool]:
    """The largest finite entry of sign * x, and whether it is an atom."""
    values = sign * x[torch.isfinite(x)].reshape(-1)
    if not values.numel():
        return float("-inf"), False
    top = values.max()
    equal = int((values == top).sum())
    return float(top), equal >= max(FEWEST, ATOM * values.numel())


def one_clipped(samples: Mapping[str, Sequence[Tensor]]) -> None:
    """ValueError where a method's samples end in an atom and another method's go beyond it.

    Args:
        samples: by method, sets of its samples (n, *S); tokens pass.
    """
    sets = [(name, x) for name, parts in samples.items() for x in parts if x.is_floating_point()]
    if all(bool((x == x.round()).all()) for _, x in sets):  # counts end in an atom by themselves
        return
    span = max((float(x.max() - x.min()) for _, x in sets if bool(torch.isfinite(x).all())), default=1.0)
    # samples that are all one point (an exact flow's after one Euler step) end in an atom without being clipped
    sets = [(name, x) for name, x in sets if not float((x - x[:1]).abs().max()) <= BEYOND * span]
    for sign in (1.0, -1.0):
        ends = [(name, *_end(x, sign)) for name, x in sets]
        for name, end, atom in ends:
            beyond = max(((e, other) for other, e, _ in ends if other != name), default=(end, name))
            if atom and beyond[0] > end + BEYOND * span:
                raise ValueError(
                    f"samples of {name} are clipped at {sign * end:.4g} and those of {beyond[1]} reach {sign * beyond[0]:.4g}: "
                    "clip all or none (--clip LOW,HIGH)"
                )
