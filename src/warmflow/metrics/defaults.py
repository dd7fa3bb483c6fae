"""Default metrics and classes for samples without labels and without a named extractor."""

from __future__ import annotations

from torch import Tensor

from warmflow.metrics.features import clusters_of
from warmflow.metrics.gradients import Gradients
from warmflow.metrics.kgrams import BAGS, KGrams
from warmflow.metrics.mmd import mmd_for
from warmflow.metrics.resampled import ResampledMetric
from warmflow.metrics.variation import Labeller

CLUSTERS = 10
GRAMS = 4
LEAST_SIDE = 8


def default_metrics(train: Tensor, smallest: int = 1_000) -> list[ResampledMetric]:
    """Default metrics, chosen by the training data (n, *S).

    Images: MMD on pixels and, from 8 x 8 pixels on, on oriented gradients. Tokens: k-grams. Otherwise: MMD on values.

    Args:
        smallest: number of rows of the smallest set to be measured; it determines the bag size of k-grams.
    """
    if not train.is_floating_point():
        return token_metrics(int(train.max()) + 1, train.shape[1], smallest)
    if train.ndim != 4:
        return [mmd_for(train, None, "values")]
    found: list[ResampledMetric] = [mmd_for(train, None, "pixels")]
    if min(train.shape[2:]) >= LEAST_SIDE:
        found.append(mmd_for(train, Gradients(), "gradients"))
    return found


def token_metrics(vocabulary: int, length: int, smallest: int) -> list[ResampledMetric]:
    """Divergences of k-grams of windows (n, length) of tokens, the longest first."""
    bag = max(2, smallest // BAGS)
    return [KGrams(f"{k}-grams", k, vocabulary, bag) for k in range(min(GRAMS, length), 0, -1)]


def default_labeller(reference: Tensor) -> Labeller | None:
    """Ten k-means clusters of floats (n, *S), fewer if there are fewer than 200 rows; None for tokens or below 40 rows."""
    k = min(CLUSTERS, len(reference) // 20)
    return clusters_of(reference, k) if k > 1 and reference.is_floating_point() else None
