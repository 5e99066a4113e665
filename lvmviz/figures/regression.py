"""Bayesian linear regression: the evidence over (beta, lambda) with paths, functions, weights, precisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import Trace, scatter
from lvmviz.figures.film import Film
from lvmviz.figures.fit_landscape import _draw_contours, _log_ticks, _within
from lvmviz.figures.marks import annotate, moving
from lvmviz.figures.mixture_points import plain
from lvmviz.figures.theme import Tokens, fill, number
from lvmviz.summaries.regression import Functions, Surface, Weights

HEIGHT = 318
DASHES = ("6px,4px", "1.5px,3px")
TITLES = ("β, precision of the noise", "λ, precision of the weights")
SIGNS = ("╌", "┈")


def contour(
    surface: Surface,
    path: np.ndarray,
    others: Mapping[str, np.ndarray],
    *,
    name: str,
    dark: bool = False,
    height: int = HEIGHT,
) -> Film:
    """The log evidence over beta and lambda, the path (T, 2) of one run over it, and those of others."""
    colours = theme.tokens(dark)
    ends = [np.log10([grid[0], grid[-1]]) for grid in (surface.beta, surface.lambda_)]
    x, y = (_log_axis(title, end) for title, end in zip(TITLES, ends, strict=True))
    made = theme.figure(colours, height=height, margin=theme.Margin(l=50), uirevision="contour", xaxis=x,
                        yaxis=y)  # fmt: skip
    film = Film(made, len(path))
    top = float(surface.value.max())
    _draw_contours(film, surface.beta, surface.lambda_, surface.value, top, ("β", "λ"), 3, colours)
    for number_, way in enumerate(others.values()):
        line = {"width": 1.5, "color": colours.text, "dash": DASHES[number_ % 2]}
        _draw_way(film, way, ends, {"line": line, "mode": "lines"})
        end = {"size": 6, "color": colours.text, "opacity": 1}
        _draw_way(film, way[-1:], ends, {"mode": "markers", "marker": end})
    green = {"width": 2.5, "color": colours.theta_mark}
    dots = {"size": 4, "color": colours.theta_mark, "opacity": 1}
    _draw_way(film, path, ends, {"mode": "lines+markers", "line": green, "marker": dots})
    _draw_top(film, surface, colours)
    held = _held(path, ends)
    ring = {
        "size": 13,
        "color": colours.bg,
        "opacity": 1,
        "line": {"width": 2.5, "color": colours.theta_mark},
    }
    moving(film, scatter(mode="markers", marker=ring, cliponaxis=False), held[:, :1], held[:, 1:])
    _name(film, [(f"━ {name}", colours.theta_text),
                 *((f"{sign} {other}", colours.text) for sign, other in zip(SIGNS, others, strict=False)),
                 ("× highest", colours.text)], colours)  # fmt: skip
    return film


def _log_axis(title: str, end: np.ndarray) -> Trace:
    """An axis of precisions between two powers of ten."""
    ticks = _log_ticks(*(10.0**end).tolist())
    return {"title": {"text": title}, "type": "log", "range": end.tolist(), **ticks}


def _held(path: np.ndarray, ends: Sequence[np.ndarray]) -> np.ndarray:
    """A path (T, 2) held within the axes."""
    logs = np.log10(np.clip(path, 1e-300, 1e300))
    return 10.0 ** np.stack([_within(logs[:, i], *ends[i].tolist()) for i in (0, 1)], 1)


def _draw_way(film: Film, way: np.ndarray, ends: Sequence[np.ndarray], look: Trace) -> None:
    held = _held(way, ends)
    film.figure.add_trace(scatter(x=held[:, 0].tolist(), y=held[:, 1].tolist(), hoverinfo="skip", **look))


def _draw_top(film: Film, surface: Surface, colours: Tokens) -> None:
    """A cross at the highest place of the grid, where it lies inside."""
    row, column = np.unravel_index(int(surface.value.argmax()), surface.value.shape)
    if 0 < row < len(surface.lambda_) - 1 and 0 < column < len(surface.beta) - 1:
        cross = {"symbol": "x-thin", "size": 11, "opacity": 1, "line": {"width": 2, "color": colours.text}}
        place = {"x": [float(surface.beta[column])], "y": [float(surface.lambda_[row])]}
        film.figure.add_trace(scatter(mode="markers", marker=cross, hoverinfo="skip", **place))


def _name(film: Film, words: Sequence[tuple[str, str]], colours: Tokens) -> None:
    """What each mark is, in the upper left corner."""
    for line, (text, colour) in enumerate(words):
        place = {"xref": "paper", "yref": "paper", "x": 0.0, "y": 1.0, "xanchor": "left", "yanchor": "top"}
        film.figure.add_annotation(
            text=text, font={"size": 11, "color": colour}, showarrow=False, bgcolor=fill(colours.bg, 0.75),
            borderpad=1, yshift=-15 * line, xshift=4, **place,
        )  # fmt: skip


# ---- what the weights mean ----


def functions(made: Functions, *, dark: bool = False, height: int = HEIGHT) -> Film:
    """Functions drawn from q (outlined) over the posterior's mean and two sd (filled), with the points."""
    colours = theme.tokens(dark)
    count = len(made.mean)
    film = _plane(made.inputs, made.targets, count, colours, height)
    there, back = np.tile(made.x, (count, 1)), np.tile(made.x[::-1], (count, 1))
    area = scatter(mode="lines", line={"width": 1.5, "color": colours.posterior}, fill="toself",
                   fillcolor=fill(colours.posterior, 0.13))  # fmt: skip
    moving(film, area, np.concatenate([there, back], 1), np.concatenate([made.high, made.low[:, ::-1]], 1))
    thin = {"width": 1, "color": fill(colours.q_mark, 0.7)}
    for curve in range(made.drawn.shape[1]):
        moving(film, scatter(mode="lines", line=thin), there, made.drawn[:, curve])
    moving(film, scatter(mode="lines", line={"width": 2.5, "color": colours.q_mark}), there, made.mean)
    _draw_points(film, made.inputs, made.targets, colours)
    _name(film, [("━ q: its mean, functions drawn", colours.q_text),
                 ("▬ posterior at θ, mean ± 2 sd", colours.posterior)], colours)  # fmt: skip
    return film


