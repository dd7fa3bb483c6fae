"""Texts near a given one: exact draws by messages from the right, and many guided draws where a model is too large.

The law is that of a text x of the model p that was seen through a channel as y, lambda being the channel's strength:

    pi(x | y)  in proportion to  p(x) exp(-lambda d(x, y)),        d the number of positions that differ

x and y have one length and stay aligned. **A rule that looks only at the text so far is not this law**: drawing the next
token in proportion to p(w | x^1 .. x^(i-1)) exp(-lambda [w != y^i]) does not know that, having left y, it may not find back.
What it lacks is the message from the right: with r a state of the model and r w the state after one more token,

    b_L(r) = 1,        b_i(r) = sum over w of p(w | r) exp(-lambda [w != y^i]) b_(i+1)(r w)
    draw  x^i = w  in proportion to  p(w | r) exp(-lambda [w != y^i]) b_(i+1)(r w)

b_i(r) is the mass of all continuations, so the product of these draws is pi exactly, for any model with few states (a
chain, an n-gram of low order). One step of the messages is a product with the model's sparse table of transitions T,
T(r, r w) = p(w | r), because with e = exp(-lambda)

    b_i(r) = e (T b_(i+1))(r) + (1 - e) p(y^i | r) b_(i+1)(r y^i)

**A large model** (an n-gram of high order, a network) is run forwards with the messages of a small one, g, whose state s is
kept beside it. Each of K texts (particles) draws with p(w | r) exp(-lambda [w != y^i]) b^g_(i+1)(s w), which sums to N_i, and is
weighted by N_i / b^g_i(s). The weights are those of the targets p(x^1 .. x^i) exp(-lambda d) b^g_i, the last of which is pi;
texts are resampled by them whenever their effective number falls below K/2, and one of the K is kept. K = 1 is guided but not
exact, K large approaches pi, and g = p is exact with K = 1. With a g of one state the messages say nothing and the draws are the
plain rule above.

References:
    A tutorial on hidden Markov models and selected applications in speech recognition, Rabiner, Proc. IEEE 1989 (messages)
    Filtering via Simulation: Auxiliary Particle Filters, Pitt, Shephard, JASA 1999 (weights known before the draw)
    Twisted Particle Filters, Whiteley, Lee, Annals of Statistics 2014, arXiv 1210.0220 (look-ahead as a twist)
    Probabilistic Inference in Language Models via Twisted Sequential Monte Carlo, Zhao et al., 2024, arXiv 2404.17546
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from warmflow.couplings.tokens import Writer, within
from warmflow.noise import Noise, inverse

ENTRIES = 2**25
"""How many numbers of 8 bytes one chunk of texts may hold at once: 256 MiB."""

STATES = 2**15
"""The most states whose messages are formed: beyond it a single text costs a second and more."""


@dataclass(frozen=True, eq=False)
class Table:
    """A model with few states as tables: chances (R, V) float64 and the state after a token (R, V) int64; state 0 is first."""

    chances: Tensor
    after: Tensor


def table_of(model: Writer, name: str) -> Table:
    """All states that a model can reach, found by writing every token in each; ``name`` is the argument an error speaks of.

    Raises:
        ValueError: a model whose state is not one whole number a text, or with too many of them.
    """
    state = model.first(1, "cpu")
    if not isinstance(state, Tensor) or state.shape != (1,) or state.is_floating_point():
        raise ValueError(_unlisted(name, f"is a {type(model).__name__}, whose states cannot be listed"))
    token, number = torch.arange(model.vocabulary), {int(state): 0}
    chances: list[Tensor] = []
    after: list[Tensor] = []
    while len(state):
        chances.append(model.chances(state).double())
        follow = model.after(state.repeat_interleave(len(token)), token.repeat(len(state)))
        found = [k for k in follow.unique().tolist() if k not in number]
        number |= {k: len(number) + i for i, k in enumerate(found)}
        if len(number) > STATES:
            raise ValueError(_unlisted(name, f"has more than {STATES} states, too many for messages"))
        after.append(follow.reshape(-1, len(token)))
        state = torch.tensor(found, dtype=state.dtype)
    known = torch.tensor(sorted(number))
    place = torch.tensor([number[k] for k in known.tolist()])
    return Table(torch.cat(chances), place[torch.searchsorted(known, torch.cat(after).long())])


def _unlisted(name: str, why: str) -> str:
    if name == "lookahead":
        return f"lookahead {why}: use an NGram of order 2 or 3"
    return f"the model {why}: pass lookahead, an NGram of order 2 or 3 of the same text, and a few particles"


def messages(table: Table, text: Tensor, off: Tensor) -> Tensor:
    """(L + 1, R, B) float64: b_0 .. b_L of the texts (B, L), each scaled to a maximum of 1 over the states.

    Args:
        off: (B, L) the factor exp(-lambda) of a token that differs; 0 where the text is fixed.
    """
    from scipy.sparse import csr_matrix

    states, vocabulary = table.chances.shape
    rows = torch.arange(states).repeat_interleave(vocabulary)
    where = (rows.numpy(), table.after.flatten().numpy())
    transition = csr_matrix((table.chances.flatten().numpy(), where), shape=(states, states))  # equal places are summed
    n, length = text.shape
    out = torch.ones(length + 1, states, n, dtype=torch.float64)
    for i in reversed(range(length)):
        after = out[i + 1]
        right = table.chances[:, text[:, i]] * after.gather(0, table.after[:, text[:, i]])
        b = off[:, i] * torch.as_tensor(transition @ after.numpy()) + (1 - off[:, i]) * right
        out[i] = b / b.amax(0).clamp(min=1e-300)
    return out


def drawn_near(
    model: Writer,
    text: Tensor,
    strength: float,
    *,
    noise: Noise,
    lookahead: Writer | None = None,
    particles: int = 1,
    fixed: Tensor | None = None,
) -> Tensor:
    """(B, L) int64: a text in proportion to p(x) exp(-strength d(x, y)) for each text y (B, L).

    Args:
        model: p, any model that writes from left to right.
        strength: lambda in [0, 100]; 0 draws from p, a large one returns y.
        lookahead: an NGram or MarkovChain whose messages guide the draws; None takes the model's own: then draws are exact.
            What it holds impossible is never drawn, so it must be smoothed as an NGram is.
        particles: texts that are weighted against each other, for a ``lookahead`` that is not the model.
        fixed: (B, L) bool, positions that stay as they are.

    Raises:
        ValueError: impossible settings, tokens the model does not know, a model too large for exact messages, fixed tokens
            that the model holds impossible.
    """
    table = guide(model, strength, lookahead, particles)
    within("the texts", text, model.vocabulary)
    off = torch.full(text.shape, math.exp(-strength), dtype=torch.float64)
    if fixed is not None:
        off = off.masked_fill(fixed.cpu(), 0.0)
    many = 1 if lookahead is None else particles
    held = max((text.shape[1] + 1) * len(table.chances), 8 * many * (model.vocabulary + text.shape[1]))
    rows = max(1, ENTRIES // held)
    parts = [torch.empty(0, text.shape[1], dtype=torch.int64, device=text.device)]
    for first in range(0, len(text), rows):
        part = slice(first, first + rows)
        ahead = messages(table, text[part].cpu(), off[part])
        parts.append(_forward(model, table, ahead, text[part], off[part], many, noise[part]))
    return torch.cat(parts)


def guide(model: Writer, strength: float, lookahead: Writer | None, particles: int) -> Table:
    """The tables whose messages guide the draws, after a check of all settings; see :func:`drawn_near`."""
    if not 0 <= strength <= 100:
        raise ValueError(f"strength is {strength}; it lies in [0, 100], 0 for none, about 4 for English letters")
    if isinstance(particles, bool) or not isinstance(particles, int) or particles < 1:
        raise ValueError(f"particles is {particles!r}; it is a whole number of at least 1")
    if lookahead is None:
        return table_of(model, "model")
    if lookahead.vocabulary != model.vocabulary:
        raise ValueError(
            f"lookahead has {lookahead.vocabulary} tokens, the model {model.vocabulary}: fit both to one vocabulary"
        )
    return table_of(lookahead, "lookahead")


@torch.no_grad()
def _forward(model: Writer, table: Table, ahead: Tensor, text: Tensor, off: Tensor, many: int, noise: Noise) -> Tensor:
    """The draws from left to right: ``many`` particles for each text (B, L), of which one is kept."""
    (n, length), device = text.shape, text.device
    ahead, off, after = ahead.to(device), off.to(device), table.after.to(device)
    row = torch.arange(n, device=device).repeat_interleave(many)  # the text of each particle
    state, near = model.first(n * many, device), torch.zeros(n * many, dtype=torch.int64, device=device)
    x = torch.empty(n * many, length, dtype=torch.int64, device=device)
    weight = torch.zeros(n, many, dtype=torch.float64, device=device)
    uniform = noise.uniform("token", length, many).to(device)
    for i in range(length):
        like = off[:, i, None].expand(n, model.vocabulary).scatter(1, text[:, i, None], 1.0)
        following = after[near]
        levels = (model.chances(state) * like[row] * ahead[i + 1][following, row[:, None]]).cumsum(1)
        total = levels[:, -1].reshape(n, many)
        gained = torch.log(total) - torch.log(ahead[i][near, row].reshape(n, many).clamp(min=1e-300))
        weight = torch.where(total > 0, weight + gained, -torch.inf)
        if bool((weight.amax(1) == -torch.inf).any()):
            raise ValueError(
                f"position {i} of a text cannot be written: the model gives its fixed tokens, or all that lookahead "
                "allows, no chance at all; smooth the model, or fix fewer tokens"
            )
        if many > 1:
            if i + 1 == length:
                kept = inverse(torch.softmax(weight, 1).cumsum(1), noise.uniform("kept").to(device))
                kept = torch.arange(n, device=device) * many + kept
                x, levels = x[kept], levels[kept]
                uniform = uniform.gather(2, (kept % many)[:, None, None].expand(-1, length, 1))
            else:
                parent, weight = _resampled(weight, noise.fold(i).uniform("parent").to(device))
                x, levels, following = x[parent], levels[parent], following[parent]
                state = _rows(state, parent)
        token = inverse(levels, uniform[:, i].flatten())
        x[:, i] = token
        if i + 1 < length:
            state, near = model.after(state, token), following.gather(1, token[:, None])[:, 0]
    return x


def _resampled(weight: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Parents (n K,) of the particles with log weights (n, K), and the weights then: systematic draws where the effective
    number of particles is below K/2, else all stay."""
    n, many = weight.shape
    share = torch.softmax(weight, 1)
    poor = 1 / share.square().sum(1, keepdim=True) < many / 2
    own = torch.arange(many, device=weight.device)
    points = (own + uniform[:, None]) / many
    parent = torch.searchsorted(share.cumsum(1), points, right=True).clamp(max=many - 1)
    parent = torch.where(poor, parent, own)
    first = many * torch.arange(n, device=weight.device)[:, None]
    return (first + parent).flatten(), torch.where(poor, torch.zeros_like(weight), weight)


def _rows(state: Any, rows: Tensor) -> Any:
    """A model's state at some rows: a tensor with a row a text, or a tuple or dictionary of them."""
    if isinstance(state, Tensor):
        return state[rows]
    if isinstance(state, Mapping):
        return {k: _rows(v, rows) for k, v in state.items()}
    if isinstance(state, tuple | list):
        return type(state)(_rows(v, rows) for v in state)
    raise ValueError(
        f"the model keeps its state in a {type(state).__name__}; several particles need tensors with a row a text: use "
        "particles=1"
    )
