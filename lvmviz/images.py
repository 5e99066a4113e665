"""Images of a person's own, from IDX files, npz archives and pictures; every fault is told in a sentence.

Nothing in a file is run: arrays are read without pickle, and sizes are checked before anything is unpacked.
"""

from __future__ import annotations

import gzip
import io
import math
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

MAX_PIXELS = 200_000_000  # of all images together: a byte each
MAX_SIDE = 128
MAX_LABEL = 999  # every class has a name and a colour
MAX_IMAGES = 1_000_000
_IDX_BYTES = 8  # the type code of unsigned bytes, the only one that images come in


class ImageError(ValueError):
    """A file that holds no images to train on; the message says why and what to do."""


class Images(NamedTuple):
    """Grey images, and the class of each where it is known."""

    pixels: np.ndarray  # (N, H, W) uint8
    labels: np.ndarray | None  # (N,) int64


def read_idx(images: bytes, labels: bytes | None = None, name: str = "the file") -> Images:
    """Read images, and labels beside them, from IDX files (LeCun, 1998), gzipped or not."""
    pixels = _idx(_unpacked(images, name), 3, name)
    if labels is None:
        return checked(pixels, None, name)
    told = _idx(_unpacked(labels, f"{name}'s labels"), 1, f"{name}'s labels")
    return checked(pixels, told.astype(np.int64), name)


def _unpacked(data: bytes, name: str) -> bytes:
    """The content of a gzip file, never more than images may take; anything else as it is."""
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        with gzip.open(io.BytesIO(data)) as file:
            content = file.read(MAX_PIXELS + 1024)
    except (OSError, EOFError, zlib.error) as error:
        raise ImageError(f"{name} is a damaged or incomplete gzip file: download it again") from error
    if len(content) > MAX_PIXELS + 100:
        raise ImageError(f"{name} unpacks to more than {MAX_PIXELS:,} bytes: use fewer or smaller images")
    return content


