"""Files: read with limits, written atomically.

Reading. Only regular files of bounded size are read: a pipe, a device or a larger file is a ``ValueError`` of one line, before
anything is allocated. A folder may come from somebody else, so JSON of any shape (deeply nested, with integers of thousands of
digits, not in UTF-8) is either a value or such an error.

Links. In a run folder (a folder with a config.json, and all folders below it) a link that leads out of it is neither read nor
written through: it may be planted. Links between the snapshots and the blobs of the Hugging Face cache are read.

Writing. ``replacing`` gives a temporary file beside the target. It is created exclusively under a random name, so nothing that
exists is written to, links included. When its block ends, the file is flushed to disk, gets the mode that the umask gives to new
files and replaces the target; after an error or a signal it is removed. Its name holds the machine and the process, so that files
left by killed processes can be recognised (``remove_leftovers``).

A folder that a command works in is ``held``. If it is deleted or moved away in the meantime, nothing is written and no folder is
made in its place: that is an error of one line (``Gone``).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import socket
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from warmflow.failures import of_memory
from warmflow.number_checks import plain_number

JSON_BYTES = 32 * 2**20
"""The largest JSON file that is read, in bytes; ours are below one megabyte, except for studies with many rows. As Python objects
it takes up to thirty times as much."""
MOST_TENSORS = 100_000
"""The most tensors that are read from a file."""
EXPANDED = 100
"""How many times its size a compressed file may take in memory, where that is more than ``EXPANDED_BYTES``."""
EXPANDED_BYTES = 2**30
TENSOR_BYTES = 64 * 2**30
"""The largest safetensors file that is read, in bytes. Such files are mapped, not loaded at once."""
DAY = 86400.0
_ours: set[str] = set()
"""The names of the temporary files that this process is writing."""
_held: dict[str, tuple[int, int]] = {}
"""The folders that are held, by absolute path, with their device and inode."""
_OLDER = re.compile(r"(?P<log>log)\.tmp|\.?.+\.(?P<pid>\d+)\.tmp(\.\w+)?")
"""The temporary files of earlier versions."""
_THEIRS = re.compile(r"\.tmp[A-Za-z0-9]{6}")
"""The temporary files of safetensors, which do not tell their process."""
_LEFTOVER = re.compile(r"\.(?P<name>.+)\.(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-[0-9a-f]{16}\.tmp(\.\w+)?")


class Damaged(ValueError):
    """A file that could be read, but is empty, cut off or of another kind: what can be made again is made again."""


class Gone(ValueError):
    """A folder was deleted or moved away while a command worked in it."""


# ---------------------------------------------------------------- reading


def check_file(path: Path, limit: int) -> None:
    """Raises ValueError unless ``path`` is a regular file of at most ``limit`` bytes; FileNotFoundError if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {reason(error)}") from None
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe or a device"
        raise ValueError(f"{path} is {kind}; a file is needed")
    if found.st_size > limit:
        raise ValueError(f"{path} has {found.st_size / 2**20:.0f} MB; at most {limit / 2**20:.0f} MB are read")


def check_expanded(path: Path, needed: int) -> None:
    """Raises ValueError if the content of a compressed file takes ``needed`` bytes, many more than the file has."""
    most = max(EXPANDED_BYTES, EXPANDED * path.stat().st_size)
    if needed > most:
        raise ValueError(
            f"{path} takes {needed / 2**20:.0f} MB in memory; of its size at most {most / 2**20:.0f} MB are read"
        )


def check_inside(path: Path) -> None:
    """Raises ValueError if ``path`` is in a run folder and is, or is below, a link that leads out of it."""
    links = [place for place in (path, *path.parents) if place.is_symlink()]
    roots = [place for place in path.parents if _is_run(place)] if links else []
    for link in links:
        inside = [root for root in roots if root in link.parents]
        if inside and not _leads_into(link, inside[-1]):
            raise ValueError(
                f"{link} is a link that leads out of the run folder {inside[-1]}: put the file there in its place"
            )


def _is_run(folder: Path) -> bool:
    """Whether a folder looks like one that a command of ours has written."""
    if (folder / "verdict.json").exists():
        return True
    try:
        return b'"warmflow"' in read_bytes(folder / "config.json")
    except (OSError, ValueError):
        return False


def _leads_into(link: Path, root: Path) -> bool:
    """Whether a link leads into a folder, or from a snapshot of the Hugging Face cache to its blobs."""
    target = Path(os.path.realpath(link))
    snapshot = next((place.parent for place in link.absolute().parents if place.name == "snapshots"), None)
    return target.is_relative_to(os.path.realpath(root)) or (
        snapshot is not None and target.parent == Path(os.path.realpath(snapshot)) / "blobs"
    )


