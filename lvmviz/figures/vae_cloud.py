"""From cloud to data: the prior's draws on their way through the decoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import scatter
from lvmviz.figures.film import Film
from lvmviz.figures.theme import Margin, fill

HEIGHT = 446
REACH = 2.6  # where the data's edge is drawn, in the prior's units
EDGE, MOST = 3.4, 8.0  # the picture reaches so far at least, and at most for draws that go astray
_TURN, _TILT = 0.6, 0.35  # how a space of three dimensions is looked at, radians


def cloud(
    z: np.ndarray, x: np.ndarray, data: np.ndarray, labels: np.ndarray | None, shares: Sequence[float], *,
    dark: bool = False, height: int = HEIGHT,
) -> Film:  # fmt: skip
    """Draws z (n, 2) of the prior, where the decoder sends them, x (n, 2 or 3), and the data beside them.

    Frame k shows every draw the share k of its way from z to x.
    """
    colours = theme.tokens(dark)
    low, high = data.min(0), data.max(0)
    ends, points = (
        _seen(2.0 * REACH * (part - 0.5 * (low + high)) / float((high - low).max())) for part in (x, data)
    )
    now = np.stack([(1.0 - share) * z + share * ends for share in shares])  # (K, n, 2)
    edge = float(np.clip(1.05 * np.abs(now).max(), EDGE, MOST))
    off = {"visible": False, "fixedrange": True, "range": [-edge, edge]}
    made = theme.figure(colours, height=height, margin=Margin(4, 4, 4, 4), uirevision="cloud",
                        xaxis={**off, "constrain": "domain"}, yaxis={**off, "scaleanchor": "x"})  # fmt: skip
    film = Film(made, len(shares))
    inks = [colours.text] * len(points)
    if labels is not None:
        inks = [colours.categories[label % len(colours.categories)] for label in labels.tolist()]
    marker = {"size": 4.5, "color": inks, "opacity": 0.45}
    film.figure.add_trace(scatter(x=points[:, 0].tolist(), y=points[:, 1].tolist(), mode="markers",
                                  marker=marker, hoverinfo="skip"))  # fmt: skip
    breaks = np.full((len(shares), len(z)), np.nan)
    paths = [np.stack([np.tile(z[:, k], (len(shares), 1)), now[:, :, k], breaks], 2).reshape(len(shares), -1)
             for k in (0, 1)]  # fmt: skip
    line = {"color": fill(colours.prior, 0.3), "width": 0.75}
    disc = {
        "size": 5.5,
        "color": colours.q_mark,
        "opacity": 0.95,
        "line": {"width": 0.5, "color": colours.bg},
    }
    for mode, style, rows in (
        ("lines", {"line": line}, paths),
        ("markers", {"marker": disc}, now.transpose(2, 0, 1)),
    ):
        film.figure.add_trace(scatter(mode=mode, hoverinfo="skip", connectgaps=False, x=rows[0][0].tolist(),
                                      y=rows[1][0].tolist(), **style))  # fmt: skip
        for key, part in zip("xy", rows, strict=True):
            film.numbers(film.last(), key, np.round(part, 4))
    return film


def _seen(points: np.ndarray) -> np.ndarray:
    """Points (n, 1, 2 or 3) as they are seen on a plane (n, 2)."""
    if points.shape[1] < 3:
        return np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
    x, y, depth = points[:, :3].T
    across, back = x * np.cos(_TURN) - depth * np.sin(_TURN), x * np.sin(_TURN) + depth * np.cos(_TURN)
    return np.stack([across, y * np.cos(_TILT) + back * np.sin(_TILT)], 1)
