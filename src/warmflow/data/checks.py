"""Checks on sets of samples before they are measured, for faults that would make distances meaningless.

    overlaps        real data that a method was trained on, or that are a method's own samples
    one_clipped     the samples of one method are clipped to a range and those of another are not
    copied          samples that are rows of the held-out data plus a little noise
    distinct        two sets that are identical
    repeats         samples that are copies of others in the same set

A clipped set has an *atom* at the end of its range: many entries are equal to the largest (or smallest) one, which has
probability 0 for samples of a continuous distribution. An atom alone is not an error, because all methods may be clipped or
the data may be bounded. An atom of one method and values of another beyond it mean different post-processing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from warmflow.metrics.copying import CopyingReference

ATOM = 0.001
"""Share of entries equal to the extreme value from which on they count as an atom."""
FEWEST = 3
"""Fewest entries of an atom: a continuous distribution takes its extreme value once."""
BEYOND = 1e-4
"""Values past an atom by less than this share of the range are attributed to rounding."""
IN_RANGE = 2.0
"""Images whose largest absolute value is in (0.5, IN_RANGE] are assumed to be in [-1, 1]; samples may exceed 1."""
OVERLAP = 0.01
"""Largest share of the real rows that may occur in another set."""


def are_images(x: Tensor) -> bool:
    """Returns True if x (n, *S) looks like images in [-1, 1]."""
    return x.ndim == 4 and x.is_floating_point() and 0.5 < float(x.abs().max()) <= IN_RANGE


def keys(x: Tensor, as_8_bits: bool) -> list[bytes]:
    """Each row of x (n, *S) as bytes; ``as_8_bits`` first rounds images in [-1, 1] to 8 bits, as saving to a file does."""
    flat = x.reshape(len(x), -1)
    if as_8_bits:
        flat = ((flat.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    elif x.is_floating_point():
        flat = flat.float()
    else:
        flat = flat.long()
    return [row.tobytes() for row in flat.contiguous().numpy()]


def overlaps(real: Tensor, sets: Mapping[str, Tensor], name: str = "the real data") -> None:
    """Raises ValueError if rows of a set are rows of the real data, which makes distances to them meaningless.

    Data with few possible values (short texts, counts) repeat by chance, so four times the share of rows that two halves of
    the real data have in common is allowed.

    Args:
        real: (m, *S).
        sets: the other sets by their name in error messages; ``name`` is that of the real data.
    """
    as_8_bits = are_images(
        real
    )  # decided once for all sets, so that one bright value in a set of copies changes nothing
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
"""A sample is near if it is nearer than 95 % of new real data; a set fails if its share of near samples is above one half by
4 standard deviations."""


def copied(test: Tensor, validation: Tensor, sets: Mapping[str, Tensor]) -> None:
    """Raises ValueError if many samples of a set are near copies of the test data.

    The copying ratio (``metrics.copying``) of a sample compares its distance to the test set with its distance to one half of
    the validation set. The other half gives the 5 % quantile of this ratio for new real data. A set fails if more than half of
    its samples are below it, which no mixture of classes explains. A smaller share of near copies is not detected.

    Args:
        test, validation: held-out real data (m, *S), floats. Nothing is checked if half of ``validation`` has fewer than 20
            rows.
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
                "copies of it; hold out real data from which no samples were made"
            )


def distinct(sets: Mapping[tuple[str, int], Sequence[Tensor]]) -> None:
    """Raises ValueError if two methods, or two training seeds of one method, share a set of samples, as when one model is given
    twice. One method may have equal samples at several numbers of calls.

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
    """The share of the rows of x (n, *S) that are copies of another row."""
    return 1 - len(set(keys(x, are_images(x)))) / len(x)


def _end(x: Tensor, sign: float) -> tuple[float, bool]:
    """The largest finite entry of sign * x, and True if it is an atom."""
    values = sign * x[torch.isfinite(x)].reshape(-1)
    if not values.numel():
        return float("-inf"), False
    top = values.max()
    equal = int((values == top).sum())
    return float(top), equal >= max(FEWEST, ATOM * values.numel())


def one_clipped(samples: Mapping[str, Sequence[Tensor]]) -> None:
    """Raises ValueError if the samples of one method look clipped (many values equal the largest or the smallest) and those of
    another method go beyond that value.

    Args:
        samples: by method, sets of its samples (n, *S); tokens are not checked.
    """
    sets = [(name, x) for name, parts in samples.items() for x in parts if x.is_floating_point()]
    if all(bool((x == x.round()).all()) for _, x in sets):  # integers always end in an atom
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
