"""Pairs as a torch Dataset: the rows of ``prepare``, the same for any number of workers, shuffled or dealt to processes."""

import pickle

import pytest
import torch
from torch.utils.data import DataLoader, DistributedSampler

import warmflow
from warmflow.contracts import Batch
from warmflow.couplings import Assignment, NearestDatum, prepare
from warmflow.sources import Blurred, ByLabel, External, Gaussian, GaussianMixture, StandardNormal


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


X, DRAFTS = normal(1, 50, 2), normal(2, 70, 2)
LABELS = (X[:, 0] > 0).long()


def own(n, seed):
    return normal(seed, n, 2)


def test_rows_are_those_of_prepare():
    pairs = warmflow.pair(X, draft=DRAFTS, rounds=3, seed=4)
    theirs = prepare(Assignment(), Batch(X), External.of(DRAFTS, (2,)), rounds=3, seed=4)
    assert len(pairs) == 150
    for i in (0, 77, 149):
        start, data, condition = pairs[i]
        assert torch.equal(start, theirs.start.x0[i]) and torch.equal(data, theirs.x1[i]) and condition == {}
    assert not torch.equal(pairs.starts, warmflow.pair(X, draft=DRAFTS, rounds=3, seed=5).starts)


def test_every_row_is_paired_in_every_round_and_rounds_have_other_drafts():
    pairs = warmflow.pair(X, draft=own, rounds=4)
    assert torch.equal(pairs.index.bincount(), torch.full((50,), 4))
    assert len({tuple(row) for row in pairs.starts.tolist()}) == 200


@pytest.mark.parametrize(
    ("draft", "kind"),
    [(DRAFTS, External), (DRAFTS.numpy(), External), (DRAFTS.tolist(), External), (own, External), ("mixture", GaussianMixture),
     ("gaussian", Gaussian), ("noise", StandardNormal), (StandardNormal((2,)), StandardNormal)],
)  # fmt: skip
def test_drafts_of_every_kind(draft, kind):
    pairs = warmflow.pair(X, draft=draft, rounds=2)
    assert isinstance(pairs.source, kind) and len(pairs) == 100 and pairs.starts.shape == (100, 2)
    assert warmflow.sample(lambda x, t, draft: 0 * x, pairs.source, n=3, steps=1).shape == (3, 2)


def test_a_blurred_source_gives_its_draft_and_not_its_noise():
    pairs = warmflow.pair(X, draft=Blurred(External.of(DRAFTS, (2,)), 5.0), rounds=1)
    known = {tuple(row) for row in DRAFTS.tolist()}
    assert {tuple(row) for row in pairs.starts.tolist()} <= known and pairs[0][2] == {}


def gathered(loader):
    return torch.cat([torch.cat([start, data], 1) for start, data, _ in loader])


def test_workers_shuffling_and_epochs():
    pairs = warmflow.pair(X, draft=own, rounds=2, labels=None)
    plain = gathered(DataLoader(pairs, 16))
    assert torch.equal(plain, torch.cat([pairs.starts, X[pairs.index]], 1))
    shuffled = [
        gathered(DataLoader(pairs, 16, shuffle=True, num_workers=k, generator=torch.Generator().manual_seed(1)))
        for k in (0, 2)
    ]
    assert torch.equal(shuffled[0], shuffled[1]) and not torch.equal(shuffled[0], plain)
    loader = DataLoader(pairs, 16, shuffle=True, generator=torch.Generator().manual_seed(1))
    assert not torch.equal(gathered(loader), gathered(loader))
    assert sorted(shuffled[0].tolist()) == sorted(plain.tolist())


def test_a_distributed_sampler_deals_every_row_to_one_process():
    pairs = warmflow.pair(X, draft=own, rounds=2)
    parts = [
        gathered(DataLoader(pairs, 8, sampler=DistributedSampler(pairs, num_replicas=2, rank=rank, seed=3)))
        for rank in (0, 1)
    ]
    assert sorted(torch.cat(parts).tolist()) == sorted(gathered(DataLoader(pairs, 8)).tolist())


def test_workers_need_no_source():
    copy = pickle.loads(pickle.dumps(warmflow.pair(X, draft=lambda n, seed: own(n, seed), rounds=1)))
    assert copy.source is None and len(copy) == 50


