"""Features of a small classifier, and clusters for data without labels.

The last hidden layer of a classifier represents the differences between classes: a distance of these features is sensitive to a
wrong stroke that changes few pixels. The classifier is trained once, on the training set only, before anything is sampled.
Gaussian noise is added to its inputs, which makes it robust to small errors of pixels:

    minimise  E -log p(label | x + 0.2 eps),    x -> 128 -> 64 (the features) -> classes

For data without labels, k-means clusters replace the classes in the total variation.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from warmflow.metrics.distances import flatten, squared_distances
from warmflow.noise import permutation

ROWS = 4_096
CLUSTER_ROWS = 10_000


def _network(sizes: tuple[int, ...], seed: int) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(*layers[:-1])


@dataclass(frozen=True, eq=False)
class Classifier:
    """A trained classifier of flattened samples; ``sizes`` is (inputs, hidden, features, classes)."""

    network: nn.Sequential
    sizes: tuple[int, ...]

    @property
    def classes(self) -> int:
        return self.sizes[-1]

    def _run(self, x: Tensor, layers: nn.Module) -> Tensor:
        rows = x.detach().reshape(len(x), -1)
        if rows.shape[1] != self.sizes[0]:
            raise ValueError(
                f"x is {tuple(x.shape)}, {rows.shape[1]} numbers per sample; this classifier was trained on "
                f"{self.sizes[0]}: give samples of the training set's shape"
            )
        device = next(self.network.parameters()).device
        with torch.no_grad():
            parts = [layers(part.to(device, torch.float32)).cpu() for part in rows.split(ROWS)]
        return torch.cat(parts)

    def features(self, x: Tensor) -> Tensor:
        """The last hidden layer (n, features) float64 of x (n, *S)."""
        return self._run(x, self.network[:-1]).double()

    def labels(self, x: Tensor) -> Tensor:
        """The most probable class (n,) int64 of x (n, *S)."""
        return self._run(x, self.network).argmax(1)

    def accuracy(self, x: Tensor, labels: Tensor) -> float:
        """The share of x (n, *S) whose most probable class is its label (n,)."""
        return float((self.labels(x) == labels.cpu()).double().mean())

    def state(self) -> tuple[dict[str, list[int]], dict[str, Tensor]]:
        """The classifier as (JSON, tensors), for a run folder; ``from_state`` is the inverse."""
        return {"sizes": list(self.sizes)}, {k: v.detach().cpu() for k, v in self.network.state_dict().items()}

    @staticmethod
    def from_state(json: Mapping[str, list[int]], tensors: Mapping[str, Tensor]) -> Classifier:
        sizes = tuple(json["sizes"])
        network = _network(sizes, 0)
        network.load_state_dict(dict(tensors))
        return Classifier(network.eval().requires_grad_(False), sizes)


def train_classifier(
    x: Tensor,
    labels: Tensor,
    *,
    classes: int,
    seed: int,
    steps: int = 1_500,
    batch: int = 128,
    noise: float = 0.2,
    hidden: tuple[int, int] = (128, 64),
) -> Classifier:
    """Trains a classifier of x (n, *S) with labels (n,) in 0 .. classes - 1, by AdamW with learning rate 1e-3.

    N(0, I) times ``noise`` (in units of x) is added to the inputs. Deterministic given the arguments; 1,500 steps take about
    1 s on one core.

    Raises:
        ValueError: no rows, unequal numbers of rows and labels, or labels out of range.
    """
    rows, labels = flatten(x).float(), labels.detach().cpu().long().reshape(-1)
    if len(rows) != len(labels) or len(rows) == 0:
        raise ValueError(
            f"x has {len(rows)} rows and labels {len(labels)}; give one label per row, and at least one row"
        )
    if int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise ValueError(
            f"labels run from {int(labels.min())} to {int(labels.max())}; with classes={classes} they must be in "
            f"0 .. {classes - 1}: remove unlabelled rows, or raise classes"
        )
    sizes = (rows.shape[1], *hidden, classes)
    network = _network(sizes, seed)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        chosen = torch.randint(len(rows), (batch,), generator=generator)
        seen = rows[chosen] + noise * torch.randn(batch, rows.shape[1], generator=generator)
        loss = nn.functional.cross_entropy(network(seen), labels[chosen])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return Classifier(network.eval().requires_grad_(False), sizes)


@dataclass(frozen=True, eq=False)
class Clusters:
    """Clusters with ``centres`` (k, d): the label of a sample is the index of its nearest centre."""

    centres: Tensor

    @property
    def classes(self) -> int:
        return len(self.centres)

    def labels(self, x: Tensor) -> Tensor:
        """The index (n,) int64 of the nearest centre of each row of x (n, *S)."""
        return torch.cat([block.argmin(1) for _, block in squared_distances(flatten(x), self.centres)])


def clusters_of(train: Tensor, k: int = 10, seed: int = 0) -> Clusters:
    """k-means clusters of the flattened training set (n, *S), fitted to a fixed random 10,000 rows if it has more.

    Raises:
        ValueError: k is not in 2 .. n.
    """
    from sklearn.cluster import KMeans  # imported here, because importing warmflow must not import scikit-learn

    rows = flatten(train)
    rows = rows[permutation(0, len(rows), "clusters")[:CLUSTER_ROWS]]
    if not 1 < k <= len(rows):
        raise ValueError(f"k is {k}; with {len(rows)} training rows it must be in 2 .. {len(rows)}")
    means = KMeans(k, n_init=4, random_state=seed % 2**32).fit(rows.numpy())
    return Clusters(torch.from_numpy(means.cluster_centers_).double())
