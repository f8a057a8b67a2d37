"""Reading files that may lie: so many bytes at most, every fault with path, expected and got."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from pncviz.exceptions import DatasetError, ParameterError

__all__ = [
    "MAX_BYTES",
    "Readable",
    "check_folder",
    "check_max_bytes",
    "fault",
    "open_content",
    "read_content",
    "read_up_to",
]

#: The default of ``max_bytes``: 4 GiB.
MAX_BYTES = 4 * 2**30

#: Every gzip file begins with these; an IDX file begins with two zeros, so the two never mix up.
GZIP_MAGIC = b"\x1f\x8b"

# Memory is asked for in such steps, so a false declared size costs nothing.
CHUNK = 2**20


class Readable(Protocol):
    """Anything with ``read(n)``."""

    def read(self, size: int, /) -> bytes:
        """Give at most ``size`` bytes; fewer only at the end."""


def fault(what: str, path: Path | str, *, expected: object, got: object) -> DatasetError:
    """Put a fault into words.

    Parameters
    ----------
    what : str
        What is wrong, without a full stop.
    path : path-like
        The file or folder.
    expected, got : object
        What should be there and what is there.

    Returns
    -------
    DatasetError

    Examples
    --------
    >>> fault("wrong magic number", "a.idx", expected="0x00000803", got="0x1f8b0800")
    DatasetError('a.idx: wrong magic number. Expected 0x00000803, got 0x1f8b0800.')
    """
    return DatasetError(f"{path}: {what}. Expected {expected}, got {got}.")


def check_max_bytes(max_bytes: int) -> None:
    """Check the parameter ``max_bytes``, in bytes.

    Raises
    ------
    ParameterError
        If it is not a positive integer.

    Examples
    --------
    >>> check_max_bytes(2**20)
    """
    if isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes < 1:
        raise ParameterError(f"`max_bytes` must be a positive integer, got {max_bytes!r}.")


def check_folder(folder: str | Path) -> Path:
    """Check that a folder is one.

    Parameters
    ----------
    folder : path-like

    Returns
    -------
    pathlib.Path

    Raises
    ------
    DatasetError
        If there is nothing, or a file.

    Examples
    --------
    >>> check_folder("/").name
    ''
    """
    path = Path(folder)
    if not path.is_dir():
        raise fault("no such folder", path, expected="a folder", got=_kind(path))
    return path


def _kind(path: Path) -> str:
    if not path.exists():
        return "nothing"
    return "a file" if path.is_file() else "a folder" if path.is_dir() else "a device or pipe"


@contextmanager
def open_content(path: Path) -> Iterator[Readable]:
    """Open a file, decompressed where its first bytes say gzip, whatever its name is.

    Parameters
    ----------
    path : pathlib.Path

    Yields
    ------
    Readable
        A stream of the uncompressed bytes.

    Raises
    ------
    DatasetError
        If the file cannot be read, or its gzip stream is cut off or corrupt, also while reading.
    """
    if not path.is_file():  # a FIFO would block for ever
        raise fault("not a file", path, expected="a file", got=_kind(path))
    try:
        with path.open("rb") as raw:
            zipped = raw.peek(2)[:2] == GZIP_MAGIC
            if not zipped:
                yield raw
                return
            with gzip.GzipFile(fileobj=raw) as stream:
                yield cast(BinaryIO, stream)
    except EOFError as error:
        raise fault("truncated gzip", path, expected="a whole gzip stream", got=error) from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise fault("corrupt gzip", path, expected="a gzip stream", got=error) from error
    except OSError as error:
        raise fault("cannot be read", path, expected="a readable file", got=error) from error


def read_up_to(stream: Readable, n_bytes: int) -> bytearray:
    """Read ``n_bytes`` bytes, or fewer where the stream ends.

    Memory grows with what really comes, not with ``n_bytes``.

    Parameters
    ----------
    stream : Readable
    n_bytes : int

    Returns
    -------
    bytearray

    Examples
    --------
    >>> import io
    >>> read_up_to(io.BytesIO(b"abcdef"), 4)
    bytearray(b'abcd')
    """
    content = bytearray()
    while len(content) < n_bytes:
        chunk = stream.read(min(CHUNK, n_bytes - len(content)))
        if not chunk:
            break
        content += chunk
    return content


def read_content(path: Path, *, max_bytes: int) -> bytearray:
    """Read a whole file, decompressed, of at most ``max_bytes`` uncompressed bytes.

    Parameters
    ----------
    path : pathlib.Path
    max_bytes : int
        In bytes; reading stops one byte beyond.

    Returns
    -------
    bytearray

    Raises
    ------
    DatasetError
        If the file cannot be read or holds more.
    """
    with open_content(path) as stream:
        content = read_up_to(stream, max_bytes + 1)
    if len(content) > max_bytes:
        expected = f"at most {max_bytes} bytes uncompressed"
        raise fault("too large", path, expected=expected, got="more")
    return content