def _plane(inputs: np.ndarray, targets: np.ndarray, count: int, colours: Tokens, height: int) -> Film:
    low, high = float(targets.min()), float(targets.max())
    pad = 0.35 * (high - low) or 1.0
    up = [low - pad, high + 1.2 * pad]
    x = {"title": {"text": "x"}, "range": [-1.04, 1.04], **theme.ticks(-1.0, 1.0)}
    y = {"title": {"text": "y"}, "range": up, **theme.ticks(up[0], up[1])}
    return Film(theme.figure(colours, height=height, uirevision="functions", xaxis=x, yaxis=y), count)


def _draw_points(film: Film, inputs: np.ndarray, targets: np.ndarray, colours: Tokens) -> None:
    size = float(np.clip(7.0 * (60 / max(len(inputs), 1)) ** 0.25, 3.5, 7.0))
    marker = {"size": size, "color": colours.text, "opacity": 1, "line": {"width": 1, "color": colours.bg}}
    told = "x %{x:.3f}<br>y %{y:.3f}<extra></extra>"
    film.figure.add_trace(
        scatter(x=inputs.tolist(), y=targets.tolist(), mode="markers", marker=marker, hovertemplate=told)
    )


def weights(made: Weights, columns: Sequence[str], *, dark: bool = False, height: int = HEIGHT) -> Film:
    """Every weight's q (outlined) and posterior (a bar), mean and one sd, with least squares as a cross."""
    colours = theme.tokens(dark)
    count, rows = made.q.shape
    place = np.arange(rows)[::-1].astype(float)
    ends = [made.q[1:] - made.q_sd[1:], made.q[1:] + made.q_sd[1:], made.least_squares[None]]
    reach = 1.08 * max(float(np.abs(part).max(initial=1e-9)) for part in ends)
    x = {"title": {"text": "weight"}, "range": [-reach, reach], **theme.ticks(-reach, reach)}
    names = [plain(name[:18]) for name in columns]
    y = {"range": [-0.7, rows - 0.1], "tickmode": "array", "tickvals": place.tolist(), "ticktext": names}
    margin = theme.Margin(l=min(130, 20 + 6 * max(map(len, names))))
    film = Film(theme.figure(colours, height=height, margin=margin, xaxis=x, yaxis=y), count)
    blue = {"width": 7, "color": fill(colours.posterior, 0.35)}
    _draw_bars(film, made.posterior, made.posterior_sd, place + 0.12, blue)
    _draw_bars(film, made.q, made.q_sd, place - 0.12, {"width": 1.5, "color": colours.q_mark})
    ring = {"size": 7, "color": colours.bg, "opacity": 1, "line": {"width": 1.5, "color": colours.q_mark}}
    moving(film, scatter(mode="markers", marker=ring), made.q, np.tile(place - 0.12, (count, 1)))
    cross = {"symbol": "x-thin", "size": 7, "opacity": 1, "line": {"width": 1.5, "color": colours.text}}
    film.figure.add_trace(
        scatter(x=made.least_squares.tolist(), y=place.tolist(), mode="markers", marker=cross,
                hovertemplate="least squares %{x:.3f}<extra></extra>")
    )  # fmt: skip
    return film


