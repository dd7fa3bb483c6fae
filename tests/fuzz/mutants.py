"""Mutated files, each made by a seed alone: the same seed and file give the same bytes."""

from __future__ import annotations

import copy
import io
import json
import random
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

TAGS = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'><svg/onload=alert(1)>", "</style><h1>x",
        "javascript:alert(1)", "<!--", "]]>")  # fmt: skip
TEXTS = (*TAGS, "", "x", "$x_", "$\\frac{", "$\\undefined$", "\ud800", "\x1b[31mred\x07", "a\nb", "\0", "%s %(x)d {0} {", "..",
         "/etc/passwd", "../../x", "a" * 20_000, "\u202egnp", "é" * 300, "nan", "1", "-1", "os:system",
         "warmflow.sampler:Sampler", "warmflow.cli:main", "0.2", "true")  # fmt: skip
NUMBERS = (0, 1, -1, 2, 7, 10**6, 2**31, -(2**31), 2**63, 2**64, 10**30, 10**400, 0.5, -0.5, 1e-300, 1e308, -1e308, 1e9,
           True, False, None)  # fmt: skip


class Token(str):
    """What is written without quotes."""

    __slots__ = ()


def _deep(n: int) -> Any:
    return Token("[" * n + "1" + "]" * n)


def _values(r: random.Random) -> Any:
    """A value that is wrong nearly everywhere."""
    made: list[Callable[[], Any]] = [
        lambda: r.choice(TEXTS), lambda: r.choice(NUMBERS), lambda: r.choice(TAGS), lambda: r.choice(([], {}, [[]], [{}])),
        lambda: _deep(r.choice((3, 60, 900))), lambda: Token(r.choice(("NaN", "Infinity", "-Infinity", "9" * 5000))),
        lambda: {r.choice(TEXTS): r.choice(NUMBERS)}, lambda: [r.choice(TEXTS)] * r.choice((1, 2, 40)),
        lambda: list(range(r.choice((1, 3, 3000)))),
    ]  # fmt: skip
    return r.choice(made)()


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (holder, key) below."""
    found, left = [], [value]
    while left:
        one = left.pop()
        for key in one if isinstance(one, dict) else range(len(one)):
            found.append((one, key))
            if isinstance(one[key], dict | list):
                left.append(one[key])
    return found


def _edited(value: Any, r: random.Random) -> Any:
    """A JSON value with one edit."""
    places = _places(value) if isinstance(value, dict | list) else []
    if not places or r.random() < 0.02:
        return _values(r)
    holder, key = r.choice(places)
    old = holder[key]
    match r.randrange(12):
        case 0 | 1:
            del holder[key]
        case 2 | 3 | 4:
            holder[key] = _values(r)
        case 5:
            holder[key] = str(old) if isinstance(old, int | float) else [old]
        case 6:
            other, at = r.choice(places)
            holder[key] = copy.deepcopy(other[at])
        case 7 if isinstance(holder, dict):
            holder[r.choice(TEXTS)] = holder.pop(key)
        case 7 | 8 if isinstance(holder, list):
            holder.insert(key, copy.deepcopy(old))
        case 9 if isinstance(old, int | float):
            holder[key] = r.choice((-old, old * 10**6, old + 1, old / 3))
        case 10 if isinstance(old, str):
            holder[key] = r.choice((old + r.choice(TEXTS), r.choice(TEXTS) + old, old[:-1], old.upper()))
        case _:
            holder[key] = _values(r)
    return value


def written(value: Any) -> bytes:
    """JSON, with tokens as they are and lone surrogates escaped."""
    held: list[str] = []

    def marked(one: Any) -> Any:
        if isinstance(one, Token):
            held.append(str(one))
            return f"\uffff{len(held) - 1}\uffff"
        if isinstance(one, dict):
            return {key: marked(v) for key, v in one.items()}
        return [marked(v) for v in one] if isinstance(one, list) else one

    text = json.dumps(marked(value), indent=1)
    for i, token in enumerate(held):
        text = text.replace(f'"\\uffff{i}\\uffff"', token)
    return text.encode("ascii")


def bytes_edited(data: bytes, r: random.Random) -> bytes:
    """Bytes with one fault of storage or encoding."""
    found = bytearray(data or b" ")
    at = r.randrange(len(found))
    match r.randrange(12):
        case 0:
            return bytes(found[:at])
        case 1 | 2 | 3:
            for _ in range(r.choice((1, 1, 3, 20))):
                found[r.randrange(len(found))] = r.randrange(256)
        case 4:
            found[at] ^= 1 << r.randrange(8)
        case 5:
            found[at:at] = r.randbytes(r.choice((1, 4, 200)))
        case 6:
            del found[at : at + r.choice((1, 4, 200))]
        case 7:
            found[at : at + 64] = r.choice((b"\0", b"\xff")) * 64
        case 8:
            found += found[at:]
        case 9:
            return r.choice(
                (b"\xef\xbb\xbf" + data, b"\xff\xfe" + data, data.decode("latin-1").encode("utf-16"), b"", b"\0" * 99)
            )
        case 10:
            found[at:at] = r.choice(
                (b"[" * 200_000, b'{"a":' * 100_000, b'{"tuple":[' * 50_000, b"9" * 5000, b"(" * 9000)
            )
        case _:
            found[at:at] = r.choice((b"\\ud800", b"\n", b'"', b"}", b"{", b"NaN", b"\x1b[2J", b"\r\n"))
    return bytes(found)


def json_mutant(data: bytes, seed: int) -> bytes:
    """A JSON file with one to three edits; a fifth of them in its bytes."""
    r = random.Random(seed)
    if r.random() < 0.2:
        return bytes_edited(data, r)
    value = json.loads(data)
    for _ in range(r.choice((1, 1, 1, 2, 3))):
        value = _edited(value, r)
    return written(value)


def lines_mutant(data: bytes, seed: int) -> bytes:
    """A file of JSON lines with faults in some of them."""
    r = random.Random(seed)
    if r.random() < 0.2:
        return bytes_edited(data, r)
    lines = data.splitlines()
    for _ in range(r.choice((1, 2, 5))):
        at = r.randrange(len(lines))
        match r.randrange(4):
            case 0:
                lines.insert(at, lines[at])
            case 1:
                lines[at] = lines[at][: r.randrange(len(lines[at]) + 1)]
            case _:
                lines[at] = (
                    written(_edited(json.loads(lines[at]), r)).replace(b"\n", b" ") if _whole(lines[at]) else b"{"
                )
    return b"\n".join(lines) + b"\n"


def _whole(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def tensors_mutant(data: bytes, seed: int) -> bytes:
    """A safetensors file with a mutated header, mutated bytes or values that are not finite."""
    r = random.Random(seed)
    size = struct.unpack("<Q", data[:8])[0]
    match r.randrange(4):
        case 0:
            return bytes_edited(data, r)
        case 1 | 2:
            head = written(_edited(json.loads(data[8 : 8 + size]), r)).replace(b"\n", b" ")
            return struct.pack("<Q", r.choice((len(head),) * 9 + (2**63,))) + head + data[8 + size :]
    found = bytearray(data)
    for _ in range(r.choice((1, 20))):
        at = 8 + size + 4 * r.randrange(max(1, (len(data) - 8 - size) // 4))
        found[at : at + 4] = struct.pack("<f", r.choice((float("nan"), float("inf"), -float("inf"), 1e38, 0.0)))
    return bytes(found[: len(data)])


# ---------------------------------------------------------------- arrays

HEADS = ("(10000000000000000, 2)", "(4000000000, 2)", "(-1, 2)", f"({2**62}, {2**62})", "(0, 2)", "(3e2, 2)", "(300,)", "()",
         "(" + "1, " * 70 + ")", "(300, 2, 1, 1, 1)", "(True, 2)", "'300'", "[300, 2]", "(300, 1e400)", "(600,)",
         "(" * 300 + "1" + ")" * 300, "(" * 9000, "-" * 9000 + "1", "(" + "9" * 5000 + ", 2)", "(1j, 2)")  # fmt: skip
TYPES = ("'<f4'", "'<f8'", "'>f4'", "'<f2'", "'<f16'", "'|V4'", "'<M8[s]'", "'<m8[ns]'", "'<c8'", "'<U1'", "'|S4'", "'|O'",
         "'|b1'", "'<u8'", "'<i8'", "'|u1'", "[('a', '<f4'), ('b', '<i8')]", "('<f4', (2,))", "'nope'", "7", "None", "''",
         "[" * 200 + "]" * 200, "{'a': 1}", "'<U1000000000'", "[('a', '|O')]", "'f4,i4'", "'<f4\\x00'")  # fmt: skip


def head(shape: str, kind: str = "'<f4'", extra: str = "") -> bytes:
    """The header of a .npy file."""
    text = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, {extra}}}".encode()
    text += b" " * (63 - (len(text) + 10) % 64) + b"\n"
    if len(text) < 2**16:
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text)) + text


def array_mutant(data: bytes, seed: int) -> bytes:
    """A .npy file with another header, type, values or mutated bytes."""
    r = random.Random(seed)
    match r.randrange(5):
        case 0:
            return bytes_edited(data, r)
        case 1:
            return head(r.choice(HEADS), r.choice(("'<f4'", "'|u1'", r.choice(TYPES)))) + data[128:]
        case 2:
            return head("(300, 2)", r.choice(TYPES), r.choice(("", "", "'x': 1,", "'descr': 2,", "#"))) + data[128:] * 8
        case 3:
            return data[:6] + bytes([r.randrange(256), r.randrange(256)]) + r.randbytes(2) + data[10:]
    x = np.load(io.BytesIO(data)).copy()
    if x.dtype.kind != "U":
        x = x.astype(r.choice(("f4", "f8", "f2", "i8", "u8", "u1", "i1", "c8", "?", "U3", "S3")))
    if x.dtype.kind == "f":
        x.flat[r.randrange(x.size)] = r.choice((np.nan, np.inf, -np.inf, 1e30, 1e4, 5e-324))
    elif x.dtype.kind in "iu":
        x.flat[r.randrange(x.size)] = r.choice((np.iinfo(x.dtype).max, np.iinfo(x.dtype).min))
    shapes = (x, x[:0], x[:1], x.ravel(), x[None], x[..., None, None, None], x[..., :0], x.T, x[:150], x[0])
    out = io.BytesIO()
    np.save(out, r.choice(shapes))
    return out.getvalue()


def archive(members: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A .npz file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", kind) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return out.getvalue()


def archive_mutant(members: dict[str, bytes], seed: int) -> bytes:
    """A .npz file with a mutated member, mutated bytes, or flags that no reader knows."""
    r = random.Random(seed)
    kind = r.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2))
    names = list(members)
    match r.randrange(7):
        case 0:
            name = r.choice(names)
            return archive({**members, name: array_mutant(members[name], r.randrange(10**9))}, kind)
        case 1:
            return bytes_edited(archive(members, kind), r)
        case 2:
            found = bytearray(archive(members, kind))
            for at, more in ((found.index(b"PK\x01\x02"), 2), (0, 0)):
                found[at + 6 + more] |= r.choice((0, 1, 0x40))
                if r.random() < 0.7:
                    found[at + 8 + more] = r.choice((99, 6, 12, 14, 98, 9, 0))
            return bytes(found)
        case 3:
            found = bytearray(archive(members, kind))
            start = r.randrange(60, max(61, len(found) - 60))
            found[start : start + r.choice((1, 8, 30))] = r.randbytes(r.choice((1, 8, 30)))
            return bytes(found)
        case 4:
            renamed = r.choice(
                ("x", "../../x.npy", "x.npy/", "\x1b[31m.npy", "a\nb.npy", "<b>.npy", ".npy", "allow_pickle.npy")
            )
            return archive({renamed: members[names[0]], **({} if r.random() < 0.5 else members)}, kind)
        case 5:
            y = r.choice((np.full(300, np.nan), np.arange(300), np.zeros((300, 2)), np.zeros(10), np.array(["<b>", "$x_"] * 150),
                          np.array([b"\xff"] * 300), np.full(300, 2**62), np.full(300, 1e300), np.array(["\ud800", "b"] * 150),
                          np.array(["a\0b", "\x1b[31m"] * 150), np.full(300, -1), np.array(5), np.full(300, 1j),
                          np.zeros(300, "M8[s]"), np.zeros(300, "V4"), np.full(300, 2**64 - 1, "u8")))  # fmt: skip
            out = io.BytesIO()
            np.save(out, y)
            return archive({**members, "y.npy": out.getvalue()}, kind)
    return archive({name: array_mutant(data, r.randrange(10**9)) for name, data in members.items()}, kind)


def text_mutant(data: bytes, seed: int) -> bytes:
    """A text with wrong bytes, controls, other scripts, marks and lines of other lengths."""
    r = random.Random(seed)
    if r.random() < 0.4:
        return bytes_edited(data, r)
    lines = data.decode().split("\n")
    for _ in range(r.choice((1, 4, 40))):
        at = r.randrange(len(lines))
        lines[at] = r.choice(
            (lines[at][:-1], lines[at] + r.choice(TEXTS), r.choice(TEXTS), "Привет мир", "漢字" * 6, lines[at] * 50)
        )
    text = r.choice(("\n", "\n", "\r\n", "\r", "\x85", "\u2028")).join(lines)
    return text.encode(r.choice(("utf-8", "utf-8", "utf-8", "utf-16", "utf-32", "utf-7")), "surrogatepass")
