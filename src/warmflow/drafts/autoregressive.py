"""Networks that read tokens from left to right, trained: drafts to start from, and judges that tell how likely a text is.

A judge must not learn from the rows that a draft or a flow learns from: give it text of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

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
    """An LSTM trained to write what it has read, as a source of texts of the same length; averaged weights.

    Args:
        tokens: (n, L) int64 below ``vocabulary``; or data whose x1 is that (a Batch, or anything that loads on demand).
        seed: of the weights and of the order of the rows.
        preset: "small" or "paper" (see ``networks.lstm``); ``width`` and ``layers`` replace its own.
        ema: decay of the averaged weights, 0 for none.
        folder: a run folder: training goes on from the checkpoint found there, and ``checkpoints.load_part(folder)`` is
            the finished source. None to keep nothing.
        progress: the label of a progress bar, None for no bar.

    Raises:
        ValueError: impossible tokens, sizes or steps; a folder that holds another run; training that diverged.
    """
    data, length = _checked(tokens, vocabulary)
    sizes = sizes_of(lstm.PRESETS, preset, vocabulary, dropout=dropout, **_given(width=width, layers=layers))
    network = _trained(
        "draft", lambda: TokenLSTM(**sizes), lambda network: LSTM(network, (length,)), data, length,
        steps, batch, seed, learning_rate, ema, folder, device, progress,
    )  # fmt: skip
    network.lstm.flatten_parameters()  # averaged weights are a copy, which a GPU wants in one piece
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
    """A causal transformer trained to tell how likely a text is, by ``networks.log_chances(judge, x)``.

    Arguments and errors are those of ``train_draft``, but for the sizes: presets "tiny", "small" and "base" (see
    ``networks.causal``), replaced by ``width``, ``depth`` and ``heads``; ``tied`` for an output tied to the embeddings.
    """
    data, length = _checked(tokens, vocabulary)
    changes = _given(width=width, depth=depth, heads=heads)
    sizes = sizes_of(causal.PRESETS, preset, vocabulary, tied=tied, dropout=dropout, **changes)
    return _trained(
        "judge", lambda: CausalTransformer(**sizes), lambda network: network, data, length,
        steps, batch, seed, learning_rate, ema, folder, device, progress,
    )  # fmt: skip


def _given(**changes: int | None) -> dict[str, int]:
    return {k: v for k, v in changes.items() if v is not None}


def _checked(tokens: Tensor | Data, vocabulary: int) -> tuple[Data, int]:
    """The data and the length of its rows; of data that loads on demand only the first row is looked at."""
    data = Batch(tokens, {}, torch.arange(len(tokens))) if isinstance(tokens, Tensor) else tokens
    if not len(data):
        raise ValueError("tokens are (0, L): there is nothing to train on, give at least one row")
    x = data.x1 if isinstance(data, Batch) else data[torch.arange(1)].x1
    if x.ndim != 2 or not x.shape[1] or x.dtype != torch.int64:
        kind = str(x.dtype).removeprefix("torch.")
        raise ValueError(
            f"tokens are {kind} of shape {tuple(x.shape)}; give int64 (n, L), a long text cut into windows"
        )
    low, high = int(x.min()), int(x.max())
    if low < 0 or high >= vocabulary:
        bad = high if high >= vocabulary else low
        raise ValueError(f"tokens hold {bad}; with a vocabulary of {vocabulary} they lie in 0 .. {vocabulary - 1}")
    return data, x.shape[1]


def _trained(
    kind: str, build: Callable[[], N], finished: Callable[[N], Any], data: Data, length: int, steps: int, batch: int,
    seed: int, learning_rate: float, ema: float, folder: str | Path | None, device: str, progress: str | None,
) -> N:  # fmt: skip
    """The trained network; in the folder, what ``finished`` makes of it as its model."""
    network = seeded(seed, build)
    asked = {"kind": kind, "network": network.arguments, "length": length, "learning_rate": learning_rate, "ema": ema}
    objective = NextToken(network, Player(network, learning_rate, ema=ema))
    part = trained_part(
        objective, data, finished, asked, steps=steps, batch=batch, seed=seed, folder=folder, device=device,
        progress=progress,
    )  # fmt: skip
    trained = getattr(part, "network", part)
    assert isinstance(trained, type(network))
    return trained


def _of_text(draft: Draft, setup: Setup) -> str:
    return "" if "train" in setup.data.streams else f"the draft {draft.name!r} is for texts, and {setup.name} has none"


@options
class NGramDraft(Draft):
    """An n-gram model of the training text."""

    name: ClassVar[str] = "ngram"
    order: Count = 3
    """Symbols that are looked at together."""

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
    """An LSTM of the training text."""

    name: ClassVar[str] = "lstm"
    updates: Count = 2000
    """Updates of the draft."""

    def fits(self, setup: Setup) -> str:
        return "" if setup.space == "tokens" else f"the draft 'lstm' is for tokens, and {setup.name} is of floats"

    def fit(self, setup: Setup, place: Place) -> Source:
        return train_draft(setup.data.train, setup.vocabulary, steps=self.updates, batch=64, seed=place.seed,
                           folder=place.folder, progress=place.bar("draft"))  # fmt: skip
