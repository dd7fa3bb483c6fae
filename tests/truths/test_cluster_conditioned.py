"""A flow given clusters: its labels and their frequencies, one step generates cluster means, found by its name."""

import json

import numpy as np
import pytest
import torch

import warmflow
from warmflow.checkpoints import load
from warmflow.cli import main
from warmflow.experiments.run import run_method
from warmflow.methods import METHODS
from warmflow.methods.base import settled
from warmflow.methods.cluster_conditioned import BILL, ClusterConditioned, Clustered, found_clusters
from warmflow.methods.cold import Cold
from warmflow.methods.parts import Parts
from warmflow.metrics.features import Clusters
from warmflow.noise import Noise
from warmflow.problems.digits import Digits
from warmflow.problems.own import Arrays

CENTRES = torch.tensor([[2.0, 0.0], [-1.0, 1.5], [-1.0, -1.5]])
SHARES = (0.5, 0.3, 0.2)


def spots():
    """300 points in three tight clusters, half of them in the first."""
    which = torch.repeat_interleave(torch.arange(3), torch.tensor([int(300 * share) for share in SHARES]))
    return CENTRES[which] + 0.01 * Noise.of(0, 300).normal("spot", 2)


def setup_of(**training):
    return Arrays(data=spots()).setup(**{"updates": 400, "batch": 64, "width": 32, "depth": 1, **training})


def test_rows_are_given_the_cluster_that_they_are_nearest_to():
    setup, parts = setup_of(), Parts(setup_of(), 0)
    clusters, labels = found_clusters(setup.data.train.x1, 3, 0)
    near = torch.cdist(clusters.centres, CENTRES.double())
    assert float(near.min(1).values.max()) < 0.05 and sorted(near.argmin(1).tolist()) == [0, 1, 2]
    flow = settled(ClusterConditioned(clusters=3), setup).flow(parts)
    rows = torch.tensor([5, 0, 17])
    batch = flow.data[rows]
    assert torch.equal(batch.x1, setup.data.train.x1[rows]) and torch.equal(batch.condition["label"], labels[rows])
    pair = flow.objective.pair(batch, noise=Noise.of(1, 3))
    assert torch.equal(pair.start.condition["label"], labels[rows]), "a start has the cluster of its data point"
    assert parts.used.keys() == {BILL}, "the time of k-means is counted"


def test_a_label_that_the_data_have_gives_way():
    digits = Digits().setup()
    data = Clustered(digits.train, Clusters(torch.zeros(1, 64, dtype=torch.float64)))
    assert data[torch.arange(9)].condition["label"].tolist() == [0] * 9 and len(data) == len(digits.train)


def test_clusters_are_drawn_as_often_as_they_are_in_the_training_data():
    setup = setup_of()
    sampler = ClusterConditioned(clusters=3).flow(Parts(setup, 0)).sampler
    counts = torch.bincount(found_clusters(setup.data.train.x1, 3, 0)[1]).double()
    drawn = torch.bincount(sampler.source.draw(20_000, noise=Noise.of(2, 20_000)).condition["label"]).double()
    assert torch.allclose(drawn / 20_000, counts / counts.sum(), atol=5 * (0.25 / 20_000) ** 0.5)


@pytest.mark.long
def test_one_step_generates_cluster_means_where_a_cold_flow_generates_the_mean_of_all(tmp_path):
    setup = setup_of()
    samples = {}
    for method in (ClusterConditioned(clusters=3), Cold()):
        sampler = run_method(method, Parts(setup, 0, tmp_path / "parts"), tmp_path / method.name)
        samples[method.name] = sampler(500, seed=0, steps=1).x
    near = torch.cdist(samples["cluster-conditioned"], CENTRES)
    assert float(near.min(1).values.square().mean().sqrt()) < 0.25
    shares = torch.bincount(near.argmin(1), minlength=3) / 500
    assert torch.allclose(shares, torch.tensor(SHARES), atol=0.12)
    mean = setup.data.train.x1.mean(0)
    assert (
        float((samples["cold"] - mean).square().sum(1).mean().sqrt())
        < 0.5
        < float(torch.cdist(samples["cold"], CENTRES).min())
    )


@pytest.mark.parametrize(
    ("options", "training", "why"),
    [
        ({"clusters": 200}, {}, "clusters is 200; of"),
        ({}, {"conditional": True}, "conditional gives flows of digits the label"),
    ],
)
def test_where_it_does_not_fit_it_says_why(options, training, why):
    with pytest.raises(ValueError, match=why):
        settled(ClusterConditioned(**options), Digits().setup(**training) if training else setup_of())


@pytest.mark.long
def test_found_by_its_name(tmp_path, capsys):
    assert METHODS["cluster-conditioned"] is warmflow.ClusterConditioned is ClusterConditioned
    small = ["--updates", "2", "--width", "8", "--depth", "1", "--cluster-conditioned.clusters", "4", "--quiet"]
    what = ["--calls", "1,2", "--seeds", "2", "--samples", "200", "--jobs", "1", "--out", str(tmp_path / "result")]
    assert not main(["compare", "digits", "--methods", "cluster-conditioned", *small, *what])
    verdict = json.loads((tmp_path / "result" / "verdict.json").read_text())
    assert verdict["candidates"]["cluster-conditioned"]["outcome"]
    run = tmp_path / "run"
    assert not main(["train", "digits", "--method", "cluster-conditioned", *small, "--out", str(run)])
    config = json.loads((run / "config.json").read_text())
    assert config["asked"]["method"] == {"class": "ClusterConditioned", "clusters": 4} and config["spent"][BILL] > 0
    x = tmp_path / "x.npz"
    assert not main(
        ["sample", str(run), "-n", "6", "--label", "3", "--guidance", "2", "--steps", "2", "--out", str(x), "--quiet"]
    )
    assert "4 calls a sample" in capsys.readouterr().out and np.load(x)["x"].shape[0] == 6
    assert load(run)(5, steps=1).x.shape == (5, 1, 8, 8)
    assert not main(["train", "digits", "--method", "cluster-conditioned", "--help"])
    assert "Number of k-means clusters" in capsys.readouterr().out
