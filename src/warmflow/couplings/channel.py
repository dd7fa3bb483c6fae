"""Sampling texts near a given one: exactly by backward messages, or approximately by guided particles for large models.

The target distribution is the posterior of a text x of the model p that was observed as y through a noisy channel with strength
lambda:

    pi(x | y)  proportional to  p(x) exp(-lambda d(x, y)),        d the number of positions that differ

x and y have the same length and stay aligned. **A rule that uses only the text so far does not sample pi**: drawing the next
token in proportion to p(w | x^1 .. x^(i-1)) exp(-lambda [w != y^i]) ignores whether the rest of y can still be followed
afterwards. The missing information is a backward message. With r a state of the model and r w the state after one more token,

    b_L(r) = 1,        b_i(r) = sum over w of p(w | r) exp(-lambda [w != y^i]) b_(i+1)(r w)
    draw  x^i = w  in proportion to  p(w | r) exp(-lambda [w != y^i]) b_(i+1)(r w)

b_i(r) is the total mass of all continuations, so the product of these conditionals is exactly pi, for any model with few states
(a Markov chain, an n-gram of low order). One step of the messages is a product with the model's sparse transition matrix T,
T(r, r w) = p(w | r), because with e = exp(-lambda)

    b_i(r) = e (T b_(i+1))(r) + (1 - e) p(y^i | r) b_(i+1)(r y^i)

**A large model** (an n-gram of high order, a network) is sampled with the messages of a small model g, whose state s is tracked
beside the large one's. Each of K particles draws w in proportion to p(w | r) exp(-lambda [w != y^i]) b^g_(i+1)(s w), which sums
to N_i, and is weighted by N_i / b^g_i(s). The weights are those of the targets p(x^1 .. x^i) exp(-lambda d) b^g_i, the last of
which is pi. Particles are resampled when their effective number falls below K/2, and one of the K is returned. K = 1 is guided
but not exact, large K approaches pi, and g = p is exact with K = 1. If g has a single state, the messages carry no information,
and the samples follow the rule above that uses only the text so far.

References:
    A tutorial on hidden Markov models and selected applications in speech recognition, Rabiner, Proc. IEEE 1989 (messages)
    Filtering via Simulation: Auxiliary Particle Filters, Pitt, Shephard, JASA 1999 (weights known before the draw)
    Twisted Particle Filters, Whiteley, Lee, Annals of Statistics 2014, arXiv 1210.0220 (look-ahead as a twist)
    Probabilistic Inference in Language Models via Twisted Sequential Monte Carlo, Zhao et al., 2024, arXiv 2404.17546
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from warmflow.couplings.tokens import Writer, within
from warmflow.noise import Noise, inverse
from warmflow.number_checks import is_whole
from warmflow.records import merged

ENTRIES = 2**25
"""Number of 8-byte entries that one chunk of texts may use at once: 256 MiB."""

STATES = 2**15
"""Largest number of states for which messages are computed: above it, a single text takes more than a second."""


@dataclass(frozen=True, eq=False)
class Table:
    """A model with few states as tables: probabilities (R, V) float64 and the state after each token (R, V) int64. State 0 is
    the initial state.
    """

    chances: Tensor
    after: Tensor


def table_of(model: Writer, name: str) -> Table:
    """Tabulates all states that a model can reach, by appending every token in every state.

    Args:
        name: the argument named in error messages.

    Raises:
        ValueError: a model whose state is not one integer per text, or one with too many states.
    """
    state = model.first(1, "cpu")
    if not isinstance(state, Tensor) or state.shape != (1,) or state.is_floating_point():
        raise ValueError(_cannot_tabulate(name, f"is a {type(model).__name__}, whose states cannot be listed"))
    token, number = torch.arange(model.vocabulary), {int(state): 0}
    chances: list[Tensor] = []
    after: list[Tensor] = []
    while len(state):
        chances.append(model.chances(state).double())
        follow = model.after(state.repeat_interleave(len(token)), token.repeat(len(state)))
        found = [k for k in follow.unique().tolist() if k not in number]
        number |= {k: len(number) + i for i, k in enumerate(found)}
        if len(number) > STATES:
            raise ValueError(_cannot_tabulate(name, f"has more than {STATES} states, too many for messages"))
        after.append(follow.reshape(-1, len(token)))
        state = torch.tensor(found, dtype=state.dtype)
    known = torch.tensor(sorted(number))
    place = torch.tensor([number[k] for k in known.tolist()])
    return Table(torch.cat(chances), place[torch.searchsorted(known, torch.cat(after).long())])


def _cannot_tabulate(name: str, why: str) -> str:
    if name == "lookahead":
        return f"lookahead {why}: use an NGram of order 2 or 3"
    return f"the model {why}: pass lookahead, an NGram of order 2 or 3 of the same text, and a few particles"


def messages(table: Table, text: Tensor, off: Tensor) -> Tensor:
    """The messages b_0 .. b_L (L + 1, R, B) float64 of the texts (B, L), each scaled to a maximum of 1 over the states.

    Args:
        off: (B, L) the factor exp(-lambda) of a token that differs; 0 where the text is fixed.
    """
    from scipy.sparse import csr_matrix

    states, vocabulary = table.chances.shape
    rows = torch.arange(states).repeat_interleave(vocabulary)
    where = (rows.numpy(), table.after.flatten().numpy())
    # csr_matrix sums duplicate entries
    transition = csr_matrix((table.chances.flatten().numpy(), where), shape=(states, states))
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
    """Draws, for each text y (B, L), a text x (B, L) int64 with probability proportional to p(x) exp(-strength d(x, y)).

    Args:
        model: p, any model that writes from left to right.
        strength: lambda in [0, 100]; 0 samples from p, a large value returns y.
        lookahead: an NGram or MarkovChain whose messages guide the sampling; None uses the model's own, and samples are then
            exact. A text to which it gives probability 0 is never drawn, so it must be smoothed, as an NGram is.
        particles: number of weighted particles per text, used if ``lookahead`` is given.
        fixed: (B, L) bool, positions that are not changed.

    Raises:
        ValueError: invalid settings, tokens outside the model's vocabulary, a model too large for exact messages, or fixed tokens
            to which the model gives probability 0.
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
    """Checks all settings and returns the tables whose messages guide the sampling; see :func:`drawn_near`."""
    if not 0 <= strength <= 100:
        raise ValueError(f"strength is {strength}; it must lie in [0, 100]; 0 is off, about 4 suits English letters")
    if not is_whole(particles):
        raise ValueError(f"particles is {particles!r}; it must be a whole number of at least 1")
    if lookahead is None:
        return table_of(model, "model")
    if lookahead.vocabulary != model.vocabulary:
        raise ValueError(
            f"lookahead has {lookahead.vocabulary} tokens, the model {model.vocabulary}: fit both to one vocabulary"
        )
    return table_of(lookahead, "lookahead")


@torch.no_grad()
def _forward(model: Writer, table: Table, ahead: Tensor, text: Tensor, off: Tensor, many: int, noise: Noise) -> Tensor:
    """Samples from left to right with ``many`` particles for each text (B, L), and returns one of them per text."""
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
                f"position {i} of a text cannot be sampled: the model gives probability 0 to its fixed tokens, or to all tokens "
                "that lookahead allows; smooth the model, or fix fewer tokens"
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
    """Parents (n K,) of particles with log weights (n, K), and the weights after resampling: systematic resampling where the
    effective number of particles is below K/2; elsewhere all particles are kept.
    """
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
    """Selects rows of a model's state: a tensor with one row per text, or a tuple, list or mapping of them."""
    return merged(state, act=lambda x: x[0][rows], other=_no_rows)


def _no_rows(state: object) -> object:
    raise ValueError(
        f"the model keeps its state in a {type(state).__name__}; several particles need tensors with one row per text: use "
        "particles=1"
    )