def test_labels_stay_with_their_data_and_drafts_with_their_label():
    drafts = {0: torch.full((5, 2), -7.0), 1: torch.full((5, 2), 7.0)}
    pairs = warmflow.pair(X, draft=drafts, labels=LABELS, rounds=2)
    assert isinstance(pairs.source, ByLabel)
    for start, data, condition in pairs:
        label = int(condition["label"])
        assert label == int(data[0] > 0) and float(start[0]) == (7.0 if label else -7.0)
    start, _, condition = next(iter(DataLoader(pairs, 16)))
    assert condition["label"].shape == (16,)
    asked = torch.tensor([0, 1, 1])
    made = warmflow.sample(lambda x, t, draft, label: 0 * x, pairs.source, n=3, sigma=0.0, condition={"label": asked})
    assert made[:, 0].tolist() == [-7.0, 7.0, 7.0]


@pytest.mark.parametrize("draft", ["mixture", "noise"])
def test_named_drafts_with_labels(draft):
    pairs = warmflow.pair(X, draft=draft, labels=LABELS, rounds=1)
    assert torch.equal(pairs.condition["label"], LABELS[pairs.index])
    assert torch.equal(warmflow.pair(X, draft=own, pairing="independent", labels=LABELS).condition["label"].bincount(),
                       8 * LABELS.bincount())  # fmt: skip


def test_given_drafts_keep_their_rows():
    pairs = warmflow.pair(X, draft=X + 1, pairing="given")
    assert len(pairs) == 50
    torch.testing.assert_close(pairs.starts, X[pairs.index] + 1)


def test_a_coupling_of_the_users_and_pairs_by_name():
    a = warmflow.pair(X, draft=DRAFTS, pairing=NearestDatum(), rounds=1)
    b = warmflow.pair(X, draft=DRAFTS, pairing="nearest-data", rounds=1)
    assert torch.equal(a.starts, b.starts) and torch.equal(a.index, b.index)
    nearest = torch.cdist(a.starts, X).argmin(1)
    assert (X[a.index] - X[nearest]).abs().max() == 0 or len(a) == 50


def test_pairs_are_kept_and_found_again(tmp_path):
    told = []
    one = warmflow.pair(X, draft=own, rounds=2, folder=tmp_path / "pairs", progress=lambda k, n: told.append((k, n)))
    two = warmflow.pair(X, draft=own, rounds=2, folder=tmp_path / "pairs")
    assert torch.equal(one.starts, two.starts) and torch.equal(one.index, two.index) and told[-1] == (2, 2)
    with pytest.raises(ValueError, match="holds pairs made with"):
        warmflow.pair(X + 1, draft=own, rounds=2, folder=tmp_path / "pairs")


def test_pairs_need_no_global_random_state():
    state = torch.get_rng_state()
    warmflow.pair(X, rounds=1)
    assert torch.equal(state, torch.get_rng_state())


def test_uint8_images_become_floats():
    images = (255 * torch.rand(30, 3, 4, 4, generator=torch.Generator().manual_seed(0))).byte()
    pairs = warmflow.pair(images, draft="gaussian", rounds=1)
    assert pairs[0][1].dtype == torch.float32 and float(pairs.x.min()) >= -1 and float(pairs.x.max()) <= 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"draft": "gan"}, "draft is 'gan'.*one that is trained"),
        ({"draft": "mixtur"}, "did you mean 'mixture'"),
        ({"draft": DRAFTS[:, :1]}, "drafts have shape"),
        ({"draft": StandardNormal((3,))}, r"the draft makes samples of shape \(3,\), x has rows of \(2,\)"),
        ({"draft": lambda n: n}, "cannot be called as draft"),
        ({"pairing": "minibatch"}, "use warmflow.functional.pair_batch"),
        ({"pairing": "nearest"}, "pairing is 'nearest'; did you mean"),
        ({"pairing": "given", "draft": DRAFTS}, "the draft is 70; give an array of 50 drafts"),
        ({"pairing": "given"}, "no array"),
        ({"rounds": 0}, "rounds is 0"),
        ({"labels": [0, 1]}, "give 50 whole numbers from 0"),
        ({"labels": LABELS, "draft": own}, "the draft knows none"),
        ({"labels": LABELS, "pairing": "nearest-data"}, "pairs across labels"),
        ({"labels": LABELS, "draft": {0: DRAFTS}}, "no entry for label 1"),
        ({"labels": 2 * LABELS}, "label 1 has 0 rows"),
        ({"draft": {0: DRAFTS}}, "there are no labels"),
    ],
)
def test_errors_name_what_is_wrong(options, says):
    with pytest.raises(ValueError, match=says):
        warmflow.pair(X, **options)


def test_data_that_cannot_be_paired():
    with pytest.raises(ValueError, match="whole numbers, and pair is for floats"):
        warmflow.pair(torch.zeros(20, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match="NaN or infinite"):
        warmflow.pair(X.index_fill(0, torch.tensor([3]), float("nan")))
