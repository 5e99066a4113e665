"""Images of one's own: what was written is read, and hostile files give a sentence."""

import gzip
import io
import pickle
import struct
import urllib.error
import zipfile

import numpy as np
import pytest
import sklearn.datasets
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lvmviz import Bernoulli, DigitImages, Job, OpenML, Rows, StoredImages, TrainVAE, run
from lvmviz.image_sets import Offline, put_images
from lvmviz.images import ImageError, Images, checked, read_idx, read_npz, read_picture, read_pictures
from lvmviz.own_data import MissingData
from lvmviz.ui import vae_images

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 5, 7), dtype=np.uint8)
LABELS = np.arange(12, dtype=np.int64) % 3


def idx(array: np.ndarray, code: int = 8) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape) + array.tobytes()


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def png(array: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind)
    return file.getvalue()


# ---- what was written is read ----


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx(pack):
    images = read_idx(pack(idx(PIXELS)), pack(idx(LABELS.astype(np.uint8))))
    np.testing.assert_array_equal(images.pixels, PIXELS)
    np.testing.assert_array_equal(images.labels, LABELS)
    assert read_idx(pack(idx(PIXELS))).labels is None


def test_npz():
    images = read_npz(npz(x=PIXELS, y=LABELS))
    np.testing.assert_array_equal(images.pixels, PIXELS)
    np.testing.assert_array_equal(images.labels, LABELS)
    np.testing.assert_array_equal(read_npz(npz(x=PIXELS / 255.0)).pixels, PIXELS)
    np.testing.assert_array_equal(read_npz(npz(x=PIXELS.astype(float))).pixels, PIXELS)


def test_pictures_and_their_folders():
    files = {f"{k % 2}/{k:02d}.png": png(image) for k, image in enumerate(PIXELS)}
    images = read_pictures(files)
    order = [*range(0, 12, 2), *range(1, 12, 2)]
    np.testing.assert_array_equal(images.pixels, PIXELS[order])
    assert images.labels.tolist() == [0] * 6 + [1] * 6
    assert read_pictures({str(k): png(image) for k, image in enumerate(PIXELS)}).labels is None


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_a_picture_is_its_grey_values(kind):
    np.testing.assert_array_equal(read_picture(png(PIXELS[0], kind)), PIXELS[0])
    np.testing.assert_array_equal(read_picture(png(np.repeat(PIXELS[0][..., None], 3, 2), kind)), PIXELS[0])


# ---- hostile files ----

HUGE = struct.pack(">BBBB3I", 0, 0, 8, 3, 2**31, 2**31, 2**31) + bytes(100)
BAD_IDX = {
    "no IDX file": [b"", b"\x00", b"PK\x03\x04" + bytes(99), b"\x01\x02\x03\x04", idx(PIXELS)[1:]],
    "damaged": [idx(PIXELS)[:-1], idx(PIXELS) + b"x", HUGE, idx(PIXELS)[:9], b"\0\0\x08\x03"],
    "of type 13": [idx(PIXELS, 13)],
    "in 1 dimensions": [idx(LABELS.astype(np.uint8))],
    "gzip": [
        gzip.compress(idx(PIXELS), mtime=0)[:-9],
        gzip.compress(idx(PIXELS), mtime=0)[:40],
        b"\x1f\x8b",
        b"\x1f\x8bgarbage",
    ],
    "at least 10": [idx(PIXELS[:3]), idx(PIXELS[:, :0])],
}


@pytest.mark.parametrize(("words", "data"), [(w, d) for w, many in BAD_IDX.items() for d in many])
def test_bad_idx_files_get_a_sentence(words, data):
    with pytest.raises(ImageError, match=words):
        read_idx(data)


def test_labels_must_belong_to_the_images():
    with pytest.raises(ImageError, match="do not belong together"):
        read_idx(idx(PIXELS), idx(np.zeros(11, np.uint8)))