def read_bytes(path: Path, limit: int = JSON_BYTES) -> bytes:
    """The content of a regular file of at most ``limit`` bytes; ValueError in one line, or FileNotFoundError."""
    check_file(path, limit)
    try:
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            told = os.fstat(file.fileno())
            if not stat.S_ISREG(told.st_mode):
                raise ValueError(f"{path} is no longer a regular file")
            found = file.read(min(limit, told.st_size) + 1)  # this much memory is taken before anything is read
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {reason(error)}") from None
    if len(found) > limit:
        raise ValueError(f"{path} has more than {limit / 2**20:.0f} MB, which is the most that is read")
    return found


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError, also for what ``json`` answers by other errors: deep nesting, integers of
    thousands of digits, NaN, bytes that are not UTF-8, lone surrogates (but not those that stand for bytes in names of files)."""
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape")  # a UnicodeEncodeError is a ValueError
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def read_json(path: Path) -> Any:
    """Reads the JSON file at ``path``; raises a one-line ValueError if it is missing or damaged."""
    check_inside(path)
    try:
        text = read_bytes(path)
    except FileNotFoundError:
        raise ValueError(f"{path.parent} is not a run folder: it has no {path.name}") from None
    try:
        return parse_json(text)
    except ValueError:
        raise Damaged(f"{path} is damaged or half-written: delete it and run the command that made it again") from None


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a file with one in each line. Lines that are not objects, such as a half-written last one, are left
    out; a missing file has no lines."""
    check_inside(path)
    try:
        text = read_bytes(path).decode("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    found = []
    for line in text.splitlines():
        with suppress(ValueError):
            value = parse_json(line)
            if isinstance(value, dict):
                found.append(value)
    return found


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads the tensors and facts of a safetensors file; raises a one-line ValueError if it is missing or damaged."""
    from safetensors import SafetensorError, safe_open

    check_inside(path)
    try:
        check_file(path, TENSOR_BYTES)
    except FileNotFoundError:
        raise ValueError(
            f"{path.parent} has no {path.name}: the run is not complete, run the same command again"
        ) from None
    try:
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            if len(names) > MOST_TENSORS:
                raise ValueError(f"it holds more than {MOST_TENSORS} tensors")
            return {k: file.get_tensor(k) for k in names}, dict(file.metadata() or {})
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {reason(error)}") from None
    except (SafetensorError, ValueError, TypeError, RuntimeError, OverflowError) as error:
        if of_memory(error):
            raise
        if "(os error " in str(error):
            raise ValueError(f"{path} cannot be read: {reason(error)}") from None
        raise Damaged(
            f"{path} is damaged ({reason(error)}): delete it and run the command that made it again"
        ) from None


def reason(error: BaseException) -> str:
    """What an error says, in one line."""
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(said).split())[:200]


# ---------------------------------------------------------------- writing


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode("utf-8", "replace")).hexdigest()[:8]


def _temporary(path: Path, suffix: str = "") -> Path:
    """A new name beside ``path``, by which ``remove_leftovers`` knows the process."""
    return path.with_name(f".{path.name[:100]}.{_host()}-{os.getpid()}-{secrets.token_hex(8)}.tmp{suffix}")


@contextmanager
def replacing(path: Path, suffix: str = "") -> Iterator[Path]:
    """Gives a new temporary file in the folder of ``path``. It replaces ``path`` when the block ends, or is removed.

    Args:
        suffix: the end of the temporary name, for writers that choose a format by it.
    """
    check_inside(path.parent)
    temporary = _temporary(path, suffix)
    check_held(path)
    _ours.add(temporary.name)
    try:
        with open(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666), "wb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(mode)  # some writers, such as safetensors, make a file of their own
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError:
        check_held(path)
        raise
    finally:
        _ours.discard(temporary.name)
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Flushes the names in a folder, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Writes a text in UTF-8, atomically; what UTF-8 cannot encode (lone surrogates in names of files) becomes escapes."""
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))


def as_number(value: object) -> object:
    """A number of numpy's or torch's among JSON values as Python's."""
    found = plain_number(value)
    if found is value:
        raise TypeError(f"{type(value).__name__} is no JSON value")
    return found


def write_json(path: Path, value: object) -> None:
    """Writes JSON atomically."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False, default=as_number) + "\n")


def write_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, str] | None = None) -> None:
    """Writes a safetensors file atomically; ``facts`` are stored in its header.

    Every tensor is copied, because the format does not accept tensors that share memory, such as tied weights.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    held = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    with replacing(path) as temporary:
        try:
            save_file(held, temporary, dict(facts or {}) or None)
        except SafetensorError as error:
            said = reason(error)
            code = re.search(r"(?:os error|code:) (\d+)", said)
            raise OSError(int(code[1]) if code else 0, said, str(path)) from None


