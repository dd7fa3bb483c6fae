"""Audit of a pairing: how it changes the distributions of data and starts, and how much of the velocity it explains.

A flow learns the distribution of its *pairs*. It cannot generate data that the pairing never selects; it learns other
class proportions if data are selected unequally; and if paired starts differ from those of the source, the distribution at
inference differs from that in training. These effects are measured on n pairs (x0_i, x1_i), where x1_i is data point number
index_i of N and c_j is the number of pairs that use data point j:

    never_chosen           share of j with c_j = 0
    effective_sample_size  (sum c)^2 / sum c^2 / N; 1 if every data point is used equally often
    variation              1/2 sum_k |share of class k among the chosen - its share of the data|
    mean_cost              mean |x1 - x0|^2 of a pair; _relative: divided by its exact mean under a random re-pairing of the
                           same points, mean |x0|^2 + mean |x1|^2 - 2 <mean x0, mean x1>
    explained              1 - E|v - E[v | x0]|^2 / E|v - E v|^2 of the velocity v = x1 - x0. It is 1 for a straight,
                           one-step flow, and 1/2 for independent pairs of equal variance, due to the term -x0 alone
    explained_data         1 - the same error / the variance of x1: 0 for independent pairs, 1 for a deterministic map. Unlike
                           ``explained``, it does not decrease because pairing makes the velocity itself small
    draft_shift            AUC of a classifier that distinguishes the paired x0 from fresh drafts (0.5: no difference). Copies of
                           a draft are not split between training and test rows, so that drafts which are drawn with
                           replacement are not recognised as copies

``explained`` uses v - E[v | x0] = x1 - E[x1 | x0] (x0 is known) and estimates E[x1 | x0] by the mean over the k = 10 nearest
x0 of the other four of five folds. Such a mean has a variance of 1/k of the conditional variance, so the squared error is
divided by 1 + 1/k. What remains is the bias of distant neighbours, which grows with the dimension: the number is a lower
estimate, suitable for comparing pairings of one data set.

References:
    Nearest neighbour residual variance: Evans, Jones, A proof of the Gamma test, Proc. R. Soc. A 458, 2002
    Two-sample tests by classifiers: Lopez-Paz, Oquab, Revisiting Classifier Two-Sample Tests, 2016, arXiv 1610.06545
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from warmflow.noise import permutation

NEVER_CHOSEN = 0.1
SHIFT = 0.6
CLUSTERS = 10
NEIGHBOURS = 10
FOLDS = 5
ROWS_EXPLAINED = 5_000
ROWS_CLASSIFIED = 1_000
ROWS_CLUSTERED = 5_000
FEATURES_CLASSIFIED = 64
CATEGORIES = 50
"""Fewer distinct rows are categories, of which every fold has copies."""


@dataclass(frozen=True)
class Audit:
    """The result of an audit; each number is defined at the top of this module.

    ``flags`` has a sentence for each of: never_chosen > 0.1 (checked only if there are at least as many pairs as data
    points; it is 0.37 for pairs drawn with replacement), variation > variation_floor (the 95 % quantile of the total
    variation between two multinomial draws of n and N from the class proportions of the data), draft_shift > 0.6 and
    > draft_shift_floor (what equal distributions reach by chance, see :func:`auc_floor`). It is empty if there is nothing
    to warn of. ``groups`` is "labels" or "clusters" (ten, by k-means), the groups of variation.
    """

    pairs: int
    data: int
    never_chosen: float
    effective_sample_size: float
    variation: float
    variation_floor: float
    groups: str
    mean_cost: float
    mean_cost_relative: float
    explained: float
    explained_data: float
    draft_shift: float
    draft_shift_floor: float
    flags: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """The audit's values as a dictionary of numbers, strings and a list of strings (``flags``)."""
        return {**dataclasses.asdict(self), "flags": list(self.flags)}


