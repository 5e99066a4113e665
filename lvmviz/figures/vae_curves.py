"""ELBO, its terms and the exact evidence over the epochs of a VAE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import scatter
from lvmviz.figures.film import Film
from lvmviz.figures.marks import moving, ring
from lvmviz.figures.theme import Margin, Tokens, fill

_MARGIN = Margin(44, 10, 8, 34)
_LEFT, _RIGHT = (0.0, 0.43), (0.57, 1.0)  # where two panels lie side by side
_SETTLED = 0.04  # of the epochs, which at the start fall far below all others


class Points(NamedTuple):
    """The evidence where it is known, means over the test examples, nats."""

    epochs: np.ndarray  # (E,)
    log_evidence: np.ndarray  # (E,)
    elbo: np.ndarray  # (E,)
    errors: np.ndarray  # (E,) standard errors; 0 where it is exact


def bound(
    epochs: np.ndarray, test: np.ndarray, train: np.ndarray, points: Points, *, exact: bool = True,
    whole: bool = False, dark: bool = False, height: int = 200,
) -> Film:  # fmt: skip
    """ELBO of test (T,) and train over the epochs (T,), log p(x) above; the space between is the gap.

    Once log p(x) is known on the `whole` way it is a line, and so is the ELBO of the same examples: what one
    draw told is faint then. Before, log p(x) is dots: between two of them nobody knows it.
    """
    colours = theme.tokens(dark)
    low, high = _range(epochs, [test, train], [points.log_evidence, points.elbo])
    across = _epochs(epochs)
    up = {"title": {"text": "nats per example"}, "range": [low, high], **theme.ticks(low, high)}
    made = theme.figure(colours, height=height, margin=_MARGIN, xaxis=across, yaxis=up, uirevision="bound")
    film = Film(made, len(epochs))
    ink = fill(colours.posterior, 0.35) if whole else colours.posterior
    _draw_halves(film, epochs, test, train, ink, colours)
    shown = test
    if whole:
        shown = np.interp(epochs, points.epochs, points.elbo)
        _draw_gap(film, points, colours)
    _draw_evidence(film, points, exact, whole, colours)
    late = shown[epochs >= 0.75 * epochs[-1]]  # what the word stands below
    _name(film, epochs[-1], float(late.min()), "ELBO, test", colours.posterior, above=False)
    if len(points.epochs):
        word = "log p(x), exact" if exact else "log p(x), estimate"
        _name(film, points.epochs[-1], points.log_evidence[-1], word, colours.posterior, above=True)
    _now(film, epochs, shown, colours)
    return film


def terms(
    epochs: np.ndarray, reconstruction: Sequence[np.ndarray], kl: Sequence[np.ndarray], *,
    dark: bool = False, height: int = 150,
) -> Film:  # fmt: skip
    """Reconstruction left and KL to the prior right, each (test, train) over the epochs."""
    colours = theme.tokens(dark)
    layout: dict[str, Any] = {}
    for i, (pair, domain) in enumerate(((reconstruction, _LEFT), (kl, _RIGHT))):
        low, high = _range(epochs, pair, [], rising=i == 0)
        name = "" if i == 0 else "2"
        layout[f"xaxis{name}"] = {**_epochs(epochs), "domain": list(domain), "anchor": f"y{name}"}
        layout[f"yaxis{name}"] = {"range": [low, high], "anchor": f"x{name}", **theme.ticks(low, high)}
    base = theme.template(colours)["layout"]
    for name in ("xaxis2", "yaxis2"):
        layout[name] = {**base[name[:5]], **layout[name]}
    made = theme.figure(colours, height=height, margin=_MARGIN, uirevision="terms", **layout)
    film = Film(made, len(epochs))
    inks = colours.text, colours.muted
    for pair, name, colour in ((reconstruction, "", inks[0]), (kl, "2", inks[1])):
        _draw_halves(film, epochs, pair[0], pair[1], colour, colours, axis=name)
        _now(film, epochs, pair[0], colours, axis=name)
    return film


def by_latent(epochs: np.ndarray, kl: np.ndarray, *, dark: bool = False, height: int = 150) -> Film:
    """KL of every latent (T, latent) over the epochs as a map; frame t marks epoch t.

    The colours reach to the most of the later half: a warm-up's first epochs would swamp all others.
    """
    colours = theme.tokens(dark)
    latent = kl.shape[1]
    up = {"range": [latent + 0.5, 0.5], "title": {"text": "latent"}, "tickmode": "array"}
    shown = [i for i in range(1, latent + 1) if latent <= 8 or i % (1 + latent // 8) == 1]
    up |= {"tickvals": shown, "ticktext": [str(i) for i in shown]}
    margin = Margin(44, 58, 8, 34)
    made = theme.figure(colours, height=height, margin=margin, xaxis=_epochs(epochs), yaxis=up)
    film = Film(made, len(epochs))
    top = max(float(kl[epochs >= 0.5 * epochs[-1]].max()), 1e-6)
    small = {"size": 11, "color": colours.muted}
    bar = {"thickness": 8, "outlinewidth": 0, "x": 1.01, "xpad": 2, "nticks": 4, "tickfont": small}
    bar["title"] = {"text": "nats", "font": small}
    if kl.max() > top:
        bar |= {"ticksuffix": "+", "showticksuffix": "last"}
    scale = [list(stop) for stop in colours.landscape]
    told = "latent %{y}, epoch %{x:.0f}<br>KL %{z:.3f} nats<extra></extra>"
    film.figure.add_trace(
        {"type": "heatmap", "x": epochs.tolist(), "y": list(range(1, latent + 1)), "colorscale": scale,
         "z": np.round(kl.T, 4).tolist(), "zmin": 0.0, "zmax": top, "colorbar": bar, "hovertemplate": told}
    )  # fmt: skip
    line = {"width": 1.25, "color": colours.muted, "dash": "3px,3px"}
    spans = np.tile([0.5, latent + 0.5], (len(epochs), 1))
    moving(film, scatter(mode="lines", line=line), np.stack([epochs, epochs], 1), spans)
    return film


def _epochs(epochs: np.ndarray) -> dict[str, Any]:
    last = max(float(epochs[-1]), 1.0)
    return {"title": {"text": "epoch"}, "range": [-0.02 * last, 1.02 * last], "nticks": 6}


def _range(
    epochs: np.ndarray, lines: Sequence[np.ndarray], more: Sequence[np.ndarray], rising: bool = True
) -> tuple[float, float]:
    """From the least to the most that is to be seen: the first steep epochs are left out at the bottom."""
    late = epochs >= _SETTLED * epochs[-1]
    seen = np.concatenate(
        [line[late] if rising else line for line in lines] + [np.asarray(m) for m in more[:1]]
    )
    seen = seen[np.isfinite(seen)]
    floor = np.concatenate([line[late] for line in lines])
    low = float((floor if rising else seen).min())
    high = float(seen.max())
    size = max(high - low, 1e-3 if len(epochs) > 1 else 1.0)
    return low - 0.08 * size, high + 0.16 * size


def _draw_halves(
    film: Film, epochs: np.ndarray, test: np.ndarray, train: np.ndarray, colour: str, colours: Tokens,
    axis: str = "",
) -> None:  # fmt: skip
    """Test as a line, train dashed."""
    where = {"xaxis": f"x{axis}", "yaxis": f"y{axis}"}
    for values, name, line in (
        (train, "train", {"color": colours.muted, "width": 1.25, "dash": "4px,3px"}),
        (test, "test", {"color": colour, "width": 2}),
    ):
        told = f"{name}, epoch %{{x:.0f}}<br>%{{y:.3f}} nats<extra></extra>"
        film.figure.add_trace(
            scatter(x=epochs.tolist(), y=np.round(values, 5).tolist(), mode="lines", line=line,
                    hovertemplate=told, **where)
        )  # fmt: skip


def _draw_gap(film: Film, points: Points, colours: Tokens) -> None:
    """The exact ELBO, and the space between it and log p(x): KL(q || p(z | x))."""
    told = "ELBO, exact<br>epoch %{x:.0f}<br>%{y:.3f} nats<extra></extra>"
    line = {"color": colours.posterior, "width": 2}
    film.figure.add_trace(
        scatter(x=points.epochs.tolist(), y=points.elbo.tolist(), mode="lines", line=line, hovertemplate=told)
    )
    x = np.concatenate([points.epochs, points.epochs[::-1]]).tolist()
    y = np.concatenate([points.log_evidence, points.elbo[::-1]]).tolist()
    film.figure.add_trace(
        scatter(x=x, y=y, mode="lines", line={"width": 0}, fill="toself", fillcolor=fill(colours.gap, 0.12),
                hoverinfo="skip")
    )  # fmt: skip


def _draw_evidence(film: Film, points: Points, exact: bool, whole: bool, colours: Tokens) -> None:
    """log p(x): a line on a way that is known, else dots; rings with error bars where it is estimated."""
    disc = {"size": 6, "color": colours.posterior if exact else colours.bg, "opacity": 1}
    disc["line"] = {"width": 1.5, "color": colours.posterior}
    bars = {} if exact else {"error_y": {"array": (2 * points.errors).tolist(), "width": 3, "thickness": 1}}
    line = {"color": colours.posterior, "width": 2}
    told = (
        f"log p(x), {'exact' if exact else 'estimate'}<br>epoch %{{x:.0f}}<br>%{{y:.3f}} nats<extra></extra>"
    )
    film.figure.add_trace(
        scatter(x=points.epochs.tolist(), y=points.log_evidence.tolist(),
                mode="lines" if whole else "markers", marker=disc, line=line, hovertemplate=told,
                cliponaxis=False, **bars)
    )  # fmt: skip


def _name(film: Film, x: float, y: float, word: str, colour: str, *, above: bool) -> None:
    place = {
        "xanchor": "right" if x > 0 else "left",
        "yanchor": "bottom" if above else "top",
        "yshift": 4 if above else -4,
    }
    film.figure.add_annotation(
        text=word, x=float(x), y=float(y), showarrow=False, font={"color": colour}, **place
    )


def _now(film: Film, epochs: np.ndarray, values: np.ndarray, colours: Tokens, axis: str = "") -> None:
    """The ring at the current frame."""
    where = {"xaxis": f"x{axis}", "yaxis": f"y{axis}"}
    moving(
        film,
        scatter(mode="markers", marker=ring(colours), cliponaxis=False, **where),
        epochs[:, None],
        values[:, None],
    )
