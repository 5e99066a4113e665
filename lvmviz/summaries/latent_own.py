"""A person's own image as the model's data are: of their size, and bright where theirs are."""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from lvmviz.summaries.vae.moment import Moment

LOOKED_AT = 1000  # training images that say how bright an edge is
WORDS = {True: "Bright paper was inverted", False: "Dark paper was inverted"}


class Fitted(NamedTuple):
    """A picture of the model's size, and what was done to it."""

    pixels: np.ndarray  # (H, W) uint8
    notes: tuple[str, ...]


def fitted(at: Moment, pixels: np.ndarray) -> Fitted:
    """A picture (h, w) uint8 as the training images are: inverted where its edge is not as theirs, scaled."""
    shape, notes = at.vae.data.examples().shape, []
    bright = bool(np.median(_edge(pixels)) > 127.5)
    if bright != _bright(at):
        pixels = 255 - pixels
        notes.append(
            f"{WORDS[bright]}: the training images are {'dark' if bright else 'bright'} at the edge."
        )
    if pixels.shape != shape:
        high, wide = pixels.shape
        notes.append(f"Scaled from {wide} × {high} to {shape[1]} × {shape[0]} pixels.")
        pixels = _scaled(pixels, (shape[0], shape[1]))
    return Fitted(pixels, tuple(notes))


def _edge(pixels: np.ndarray) -> np.ndarray:
    """The outermost pixels of images (..., H, W)."""
    sides = pixels[..., [0, -1], :], pixels[..., [0, -1]]
    return np.concatenate([side.reshape(-1) for side in sides])


def _bright(at: Moment) -> bool:
    """Whether the training images are bright at the edge."""
    examples = at.vae.data.examples()
    return bool(_edge(examples.x[:LOOKED_AT].reshape(-1, *examples.shape)).mean() > 0.5)


def _scaled(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The whole picture, its sides' ratio kept, in the middle of its own paper."""
    factor = min(shape[0] / pixels.shape[0], shape[1] / pixels.shape[1])
    high, wide = (max(1, round(factor * side)) for side in pixels.shape)
    way = Image.Resampling.BOX if factor < 1.0 else Image.Resampling.BILINEAR
    inner = np.asarray(Image.fromarray(pixels).resize((wide, high), way))
    made = np.full(shape, round(float(np.median(_edge(pixels)))), np.uint8)
    top, left = (shape[0] - high) // 2, (shape[1] - wide) // 2
    made[top : top + high, left : left + wide] = inner
    return made


def prepared(at: Moment, pixels: np.ndarray) -> np.ndarray:
    """Pixels (H, W) uint8 as x (D,), what the likelihood sees."""
    x = torch.from_numpy(pixels.astype(np.float32).reshape(1, -1) / 255.0)
    return at.vae.likelihood.prepare(x)[0].numpy()


def packed(pixels: np.ndarray) -> str:
    """Pixels as text for a link."""
    return base64.urlsafe_b64encode(zlib.compress(pixels.tobytes(), 9)).decode("ascii").rstrip("=")


def unpacked(text: str, shape: tuple[int, ...]) -> np.ndarray:
    """The pixels (H, W) uint8 of such a text, or a ValueError with a sentence."""
    count = int(np.prod(shape))
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        raw = zlib.decompressobj().decompress(data, count + 1)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise ValueError("it is damaged: draw it again") from error
    if len(raw) != count:
        raise ValueError(f"it is not of this model's {shape[1]} × {shape[0]} pixels: draw another")
    return np.frombuffer(raw, np.uint8).reshape(shape)