def audit_pairs(
    x0: Tensor,
    x1: Tensor,
    index: Tensor,
    data_size: int,
    labels_of_data: Tensor | None,
    drafts_fresh: Tensor,
    data: Tensor,
    seed: int = 0,
) -> Audit:
    """Audits n pairs; deterministic given its arguments.

    Args:
        x0, x1: (n, *S) paired starts and data; n at least 10.
        index: (n,) int64, the row of ``data`` that each x1 is.
        data_size: N, the number of data points.
        labels_of_data: (N,) int64 classes; if None, or if all labels are equal, ten k-means clusters of the data are used.
        drafts_fresh: (m, *S) samples from the source as used at inference, none of them among the pairs.
        data: (N, *S).

    Raises:
        ValueError: shapes that do not match, an index out of range, NaN or infinite values.
    """
    _check(x0, x1, index, data_size, labels_of_data, drafts_fresh, data)
    count = torch.bincount(index.cpu(), minlength=data_size).double()
    a, b = _flat(x0), _flat(x1)
    labelled = labels_of_data is not None and bool((labels_of_data != labels_of_data[0]).any())
    group = labels_of_data.cpu().numpy() if labels_of_data is not None and labelled else _clusters(_flat(data), seed)
    _, group = np.unique(group, return_inverse=True)
    whole = np.bincount(group) / data_size
    chosen = np.bincount(group[index.cpu().numpy()], minlength=len(whole)) / len(index)
    cost = _square(b - a)
    cost_random = _square(a) + _square(b) - 2 * float((a.mean(0).double() * b.mean(0).double()).sum())
    velocity_share, data_share = _shares(x0, x1, seed)
    found = Audit(
        pairs=len(index),
        data=data_size,
        never_chosen=float((count == 0).double().mean()),
        effective_sample_size=float(count.sum() ** 2 / count.square().sum() / data_size),
        variation=float(np.abs(chosen - whole).sum() / 2),
        variation_floor=variation_floor(whole, len(index), data_size, seed),
        groups="labels" if labelled else "clusters",
        mean_cost=cost,
        mean_cost_relative=cost / cost_random if cost_random > 0 else 1.0,
        explained=velocity_share,
        explained_data=data_share,
        draft_shift=auc(x0, drafts_fresh, seed),
        draft_shift_floor=auc_floor(x0, drafts_fresh),
        flags=(),
    )
    return dataclasses.replace(found, flags=_flags(found))


def _check(
    x0: Tensor, x1: Tensor, index: Tensor, data_size: int, labels: Tensor | None, drafts: Tensor, data: Tensor
) -> None:
    if x0.shape != x1.shape:
        raise ValueError(f"audit: x0 has shape {tuple(x0.shape)}, x1 {tuple(x1.shape)}; give pairs of one shape")
    if len(x0) < 2 * FOLDS:
        raise ValueError(f"audit: {len(x0)} pairs are too few; give at least {2 * FOLDS}")
    for name, x in (("drafts_fresh", drafts), ("data", data)):
        if x.shape[1:] != x0.shape[1:]:
            raise ValueError(
                f"audit: rows of {name} have shape {tuple(x.shape[1:])}, x0 {tuple(x0.shape[1:])}; match them"
            )
    for name, x in (("x0", x0), ("x1", x1), ("drafts_fresh", drafts), ("data", data)):
        if not bool(torch.isfinite(x).all()):
            raise ValueError(f"audit: {name} holds NaN or infinite values; remove or repair these rows")
    if len(data) != data_size:
        raise ValueError(f"audit: data_size is {data_size} but data has {len(data)} rows; give len(data)")
    if index.shape != (len(x0),):
        raise ValueError(f"audit: index has shape {tuple(index.shape)}; give one number a pair, ({len(x0)},)")
    if int(index.min()) < 0 or int(index.max()) >= data_size:
        low, high = int(index.min()), int(index.max())
        raise ValueError(f"audit: index runs from {low} to {high}; give rows of the {data_size} data, from 0")
    if labels is not None and labels.shape != (data_size,):
        raise ValueError(
            f"audit: labels_of_data has shape {tuple(labels.shape)}; give one for each data point, ({data_size},)"
        )


