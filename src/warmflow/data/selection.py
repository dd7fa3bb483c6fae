"""Training on a part of the data, or on other shares of its classes: pruning by a score, then re-weighting.

pruned        keeps the rows of the highest scores: of every class the same share, or of the whole training part
reweighted    draws class k with probability w_k. Training visits its rows equally often, so the law of a drawn row is a
              matter of how often it is repeated: n_k = w_k n rows of class k, rounded to the largest remainders so that
              they sum to n; each of its m_k rows n_k // m_k times, and n_k % m_k of them, chosen by a permutation, once
              more. So labels have the law w to within 1/n, exactly, and not only in expectation.

Both change the training part alone: validation and held-out rows keep the law of the data, which is what samples are judged
by, and ``everything`` stays the rows of the set they were made from. ``rows`` still points at the user's array.

References:
    Pruning then Reweighting: Towards Data-Efficient Training of Diffusion Models, Li, Zhang, Liu, Lin, ICASSP 2025,
    arXiv 2409.19128 (class weights from a reference model's losses; here scores and weights are the user's)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from warmflow.data import DataSet, suggest
from warmflow.noise import permutation


def pruned(dataset: DataSet, scores: Any, keep: float, by_class: bool = True) -> DataSet:
    """The data set with the best share of its training part, in its order.

    Args:
        scores: (n,) a number for each row of ``dataset.train``, the higher the better; equal scores are kept from the
            first row on. Scores of the user's own rows are turned by ``scores[dataset.rows["train"]]``.
        keep: the share to keep, above 0 and at most 1: of m rows round(keep m), one at least.
        by_class: keep this share of every class, so that the shares of the classes stay; False for the whole.

    Raises:
        ValueError: scores of another number or not finite, a share out of range, classes where there are none, training
            rows that are read on demand.
    """
    _in_memory(dataset, "pruned")
    n = len(dataset.train)
    given = torch.as_tensor(np.asarray(scores)) if not isinstance(scores, Tensor) else scores.detach().cpu()
    if given.shape != (n,) or given.dtype.is_complex:
        raise ValueError(f"scores have shape {tuple(given.shape)}; give one number for each of the {n} training rows")
    if not bool(given.double().isfinite().all()):
        raise ValueError("scores hold NaN or infinite values; give finite numbers, the higher the better")
    if isinstance(keep, bool) or not isinstance(keep, int | float) or not 0 < keep <= 1:
        raise ValueError(f"keep is {keep!r}; it is the share of the rows to keep, above 0 and at most 1")
    label = _label(dataset, "prune by_class=False") if by_class else torch.zeros(n, dtype=torch.int64)
    best = given.double().argsort(descending=True, stable=True)
    kept = torch.zeros(n, dtype=torch.bool)
    for k in label.unique().tolist():
        mine = best[label[best] == k]
        kept[mine[: max(1, round(keep * len(mine)))]] = True
    rows = kept.nonzero().flatten()
    return _chosen(dataset, rows, "pruned", {"keep": float(keep), "by_class": by_class, "from": n, "to": len(rows)})


def reweighted(dataset: DataSet, weights: Sequence[float] | Mapping[str, float], *, seed: int = 0) -> DataSet:
    """The data set whose training rows are drawn with these shares of the classes; as many rows as before.

    Args:
        weights: one for each of ``dataset.classes`` in their order, or by name (0 for those not named); 0 or more, in any
            unit. A class of weight 0 is not trained on.
        seed: of which rows stand once more than others of their class.

    Raises:
        ValueError: data without classes, weights of another number, negative, not finite or all 0, weight on a class without
            training rows, training rows that are read on demand.
    """
    _in_memory(dataset, "reweighted")
    label = _label(dataset, "leave the weights out")
    share = _shares(dataset.classes, weights)
    n, members = len(label), torch.bincount(label, minlength=len(dataset.classes))
    empty = ((share > 0) & (members == 0)).nonzero().flatten().tolist()
    if empty:
        raise ValueError(f'class "{dataset.classes[empty[0]]}" has weight but no training rows; give it weight 0')
    counts = (share * n).floor().long()
    order = (share * n - counts).argsort(descending=True, stable=True)
    counts[order[: n - int(counts.sum())]] += 1
    repeats = torch.zeros(n, dtype=torch.int64)
    for k in counts.nonzero().flatten().tolist():
        mine = (label == k).nonzero().flatten()
        repeats[mine] = int(counts[k]) // len(mine)
        repeats[mine[permutation(seed, len(mine), f"reweighted.{k}")[: int(counts[k]) % len(mine)]]] += 1
    rows = torch.arange(n).repeat_interleave(repeats)
    told = {name: int(count) / n for name, count in zip(dataset.classes, counts.tolist(), strict=True)}
    return _chosen(dataset, rows, "reweighted", {"shares": told, "seed": seed})


def _shares(classes: Sequence[str], weights: Sequence[float] | Mapping[str, float]) -> Tensor:
    """(K,) float64 shares that sum to 1."""
    if isinstance(weights, Mapping):
        for name in weights:
            if name not in classes:
                raise ValueError(f'weights name the class "{name}", which is unknown; {suggest(str(name), classes)}')
        weights = [weights.get(name, 0.0) for name in classes]
    found = torch.as_tensor(weights, dtype=torch.float64)
    if found.shape != (len(classes),):
        raise ValueError(f"weights have shape {tuple(found.shape)}; give one for each of the {len(classes)} classes")
    if not bool(found.isfinite().all()) or bool((found < 0).any()) or float(found.sum()) <= 0:
        raise ValueError(f"weights are {found.tolist()}; give finite numbers of 0 or more, one of them positive")
    return found / found.sum()


def _label(dataset: DataSet, remedy: str) -> Tensor:
    label = dataset.train.condition.get("label")
    if label is None:
        raise ValueError(f"{dataset.name} has no classes; read it with labels, or {remedy}")
    return label


def _in_memory(dataset: DataSet, what: str) -> None:
    if dataset.whole is not None:
        raise ValueError(
            f"{dataset.name} is read on demand and cannot be {what}: choose the rows of the array yourself, or raise memory"
        )


def _chosen(dataset: DataSet, rows: Tensor, what: str, told: dict[str, Any]) -> DataSet:
    """The data set with these rows of its training part, repeats included, numbered anew."""
    train = replace(dataset.train[rows], index=torch.arange(len(rows)))
    numbers = dict(dataset.rows)
    if "train" in numbers:
        numbers["train"] = numbers["train"][rows]
    return replace(dataset, train=train, rows=numbers, notes={**dataset.notes, what: told}, of=dataset)
