"""Pairs of drafts and data as a torch ``Dataset``, for a training loop of your own.

    pairs = warmflow.pair(x, draft=my_drafts, rounds=8)
    for batch in DataLoader(pairs, 256, shuffle=True, num_workers=4):
        loss = warmflow.functional.warm_start_loss(model, batch)

All pairs are made at once, before training, on the CPU: a row is looked up and nothing is drawn, so that workers, shuffling and
``DistributedSampler`` change no pair. The noise that a warm start adds to its draft is drawn by the loss, anew at every visit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import singledispatch
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from warmflow.contracts import Batch, Coupling, Source, Start
from warmflow.couplings import pairing_named, prepare
from warmflow.data.given import as_set
from warmflow.number_checks import numbers_checked
from warmflow.options import suggestion
from warmflow.sources import ByLabel, External, Gaussian, GaussianMixture, Labelled, StandardNormal

Row = tuple[Tensor, Tensor, dict[str, Tensor]]
WHOLE = 4096
"""Rows up to which a set is assigned at once; a larger one in blocks of 512 with five passes over its pairs."""
COMPONENTS = 10


class PairedDataset(Dataset[Row]):
    """Rows (start, data, condition): a draft (*S), the data point (*S) paired with it, and conditions by name ("label").

    ``default_collate`` makes a batch of tensors of them, (B, *S), (B, *S) and {name: (B, ...)}.

    Args:
        x: (n, *S) the data.
        pairs: N rows with their starts and with ``index`` into x; without ``index`` the rows' own x1 are the data.
        source: what the drafts were drawn from; ``warmflow.sample(model, start=pairs.source, n=64)`` draws new ones.
    """

    def __init__(self, x: Tensor, pairs: Batch, source: Source) -> None:
        if pairs.start is None:
            raise ValueError("pairs carry no starts; make them with warmflow.pair or warmflow.prepare")
        seen = pairs.start.condition
        self.starts = seen.get("draft", pairs.start.x0)
        self.condition = {k: v for k, v in seen.items() if k != "draft"}
        self.x, self.index = x if pairs.index is not None else pairs.x1, pairs.index
        self.source: Source | None = source

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, row: int) -> Row:
        at = row if self.index is None else int(self.index[row])
        return self.starts[row], self.x[at], {k: v[row] for k, v in self.condition.items()}

    def __getstate__(self) -> dict[str, object]:
        """Workers need the rows alone; a source may hold a function that cannot be sent to them."""
        return {**self.__dict__, "source": None}


@numbers_checked
def pair(
    x: object,
    *,
    draft: object = "mixture",
    pairing: str | Coupling = "whole-set",
    rounds: int = 8,
    block: int | None = None,
    passes: int | None = None,
    labels: object = None,
    seed: int = 0,
    folder: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PairedDataset:
    """Pairs every row of x with ``rounds`` fresh drafts.

    Args:
        x: (n, *S) data: floats, or uint8 images, which become floats in [-1, 1].
        draft: an array (N, *S) of drafts, a callable draft(n, seed), a ``Source``, or a name: "mixture" (a Gaussian mixture of 10
            components), "gaussian", "noise". With labels: a name, a mapping of each label to one of these, or a ``Source`` that
            takes "label".
        pairing: "whole-set" (optimal assignment), "independent", "nearest-data", "nearest-draft", "given" (row i of the drafts
            belongs to row i of x; one round), or a ``Coupling``.
        rounds: how often each row is paired. The more fresh drafts a row has, the less its pairs can be memorised.
        block: number of rows that are assigned at once; by default 4,096, and 512 for larger sets.
        passes: how often the pairs of a round are assigned anew in blocks of near pairs; by default 0, and 5 for larger sets.
        labels: (n,) whole numbers from 0; drafts are fitted to each label and pairs stay within it.
        folder: where pairs are saved and looked for; None to keep them in memory only.
        progress: called with (blocks and passes done, blocks and passes in all).

    Returns:
        len(x) * rounds rows.

    Raises:
        ValueError: impossible data, drafts or options; the message names the argument and the remedy.
    """
    data = as_set(x, "x")
    if not data.is_floating_point():
        raise ValueError("x holds whole numbers, and pair is for floats; pair tokens with warmflow.prepare")
    data, found = data.float(), None if labels is None else _labels(labels, len(data))
    coupling = _coupling(pairing, found is not None)
    source = source_of(draft, data, found, seed)
    small = len(data) <= WHOLE
    batch = Batch(data, {} if found is None else {"label": found}, torch.arange(len(data)))
    if coupling.given:
        batch, rounds = Batch(batch.x1, batch.condition, batch.index, _given(source, data, batch.condition)), 1
    elif found is not None and "label" not in source.takes and not coupling.blind:
        raise ValueError(
            "labels are given, and the draft knows none, so that a draft paired with a label would be met by others at "
            "sampling: give draft={0: ..., 1: ...}, one for each label, or pairing='independent'"
        )
    if passes is None:
        passes = 0 if small or not coupling.refines else 5
    pairs = prepare(
        coupling, batch, source, folder, block=block or (WHOLE if small else 512), rounds=rounds, passes=passes, seed=seed,
        progress=progress,
    )  # fmt: skip
    return PairedDataset(data, pairs, source)


@singledispatch
def source_of(draft: object, x: Tensor, labels: Tensor | None = None, seed: int = 0) -> Source:
    """The source that a user's draft stands for.

    Args:
        draft: as of ``pair``.
        x: (n, *S) the data, which a named draft is fitted to.
        labels: (n,) the labels of x.

    Raises:
        ValueError: an unknown name, drafts of another shape, a label without a draft.
    """
    images = x.ndim == 4 and float(x.abs().max()) <= 1 + 1e-3
    return External.of(draft, tuple(x.shape[1:]), (-1.0, 1.0) if images else None)


@source_of.register
def _(draft: Source, x: Tensor, labels: Tensor | None = None, seed: int = 0) -> Source:
    if tuple(draft.shape) != tuple(x.shape[1:]):
        raise ValueError(f"the draft makes samples of shape {tuple(draft.shape)}, x has rows of {tuple(x.shape[1:])}")
    return draft


@source_of.register
def _(draft: str, x: Tensor, labels: Tensor | None = None, seed: int = 0) -> Source:
    if draft == "noise":
        noise = StandardNormal(tuple(x.shape[1:]))
        return noise if labels is None else Labelled.of(noise, labels)
    if labels is not None:
        return source_of(dict.fromkeys(range(int(labels.max()) + 1), draft), x, labels, seed)
    if draft == "mixture":
        return GaussianMixture.fit(x, components=max(1, min(COMPONENTS, len(x) // 2)), seed=seed)
    if draft == "gaussian":
        return Gaussian.fit(x)
    raise ValueError(
        f"draft is {draft!r}; {suggestion(draft, ('mixture', 'gaussian', 'noise'))}; one that is trained (vae, gan) is made by "
        "warmflow.compare: give its samples, or draft(n, seed)"
    )


@source_of.register
def _(draft: Mapping, x: Tensor, labels: Tensor | None = None, seed: int = 0) -> Source:
    if labels is None:
        raise ValueError("draft is a mapping from labels, and there are no labels: give labels, one for each row of x")
    sources = []
    for label in range(int(labels.max()) + 1):
        rows = x[labels == label]
        if len(rows) < 2:
            raise ValueError(f"label {label} has {len(rows)} rows of x; each label from 0 to the largest needs two")
        if label not in draft:
            raise ValueError(f"draft has no entry for label {label}; give one for each label: {{0: ..., 1: ...}}")
        sources.append(source_of(draft[label], rows, None, seed))
    return ByLabel.of(sources, labels)


def _labels(labels: object, n: int) -> Tensor:
    try:
        found = torch.as_tensor(labels).detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(
            f"labels are a {type(labels).__name__} of other values; give {n} whole numbers from 0"
        ) from None
    if found.shape == (n,) and not found.is_complex() and bool((found < 0).any()):
        raise ValueError(
            f"{int((found < 0).sum())} of {n} labels are below 0, which means no label: leave these rows out; "
            f"give {n} whole numbers from 0"
        )
    if found.shape != (n,) or found.is_floating_point() or found.is_complex() or int(found.min()) < 0:
        raise ValueError(
            f"labels have shape {tuple(found.shape)} and type {str(found.dtype)[6:]}; give {n} whole numbers from 0"
        )
    return found.long()


def _coupling(pairing: str | Coupling, labelled: bool) -> Coupling:
    if isinstance(pairing, Coupling):
        return pairing
    if pairing == "minibatch":
        raise ValueError(
            "pairing is 'minibatch', which pairs each batch in the loop: use warmflow.functional.pair_batch there"
        )
    if labelled and pairing.startswith("nearest"):
        raise ValueError(
            f"pairing is {pairing!r}, which pairs across labels; with labels take whole-set or independent"
        )
    return pairing_named(pairing, within="label" if labelled else None)


def _given(source: Source, x: Tensor, condition: Mapping[str, Tensor]) -> Start:
    """The drafts of an array, each for the row of x in its place."""
    drafts = source.array if isinstance(source, External) else None
    if drafts is None or len(drafts) != len(x):
        many = f"no array ({type(source).__name__})" if drafts is None else len(drafts)
        raise ValueError(
            f"pairing is 'given' and the draft is {many}; give an array of {len(x)} drafts, one for each row of x"
        )
    return Start(drafts, condition)
