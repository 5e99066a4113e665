"""The latent plane of a VAE: where q lies for a sample of the data, or what every place decodes to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import scatter
from lvmviz.figures.film import Film
from lvmviz.figures.marks import annotate, free_angle
from lvmviz.figures.mixture_points import plain
from lvmviz.figures.theme import Margin, Tokens, fill
from lvmviz.figures.vae_images import ink, mosaic

HEIGHT = 446
LEAST = 3.2  # the plane reaches so far from 0 at least
_MARGIN = Margin(40, 6, 6, 36)
_ROUND = np.append(np.linspace(0.0, 2.0 * math.pi, 33), np.nan)  # an ellipse, and a break before the next
MOST_NAMES = 12  # more classes than these have no names on the plane


class Cloud(NamedTuple):
    """q of a sample in two latents at K snapshots that stand for all."""

    means: np.ndarray  # (K, n, 2)
    factors: np.ndarray  # (K, m, 2, 2) of the first m
    labels: np.ndarray | None  # (n,)
    label_names: tuple[str, ...]
    told: Sequence[str]  # (n,) said of a mark on hover


def plane(cloud: Cloud, at: Sequence[int], *, axes: tuple[int, int] = (0, 1), dark: bool = False,
          height: int = HEIGHT) -> Film:  # fmt: skip
    """Means of q coloured by class, one standard deviation of some q's, the prior at 1 and 2.

    Frame t shows snapshot at[t] of the cloud.
    """
    colours, rows = theme.tokens(dark), np.asarray(at)
    edge = max(LEAST, 1.05 * float(np.quantile(np.abs(cloud.means), 0.995)))
    film = Film(_square(colours, height, axes, edge), len(rows))
    _draw_means(film, cloud, rows, colours)
    _draw_ellipses(film, cloud, rows, colours)
    _draw_prior(film, colours, _middles(cloud, rows).reshape(-1, 2))
    _draw_names(film, cloud, rows, colours)
    return film


def manifold(images: Sequence[np.ndarray], at: Sequence[int], reach: float, *, axes: tuple[int, int] = (0, 1),
             dark: bool = False, height: int = HEIGHT) -> Film:  # fmt: skip
    """Decoded tiles (side, side, H, W), whose middles reach from -reach to reach; the prior over them."""
    colours, side = theme.tokens(dark), len(images[0])
    edge = reach * (1.0 + 1.0 / (side - 1))  # half a tile more
    film = Film(_square(colours, height, axes, edge), len(at))
    sources = [ink(mosaic(tiles), dark) for tiles in images]
    place = {"x": -edge, "y": edge, "sizex": 2 * edge, "sizey": 2 * edge, "sizing": "stretch"}
    picture = {"source": sources[at[0]], "xref": "x", "yref": "y", "layer": "below", **place}
    film.figure.update_layout(images=[picture])
    film.values(None, "images[0].source", [sources[i] for i in at])
    _draw_prior(film, colours, np.zeros((0, 2)))
    return film


def _square(colours: Tokens, height: int, axes: tuple[int, int], edge: float) -> Any:
    """Two axes of one scale."""
    one = {"range": [-edge, edge], "constrain": "domain", **theme.ticks(-edge, edge, 4)}
    first, second = ({**one, "title": {"text": f"z<sub>{axis + 1}</sub>"}} for axis in axes)
    return theme.figure(
        colours, height=height, margin=_MARGIN, xaxis=first, yaxis={**second, "scaleanchor": "x"},
        uirevision="plane",
    )  # fmt: skip


def _draw_means(film: Film, cloud: Cloud, rows: np.ndarray, colours: Tokens) -> None:
    inks = [colours.text] * cloud.means.shape[1]
    if cloud.labels is not None:
        inks = [colours.categories[label % len(colours.categories)] for label in cloud.labels.tolist()]
    size = float(np.clip(6.5 * (300 / max(len(inks), 1)) ** 0.25, 4.0, 7.0))
    marker = {"size": size, "color": inks, "opacity": 0.85, "line": {"width": 0.5, "color": colours.bg}}
    first = cloud.means[rows[0]]
    film.figure.add_trace(
        scatter(x=first[:, 0].tolist(), y=first[:, 1].tolist(), mode="markers", marker=marker,
                hovertext=[plain(text) for text in cloud.told], hoverinfo="text")
    )  # fmt: skip
    for axis, key in enumerate("xy"):
        film.numbers(film.last(), key, np.round(cloud.means[rows][:, :, axis], 4))


def _draw_ellipses(film: Film, cloud: Cloud, rows: np.ndarray, colours: Tokens) -> None:
    """One line round all of them, with breaks."""
    circle = np.stack([np.cos(_ROUND), np.sin(_ROUND)])  # (2, 34)
    centres = cloud.means[:, : cloud.factors.shape[1], :, None]
    around = np.round(centres + cloud.factors @ circle, 3).transpose(0, 2, 1, 3)  # (K, 2, m, 34)
    flat = around.reshape(len(around), 2, -1)
    line = {"color": fill(colours.q_mark, 0.75), "width": 1.25}
    film.figure.add_trace(
        scatter(x=flat[rows[0], 0].tolist(), y=flat[rows[0], 1].tolist(), mode="lines", line=line,
                hoverinfo="skip", connectgaps=False)
    )  # fmt: skip
    for axis, key in enumerate("xy"):
        film.numbers(film.last(), key, flat[rows, axis])


def _draw_prior(film: Film, colours: Tokens, places: np.ndarray) -> None:
    """Circles at 1 and 2 standard deviations, their names away from other words at the places (K, 2)."""
    for radius, text in ((1.0, "prior 1 sd"), (2.0, "2 sd")):
        line = {"color": colours.prior, "width": 1.25, "dash": "4px,4px"}
        around = np.linspace(0.0, 2.0 * math.pi, 73)
        film.figure.add_trace(
            scatter(x=np.round(radius * np.cos(around), 4).tolist(), mode="lines", line=line,
                    y=np.round(radius * np.sin(around), 4).tolist(), hoverinfo="skip")
        )  # fmt: skip
        angle = free_angle(radius, places)
        where = {"x": radius * math.cos(angle), "y": radius * math.sin(angle)}
        film.figure.add_annotation(
            text=text, showarrow=False, bgcolor=fill(colours.bg, 0.85), borderpad=1,
            font={"size": 11, "color": colours.muted}, **where,
        )  # fmt: skip


def _middles(cloud: Cloud, rows: np.ndarray) -> np.ndarray:
    """Where each class's name stands in every frame, (K, T, 2)."""
    if cloud.labels is None or not 1 < len(cloud.label_names) <= MOST_NAMES:
        return np.zeros((0, len(rows), 2))
    each = [np.median(cloud.means[:, cloud.labels == label], 1)[rows] for label in np.unique(cloud.labels)]
    return np.round(np.stack(each), 4)


def _draw_names(film: Film, cloud: Cloud, rows: np.ndarray, colours: Tokens) -> None:
    """Every class's name where the middle of its means is, in a box of its colour."""
    if cloud.labels is None or not 1 < len(cloud.label_names) <= MOST_NAMES:
        return  # too many to name
    for label, middle in zip(np.unique(cloud.labels).tolist(), _middles(cloud, rows), strict=True):
        name = cloud.label_names[label] if label < len(cloud.label_names) else str(label)
        note = {
            "text": plain(name), "showarrow": False, "bgcolor": fill(colours.bg, 0.9), "borderpad": 2,
            "borderwidth": 1.5, "bordercolor": colours.categories[label % len(colours.categories)],
            "font": {"size": 12, "color": colours.text},
        }  # fmt: skip
        annotate(film, note, {"x": middle[:, 0].tolist(), "y": middle[:, 1].tolist()})