def _idx(data: bytes, dims: int, name: str) -> np.ndarray:
    """The array of bytes in an IDX file with so many dimensions."""
    if len(data) < 4 or data[0] or data[1] or data[3] not in (1, 2, 3, 4):
        raise ImageError(f"{name} is no IDX file: it should begin with two zero bytes")
    if data[2] != _IDX_BYTES or data[3] != dims:
        raise ImageError(
            f"{name} holds numbers of type {data[2]} in {data[3]} dimensions: "
            f"choose a file of unsigned bytes in {dims}, such as train-{'images' if dims == 3 else 'labels'}"
        )
    start = 4 + 4 * dims
    shape = tuple(int(n) for n in np.frombuffer(data[4:start], ">u4")) if len(data) >= start else (0,)
    if len(shape) != dims or math.prod(shape) != len(data) - start:
        raise ImageError(
            f"{name} is damaged: its header tells of {math.prod(shape):,} bytes and "
            f"{max(len(data) - start, 0):,} follow; download it again"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def read_npz(data: bytes, name: str = "the file") -> Images:
    """Read images (N, H, W) from the first such array of an npz archive, labels from one (N,) of integers.

    Bytes are taken as 0...255, other numbers as 0...1.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
        if total > 8 * MAX_PIXELS:
            raise ImageError(f"{name} unpacks to {total:,} bytes: use fewer or smaller images")
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {key: a for key in archive.files if isinstance(a := archive[key], np.ndarray)}
    except ImageError:
        raise
    except ValueError as error:
        raise ImageError(
            f"{name} holds Python objects or is damaged; nothing in it was run. Save plain arrays of numbers"
        ) from error
    except (
        OSError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        KeyError,
        NotImplementedError,
        MemoryError,
    ) as error:
        raise ImageError(f"{name} is no npz archive, or a damaged one: save it with numpy.savez") from error
    return _from_arrays(arrays, name)


def _from_arrays(arrays: Mapping[str, np.ndarray], name: str) -> Images:
    pixels = next((a for a in arrays.values() if a.ndim == 3), None)
    if pixels is None:
        shapes = ", ".join(f"{key} {a.shape}" for key, a in arrays.items()) or "no arrays"
        raise ImageError(
            f"{name} holds {shapes}: images are an array (N, height, width); pictures in a zip, unpack first"
        )
    return checked(_grey(pixels, name), _labels(arrays, len(pixels), name), name)


def _labels(arrays: Mapping[str, np.ndarray], count: int, name: str) -> np.ndarray | None:
    """The array of a whole number for each image; one that is called labels must be of this kind."""
    for key, array in arrays.items():
        fits = array.shape == (count,) and array.dtype.kind in "iu"
        if "label" in key.lower() and not fits:
            raise ImageError(
                f"{name} has {key} {array.shape} of {array.dtype}: "
                f"give one whole number for each of its {count:,} images"
            )
    found = [a for a in arrays.values() if a.shape == (count,) and a.dtype.kind in "iu"]
    if not found:
        return None
    return found[0]


def _grey(pixels: np.ndarray, name: str) -> np.ndarray:
    """Numbers as bytes: those from 0 to 1 are scaled by 255."""
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype.kind not in "biuf" or not pixels.size:
        raise ImageError(
            f"{name} holds {pixels.dtype} in place of numbers: save bytes, or numbers from 0 to 1"
        )
    low, high = float(pixels.min()), float(pixels.max())
    if not (0.0 <= low <= high <= 255.0):  # false too where one is not a number
        plain = low >= 0.0 and high < np.inf
        remedy = f"divide them by {high:g}" if plain else "save bytes, or numbers from 0 to 1"
        raise ImageError(f"{name} has pixels from {low:g} to {high:g}: {remedy}")
    scale = 255.0 if high <= 1.0 else 1.0
    return np.rint(pixels * scale).astype(np.uint8)


def read_pictures(files: Mapping[str, bytes]) -> Images:
    """Read one grey image a file (PNG, JPEG, ...), all of one size; a folder in a name is its class.

    "3/a.png" and "3/b.png" are of one class, where every name has a folder.
    """
    if not files:
        raise ImageError("there are no images: choose some PNG or JPEG files of one size")
    names = sorted(files)
    first = read_picture(files[names[0]], names[0])
    pixels = np.empty((len(names), *first.shape), np.uint8)
    for row, name in enumerate(names):
        image = read_picture(files[name], name)
        if image.shape != first.shape:
            raise ImageError(
                f"{name} has {image.shape[1]} x {image.shape[0]} pixels and {names[0]} "
                f"{first.shape[1]} x {first.shape[0]}: scale all images to one size"
            )
        pixels[row] = image
    folders = [name.rpartition("/")[0] for name in names]
    kinds = sorted(set(folders))
    labels = (
        np.array([kinds.index(f) for f in folders], np.int64) if len(kinds) > 1 and all(folders) else None
    )
    return checked(pixels, labels, "the images")


def read_picture(data: bytes, name: str = "the image") -> np.ndarray:
    """Read one picture file as grey values (H, W) uint8; colours are refused, not guessed at."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # also Pillow's about pictures that unpack to very much
            with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")) as image:
                if max(image.size) > 4096:
                    raise ImageError(f"{name} has {image.size[0]} x {image.size[1]} pixels: scale it down")
                mode, colours = image.mode, np.asarray(image.convert("RGB"))
    except ImageError:
        raise
    except (
        UnidentifiedImageError,
        OSError,
        ValueError,
        SyntaxError,
        Warning,
        Image.DecompressionBombError,
    ) as error:
        raise ImageError(f"{name} is no image, or a damaged one: choose a PNG or JPEG file") from error
    if mode not in ("1", "L", "LA") and not (colours == colours[..., :1]).all():
        raise ImageError(f"{name} is in colour: save it as a grey image")
    return np.ascontiguousarray(colours[..., 0])


def checked(pixels: np.ndarray, labels: np.ndarray | None, name: str) -> Images:
    """The images, or an ImageError where there are too few or too many, or labels do not fit."""
    count, height, width = pixels.shape
    if count < 10 or not height or not width:
        raise ImageError(f"too few images in {name}: {count} of {width} x {height} pixels; give at least 10")
    if max(height, width) > MAX_SIDE or count > MAX_IMAGES or pixels.size > MAX_PIXELS:
        raise ImageError(
            f"{name} has {count:,} images of {width} x {height} pixels: give at most {MAX_SIDE} x {MAX_SIDE} "
            f"and {MAX_PIXELS:,} pixels in all"
        )
    if labels is not None and labels.shape != (count,):
        raise ImageError(
            f"{name} has {count:,} images and {labels.shape[0]:,} labels: they do not belong together"
        )
    return Images(np.ascontiguousarray(pixels), classes(labels, name))


def classes(labels: np.ndarray | None, name: str) -> np.ndarray | None:
    """Labels (N,) int64, or an ImageError where they are no numbers of classes."""
    if labels is None:
        return None
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high > MAX_LABEL:
        raise ImageError(
            f"{name} has labels from {low:,} to {high:,}: number the classes 0, 1, 2, … up to {MAX_LABEL}"
        )
    return labels.astype(np.int64)
