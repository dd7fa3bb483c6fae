"""Text as tokens: an alphabet, disjoint parts of contiguous text, and windows of equal length.

    text -> symbols -> tokens 0 .. V - 1 -> parts -> windows (n, L)

Two alphabets. ``text8``: 27 symbols, space and a .. z, with the normalisation of the text8 corpus (lower case, accents
removed, digits spelled out, everything else a space, runs of spaces merged). ``full``: the symbols of the text itself; all
but the 255 most frequent are replaced by one symbol.

If windows of different parts overlapped or were mixed, a model that copies its training text would look good. So every
document is cut by length into contiguous parts, in this order:

    train 70 %    judge 15 %    validation 5 %    held out 10 %

Every part contains a piece of each document, so all parts have the same mixture of authors. The part "judge" is used only to
train the models that compute the likelihood of a text. Documents too short to be cut are joined first.

References:
    About the test data, Mahoney, 2011, mattmahoney.net/dc/textdata (the normaliser of text8)
"""

from __future__ import annotations

import itertools
import lzma
import re
import tarfile
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from warmflow.data import Codec, DataSet, part
from warmflow.data.image_files import names_of
from warmflow.data.labels import listed
from warmflow.files import check_expanded, check_file, parse_json, read_bytes, reason
from warmflow.number_checks import is_whole, numbers_checked

LETTERS = " abcdefghijklmnopqrstuvwxyz"
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SHARES = {"train": 0.70, "judge": 0.15, "validation": 0.05, "heldout": 0.10}
MOST = 255
"""Largest number of symbols of a full alphabet, not counting the replacement for all others."""
ALPHABETS = ("text8", "full")
OTHER = "\ufffd"
TOLD = 0.01
"""A larger share of letters or symbols that is not kept is told."""
TEXT_BYTES = 2**31
"""The largest text file or archive that is read, in bytes."""


def normalised(text: str) -> str:
    """The text in 27 symbols, normalised as described at the top of this module."""
    text = unicodedata.normalize("NFKD", text.lower())
    text = "".join(c for c in text if not unicodedata.combining(c))
    text = re.sub(r"[0-9]", lambda digit: f" {DIGITS[int(digit.group())]} ", text)
    return re.sub(r"[^a-z]+", " ", text).strip()


def one_letter(symbol: str) -> str:
    """A symbol as one of the 27; a space for what is no letter."""
    return normalised(symbol)[:1] or " "


@dataclass(frozen=True)
class Alphabet(Codec):
    """The symbols of the tokens 0, 1, ..., in this order."""

    symbols: tuple[str, ...]

    @property
    def alphabet(self) -> Alphabet:
        return self

    def __len__(self) -> int:
        return len(self.symbols)

    def described(self) -> dict[str, object]:
        return {"symbols": list(self.symbols)}

    def encode(self, text: str) -> Tensor:
        """Tokens (T,) int64.

        Raises:
            ValueError: a symbol that is not in this alphabet; the message gives its position.
        """
        number = {symbol: i for i, symbol in enumerate(self.symbols)}
        other = number.get(OTHER)
        try:
            if other is not None:
                return torch.tensor([number.get(c, other) for c in text], dtype=torch.int64)
            return torch.tensor([number[c] for c in text], dtype=torch.int64)
        except KeyError as error:
            symbol = error.args[0]
            raise ValueError(
                f"the text holds {symbol!r} at position {text.index(symbol)}, which is not among the {len(self)} symbols "
                "of this alphabet: normalise it first (alphabet 'text8'), or train with alphabet 'full'"
            ) from None

    def brought(self, text: str, free: str = "") -> str:
        """A text in this alphabet, as the training text was brought to it; the symbol ``free`` stays.

        Of a template (``free``), no symbol may become several: digits stay, and are an error when they are encoded.
        """
        if self.symbols != tuple(LETTERS):
            return (
                text if OTHER not in self.symbols else "".join(c if c in (*self.symbols, free) else OTHER for c in text)
            )
        if free:
            return "".join(c if c == free or c.isdigit() else one_letter(c) for c in text)
        ends = [
            " " if text and not one_letter(end).strip() and not end.isdigit() else "" for end in (text[:1], text[-1:])
        ]
        return f"{ends[0]}{normalised(text)}{ends[1]}" if normalised(text) else " " * bool(text)

    def decode(self, tokens: Tensor) -> str:
        """The text of tokens (T,); mask tokens are shown as underscores."""
        return "".join(self.symbols[i] if i < len(self.symbols) else "_" for i in tokens.tolist())

    @staticmethod
    def of(text: str) -> Alphabet:
        """The symbols of a text, in code point order; the rarest are replaced by one symbol if there are more than 255."""
        return Alphabet.among(Counter(text))

    @staticmethod
    def among(counts: Counter[str]) -> Alphabet:
        """The same of the symbols of a text with their numbers."""
        kept = sorted(c for c, _ in counts.most_common(MOST))
        return Alphabet(tuple(kept) + ((OTHER,) if len(counts) > MOST else ()))


