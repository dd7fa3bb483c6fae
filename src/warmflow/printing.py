"""Everything that is printed, messages and progress bars, goes through here.

Work never depends on it: what cannot be written (a terminal that is gone, a full disk) is dropped. Names of files, classes and
data may hold anything, so control characters are shown as they are written in Python, like ``\\x1b``, and never reach a terminal.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import unicodedata
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tqdm import tqdm

KEPT = "\n\t"
DIRECTIONS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the order in which a terminal shows the others."""


def escaped(text: str) -> str:
    """The text with control characters, lone surrogates and changes of direction shown as escapes; lines and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c.encode("unicode_escape").decode() if _hidden(c) else c for c in text)


def in_one_line(text: str) -> str:
    """The text with every symbol that is not printable shown as an escape, lines and tabs too."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def in_brief(text: str, most: int = 200) -> str:
    """The text in one line. Of more than ``most`` + 5 characters, the first three quarters and the last quarter of ``most`` are
    kept, with three dots between them.
    """

    def cut(text: str) -> str:
        return text if len(text) <= most + 5 else f"{text[: most * 3 // 4]} ... {text[-most // 4 :]}"

    return cut(in_one_line(cut(text)))  # escapes make it longer, and a value of a file may have any length


def _hidden(c: str) -> bool:
    return c not in KEPT and (unicodedata.category(c) in ("Cc", "Cs") or c in DIRECTIONS)


def say(text: str, progress: bool = True) -> None:
    """Prints a message to standard error, if ``progress``; one that cannot be written is dropped."""
    if progress:
        _Kept("stderr").write(escaped(text) + "\n")


def tell(text: str) -> None:
    """Prints a message to standard output; one that cannot be written is dropped."""
    _Kept("stdout").write(escaped(text) + "\n")


def answer(text: str) -> None:
    """Prints the result of a command to standard output.

    Raises:
        OSError: it cannot be written. It is not dropped, because the result is stored nowhere else.
    """
    print(_encodable(escaped(text), sys.stdout), flush=True)


def _encodable(text: str, stream: TextIO) -> str:
    """The text with characters that the stream has no code for shown as escapes."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


class _Kept:
    """A standard stream, by name, in which what cannot be written is dropped."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def stream(self) -> TextIO | None:
        return getattr(sys, self.name, None)

    @property
    def encoding(self) -> str:
        return getattr(self.stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> None:
        stream = self.stream
        if stream is not None:
            try:
                stream.write(_encodable(text, stream))
                stream.flush()
            except (OSError, ValueError):  # a ValueError where the stream was closed
                return

    def flush(self) -> None:
        self.write("")

    def isatty(self) -> bool:
        try:
            return self.stream is not None and self.stream.isatty()
        except (OSError, ValueError):
            return False

    def fileno(self) -> int:
        """The number of the file.

        Raises:
            OSError: it has none.
        """
        try:
            return -1 if self.stream is None else self.stream.fileno()
        except ValueError:
            raise OSError("closed") from None


@functools.cache
def _bars() -> type[tqdm[object]]:
    """The bars of tqdm with a lock of this process's threads alone: one of several processes stays behind where one is killed."""
    from tqdm import tqdm

    return type("Bar", (tqdm,), {"_lock": threading.RLock()})


def bar(jobs: Iterable[object] | None = None, *, total: int | None = None, what: str | None = None, unit: str = "it",
        first: int = 0, shown: bool = True, delay: float = 0.0) -> tqdm[object]:  # fmt: skip
    """A progress bar on standard error, over these jobs or of ``total`` units.

    Args:
        what: what stands before it.
        first: units that were done before.
        delay: seconds after which it appears; what is done before needs none.
    """
    return _bars()(
        jobs, total=total, initial=first, desc=None if what is None else escaped(what), unit=unit, disable=not shown,
        mininterval=0.5, delay=delay, file=_Kept("stderr"), dynamic_ncols=True,
    )  # fmt: skip


def finish() -> None:
    """Called at the end of a command: what a broken standard stream still holds is thrown away, so that it does not change the
    exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            try:
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            except (OSError, ValueError):
                continue
