"""Image sets from elsewhere: fetched from OpenML on demand, or a person's own from the store."""

from __future__ import annotations

import hashlib
import http.client
import re
import urllib.error
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
import sklearn.datasets

from lvmviz import disk
from lvmviz.core import choice, knob
from lvmviz.images import Images, classes
from lvmviz.observations import Examples, Observations, first
from lvmviz.own_data import MissingData, StoreError, home

# name: what OpenML calls it, its version there, and the bytes that are fetched
FETCHED = {"MNIST": ("mnist_784", 1, 16_000_000), "Fashion-MNIST": ("Fashion-MNIST", 1, 32_000_000)}
CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")

_DIGEST = re.compile(r"[0-9a-f]{64}")
_REMEDY = "upload the images again"


class Offline(OSError):
    """A data set that could not be fetched; the message says how large it is and what to do."""


@choice
class OpenML(Observations):
    """70,000 images of 28 x 28 pixels, fetched from OpenML once and kept (LeCun, 1998; Xiao et al., 2017)."""

    title = "MNIST and Fashion-MNIST"
    source: str = knob("MNIST", help="Handwritten digits, or clothes.", options=tuple(FETCHED))
    count: int = knob(70_000, 10, 70_000, "How many of them, from the first.", label="Images N", scale="log")

    @property
    def size(self) -> int:
        """The bytes that are fetched the first time, about."""
        return FETCHED[self.source][2]

    @property
    def here(self) -> bool:
        """Whether it was fetched before, so that nothing more is asked of the network."""
        return self._file().exists()

    def _make(self) -> Examples:
        if not self.here:
            self._keep(self._fetched())
        names = tuple(map(str, range(10))) if self.source == "MNIST" else CLOTHES
        return first(_examples(_read(self._file()), names), self.count)

    def _file(self) -> Path:
        return home() / "openml" / f"{FETCHED[self.source][0]}.images"

    def _fetched(self) -> Any:
        name, version, size = FETCHED[self.source]
        try:
            return sklearn.datasets.fetch_openml(
                name, version=version, as_frame=False, parser="liac-arff", data_home=str(home() / "openml")
            )
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
            raise Offline(
                f"{self.source} could not be fetched from openml.org ({size / 1e6:.0f} MB): {error}. "
                "Connect to the internet and try again, or load its IDX files; digits need no network."
            ) from error

    def _keep(self, bunch: Any) -> None:
        """As bytes: what OpenML sends takes half a minute to parse."""
        pixels = np.asarray(bunch.data).astype(np.uint8).reshape(-1, 28, 28)
        _write(self._file(), Images(pixels, np.asarray(bunch.target).astype(np.int64)))


@choice
class StoredImages(Observations):
    """Your own images; they stay on this computer."""

    title = "Own images"
    private = True
    digest: str = knob("", help="The images' SHA-256, their name in the store.", hidden=True)

    def _make(self) -> Examples:
        if not _DIGEST.fullmatch(self.digest):  # it may come from a URL
            raise MissingData(f"This names no images (a name has 64 hexadecimal digits); {_REMEDY}.")
        path = _path(self.digest)
        if not path.exists():
            raise MissingData(f"The images {self.digest[:12]}… are not on this computer; {_REMEDY}.")
        images = _read(path)
        kinds = () if images.labels is None else tuple(map(str, range(int(images.labels.max()) + 1)))
        return _examples(images, kinds)


def put_images(images: Images) -> str:
    """Keep images and return their digest (64 hexadecimal digits), equal for equal images."""
    digest = hashlib.sha256(_encode(images)).hexdigest()
    _write(_path(digest), images)
    return digest


def _examples(images: Images, names: tuple[str, ...]) -> Examples:
    count, height, width = images.pixels.shape
    x = images.pixels.reshape(count, height * width).astype(np.float32) / np.float32(255.0)
    return Examples(x, (height, width), images.labels, names, ())


def _path(digest: str) -> Path:
    return home() / "images" / f"{digest}.images"


def _encode(images: Images) -> bytes:
    labels = {} if images.labels is None else {"labels": images.labels}
    return safetensors.numpy.save({"pixels": np.ascontiguousarray(images.pixels), **labels})


def _write(path: Path, images: Images) -> None:
    try:
        disk.make_folder(path.parent)
        disk.write(path, _encode(images))
    except OSError as error:
        raise StoreError(
            f"The images could not be kept in {path.parent}: {error.strerror or error}. {disk.remedy(error)}"
        ) from error


def _read(path: Path) -> Images:
    """The images of a file of ours; MissingData where it is damaged: it is put aside, never read again."""
    try:
        content = path.read_bytes()
        if _DIGEST.fullmatch(path.stem) and hashlib.sha256(content).hexdigest() != path.stem:
            raise ValueError("its content is not what was written")
        arrays = safetensors.numpy.load(content)
        return Images(arrays["pixels"], classes(arrays.get("labels"), path.name))
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        damaged = path.with_suffix(".damaged")
        path.replace(damaged)
        raise MissingData(
            f"The file {path.name} was damaged and put aside; {_REMEDY} or fetch them."
        ) from error
