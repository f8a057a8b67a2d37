"""Files from the network: verified before they appear in the cache under their name."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from pncviz.builtin.datasets.bounded import read_content
from pncviz.exceptions import ChecksumError, DatasetError

__all__ = ["MAX_DOWNLOAD", "cache_folder", "fetch", "read_verified"]

#: The most bytes that a file may have, as sent and uncompressed (the largest has 47 MB).
MAX_DOWNLOAD = 64 * 2**20

#: Seconds without an answer after which a mirror counts as dead.
TIMEOUT = 30


def read_verified(path: Path, expected: str) -> bytearray:
    """Read a file whose uncompressed bytes have a known sum.

    Parameters
    ----------
    path : pathlib.Path
        Gzipped or not.
    expected : str
        SHA-256 of the uncompressed bytes, in hexadecimal.

    Returns
    -------
    bytearray
        The uncompressed bytes.

    Raises
    ------
    ChecksumError
        If the sum is another.
    DatasetError
        If the file cannot be read, is a damaged gzip stream or too large.
    """
    content = read_content(path, max_bytes=MAX_DOWNLOAD)
    got = hashlib.sha256(content).hexdigest()
    if got != expected:
        start = bytes(content[:512]).lstrip().lower()
        page = "an HTML page with " if start.startswith((b"<!doctype", b"<html", b"<?xml")) else ""
        raise ChecksumError(
            f"{path}: not the published file. Expected SHA-256 {expected} of the uncompressed "
            f"bytes, got {page}{got}."
        )
    return content


def cache_folder() -> Path:
    """Say where downloads are kept: ``pooch.os_cache("pncviz")``.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    DatasetError
        If pooch is not installed.

    Examples
    --------
    >>> cache_folder().name
    'pncviz'
    """
    return Path(_pooch().os_cache("pncviz"))


def fetch(name: str, file: str, expected: str, mirrors: Sequence[str]) -> tuple[bytearray, Path]:
    """Give a file's content from the cache, or download it there first.

    A cached file that is no longer what it should be is downloaded anew, and replaced only when
    the new one is right.

    Parameters
    ----------
    name : str
        Of the dataset, and so of the folder in the cache.
    file : str
        Name without ``.gz``; ``.gz`` is what is asked for and kept.
    expected : str
        SHA-256 of the uncompressed bytes, in hexadecimal.
    mirrors : sequence of str
        Addresses that end in a slash, tried in order.

    Returns
    -------
    content : bytearray
        Uncompressed.
    path : pathlib.Path
        Of the cached file.

    Raises
    ------
    ChecksumError
        If a mirror answered with something else, and no other had the file.
    DatasetError
        If no mirror could be reached, or pooch is not installed.
    """
    target = cache_folder() / name / f"{file}.gz"
    if target.is_file():
        try:
            return read_verified(target, expected), target
        except DatasetError:
            pass  # rotten cache: the next download replaces it
    faults: list[DatasetError] = []
    for mirror in mirrors:
        try:
            return _download(f"{mirror}{file}.gz", target, expected), target
        except DatasetError as error:
            faults.append(error)
    kind = next((type(error) for error in faults if isinstance(error, ChecksumError)), DatasetError)
    reasons = "\n".join(f"  {error}" for error in faults)
    raise kind(
        f"{target}: cannot be downloaded, and nothing was kept. Set PNCVIZ_DATA to a folder that "
        f"holds {name}/{file}.gz if there is no network. What each mirror said:\n{reasons}"
    )


def _download(url: str, target: Path, expected: str) -> bytearray:
    """Download to a temporary name beside the target, verify, and only then rename."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{target.name}.", suffix=".part", dir=target.parent
        )
    except OSError as error:
        raise DatasetError(f"{target.parent}: the cache cannot be written ({error}).") from error
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            _request(url, stream)
        content = read_verified(part, expected)
        os.replace(part, target)
        return content
    except ChecksumError as error:
        raise ChecksumError(f"{url}: {str(error).removeprefix(f'{part}: ')}") from error
    except DatasetError as error:
        raise DatasetError(f"{url}: {str(error).removeprefix(f'{part}: ')}") from error
    finally:
        part.unlink(missing_ok=True)


def _request(url: str, stream: BinaryIO) -> None:
    import requests  # comes with pooch; its errors are what pooch raises

    # pooch leaves a response open when it raises, and with it a socket: keep hold of each
    responses: list[requests.Response] = []
    hooks = {"response": lambda response, *_, **__: responses.append(response)}
    downloader = _pooch().HTTPDownloader(timeout=TIMEOUT, hooks=hooks)
    try:
        downloader(url, _Limited(stream), None)
    except (OSError, requests.RequestException) as error:
        raise DatasetError(f"the download failed ({type(error).__name__}: {error}).") from error
    finally:
        for response in responses:
            response.close()


class _Limited:
    """A file that refuses to grow past MAX_DOWNLOAD: an answer need not have an end."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.left = MAX_DOWNLOAD

    def write(self, chunk: bytes) -> int:
        self.left -= len(chunk)
        if self.left < 0:
            raise DatasetError(f"too large. Expected at most {MAX_DOWNLOAD} bytes, got more.")
        return self.stream.write(chunk)

    def flush(self) -> None:
        self.stream.flush()


def _pooch() -> Any:
    try:
        import pooch
    except ImportError as error:
        raise DatasetError(
            'Downloading needs pooch: pip install "pncviz[data]", or set PNCVIZ_DATA to a folder '
            "that holds the data."
        ) from error
    return pooch
