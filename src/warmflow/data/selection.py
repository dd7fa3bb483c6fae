"""Training on a subset of the data, or with other class proportions: pruning by a score, and re-weighting.

pruned        keeps the rows with the highest scores, the same share of every class or of the whole training part
reweighted    draws class k with probability w_k. Training visits all rows equally often, so rows are repeated: class k gets
              n_k = w_k n rows, rounded by largest remainders so that they sum to n. Each of its m_k rows is repeated
              n_k // m_k times, and n_k % m_k of them, selected by a permutation, once more. The class proportions therefore
              equal w to within 1/n, not only in expectation.

Both change the training part only. Validation and held-out rows keep the distribution of the data, with which samples are
compared, and ``everything`` remains the rows of the original set. ``rows`` still refers to the user's array.

References:
    Pruning then Reweighting: Towards Data-Efficient Training of Diffusion Models, Li, Zhang, Liu, Lin, ICASSP 2025,
    arXiv 2409.19128 (class weights from a reference model's losses; here scores and weights are the user's)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from warmflow.data import DataSet, suggest
from warmflow.noise import permutation
from warmflow.number_checks import is_number, numbers_checked


@numbers_checked
def pruned(dataset: DataSet, scores: object, keep: float, by_class: bool = True) -> DataSet:
    """The data set with the rows of its training part that have the highest scores, in their order.

    Args:
        scores: (n,) one number for each row of ``dataset.train``, higher is better; of equal scores the first rows are kept.
            Scores in the order of the user's rows are converted by ``scores[dataset.rows["train"]]``.
        keep: the share to keep, in (0, 1]: round(keep m) of m rows, at least one.
        by_class: keep this share of every class, which preserves the class proportions; False for the whole part.

    Raises:
        ValueError: scores of another shape or not finite, a share out of range, ``by_class`` without classes, or training
            rows that are read on demand.
    """
    _in_memory(dataset, "pruned")
    n = len(dataset.train)
    given = torch.as_tensor(np.asarray(scores)) if not isinstance(scores, Tensor) else scores.detach().cpu()
    if given.shape != (n,) or given.dtype.is_complex:
        raise ValueError(f"scores have shape {tuple(given.shape)}; give one number for each of the {n} training rows")
    if not bool(given.double().isfinite().all()):
        raise ValueError("scores hold NaN or infinite values; give finite numbers, the higher the better")
    if not is_number(keep, 1):
        raise ValueError(f"keep is {keep!r}; give the share of the rows to keep, above 0 and at most 1")
    label = _label(dataset, "prune by_class=False") if by_class else torch.zeros(n, dtype=torch.int64)
    best = given.double().argsort(descending=True, stable=True)
    kept = torch.zeros(n, dtype=torch.bool)
    for k in label.unique().tolist():
        mine = best[label[best] == k]
        kept[mine[: max(1, round(keep * len(mine)))]] = True
    rows = kept.nonzero().flatten()
    return _chosen(dataset, rows, "pruned", {"keep": float(keep), "by_class": by_class, "from": n, "to": len(rows)})


@numbers_checked
def reweighted(dataset: DataSet, weights: Sequence[float] | Mapping[str, float], *, seed: int = 0) -> DataSet:
    """The data set with these class proportions in its training part; the number of rows is unchanged.

    Args:
        weights: one for each of ``dataset.classes`` in order, or by name (0 for classes not named); non-negative, need not
            sum to 1. Classes of weight 0 are not used for training.
        seed: selects the rows that are repeated once more than others of their class.

    Raises:
        ValueError: data without classes, weights of another number, negative, not finite or all 0, weight on a class without
            training rows, or training rows that are read on demand.
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
    shares = {name: int(count) / n for name, count in zip(dataset.classes, counts.tolist(), strict=True)}
    return _chosen(dataset, rows, "reweighted", {"shares": shares, "seed": seed})


def _shares(classes: Sequence[str], weights: Sequence[float] | Mapping[str, float]) -> Tensor:
    """Class proportions (K,) float64 that sum to 1."""
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
            f"{dataset.name} is read on demand and cannot be {what}: select the rows of the array yourself, or raise memory"
        )


def _chosen(dataset: DataSet, rows: Tensor, what: str, told: dict[str, object]) -> DataSet:
    """The data set with these rows (n,) of its training part, which may repeat, numbered from 0."""
    train = replace(dataset.train[rows], index=torch.arange(len(rows)))
    numbers = dict(dataset.rows)
    if "train" in numbers:
        numbers["train"] = numbers["train"][rows]
    return replace(dataset, train=train, rows=numbers, notes={**dataset.notes, what: told}, of=dataset)