def test_a_bomb_is_not_unpacked(monkeypatch):
    monkeypatch.setattr("lvmviz.images.MAX_PIXELS", 10_000)
    with pytest.raises(ImageError, match="unpacks to more than 10,000"):
        read_idx(gzip.compress(bytes(1_000_000), mtime=0))
    with pytest.raises(ImageError, match="unpacks to"):
        read_npz(npz(x=np.zeros((100, 100, 100), np.uint8)))
    with pytest.raises(ImageError, match="at most"):
        checked(np.zeros((100, 101, 1), np.uint8), None, "x")


class Trap:
    """Runs when a pickle is opened."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was opened",)


def disguised() -> bytes:
    array = io.BytesIO()
    np.lib.format.write_array_header_1_0(array, {"descr": "|O", "fortran_order": False, "shape": (12, 5, 7)})
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", array.getvalue() + pickle.dumps(Trap()))
    return file.getvalue()


BAD_NPZ = {
    "Python objects": [disguised()],
    "npz archive|damaged": [b"", b"PK\x03\x04", pickle.dumps(Trap()), npz(x=PIXELS)[:-30], idx(PIXELS)],
    r"images are an array \(N, height, width\)": [npz(x=PIXELS[0]), npz(), npz(x=np.zeros((12, 5, 7, 3)))],
    "numbers from 0 to 1": [npz(x=PIXELS - 300.0), npz(x=PIXELS * np.nan), npz(x=PIXELS.astype(str))],
    "at least 10": [npz(x=PIXELS[:4])],
}


@pytest.mark.parametrize(("words", "data"), [(w, d) for w, many in BAD_NPZ.items() for d in many])
def test_bad_archives_get_a_sentence(words, data):
    with pytest.raises(ImageError, match=words):
        read_npz(data)


def test_bad_pictures_get_a_sentence():
    good = {f"{k}": png(image) for k, image in enumerate(PIXELS)}
    coloured = np.random.default_rng(1).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    cases = {
        "in colour": png(coloured),
        "has 5 x 7 pixels": png(PIXELS[0].T.copy()),
        "no image": b"<svg/>",
        "a damaged one": png(PIXELS[0])[:50],
        "scale it down": png(np.zeros((1, 5000), np.uint8)),
    }
    for words, data in cases.items():
        with pytest.raises(ImageError, match=words):
            read_pictures({**good, "99": data})
    with pytest.raises(ImageError, match="no images"):
        read_pictures({})


@given(
    data=st.binary(max_size=300)
    | st.builds(lambda k, b: idx(PIXELS)[:k] + b, st.integers(0, 40), st.binary())
)
def test_no_bytes_break_the_readers(data):
    for read in (read_idx, read_npz, read_picture):
        try:
            read(data)
        except ImageError as error:
            assert len(str(error)) > 20


# ---- sets ----


def test_own_images_are_kept_and_trained_on():
    digest = put_images(Images(PIXELS, LABELS))
    assert put_images(Images(PIXELS.copy(), LABELS)) == digest
    examples = StoredImages(digest=digest).examples()
    assert examples.shape == (5, 7) and examples.label_names == ("0", "1", "2")
    np.testing.assert_allclose(examples.x, PIXELS.reshape(12, 35) / 255.0, rtol=1e-6)
    trace = run(Job(TrainVAE(data=StoredImages(digest=digest), likelihood=Bernoulli()), steps=2))
    assert trace[-1].info.status == "training" and trace.job.private


def test_images_that_are_gone_or_damaged_get_a_sentence(home):
    for digest in ("", "../../etc/passwd", "0" * 64):
        with pytest.raises(MissingData, match="upload the images again"):
            StoredImages(digest=digest).examples()
    digest = put_images(Images(PIXELS[::-1].copy(), None))
    path = home / "images" / f"{digest}.images"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(MissingData, match="damaged and put aside"):
        StoredImages(digest=digest).examples()
    assert not path.exists()


class Bunch:
    """What fetch_openml answers, small."""

    data = np.tile(np.arange(784.0) % 256, (30, 1))
    target = np.array([str(k % 10) for k in range(30)])


def test_openml_is_fetched_once(monkeypatch, tmp_path):
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path))  # no other test shall find the set here
    asked = []
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", lambda *a, **k: asked.append(a) or Bunch())
    mnist = OpenML(count=20)
    assert not mnist.here and mnist.size > 1e7
    examples = mnist.examples()
    assert mnist.here and examples.x.shape == (20, 784) and examples.shape == (28, 28)
    assert examples.labels.tolist() == [k % 10 for k in range(20)]
    np.testing.assert_allclose(examples.x[3, 5], 5 / 255)
    assert OpenML(count=15).examples().x.shape == (15, 784) and len(asked) == 1


def test_offline_is_said(monkeypatch):
    def fails(*args: object, **kwargs: object) -> None:
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fails)
    with pytest.raises(Offline, match=r"32 MB.*no route.*Connect to the internet"):
        OpenML(source="Fashion-MNIST").examples()


def test_digits_and_rows_are_what_they_were():
    bunch = sklearn.datasets.load_digits()
    np.testing.assert_array_equal(DigitImages().examples().x, bunch.data / 16.0)
    np.testing.assert_array_equal(DigitImages(count=50).examples().labels, bunch.target[:50])
    rows, table = Rows().examples(), Rows().table.table()
    assert rows.x.min(0).tolist() == [0.0, 0.0] and rows.x.max(0).tolist() == [1.0, 1.0]
    np.testing.assert_allclose(np.corrcoef(rows.x.T), np.corrcoef(table.points.T), atol=1e-5)
    np.testing.assert_allclose(Rows(scaled=False).examples().x, table.points, rtol=1e-6)


# ---- npz files as people have them ----


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.full(12, -1), "labels from -1 to -1: number the classes 0, 1, 2"),
        (np.full(12, 10**12), "up to 999"),
        (np.full(12, 2**64 - 1, np.uint64), "up to 999"),
        (np.arange(5), "one whole number for each of its 12 images"),
        (np.linspace(0, 1, 12), "of float64: give one whole number"),
        (np.array(list("abcdefghijkl")), "of <U1: give one whole number"),
    ],
)
def test_labels_that_are_no_classes_are_refused(labels, said):
    with pytest.raises(ImageError, match=said):
        read_npz(npz(images=PIXELS, labels=labels), "mine.npz")


def test_labels_of_a_stored_file_are_looked_at_too(tmp_path, monkeypatch):
    """A file that an earlier version has stored with labels no page can show."""
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path))
    digest = put_images(Images(PIXELS, np.full(12, 10**12)))
    with pytest.raises(MissingData, match="put aside"):
        StoredImages(digest=digest).examples()


def test_other_files_in_an_archive_are_left_alone_or_named():
    held = io.BytesIO(npz(images=PIXELS))
    with zipfile.ZipFile(held, "a") as more:
        more.writestr("readme.txt", "hello")
    assert len(read_npz(held.getvalue()).pixels) == 12
    pictures = io.BytesIO()
    with zipfile.ZipFile(pictures, "w") as more:
        more.writestr("a.png", b"\x89PNG")
    with pytest.raises(ImageError, match="holds no arrays.*unpack"):
        read_npz(pictures.getvalue(), "folder.zip")


def test_wide_numbers_are_told_what_to_divide_by():
    with pytest.raises(ImageError, match="divide them by 65535"):
        read_npz(npz(images=np.full((12, 8, 8), 65535, np.uint16)))


def test_an_archive_is_chosen_alone():
    with pytest.raises(ImageError, match=r"ok\.npz is an archive: choose it alone"):
        vae_images.read({"ok.npz": npz(images=PIXELS), "a.png": b""})
    with pytest.raises(ImageError, match="no npz archive"):
        vae_images.read({"p.npz": b"\x80\x04\x95"})