def _fast(text: str) -> Tensor:
    """The tokens of a normalised text: space 0, a 1, ..., z 26."""
    codes = torch.from_numpy(np.frombuffer(text.encode("ascii"), dtype=np.uint8).copy()).long()
    return torch.where(codes == 32, 0, codes - 96)


def decoded(raw: bytes, name: str) -> str:
    """The text of a file's bytes (UTF-8, with or without a byte order mark), with line ends converted to newlines.

    Raises:
        ValueError: an empty file, one that is not text, or text in another encoding.
    """
    if not raw.strip():
        raise ValueError(f"{name} is empty: give a file with text in it")
    if b"\0" in raw[:100_000]:
        raise ValueError(f"{name} is not text (it holds zero bytes): give a plain text file in UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name} is not UTF-8 (byte {raw[error.start]:#04x} at position {error.start}): convert it, for example with "
            f"iconv -f latin1 -t utf-8"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read(path: str | Path) -> dict[str, str]:
    """The documents of a text file, of a folder (recursively, its .txt files), or of a .tar archive of .txt files, by name.

    Hidden files are left out. The suffix may be in capitals, and links are followed.

    Raises:
        ValueError: a path that does not exist, a folder or archive without .txt files, a file that cannot be read as text.
    """
    return _documents(path)[0]


def _documents(path: str | Path) -> tuple[dict[str, str], list[str]]:
    """The documents of ``read``, and the names of the files that are not read."""
    path = Path(path).expanduser()
    if path.is_dir():
        names = names_of(path)
        files = [name for name in names if _is_text(name)]
        if not files:
            raise ValueError(f"the folder {path} holds no .txt files: give a text file, or a folder of them")
        return {name: _bytes(path / name) for name in files}, [name for name in names if not _is_text(name)]
    if not path.exists():
        raise ValueError(
            f"the text {str(path)!r} does not exist: give the path of a text file or a folder of .txt files"
        )
    if re.search(r"\.tar(\.\w+)?$|\.tgz$", path.name.lower()):
        return _archive(path)
    return {path.name: _bytes(path)}, []


def _is_text(name: str) -> bool:
    return name.lower().endswith(".txt") and not name.rpartition("/")[2].startswith(".")


def _bytes(path: Path) -> str:
    try:
        return decoded(read_bytes(path, TEXT_BYTES), str(path))
    except FileNotFoundError:
        raise ValueError(f"{path} cannot be read: it is not there any more") from None


def _archive(path: Path) -> tuple[dict[str, str], list[str]]:
    found: dict[str, str] = {}
    others: list[str] = []
    total = 0
    check_file(path, TEXT_BYTES)
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                total += member.size
                check_expanded(path, total)
                file = archive.extractfile(member) if member.isfile() and _is_text(member.name) else None
                if file is not None:
                    found[member.name] = decoded(file.read(), f"{path}:{member.name}")
                elif not member.isdir() and not member.name.rpartition("/")[2].startswith("."):
                    others.append(member.name)
    except (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError, RuntimeError, OverflowError) as error:
        raise ValueError(
            f"{path} is not an archive that can be read ({reason(error)}): give a .tar of .txt files"
        ) from None
    if not found:
        raise ValueError(f"the archive {path} holds no .txt files")
    return dict(sorted(found.items())), sorted(others)


def embedded() -> dict[str, str]:
    """English prose included with Python: the help texts on topics of the language, about 0.5 MB."""
    from pydoc_data.topics import topics

    return {name: str(topics[name]) for name in sorted(topics)}


def parts_of(documents: Iterable[Tensor], least: int) -> dict[str, Tensor]:
    """The token streams (T,) of the parts. Documents of at least ``least`` tokens are cut by the shares above; shorter ones
    are joined and cut together."""
    long_: list[Tensor] = []
    short: list[Tensor] = []
    for tokens in documents:
        (long_ if len(tokens) >= least else short).append(tokens)
    if short:
        long_.append(torch.cat(short))
    cut: dict[str, list[Tensor]] = {name: [] for name in SHARES}
    for tokens in long_:
        first = 0
        for i, (name, share) in enumerate(SHARES.items()):
            last = len(tokens) if i == len(SHARES) - 1 else first + int(share * len(tokens))
            cut[name].append(tokens[first:last])
            first = last
    return {name: torch.cat(streams) for name, streams in cut.items()}


def windows(stream: Tensor, length: int) -> Tensor:
    """A stream (T,) cut into disjoint windows (n, length); the remainder is dropped."""
    n = len(stream) // length
    return stream[: n * length].reshape(n, length)


@numbers_checked
def text(
    source: str | Path | Mapping[str, str] = "embedded", *, length: int = 64, alphabet: str = "text8", most: int = 0
) -> DataSet:
    """A text as a data set of windows (n, length) int64.

    Args:
        source: "embedded", a path (see :func:`read`), or documents by name.
        alphabet: "text8" or "full".
        most: the largest number of training windows, evenly spaced over the training part; 0 for all.

    Returns:
        A DataSet of kind "tokens"; ``codec`` is the alphabet, ``streams`` the tokens of the parts "train" and "judge".

    Raises:
        ValueError: an unknown alphabet, an impossible length, a text too short to be judged, or what :func:`read` raises.
    """
    if alphabet not in ALPHABETS:
        raise ValueError(f"alphabet is {alphabet!r}; known: {', '.join(ALPHABETS)}")
    if not is_whole(length, 2):
        raise ValueError(f"length is {length!r}; windows hold a whole number of at least 2 symbols")
    if isinstance(source, Mapping):
        name, documents, others = "text", dict(source), list[str]()
    else:
        name, (documents, others) = str(source), (embedded(), []) if source == "embedded" else _documents(source)
    counts = Counter(itertools.chain.from_iterable(documents.values()))
    if alphabet == "text8":
        codec, share = Alphabet(tuple(LETTERS)), _letters_kept(counts)
        tokens = [_fast(t + " ") for t in map(normalised, documents.values()) if t]
    else:
        codec, share = Alphabet.among(counts), _symbols_kept(counts)
        tokens = [codec.encode(t) for t in documents.values()]
    if not tokens:
        raise ValueError(f"{name}: no symbol of the text is kept{'; ' + share if share else ''}")
    streams = parts_of(tokens, 40 * length)
    found = {k: windows(v, length) for k, v in streams.items()}
    total = sum(len(t) for t in tokens)
    if len(found["heldout"]) < 50 or len(found["train"]) < 200:
        raise ValueError(
            f"{name}: too few to tell: {total:,} symbols make {len(found['heldout'])} held-out windows of {length}; bring "
            f"at least {600 * length:,} symbols, or shorten the windows: a smaller length{'; ' + share if share else ''}"
        )
    train = found["train"]
    if most and len(train) > most:
        train = train[torch.linspace(0, len(train) - 1, most).round().long()]
    notes: dict[str, object] = {
        "documents": len(documents),
        "symbols": total,
        "alphabet": alphabet,
        "vocabulary": len(codec),
    }
    return DataSet(
        name=f"text.{name}",
        kind="tokens",
        train=part(train),
        validation=part(found["validation"]) if len(found["validation"]) else None,
        heldout=part(found["heldout"]),
        notes={**notes, **({"share": share} if share else {}), **({"left_out": _not_read(others)} if others else {})},
        codec=codec,
        streams={k: streams[k] for k in ("train", "judge")},
    )


def _letters_kept(counts: Counter[str]) -> str:
    """A line about letters that the 27 symbols leave out, if these are more than a hundredth of all letters."""
    letters = {c: n for c, n in counts.items() if c.isalpha()}
    total, kept = sum(letters.values()), sum(n for c, n in letters.items() if normalised(c))
    if kept >= (1 - TOLD) * total:
        return ""
    lost = max((c for c in letters if not normalised(c)), key=lambda c: letters[c])
    return f"{kept / total:.0%} of the {total:,} letters are in a .. z, others (like {lost}) are left out: give alphabet 'full'"


def _symbols_kept(counts: Counter[str]) -> str:
    """A line about symbols that a full alphabet replaces, if these are more than a hundredth of the text."""
    total, kept = sum(counts.values()), sum(n for _, n in counts.most_common(MOST))
    if kept >= (1 - TOLD) * total:
        return ""
    return (
        f"{kept / total:.0%} of the {total:,} symbols are kept; {len(counts) - MOST:,} rare ones of {len(counts):,} are "
        f"replaced by one, because an alphabet has {MOST}"
    )


def _not_read(names: list[str]) -> str:
    return f"{len(names)} files that are not .txt are left out ({listed(names[:3])})"


def drafts_of(path: str | Path, codec: Alphabet, length: int) -> tuple[Tensor, Tensor | None]:
    """Drafts (N, L), and their refined texts if the file has them, from a .txt file (one draft per line) or a .jsonl file
    (one ``{"draft": ..., "refined": ...}`` per line).

    Raises:
        ValueError: an empty file, lines of another length, symbols outside the alphabet, JSON without a draft.
    """
    lines = _bytes(Path(path)).rstrip("\n").split("\n")
    drafts: list[Tensor] = []
    refined: list[Tensor] = []
    for i, line in enumerate(lines, 1):
        pair = {"draft": line}
        if str(path).lower().endswith(".jsonl"):
            try:
                pair = parse_json(line)
                drafts_line = pair["draft"]
            except (ValueError, KeyError, TypeError):
                raise ValueError(
                    f'{path}, line {i} is not a JSON object with a "draft": give {{"draft": "..."}}'
                ) from None
            for key, said in (("draft", drafts_line), ("refined", pair.get("refined", ""))):
                if not isinstance(said, str):
                    raise ValueError(f"{path}, line {i}: the {key} is a {type(said).__name__}; give text")
        for key, rows in (("draft", drafts), ("refined", refined)):
            if key in pair:
                if len(pair[key]) != length:
                    raise ValueError(
                        f"{path}, line {i}: the {key} has {len(pair[key])} symbols, the windows have {length}: cut or pad it"
                    )
                try:
                    rows.append(codec.encode(pair[key]))
                except ValueError as error:
                    raise ValueError(f"{path}, line {i}: {error}") from None
    if refined and len(refined) < len(drafts):
        raise ValueError(
            f"{path}: {len(drafts)} drafts and {len(refined)} refined texts: give one for each draft, or none"
        )
    return torch.stack(drafts), torch.stack(refined) if refined else None