def _draw_bars(film: Film, means: np.ndarray, sds: np.ndarray, y: np.ndarray, line: Trace) -> None:
    """Bars (T, D) of one sd to both sides, a break after each."""
    none = np.full_like(means, np.nan)
    x = np.stack([means - sds, means + sds, none], 2).reshape(len(means), -1)
    up = np.stack([y, y, np.full_like(y, np.nan)], 1).ravel()
    film.figure.add_trace(scatter(x=x[0].tolist(), y=up.tolist(), mode="lines", line=line, hoverinfo="skip"))
    film.numbers(film.last(), "x", x)


# ---- roles swapped ----


def precisions(
    grid: np.ndarray,
    prior: np.ndarray,
    q: np.ndarray,
    posterior: np.ndarray,
    *,
    dark: bool = False,
    height: int = HEIGHT,
) -> Film:
    """Densities of beta and lambda over a common log axis (G,): a prior (2, G), q and posterior (T, 2, G).

    Densities are those of the logarithm; beta stands below, lambda above.
    """
    colours = theme.tokens(dark)
    count, tops = len(q), np.maximum(q[1:].max((0, 2), initial=1e-9), posterior.max((0, 2)))
    ends = np.log10(grid[[0, -1]])
    x = {
        "title": {"text": "precision"},
        "type": "log",
        "range": ends.tolist(),
        **_log_ticks(*grid[[0, -1]].tolist()),
    }
    y = {"range": [-0.03, 2.62], "tickmode": "array", "tickvals": [0.45, 1.55], "ticktext": ["β", "λ"],
         "ticklen": 0}  # above both: room for the words  # fmt: skip
    film = Film(theme.figure(colours, height=height, uirevision="precisions", xaxis=x, yaxis=y), count)
    for row in (0, 1):
        floor = 1.1 * row
        place = np.tile(grid, (count, 1))
        lift = lambda part: floor + np.minimum(part / tops[row], 1.02)  # noqa: B023, E731
        flat = np.tile(np.full_like(grid, floor), (1, 1))
        area = scatter(mode="lines", line={"width": 2.5, "color": colours.posterior}, fill="toself",
                       fillcolor=fill(colours.posterior, 0.13))  # fmt: skip
        closed = np.concatenate([lift(posterior[:, row]), np.tile(flat[:, ::-1], (count, 1))], 1)
        moving(film, area, np.concatenate([place, place[:, ::-1]], 1), closed)
        grey = {"width": 1.25, "color": colours.prior, "dash": "4px,4px"}
        moving(film, scatter(mode="lines", line=grey), grid[None], lift(prior[row])[None])
        moving(
            film, scatter(mode="lines", line={"width": 2.5, "color": colours.q_mark}), place, lift(q[:, row])
        )
    _name(film, [("╌ prior", colours.muted), ("━ q(β), q(λ)", colours.q_text),
                 ("▬ posterior given w", colours.posterior)], colours)  # fmt: skip
    return film


def curve(
    x: np.ndarray,
    fitted: np.ndarray,
    inputs: np.ndarray,
    targets: np.ndarray,
    noise: np.ndarray,
    *,
    dark: bool = False,
    height: int = HEIGHT,
) -> Film:
    """The one function (T, G) that the weights are, the noise's sd (T,) that q expects, and the points."""
    colours = theme.tokens(dark)
    film = _plane(inputs, targets, len(fitted), colours, height)
    there = np.tile(x, (len(fitted), 1))
    green = {"width": 2.5, "color": colours.theta_mark}
    moving(film, scatter(mode="lines", line=green), there, fitted)
    for sign in (-1.0, 1.0):
        dashed = {"width": 1, "color": colours.q_mark, "dash": "4px,4px"}
        moving(film, scatter(mode="lines", line=dashed), there, fitted + sign * noise[:, None])
    _draw_points(film, inputs, targets, colours)
    words = [f"╌ noise: sd 1/√E[β] = {number(sd, 3)}" for sd in noise.tolist()]
    place = {"xref": "paper", "yref": "paper", "x": 0.0, "y": 1.0, "xanchor": "left", "yanchor": "top"}
    note = {"font": {"size": 11, "color": colours.q_text}, "showarrow": False, "yshift": -15, "xshift": 4}
    annotate(film, {**note, **place}, {"text": words})
    _name(film, [("━ w, one estimate", colours.theta_text)], colours)
    return film


def estimates(made: np.ndarray, least_squares: np.ndarray, columns: Sequence[str], *, dark: bool = False,
              height: int = HEIGHT) -> Film:  # fmt: skip
    """The weights (T, D) as dots, with least squares as crosses."""
    none = np.zeros_like(made)
    return weights(Weights(made, none, made, none, least_squares), columns, dark=dark, height=height)
