"""The pictures of a VAE: every place and colour read back from the figures."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from lvmviz.figures import theme, vae_cloud, vae_curves, vae_images, vae_plane
from lvmviz.figures.film import Film
from lvmviz.figures.marks import free_angle

RNG = np.random.default_rng(3)


def picture(source: str) -> np.ndarray:
    """The opacity of a PNG's pixels, from 0 to 1, as another reader sees it."""
    data = base64.b64decode(source.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")) / 255.0


def written(film: Film) -> Film:
    json.dumps(film.data(), default=lambda array: array.tolist())
    film.figure.checked()
    return film


# ---- images ----


@pytest.mark.parametrize("dark", [False, True])
def test_ink_is_the_colour_of_text_and_opaque_where_there_is_something(dark):
    pixels = RNG.random((8, 5))
    seen = picture(vae_images.ink(pixels, dark))
    times = seen.shape[0] // 8
    assert seen.shape == (8 * times, 5 * times, 4) and seen.shape[0] >= vae_images.SHARP
    assert np.allclose(seen[::times, ::times, 3], pixels, atol=1 / 255)
    assert np.allclose(255 * seen[0, 0, :3], theme.rgb(theme.tokens(dark).text))


def test_a_mosaic_has_its_first_row_below():
    tiles = np.zeros((2, 3, 10, 10))
    tiles[0, 2] = 1.0  # low z_2, high z_1
    made = vae_images.mosaic(tiles)
    assert made.shape == (24, 36)
    assert made[13:23, 25:35].all() and made.sum() == 100  # below on the right, with a margin


def test_two_rows_of_images():
    tops, bottoms = np.ones((3, 8, 8)), np.full((3, 8, 8), 0.5)
    made = vae_images.columns_of(tops, bottoms)
    assert made.shape == (17, 26)
    assert (made[:8, 9:17] == 1.0).all() and (made[9:, 9:17] == 0.5).all() and not made[8].any()
    drawn = vae_images.reconstructions(tops, bottoms, ["a", "b", "c"])
    assert list(drawn.data[0].hovertext) == ["a", "b", "c"] * 2
    assert drawn.data[0].y[0] > drawn.data[0].y[3]
    drawn.checked()


# ---- the plane ----


def cloud(frames: int = 3, labels: bool = True) -> vae_plane.Cloud:
    means, factors = RNG.normal(size=(frames, 20, 2)), np.tril(RNG.normal(size=(frames, 4, 2, 2)))
    names = ("even", "<b>odd</b>")
    return vae_plane.Cloud(
        means, factors, np.arange(20) % 2 if labels else None, names if labels else (), ["test 1"] * 20
    )


def test_every_frame_shows_the_means_of_its_snapshot():
    made = cloud()
    film = written(vae_plane.plane(made, [0, 0, 1, 2]))
    for frame, at in enumerate([0, 0, 1, 2]):
        figure = film.at(frame)
        assert np.allclose(figure.data[0].x, made.means[at, :, 0], atol=1e-4)
        assert np.allclose(figure.data[0].y, made.means[at, :, 1], atol=1e-4)


def test_ellipses_are_one_standard_deviation():
    made = cloud()
    x, y = (np.array(film_part, dtype=float) for film_part in _ellipses(vae_plane.plane(made, [0, 1, 2]), 2))
    x, y = x.reshape(4, -1)[:, :-1], y.reshape(4, -1)[:, :-1]
    for k in range(4):
        away = np.stack([x[k], y[k]], 1) - made.means[2, k]
        cov = made.factors[2, k] @ made.factors[2, k].T
        assert np.allclose(np.einsum("ni,ij,nj->n", away, np.linalg.inv(cov), away), 1.0, atol=0.1)


def _ellipses(film: Film, frame: int) -> tuple:
    trace = film.at(frame).data[1]
    return trace.x, trace.y


def test_classes_have_their_colours_and_names_as_text():
    film = vae_plane.plane(cloud(), [0, 1, 2], dark=True)
    inks = theme.tokens(True).categories
    assert list(film.at(0).data[0].marker.color[:2]) == list(inks[:2])
    words = [note.text for note in film.figure.layout.annotations]
    assert words == ["prior 1 sd", "2 sd", "even", "&lt;b&gt;odd&lt;/b&gt;"]
    plain = vae_plane.plane(cloud(labels=False), [0])
    assert len(plain.figure.layout.annotations) == 2


def test_the_prior_is_round():
    film = vae_plane.plane(cloud(), [0], axes=(2, 4))
    for trace, radius in zip(film.figure.data[2:], (1.0, 2.0), strict=True):
        assert np.allclose(np.hypot(trace.x, trace.y), radius, atol=1e-3)
    assert film.figure.layout.yaxis.scaleanchor == "x"
    assert film.figure.layout.xaxis.title.text == "z<sub>3</sub>"
    assert film.figure.layout.yaxis.title.text == "z<sub>5</sub>"


def test_a_tile_lies_where_its_latent_is():
    tiles = np.zeros((5, 5, 10, 10))
    tiles[4, 0] = 1.0
    film = written(vae_plane.manifold([tiles, 0 * tiles], [0, 0, 1], 2.0))
    image = film.at(0).layout.images[0]
    seen = picture(image.source)[..., 3]
    rows, columns = np.nonzero(seen)
    x = image.x + image.sizex * (columns.mean() + 0.5) / seen.shape[1]
    y = image.y - image.sizey * (rows.mean() + 0.5) / seen.shape[0]
    assert (x, y) == pytest.approx((-2.0, 2.0), abs=0.01)
    assert not picture(film.at(2).layout.images[0].source)[..., 3].any()


# ---- curves ----

EPOCHS = np.arange(30.0)
TEST, TRAIN = -20.0 - 30.0 / (1 + EPOCHS), -19.5 - 30.0 / (1 + EPOCHS)
POINTS = vae_curves.Points(np.array([4.0, 29.0]), TEST[[4, 29]] + 0.5, TEST[[4, 29]], np.array([0.01, 0.02]))


def test_the_ring_follows_and_the_evidence_lies_above():
    film = written(vae_curves.bound(EPOCHS, TEST, TRAIN, POINTS))
    ring = film.at(7).data[-1]
    assert (ring.x[0], ring.y[0]) == (7.0, TEST[7])
    evidence = film.figure.data[2]
    assert list(evidence.y) == (TEST[[4, 29]] + 0.5).tolist() and evidence.error_y.array is None
    assert evidence.mode == "markers", "between two dots nobody knows log p(x)"
    low, high = film.figure.layout.yaxis.range
    assert low < TEST[2:].min() and high > max(TRAIN.max(), POINTS.log_evidence.max())


def test_where_the_way_is_known_both_are_lines_and_never_cross():
    """The one draw's ELBO may lie above log p(x) by chance; the exact one of the same examples does not."""
    film = written(vae_curves.bound(EPOCHS, TEST + 1.0, TRAIN, POINTS, whole=True))
    elbo, gap, evidence = film.figure.data[2:5]
    assert (elbo.mode, evidence.mode) == ("lines", "lines") and gap.fill == "toself"
    assert (np.array(evidence.y) > np.array(elbo.y)).all()
    ring = film.at(17).data[-1]
    assert TEST[4] < ring.y[0] < TEST[29], "it stands on the exact line"


def test_a_word_on_a_circle_keeps_away_from_other_words():
    assert free_angle(1.0, np.zeros((0, 2))) == pytest.approx(-2.2)
    places = np.stack([np.cos(np.arange(1.0, 6.0)), np.sin(np.arange(1.0, 6.0))], 1)
    assert abs(free_angle(1.0, places)) < 0.3, "the widest gap is about angle 0"


def test_an_estimate_is_marked_as_one():
    film = written(vae_curves.bound(EPOCHS, TEST, TRAIN, POINTS, exact=False))
    assert list(film.figure.data[2].error_y.array) == [0.02, 0.04]
    assert "log p(x), estimate" in [note.text for note in film.figure.layout.annotations]


def test_a_run_that_has_just_begun_is_drawn():
    none = vae_curves.Points(*(np.array([]) for _ in range(4)))
    film = written(vae_curves.bound(EPOCHS[:1], TEST[:1], TRAIN[:1], none))
    low, high = film.figure.layout.yaxis.range
    assert low < TEST[0] < high
    written(vae_curves.terms(EPOCHS[:1], [TEST[:1], TRAIN[:1]], [TEST[:1] ** 2, TRAIN[:1] ** 2]))
    written(vae_curves.by_latent(EPOCHS[:1], np.ones((1, 3))))


def test_reconstruction_stands_left_and_kl_right():
    film = written(vae_curves.terms(EPOCHS, [TEST, TRAIN], [-TEST, -TRAIN]))
    figure = film.at(3)
    assert [trace.xaxis for trace in figure.data] == ["x"] * 3 + ["x2"] * 3
    assert np.allclose(figure.data[1].y, TEST) and np.allclose(figure.data[4].y, -TEST)
    assert figure.data[2].y[0] == TEST[3] and figure.data[5].y[0] == -TEST[3]
    assert figure.layout.xaxis.domain[1] < figure.layout.xaxis2.domain[0]


def test_the_map_of_latents():
    kl = RNG.random((30, 12))
    film = written(vae_curves.by_latent(EPOCHS, kl))
    assert np.allclose(film.figure.data[0].z, kl.T, atol=1e-4)
    assert list(film.figure.layout.yaxis.range) == [12.5, 0.5]
    assert film.at(9).data[1].x == (9.0, 9.0)


def test_a_warm_up_does_not_swamp_the_map_of_latents():
    kl = np.full((30, 3), 1.5)
    kl[:5] = 40.0
    shown = written(vae_curves.by_latent(EPOCHS, kl)).figure.data[0]
    assert shown.zmax == 1.5 and shown.colorbar.ticksuffix == "+"
    assert np.allclose(shown.z, kl.T)  # hover still says what it was
    assert written(vae_curves.by_latent(EPOCHS, kl[::-1])).figure.data[0].zmax == 40.0


# ---- from cloud to data ----


@pytest.mark.parametrize("width", [2, 3])
def test_draws_go_from_the_prior_to_the_data(width):
    z, x, data = RNG.normal(size=(9, 2)), RNG.random((9, width)), RNG.random((40, width))
    film = written(vae_cloud.cloud(z, x, data, None, (0.0, 0.5, 1.0)))
    at = [film.at(k).data[2] for k in range(3)]
    assert np.allclose(at[0].x, z[:, 0], atol=1e-4) and np.allclose(at[0].y, z[:, 1], atol=1e-4)
    assert np.allclose(0.5 * (np.array(at[0].x) + at[2].x), at[1].x, atol=2e-4)
    assert np.isnan(np.array(film.at(2).data[1].x, dtype=float)[2::3]).all()


def test_the_decoder_s_output_lies_among_the_data_where_it_is_the_data():
    data = RNG.random((30, 2))
    film = vae_cloud.cloud(RNG.normal(size=(30, 2)), data, data, np.arange(30) % 3, (1.0,))
    points, moved = film.at(0).data[0], film.at(0).data[2]
    assert np.allclose(points.x, moved.x, atol=1e-4) and np.allclose(points.y, moved.y, atol=1e-4)
    assert max(np.abs(points.x).max(), np.abs(points.y).max()) == pytest.approx(vae_cloud.REACH)
