"""One image file to one float32 array, through Pillow."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pncviz.builtin.datasets.bounded import fault
from pncviz.exceptions import DatasetError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["FORMATS", "Header", "load_image", "read_header"]

#: Raster formats only: Pillow hands EPS to Ghostscript, which runs it as a program.
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM")

GREY_16 = ("I;16", "I;16B", "I;16L", "I;16N")
GREY = ("1", "L", "LA", *GREY_16)
COLOUR = ("P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")

#: Tag of the EXIF orientation; 5 to 8 swap rows and columns.
ORIENTATION = 0x0112


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a file says of its image, before pixels are decoded.

    Attributes
    ----------
    path : pathlib.Path
    size : tuple of int
        (rows, columns), in pixels, after the EXIF orientation.
    grey : bool
    """

    path: Path
    size: tuple[int, int]
    grey: bool


def read_header(path: Path, *, max_bytes: int) -> Header:
    """Read an image's size and mode.

    Parameters
    ----------
    path : pathlib.Path
    max_bytes : int
        The most bytes that the image may take, in float32.

    Returns
    -------
    Header

    Raises
    ------
    DatasetError
        Not an image, damaged, animated, too large, or of a mode that has no plain pixels.
    """
    with _opened(path) as image:
        frames = getattr(image, "n_frames", 1)
        if frames != 1:
            raise fault("more than one frame", path, expected="a still image", got=frames)
        if image.mode not in GREY + COLOUR:
            expected = "8-bit grey or colour, or 16-bit grey; convert it"
            raise fault("unusable mode", path, expected=expected, got=f"mode {image.mode!r}")
        need = 4 * image.width * image.height * (1 if image.mode in GREY else 3)
        if need > max_bytes:
            expected = f"at most max_bytes={max_bytes} bytes"
            raise fault("image too large", path, expected=expected, got=need)
        # for a PNG without EXIF at its head, getexif would decode every pixel to look at its end
        look = image.format != "PNG" or "exif" in image.info
        turned = look and image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
        size = (image.width, image.height) if turned else (image.height, image.width)
        return Header(path=path, size=size, grey=image.mode in GREY)


def load_image(path: Path, shape: tuple[int, int, int], *, resize: bool) -> NDArray[np.float32]:
    """Decode an image.

    Parameters
    ----------
    path : pathlib.Path
    shape : tuple of int
        (channels, rows, columns) to give, with 1 or 3 channels.
    resize : bool
        Whether to resize an image of another size, bilinear with antialiasing.

    Returns
    -------
    ndarray of shape (channels, rows, columns)
        float32 in 0..1.

    Raises
    ------
    DatasetError
        Damaged, transparent, or of another size without ``resize``.
    """
    from PIL import ImageOps

    with _opened(path) as opened:
        image = ImageOps.exif_transpose(opened)
        _check_opaque(image, path)
        pixels = _to_array(image, shape[0])
    if pixels.shape == shape:
        return pixels
    if not resize:
        expected = f"{shape[1:]} (rows, columns), or `size` given"
        raise fault("mixed sizes", path, expected=expected, got=pixels.shape[1:])
    return _resize(pixels, shape)


def _check_opaque(image: Image.Image, path: Path) -> None:
    if image.mode not in ("LA", "PA", "RGBA") and "transparency" not in image.info:
        return
    # 16-bit grey with a transparent shade: Pillow cannot tell where it is
    wide = image.mode in GREY_16
    lowest = 0 if wide else int(np.asarray(image.convert("RGBA"))[..., 3].min())
    if lowest < 255:
        expected = "opaque pixels (put the image on a background of your choice first)"
        raise fault("transparency", path, expected=expected, got=f"alpha down to {lowest}")


def _to_array(image: Image.Image, channels: int) -> NDArray[np.float32]:
    """Scale 16 bits by 65535 and 8 bits by 255."""
    if image.mode in GREY_16:
        grey = np.asarray(image).astype(np.float32) / np.float32(65535)
        return np.repeat(grey[None], channels, axis=0)
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"), dtype=np.float32)
    pixels = pixels / np.float32(255)
    return pixels[None] if channels == 1 else np.moveaxis(pixels, -1, 0)


def _resize(pixels: NDArray[np.float32], shape: tuple[int, int, int]) -> NDArray[np.float32]:
    from PIL import Image

    # In float, so that nothing is rounded; bilinear, since sharper filters overshoot 0..1.
    size, filter_ = (shape[2], shape[1]), Image.Resampling.BILINEAR
    planes = [Image.fromarray(np.ascontiguousarray(p)).resize(size, filter_) for p in pixels]
    return np.stack([np.asarray(plane) for plane in planes])


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image; whatever Pillow raises on a damaged one becomes a DatasetError."""
    pil = _pillow()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pil.DecompressionBombWarning)
            with pil.open(path, formats=FORMATS) as image:
                yield image
    except DatasetError:
        raise
    except (pil.DecompressionBombWarning, pil.DecompressionBombError) as error:
        raise fault("decompression bomb", path, expected="fewer pixels", got=error) from error
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, …
        expected = "an image in " + ", ".join(FORMATS)
        got = f"{type(error).__name__}: {error}"
        raise fault("unreadable image", path, expected=expected, got=got) from error


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise DatasetError('Reading images needs Pillow: pip install "pncviz[data]".') from error
    return Image
