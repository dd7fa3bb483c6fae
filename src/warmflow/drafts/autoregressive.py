"""Trained autoregressive token models: drafts, and judges that compute the likelihood of a text.

Train a judge on text that is not used to train a draft or a flow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, TypeVar, cast

import torch
from torch import Tensor

from warmflow.contracts import Batch, Data, Player, Source
from warmflow.drafts.base import Draft, Place
from warmflow.drafts.trained import trained_part
from warmflow.networks import CausalTransformer, Network, TokenLSTM, causal, lstm, seeded
from warmflow.networks.base import preset as sizes_of
from warmflow.objectives import NextToken
from warmflow.options import Count, options
from warmflow.setup import Setup
from warmflow.sources import LSTM, NGram
from warmflow.sources.ngram import most_order

N = TypeVar("N", bound=Network)


def train_draft(
    tokens: Tensor | Data,
    vocabulary: int,
    *,
    steps: int,
    batch: int,
    seed: int,
    preset: str = "small",
    width: int | None = None,
    layers: int | None = None,
    dropout: float = 0.0,
    learning_rate: float = 5e-3,
    ema: float = 0.999,
    folder: str | Path | None = None,
    device: str = "cpu",
    progress: str | None = None,
) -> LSTM:
    """Trains an LSTM language model and returns it, with averaged weights, as a source of texts of length L.

    Args:
        tokens: (n, L) int64 below ``vocabulary``; or data with such x1 (a Batch, or data read on demand).
        seed: random seed of the weights and of the order of the rows.
        preset: "small" or "paper" (see ``networks.lstm``); ``width`` and ``layers`` override its values.
        ema: decay of the averaged weights; 0 for no averaging.
        folder: a run folder: training resumes from its checkpoint, and ``checkpoints.load_part(folder)`` returns the trained
            source. None to store nothing.
        progress: the label of a progress bar; None for no bar.

    Raises:
        ValueError: invalid tokens, sizes or steps, a folder with another run, or diverged training.
    """
    data, length = _checked(tokens, vocabulary)
    sizes = sizes_of(lstm.PRESETS, preset, vocabulary, dropout=dropout, **_given(width=width, layers=layers))
    network = _trained(
        "draft", TokenLSTM, sizes, lambda network: LSTM(network, (length,)), data, length,
        steps, batch, seed, learning_rate, ema, folder, device, progress,
    )  # fmt: skip
    network.lstm.flatten_parameters()  # cuDNN needs contiguous weights, and averaged weights are a copy
    return LSTM(network, (length,))


def train_judge(
    tokens: Tensor | Data,
    vocabulary: int,
    *,
    steps: int,
    batch: int,
    seed: int,
    preset: str = "tiny",
    width: int | None = None,
    depth: int | None = None,
    heads: int | None = None,
    tied: bool = False,
    dropout: float = 0.0,
    learning_rate: float = 1e-3,
    ema: float = 0.999,
    folder: str | Path | None = None,
    device: str = "cpu",
    progress: str | None = None,
) -> CausalTransformer:
    """Trains a causal transformer; ``networks.log_chances(judge, x)`` returns its log-probabilities of tokens.

    Arguments and errors are those of ``train_draft``, except for the sizes: presets "tiny", "small" and "base" (see
    ``networks.causal``), overridden by ``width``, ``depth`` and ``heads``; ``tied`` shares the output and embedding weights.
    """
    data, length = _checked(tokens, vocabulary)
    changes = _given(width=width, depth=depth, heads=heads)
    sizes = sizes_of(causal.PRESETS, preset, vocabulary, tied=tied, dropout=dropout, **changes)
    return _trained(
        "judge", CausalTransformer, sizes, lambda network: network, data, length,
        steps, batch, seed, learning_rate, ema, folder, device, progress,
    )  # fmt: skip


def _given(**changes: int | None) -> dict[str, int]:
    return {k: v for k, v in changes.items() if v is not None}


def _checked(tokens: Tensor | Data, vocabulary: int) -> tuple[Data, int]:
    """The data and the length of its rows; for data read on demand only the first row is checked."""
    data = Batch(tokens, {}, torch.arange(len(tokens))) if isinstance(tokens, Tensor) else tokens
    if not len(data):
        raise ValueError("tokens have no rows; give at least one row (n, L)")
    x = data.x1 if isinstance(data, Batch) else data[torch.arange(1)].x1
    if x.ndim != 2 or not x.shape[1] or x.dtype != torch.int64:
        kind = str(x.dtype).removeprefix("torch.")
        raise ValueError(
            f"tokens are {kind} of shape {tuple(x.shape)}; give int64 (n, L), a long text cut into windows"
        )
    low, high = int(x.min()), int(x.max())
    if low < 0 or high >= vocabulary:
        bad = high if high >= vocabulary else low
        raise ValueError(f"tokens hold {bad}; with a vocabulary of {vocabulary} they must be in 0 .. {vocabulary - 1}")
    return data, x.shape[1]


def _trained(
    kind: str, build: Callable[..., N], sizes: Mapping[str, object], finished: Callable[[N], object], data: Data,
    length: int, steps: int, batch: int, seed: int, learning_rate: float, ema: float, folder: str | Path | None,
    device: str, progress: str | None,
) -> N:  # fmt: skip
    """Trains a network; the folder stores ``finished`` of it as its model."""
    network = seeded(seed, lambda: build(**sizes))
    asked = {"kind": kind, "network": network.arguments, "length": length, "learning_rate": learning_rate, "ema": ema}
    objective = NextToken(network, Player(network, learning_rate, ema=ema))
    part = trained_part(
        objective, data, finished, asked, steps=steps, batch=batch, seed=seed, folder=folder, device=device,
        progress=progress,
    )  # fmt: skip
    return cast(N, getattr(part, "network", part))


def _of_text(draft: Draft, setup: Setup) -> str:
    return "" if "train" in setup.data.streams else f"the draft {draft.name!r} is for texts, and {setup.name} has none"


@options
class NGramDraft(Draft):
    """An n-gram model of the training text."""

    name: ClassVar[str] = "ngram"
    order: Count = 3
    """Order n of the n-grams."""

    def fits(self, setup: Setup) -> str:
        most = most_order(setup.vocabulary)
        if self.order > most:
            return f"order is {self.order}; with {setup.vocabulary} tokens it is a whole number in 1 .. {most}"
        return _of_text(self, setup)

    def fit(self, setup: Setup, place: Place) -> Source:
        return NGram.fit(
            setup.data.streams["train"], vocabulary=setup.vocabulary, order=self.order, length=setup.shape[0]
        )


@options
class LSTMDraft(Draft):
    """An LSTM language model of the training text."""

    name: ClassVar[str] = "lstm"
    updates: Count = 2000
    """Number of training updates of the draft."""

    def fits(self, setup: Setup) -> str:
        return "" if setup.space == "tokens" else f"the draft 'lstm' is for tokens, and {setup.name} is of floats"

    def fit(self, setup: Setup, place: Place) -> Source:
        return train_draft(setup.data.train, setup.vocabulary, steps=self.updates, batch=64, seed=place.seed,
                           folder=place.folder, progress=place.bar("draft"))  # fmt: skip