def _flags(audit: Audit) -> tuple[str, ...]:
    flags = []
    if audit.pairs >= audit.data and audit.never_chosen > NEVER_CHOSEN:
        flags.append(f"{audit.never_chosen:.0%} of the data is never chosen: the flow cannot learn to generate it.")
    if audit.variation > audit.variation_floor:
        what = "classes" if audit.groups == "labels" else "clusters"
        flags.append(
            f"The {what} of the chosen data differ from the data's by {audit.variation:.3f} (total variation); "
            f"random sampling alone reaches {audit.variation_floor:.3f}."
        )
    if audit.draft_shift > max(SHIFT, audit.draft_shift_floor):
        flags.append(
            f"The paired drafts differ from fresh drafts: a classifier distinguishes them "
            f"with AUC {audit.draft_shift:.2f} (0.5: no difference)."
        )
    return tuple(flags)


def _flat(x: Tensor) -> Tensor:
    return x.detach().cpu().float().flatten(1)


def _square(x: Tensor) -> float:
    """The mean squared length of the rows of x (n, d), summed in float64."""
    return float(x.square().sum(1, dtype=torch.float64).mean())


def _some(x: Tensor, most: int, seed: int, name: str) -> Tensor:
    """At most ``most`` rows of x, selected at random."""
    return x if len(x) <= most else x[permutation(seed, len(x), name)[:most].to(x.device)]


def _clusters(data: Tensor, seed: int) -> np.ndarray:
    """The k-means cluster (N,) of each row of data (N, d); centres are fitted to at most 5,000 rows."""
    from sklearn.cluster import KMeans

    rows = _some(data, ROWS_CLUSTERED, seed, "audit.clusters").numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer distinct rows than clusters
        model = KMeans(min(CLUSTERS, len(rows)), n_init=3, random_state=seed % 2**32).fit(rows)
        labels: np.ndarray = model.predict(data.numpy())
    return labels


def variation_floor(shares: np.ndarray, n: int, m: int, seed: int = 0, *, draws: int = 1_000) -> float:
    """The 95 % quantile of the total variation between histograms of n and of m samples from the distribution ``shares`` (K,)."""
    rng = np.random.default_rng(seed)
    p = np.asarray(shares, dtype=np.float64)
    p = p / p.sum()
    a, b = rng.multinomial(n, p, size=draws) / n, rng.multinomial(m, p, size=draws) / m
    return float(np.quantile(np.abs(a - b).sum(1) / 2, 0.95))


def explained(x0: Tensor, x1: Tensor, seed: int = 0) -> float:
    """The share in [0, 1] of the variance of x1 - x0 that x0 explains, by nearest neighbours; see the top of this module.

    Pairs are (n, *S), n at least 10; a random 5,000 of them are used if there are more.
    """
    return _shares(x0, x1, seed)[0]


def _shares(x0: Tensor, x1: Tensor, seed: int) -> tuple[float, float]:
    """The explained shares of the velocity and of x1: one squared error divided by two variances."""
    a = _flat(_some(x0, ROWS_EXPLAINED, seed, "audit.explained")).double()
    b = _flat(_some(x1, ROWS_EXPLAINED, seed, "audit.explained")).double()
    error = 0.0
    for fold in permutation(seed, len(a), "audit.folds").tensor_split(FOLDS):
        rest = torch.ones(len(a), dtype=torch.bool)
        rest[fold] = False
        k = min(NEIGHBOURS, int(rest.sum()))
        near = torch.cdist(a[fold], a[rest]).topk(k, largest=False).indices
        error += float((b[fold] - b[rest][near].mean(1)).square().sum()) / (1 + 1 / k)
    tiny = 1e-12 * float(a.square().sum() + b.square().sum())

    def share(x: Tensor) -> float:
        total = float((x - x.mean(0)).square().sum())
        # a constant is fully explained
        return min(1.0, max(0.0, 1 - error / total)) if total > tiny else 1.0

    return share(b - a), share(b)


