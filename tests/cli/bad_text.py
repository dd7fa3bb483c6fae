"""Bad input of tokens and texts; a part of the generator in ``bad_input``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from bad_input import Case, Make, Place, with_options, words

TINY = words("--updates 5 --width 16 --depth 1 --heads 2 --batch 16 --warm-start.pairing independent --quiet")
PROSE = "it was the best of times it was the worst of times it was the age of wisdom it was the age of foolishness "


def _text(place: Place, name: str, body: str | bytes) -> Path:
    path = place.here / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body if isinstance(body, bytes) else body.encode())
    return path


def _prose(place: Place) -> Path:
    return _text(place, "prose.txt", PROSE * 2000)


def _file(body: str | bytes, name: str = "bad.txt", *more: str) -> Make:
    return lambda p: _train(p, _text(p, name, body), *more)


def _train(p: Place, path: Path | str, *more: str) -> list[str]:
    return with_options(["train", "text", *TINY, "--path", str(path), "--out", str(p.here / "r")], *more)


def _flags(*more: str) -> Make:
    return lambda p: _train(p, _prose(p), *more)


def _drafted(name: str, body: str, *more: str) -> Make:
    def make(p: Place) -> list[str]:
        out, path = str(p.here / "c"), str(_text(p, name, body))
        small = words("--updates 5 --width 16 --depth 1 --heads 2 --samples 200 --seeds 2 --jobs 1 --quiet")
        return ["compare", "text", *small, "--length", "32", "--warm-start.draft", path, "--out", out, *more]

    return make


def _grid(*more: str) -> Make:
    small = words("--updates 5 --train 400 --heldout 400 --width 16 --depth 1 --heads 2 --warm-start.rounds 1 --quiet")
    return lambda p: with_options(["train", "grid", *small, "--out", str(p.here / "r")], *more)


def _sample(*more: str, run: str = "warm0") -> Make:
    return lambda p: ["sample", str(p.shared / run), "-n", "2", "--quiet", "--out", str(p.here / "x.npy"), *more]


def text_commands() -> Iterator[Case]:
    """Commands on tokens and texts that must be refused."""
    pair = json.dumps({"draft": "a" * 32, "refined": "b" * 32})
    yield Case("an empty text", _file(""), "bad.txt", "text in it")
    yield Case("a text of blanks", _file("  \n\t \n"), "bad.txt is empty", "text in it")
    yield Case("a binary file as text", _file(b"abc\0def" * 100), "bad.txt", "plain text")
    yield Case("a text in latin-1", _file("caf\xe9 ".encode("latin-1") * 500), "0xe9", "iconv")
    yield Case("a text in UTF-16", _file(PROSE.encode("utf-16") * 3), "bad.txt", "UTF-8")
    yield Case("a short text", _file(PROSE), "too few", "bring at least")
    yield Case("windows longer than the text", _flags("--length", "30000"), "30000", "length")
    yield Case("a text that does not exist", lambda p: _train(p, "no.txt"), "no.txt", "does not exist")
    yield Case("a folder without texts", lambda p: _train(p, p.here), "holds no .txt files", "give a text file")
    yield Case("an archive that is none", _file(b"\x1f\x8b nothing", "x.tar.gz"), "x.tar.gz", "archive")
    yield Case("--alphabet latin", _flags("--alphabet", "latin"), "'latin'", "text8")
    yield Case("--length 1", _flags("--length", "1"), "--length is 1", "at least 2")
    yield Case("--ngram.order 0", _flags("--ngram.order", "0"), "--ngram.order is 0", "at least 1")
    yield Case("--ngram.order 40", _flags("--ngram.order", "40"), "order is 40", "whole number")
    yield Case(
        "a negative strength", _flags("--warm-start.strength", "-1"), "--warm-start.strength is -1", "at least 0"
    )
    yield Case("--power 0", _flags("--power", "0"), "--power is 0", "greater than 0")
    yield Case("--heads 3", _flags("--heads", "3"), "heads 3", "multiple")
    yield Case("the draft trigram", _flags("--warm-start.draft", "trigram"), "'trigram'", "ngram")
    yield Case("the pairing whole-set of texts", _flags("--warm-start.pairing", "whole-set"),
               "--warm-start.pairing is 'whole-set'", "hamming-assignment")  # fmt: skip
    yield Case("--weighting mse", _flags("--weighting", "mse"), "'mse'", "cross_entropy")
    yield Case("--most -1", _flags("--most", "-1"), "--most is -1", "at least 0")
    yield Case("assigned noise of texts", lambda p: words("train text --method cold --cold.pairing minibatch --out r"),
               "'minibatch'", "independent pairs")  # fmt: skip
    yield Case(
        "a learned prior of texts",
        lambda p: ["train", "text", "--method", "learned-prior", "--out", "r"],
        "text",
        "tokens",
    )
    yield Case("a solver for tokens", _grid("--solver", "euler"), "--solver", "--help")
    yield Case("a mixture of texts", _flags("--mixture.components", "5"),
               "--mixture.components is an option of the draft mixture", "--warm-start.draft mixture")  # fmt: skip
    yield Case(
        "passes over pairs of texts", _flags("--warm-start.passes", "2"), "--warm-start.passes is 2", "leave it out"
    )
    yield Case("a mixture for texts", _flags("--warm-start.draft", "mixture"), "'mixture' is for floats", "tokens")
    yield Case("--levels 2", _grid("--levels", "2"), "--levels is 2", "at least 8")
    yield Case("--toy spiral", _grid("--toy", "spiral"), "'spiral'", "moons")
    yield Case("the draft ngram of a grid", _grid("--warm-start.draft", "ngram"), "'ngram'", "grid")
    yield Case("drafts of another length", _drafted("d.txt", "abc\n" * 9), "line 1", "have 32")
    yield Case("drafts beyond the alphabet", _drafted("d.txt", ("a" * 31 + "B\n") * 9), "'B'", "normalise")
    yield Case("drafts that are no JSON", _drafted("d.jsonl", "hello\n"), "line 1", '"draft"')
    yield Case("drafts that are numbers", _drafted("d.jsonl", '{"draft": 3}\n'), "int", "give text")
    yield Case("an empty file of drafts", _drafted("d.txt", "\n"), "d.txt is empty", "text in it")
    yield Case(
        "too few given pairs",
        _drafted("d.jsonl", pair + "\n", "--warm-start.pairing", "given"),
        "1 pairs",
        "at least 200",
    )
    yield Case("given pairs without refined texts", _drafted("d.txt", ("a" * 32 + "\n") * 300, "--warm-start.pairing", "given"),
               "'given'", "refined")  # fmt: skip
    yield Case("pairs that are not all refined",
               _drafted("d.jsonl", pair + "\n" + '{"draft": "' + "a" * 32 + '"}\n'), "2 drafts and 1", "none")  # fmt: skip
    yield Case("texts as drafts of points", lambda p: ["compare", "moons", "--warm-start.draft", str(_text(p, "d.jsonl", pair)),
                                                      "--out", "c", "--quiet"], "d.jsonl", ".npy")  # fmt: skip
    yield Case("audit of tokens", lambda p: ["audit", "grid"], "grid has tokens", "warmflow compare")
    yield Case("points as .txt", lambda p: [*_sample()(p)[:-1], str(p.here / "x.txt")], "makes no texts", ".npz")
    yield Case("--prefix of points", _sample("--prefix", "the"), "--prefix", "tokens")
    yield Case("--temperature of points", _sample("--temperature", "0.5"), "--temperature", "tokens")


def text_calls() -> Iterator[Case]:
    """Calls on tokens and texts that must be refused."""
    yield Case("float drafts of tokens", lambda p: lambda: _external(torch.zeros(4, 8)), "float32", "whole numbers")
    yield Case(
        "drafts of another vocabulary", lambda p: lambda: _external(torch.full((4, 8), 27)), "token 27", "0 .. 26"
    )
    yield Case("negative tokens", lambda p: lambda: _external(torch.full((4, 8), -1)), "token -1", "one alphabet")
    yield Case("drafts of another window", lambda p: lambda: _external(torch.zeros(4, 9).long()), "(4, 9)", "resize")
    yield Case(
        "a place fixed twice", lambda p: lambda: _together([1, -1], [2, -1]), "place 0 is fixed twice", "one of them"
    )
    yield Case("patterns of two lengths", lambda p: lambda: _together([1], [2, -1]), "1 and 2", "same length")
    yield Case("float starts", lambda p: lambda: _jump(torch.zeros(3, 4)), "float32", "int64")
    yield Case("symbols outside the alphabet", lambda p: _encode("caf\xe9"), "'\xe9' at position 3", "normalise")
    yield Case("temperature 0", lambda p: lambda: _tempered(temperature=0.0), "temperature is 0.0", "positive")
    yield Case("top_p 2", lambda p: lambda: _tempered(top_p=2.0), "top_p is 2.0", "(0, 1]")
    yield Case("a corrector of 1", lambda p: lambda: _renoise(1.0), "renoise is 1.0", "0 is off")
    yield Case("a kernel of rate 2", lambda p: lambda: _kernel(2.0), "rate is 2.0", "[0, 1]")
    yield Case(
        "an n-gram of another vocabulary", lambda p: lambda: _ngram(torch.full((90,), 30)), "token 30", "0 .. 26"
    )
    yield Case("an n-gram of two tokens", lambda p: lambda: _ngram(torch.zeros(2).long()), "2 tokens", "more text")


def _external(x: torch.Tensor) -> Any:
    from warmflow.sources import External

    return External.of(x, (8,), None, 27)


def _together(*patterns: list[int]) -> Any:
    from warmflow.sources import together

    return together(*(torch.tensor(p) for p in patterns))


def _jump(x: torch.Tensor) -> Any:
    from warmflow.contracts import Start
    from warmflow.noise import Noise
    from warmflow.solvers import Jump

    return Jump().begin(Start(x), torch.zeros(len(x)), noise=Noise.of(0, len(x)))


def _encode(text: str) -> Callable[[], Any]:
    from warmflow.data.text import LETTERS, Alphabet

    return lambda: Alphabet(tuple(LETTERS)).encode(text)


def _tempered(**more: float) -> Any:
    from warmflow.fields import ExactMarkov, Tempered
    from warmflow.paths import MixturePath

    one = torch.ones(1, 1)
    return Tempered(ExactMarkov(one[0], one, one, MixturePath()), **more)


def _renoise(value: float) -> Any:
    from warmflow.solvers import Jump

    return Jump(value)


def _kernel(rate: float) -> Any:
    from warmflow.sources import uniform_kernel

    return uniform_kernel(3, rate)


def _ngram(text: torch.Tensor) -> Any:
    from warmflow.sources import NGram

    return NGram.fit(text, vocabulary=27, order=3, length=8)