def append_line(path: Path, text: str) -> None:
    """Adds a line to a file in UTF-8; OSError if the file is a link."""
    check_inside(path.parent)
    check_held(path)
    kept = os.O_APPEND | os.O_CREAT | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        with open(os.open(path, kept, 0o666), "a", encoding="utf-8") as file:
            file.write(text + "\n")
    except OSError:
        check_held(path)
        raise


def make_folder(folder: Path) -> Path:
    """Creates the folder if needed, tests that it is writable and removes what killed processes left there; raises ValueError if
    it is not writable."""
    check_inside(folder)
    check_held(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = _temporary(folder / "probe")  # of a process that is killed here, it is removed as a leftover
        try:
            os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        finally:
            probe.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot write to {folder}: {reason(error)}; choose another folder with --out") from None
    remove_leftovers(folder)
    return folder


def check_place(place: Path) -> None:
    """Tests that something can be written to a path, without making it; raises ValueError if it cannot."""
    above = next(one for one in (place, *place.absolute().parents) if one.exists())
    if not os.access(above, os.W_OK) or not (above.is_dir() or above == place):
        reason = "not a folder" if not above.is_dir() else "read-only"
        raise ValueError(f"cannot write to {place}: {above} is {reason}; choose another place with --out")


def remove_leftovers(folder: Path, alive: Callable[[int], bool] | None = None, alone: bool = False) -> None:
    """Removes the temporary files of ``folder`` whose process has ended; those of other machines after a day.

    Args:
        alive: tells whether a process of this machine runs; by default by signal 0.
        alone: whether nobody else writes there, so that those of an unknown process are removed too; else after a day.
    """
    for path in folder.glob("*.tmp*"):
        with suppress(OSError):
            found = path.lstat()
            theirs = _THEIRS.fullmatch(path.name) and (alone or time.time() - found.st_mtime > DAY)
            if stat.S_ISREG(found.st_mode) and (theirs or _is_leftover(path, alive or is_alive)):
                path.unlink()


def _is_leftover(path: Path, alive: Callable[[int], bool]) -> bool:
    old, older = _LEFTOVER.fullmatch(path.name), _OLDER.fullmatch(path.name)
    if path.name in _ours or (old is None and older is None):
        return False
    if old is None and older is not None and older["log"]:
        return path.with_suffix(".jsonl").exists()
    found = old or older
    assert found is not None
    pid, here = int(found["pid"]), old is None or old["host"] == _host()
    if here:
        return pid == os.getpid() or not alive(pid)  # in a container every process may have this number
    return time.time() - path.lstat().st_mtime > DAY


def sweep(folder: Path) -> None:
    """Removes the leftovers of killed processes in a folder, in which nobody else writes, and in all folders below it."""
    for place, below, _ in os.walk(folder):
        below[:] = [name for name in below if not name.startswith(".")]
        remove_leftovers(Path(place), alone=True)


def is_alive(pid: int) -> bool:
    """Whether a process with this number runs on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


# ---------------------------------------------------------------- held folders


def hold(folder: Path) -> None:
    """Remembers which folder this is, so that one that is gone is not made again."""
    found = folder.stat()
    _held[os.path.abspath(folder)] = (found.st_dev, found.st_ino)


def let_go(folder: Path) -> None:
    """The opposite of ``hold``."""
    _held.pop(os.path.abspath(folder), None)


def held_folders() -> dict[str, tuple[int, int]]:
    """The folders that are held, for a worker process to hold them too (``hold_alike``)."""
    return dict(_held)


def hold_alike(held: Mapping[str, tuple[int, int]]) -> None:
    """Holds the same folders as the process that called ``held_folders``, and no others."""
    _held.clear()
    _held.update(held)


def check_held(path: Path) -> None:
    """Raises ``Gone`` if ``path`` is in a held folder that is no longer where it was."""
    if not _held:
        return
    wanted = os.path.abspath(path)
    for folder, identity in _held.items():
        if wanted == folder or wanted.startswith(os.path.join(folder, "")):
            try:
                found = os.stat(folder)
            except OSError:
                found = None
            if found is None or (found.st_dev, found.st_ino) != identity:
                raise Gone(f"{folder} was deleted or moved away while the command ran: nothing more was written there; "
                           "put it back, or run the command again to begin anew")  # fmt: skip


# ---------------------------------------------------------------- identity


def file_digest(path: Path, limit: int) -> bytes:
    """The SHA-256 of a regular file of at most ``limit`` bytes."""
    check_file(path, limit)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def fingerprint(*tensors: Tensor) -> str:
    """Sixteen hexadecimal digits computed from the bytes of tensors."""
    found = hashlib.sha256()
    for one in tensors:
        found.update(one.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:16]