def aucs(a: Tensor, b: Tensor, seed: int = 0) -> dict[str, float]:
    """AUC of two classifiers that distinguish a (n, *S) from b (m, *S): {"logistic": AUC, "trees": AUC}; 0.5 is no difference.

    Each is the mean over five folds of the area under the ROC curve on rows that the classifier was not trained on, nor on copies
    of them. At most
    1,000 rows of each set are used; rows of more than 64 numbers are reduced to the first 64 principal components of both
    sets together (without using which set a row is from, and each distinct row once).

    Raises:
        ValueError: fewer than 10 rows, or rows of different shapes.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if a.shape[1:] != b.shape[1:]:
        raise ValueError(f"auc: rows have shapes {tuple(a.shape[1:])} and {tuple(b.shape[1:])}; give rows of one shape")
    if min(len(a), len(b)) < 2 * FOLDS:
        raise ValueError(f"auc: {len(a)} and {len(b)} rows; give at least {2 * FOLDS} of each")
    first, second = _flat(_some(a, ROWS_CLASSIFIED, seed, "auc.a")), _flat(_some(b, ROWS_CLASSIFIED, seed, "auc.b"))
    distinct, copy_of = _distinct(torch.cat([first, second]))
    x = _components(distinct.double())[copy_of].numpy()
    y = np.repeat([0, 1], [len(first), len(second)])
    state = seed % 2**32
    models = {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)),
        "trees": HistGradientBoostingClassifier(
            max_iter=40, max_leaf_nodes=8, early_stopping=False, random_state=state
        ),
    }
    folds = _folds(copy_of.numpy(), y, state)
    found = {}
    for name, model in models.items():
        areas = []
        for fit, test in folds:
            model.fit(x[fit], y[fit])
            areas.append(roc_auc_score(y[test], model.predict_proba(x[test])[:, 1]))
        found[name] = float(np.mean(areas))
    return found


def _distinct(x: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct rows of x (n, d), and for each row of x the number (n,) of the distinct one that it is a copy of."""
    distinct, copy_of = x.unique(dim=0, return_inverse=True)
    return (x, torch.arange(len(x))) if len(distinct) == len(x) else (distinct, copy_of)


def _folds(copy_of: np.ndarray, y: np.ndarray, state: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The (training, test) rows of five folds of the rows of the sets y (n,). Copies of a row are in one fold, unless the
    distinct rows are so few that they are categories."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    distinct = int(copy_of.max()) + 1
    if distinct == len(y) or distinct < CATEGORIES:
        return list(StratifiedKFold(FOLDS, shuffle=True, random_state=state).split(y, y))
    return list(StratifiedGroupKFold(FOLDS, shuffle=True, random_state=state).split(y, y, copy_of))


def auc_floor(a: Tensor, b: Tensor) -> float:
    """What :func:`auc` seldom exceeds if a (n, *S) and b (m, *S) have the same distribution: 0.5 and three standard errors,
    sqrt((n + m + 1) / (12 n m)), where n and m count the distinct rows that are classified."""
    n, m = (len(_some(_flat(x), ROWS_CLASSIFIED, 0, "auc.floor").unique(dim=0)) for x in (a, b))
    return min(1.0, 0.5 + 3 * math.sqrt((n + m + 1) / (12 * n * m)))


def _components(x: Tensor) -> Tensor:
    """x (n, d), or its first 64 principal components where d is larger."""
    if x.shape[1] <= FEATURES_CLASSIFIED:
        return x
    x = x - x.mean(0)
    # by the smaller Gram matrix: images have more pixels than there are rows here
    if x.shape[1] <= len(x):
        return x @ torch.linalg.eigh(x.T @ x).eigenvectors[:, -FEATURES_CLASSIFIED:]
    values, vectors = torch.linalg.eigh(x @ x.T)
    return vectors[:, -FEATURES_CLASSIFIED:] * values[-FEATURES_CLASSIFIED:].clamp(min=0).sqrt()


def auc(a: Tensor, b: Tensor, seed: int = 0) -> float:
    """The larger of the two values of :func:`aucs`: about 0.51 on average if a and b have the same distribution."""
    return max(aucs(a, b, seed).values())
