"""A flow from noise that is given the cluster of its sample: k-means labels for data that have none.

    c ~ frequency of the clusters,     x0 ~ N(0, I),     the field sees c,     trained on pairs (x0, x1) with c = cluster of x1

The frequencies are those of the training data, so exact flows together generate the data. Given c a flow has less to do: at t = 0
its estimate of x1 is the mean of the cluster and not that of all data, and one step from there generates cluster means. What
further steps add is the variance within clusters,

    E |x1 - E[x1 | c]|^2 = E |x1 - E x1|^2 - E |E[x1 | c] - E x1|^2

which k-means minimises. A cluster is thus a draft of at most log2 k bits that costs no network call. The guard of a verdict
against missing classes is almost met by construction where its classes are k-means clusters of the same data.

The labels of a tenth of the rows are dropped in training, so that samples can be drawn with guidance, or of one
cluster (``warmflow sample --guidance 2 --label 3``).

References:
    Why Are Conditional Generative Models Better Than Unconditional Ones?, Bao, Li, Sun, Zhu, 2022, arXiv 2212.00362 (there
        clusters of learned features; here of the samples themselves)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from warmflow.contracts import Batch, Data
from warmflow.couplings import Independent
from warmflow.estimates import clock
from warmflow.evaluation.study import Role
from warmflow.methods.base import Method
from warmflow.methods.cold import baselines
from warmflow.methods.flow import Flow, FlowMethod, flow_of
from warmflow.methods.parts import Parts, digest
from warmflow.metrics.features import Clusters, clusters_of
from warmflow.options import Count, options
from warmflow.setup import Setup
from warmflow.sources import Labelled

BILL = "clusters"


@dataclass(frozen=True, eq=False)
class Clustered:
    """The rows of ``data`` with the index of their cluster as the condition "label"."""

    data: Data
    clusters: Clusters

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, rows: Tensor) -> Batch:
        batch = self.data[rows]
        return replace(batch, condition={**batch.condition, "label": self.clusters.labels(batch.x1)})


@options
class ClusterConditioned(FlowMethod):
    """A flow from noise that is given the cluster of its sample."""

    name: ClassVar[str] = "cluster-conditioned"
    clusters: Annotated[Count, Field(ge=2)] = 10
    """Number of k-means clusters of the training data."""

    def fits(self, setup: Setup) -> str:
        if setup.space != "floats":
            return f"clusters are of floats, and {setup.name} is of tokens"
        if setup.training.conditional:
            return f"conditional gives flows of {setup.name} the label, and this one is given its cluster: leave conditional out"
        if setup.inputs is not None:
            return f"a flow given its cluster answers no input, and samples of {setup.name} do"
        n = len(setup.data.train)
        return (
            ""
            if self.clusters <= n // 2
            else f"clusters is {self.clusters}; of {n} training samples it is at most {n // 2}"
        )

    @property
    def counted(self) -> tuple[str, ...]:
        return (BILL,)

    @property
    def title(self) -> str:
        return "cold given clusters"

    def companions(self, setup: Setup) -> Sequence[tuple[Method, Role]]:
        return baselines(setup)

    def flow(self, parts: Parts) -> Flow:
        setup, began = parts.setup, clock()
        clusters, labels = found_clusters(setup.data.train.x1, self.clusters, parts.seed)
        key = digest({**self.asked(), "seed": parts.seed})
        parts.note(key, clock() - began)
        parts.uses(BILL, key)
        source = Labelled.of(setup.noise(), labels)
        data = Clustered(setup.train, clusters)
        return flow_of(setup, parts.seed, source, Independent(), data, sees={"label": (self.clusters,)})


@lru_cache(maxsize=2)
def found_clusters(x: Tensor, k: int, seed: int) -> tuple[Clusters, Tensor]:
    """The clusters of x (n, *S) and the labels (n,) of its rows; kept, since stages and sampler ask for the same ones."""
    clusters = clusters_of(x, k, seed)
    return clusters, clusters.labels(x)
