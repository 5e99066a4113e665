"""Estimates of p(x) and of log p(x), many times over: their histograms, and their means over K."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import Drawing, Trace, scatter
from lvmviz.figures.film import Film
from lvmviz.figures.marks import annotate, moving, ring
from lvmviz.figures.theme import Margin, Tokens, fill, number

HEIGHT, LOW = 338, 186
BINS = 30
NARROW = 0.03  # of the panel: a bias that has no room for its name stands in the table alone
NEAR = 0.6, 1.5  # estimates of p(x) that need no 0 beside them, in units of p(x)
_LEFT, _RIGHT = (0.0, 0.45), (0.55, 1.0)  # the two panels, in parts of the width
_MARGIN = Margin(l=44, t=40)
_OVER_K = Margin(l=56, t=22)


class Ray(NamedTuple):
    """An upright line in a panel, with words above it."""

    x: float
    text: str
    colour: str
    ink: str  # of the words
    dash: str = "solid"


def histograms(
    relative: np.ndarray, log_estimates: np.ndarray, log_evidence: float, mean: tuple[float, float],
    *, dark: bool = False, height: int = HEIGHT,
) -> Drawing:  # fmt: skip
    """Estimates of p(x), in units of it, left, and of log p(x), nats, right; (R,) each, with the truth.

    `mean` is that of the estimates of log p(x), with its standard error: its distance to the truth is the
    bias of the log.
    """
    colours = theme.tokens(dark)
    left, right = _edges_of_p(relative), _edges_of_log(log_estimates, log_evidence)
    counts = [_counts(values, edges) for values, edges in ((relative, left), (log_estimates, right))]
    made = theme.figure(
        colours, height=height, margin=_MARGIN, uirevision="histograms", bargap=0,
        **_panels((left, right), counts, colours),
    )  # fmt: skip
    truth = colours.posterior
    average, rough = float(relative.mean()), _error(relative)
    told = f"mean {_short(average)} ± {_short(rough)}"
    rays = [Ray(1.0, "p(x)", truth, truth), Ray(average, told, colours.q_mark, colours.q_text, "5px,4px")]
    _panel(made, left, counts[0], rays, "", colours)
    _say_beyond(made, relative, left, colours)
    log_mean, error = mean
    told = f"mean {number(log_mean, 2)} ± {_short(error)}"
    rays = [
        Ray(log_evidence, f"log p(x) {number(log_evidence, 2)}", truth, truth),
        Ray(log_mean, told, colours.q_mark, colours.q_text, "5px,4px"),
    ]
    _panel(made, right, counts[1], rays, "2", colours)
    _say_bias(made, log_mean, log_evidence, error, right, colours)
    return made


def _error(values: np.ndarray) -> float:
    """The standard error of their mean."""
    if len(values) < 2:
        return math.inf
    top = max(float(np.abs(values).max()), 1e-300)  # the square of what is huge has no room
    return top * float((values / top).std(ddof=1)) / math.sqrt(len(values))


def _short(x: float) -> str:
    """Two or three digits, whatever its size."""
    if not math.isfinite(x):
        return number(x, 0)
    if x == 0.0 or 0.01 <= abs(x) < 1000:
        return number(x, 2)
    mantissa, power = f"{x:.1e}".split("e")
    return f"{mantissa}e{int(power)}".replace("-", "−")


def _edges_of_p(relative: np.ndarray) -> np.ndarray:
    """Round the truth where all are near it; else from 0 to where nearly all are: few may lie far beyond."""
    if relative.min() > NEAR[0] and relative.max() < NEAR[1]:
        return _edges_of_log(relative, 1.0)
    high = max(2.0, min(float(relative.max()), 3.0 * float(np.quantile(relative, 0.95)), 10.0))
    return np.linspace(0.0, high, BINS + 1)


def _edges_of_log(values: np.ndarray, truth: float) -> np.ndarray:
    low, high = min(float(values.min()), truth), max(float(values.max()), truth)
    room = max(0.05 * (high - low), 1e-3 * max(1.0, abs(truth)) if high == low else 0.0, 1e-9)
    return np.linspace(low - room, high + room, BINS + 1)


def _counts(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.histogram(values, edges)[0]


def _panels(
    edges: Sequence[np.ndarray], counts: Sequence[np.ndarray], colours: Tokens
) -> dict[str, dict[str, Any]]:
    base, layout = theme.template(colours)["layout"], {}
    titles = "estimates of p(x), in units of p(x)", "estimates of log p(x), nats"
    for i, domain in enumerate((_LEFT, _RIGHT)):
        name, top = ("", "2")[i], 1.12 * max(float(counts[i].max()), 1.0)
        low, high = float(edges[i][0]), float(edges[i][-1])
        across = {
            "domain": list(domain),
            "anchor": f"y{name}",
            "range": [low, high],
            "tickangle": 0,
            **_few_ticks(low, high),
        }
        layout[f"xaxis{name}"] = {
            **base["xaxis"],
            **across,
            "title": {**base["xaxis"]["title"], "text": titles[i]},
        }
        up = {"anchor": f"x{name}", "range": [0, top], "rangemode": "tozero", **theme.ticks(0.0, top, 4)}
        layout[f"yaxis{name}"] = {**base["yaxis"], **up}
    layout["yaxis"]["title"] = {**base["yaxis"]["title"], "text": "repeats"}
    return layout


def _few_ticks(low: float, high: float) -> dict[str, Any]:
    """At most four, as long numbers need room."""
    made = theme.ticks(low, high, 3)
    apart = -(-len(made["tickvals"]) // 4)
    return made | {name: made[name][::apart] for name in ("tickvals", "ticktext")}


def _panel(
    made: Drawing, edges: np.ndarray, counts: np.ndarray, rays: Sequence[Ray], name: str, colours: Tokens
) -> None:
    axes = {"xaxis": f"x{name}", "yaxis": f"y{name}"}
    made.add_trace({**_steps(edges, counts, colours), **axes, "name": "repeats"})
    low, high = float(edges[0]), float(edges[-1])
    for level, ray in enumerate(rays):
        x = min(max(ray.x, low), high)
        line = {"color": ray.colour, "width": 2, "dash": ray.dash}
        made.add_shape(
            type="line", x0=x, x1=x, y0=0, y1=1, xref=f"x{name}", yref=f"y{name} domain", line=line
        )
        anchor = (
            "right" if x > 0.55 * high + 0.45 * low else "left" if x < 0.45 * high + 0.55 * low else "center"
        )
        arrow = " →" if ray.x > high else " ←" if ray.x < low else ""
        place = {"x": x, "y": 1.0, "xref": f"x{name}", "yref": f"y{name} domain", "xanchor": anchor}
        made.add_annotation(
            text=ray.text + arrow, showarrow=False, font={"color": ray.ink}, yanchor="bottom",
            yshift=16 * (len(rays) - 1 - level), borderpad=0, **place,
        )  # fmt: skip


def _steps(edges: np.ndarray, counts: np.ndarray, colours: Tokens) -> Trace:
    """Outlined, as all that comes from q is."""
    x, y = np.repeat(edges, 2), np.concatenate([[0], np.repeat(counts, 2), [0]])
    line = {"color": colours.q_mark, "width": 1.75}
    return scatter(
        x=np.round(x, 6).tolist(), y=y.tolist(), mode="lines", line=line, fill="tozeroy",
        fillcolor=fill(colours.q_mark, 0.08), hoverinfo="skip",
    )  # fmt: skip


def _say_beyond(made: Drawing, relative: np.ndarray, edges: np.ndarray, colours: Tokens) -> None:
    """How many estimates the left panel leaves out, and how far they go."""
    beyond = relative[relative > edges[-1]]
    if not len(beyond):
        return
    text = f"{len(beyond)} beyond,<br>up to {_short(float(beyond.max()))} →"
    place = {"x": _LEFT[1], "y": 0.6, "xref": "paper", "yref": "paper", "xanchor": "right", "align": "right"}
    made.add_annotation(text=text, showarrow=False, font={"color": colours.q_text}, **place)


def _say_bias(
    made: Drawing, mean: float, truth: float, error: float, edges: np.ndarray, colours: Tokens
) -> None:
    """The distance between the two lines, hatched as every gap is."""
    low, high = min(mean, truth), max(mean, truth)
    width = float(edges[-1] - edges[0])
    if abs(mean - truth) < NARROW * width:
        return
    band = scatter(
        x=[low, high, high, low, low], y=[0.0, 0.0, 1.0, 1.0, 0.0], mode="lines", line={"width": 0},
        fill="toself", fillpattern={**theme.HATCH, "fgcolor": colours.gap, "fgopacity": 0.35,
                                    "bgcolor": fill(colours.gap, 0.06)},
        hoverinfo="skip", xaxis="x2", yaxis="y2", name="bias",
    )  # fmt: skip
    top = made.to_plotly_json()["layout"]["yaxis2"]["range"][1]
    made.add_trace({**band, "y": [value * top for value in band["y"]]})
    text = f"bias {number(mean - truth, 2)} ± {_short(error)}"
    middle = min(max(0.5 * (low + high), edges[0] + 0.2 * width), edges[-1] - 0.2 * width)
    made.add_annotation(
        text=text, showarrow=False, x=float(middle), y=0.8, xref="x2", yref="y2 domain",
        font={"color": colours.gap}, bgcolor=fill(colours.bg, 0.85), borderpad=2,
    )  # fmt: skip


# ---- over K ----


class Line(NamedTuple):
    """Estimates of log p(x) over k."""

    counts: np.ndarray  # (T,)
    estimates: np.ndarray  # (R, T) nats
    means: np.ndarray  # (T,)
    errors: np.ndarray  # (T,)


def over_k(
    line: Line, log_evidence: float, exact: tuple[np.ndarray, np.ndarray] | None, *,
    some: int = 4, film: bool = False, dark: bool = False, height: int = LOW,
) -> Film:  # fmt: skip
    """The mean over repeats with a band of two standard errors, under log p(x); diamonds are exact.

    `some` single repeats are thin lines. As a film it has a ring at the k of the frame.
    """
    colours = theme.tokens(dark)
    low, high = _span(line, log_evidence, exact)
    x = _decades(int(line.counts[-1]))
    y = {"title": {"text": "nats"}, "range": [low, high], **theme.ticks(low, high)}
    made = theme.figure(colours, height=height, margin=_OVER_K, uirevision="over-k", xaxis=x, yaxis=y)
    shown = Film(made, len(line.counts) if film else 1)
    at = np.log10(line.counts)
    _draw_band(shown, at, line, low, log_evidence, colours)
    for row in line.estimates[:some]:
        thin = {"color": fill(colours.q_mark, 0.45), "width": 1}
        _flat(shown, at, np.maximum(row, low - 9 * (high - low)), thin, "a repeat")
    _flat(shown, at, line.means, {"color": colours.q_mark, "width": 2.5}, "mean over repeats")
    blue = {"color": colours.posterior, "width": 2}
    _flat(shown, at[[0, -1]], np.full(2, log_evidence), blue, "log p(x)")
    if exact is not None:
        marker = {"symbol": "diamond", "size": 8, "color": colours.posterior, "opacity": 1,
                  "line": {"width": 1.5, "color": colours.bg}}  # fmt: skip
        told = {"mode": "markers", "marker": marker, "hoverinfo": "skip", "name": "exact"}
        made.add_trace(scatter(x=np.log10(exact[0]).tolist(), y=exact[1].tolist(), cliponaxis=False, **told))
    if film:
        kept = np.maximum(line.means, low)[:, None]
        moving(shown, scatter(mode="markers", marker=ring(colours), cliponaxis=False), at[:, None], kept)
    _name(shown, line, log_evidence, film, colours)
    return shown


def _span(
    line: Line, log_evidence: float, exact: tuple[np.ndarray, np.ndarray] | None
) -> tuple[float, float]:
    """All means, and most of the repeats."""
    values = [line.means, np.array([log_evidence]), *([] if exact is None else [exact[1]])]
    values += [np.quantile(line.estimates[:, -1], [0.05, 0.95]), np.quantile(line.estimates[:, 0], [0.75])]
    every = np.concatenate(values)
    every = every[np.isfinite(every)]
    room = max(float(every.max() - every.min()), 1e-3 * max(1.0, abs(log_evidence)), 1e-9)
    return float(every.min()) - 0.06 * room, float(every.max()) + 0.22 * room


def _decades(most: int) -> dict[str, Any]:
    powers = list(range(int(math.log10(most)) + 1))
    texts = [f"{10**power:,}" for power in powers]
    end = max(math.log10(most), 0.3)
    ticks = {"tickmode": "array", "tickvals": powers, "ticktext": texts}
    return {"title": {"text": "draws K"}, "range": [-0.02 * end, 1.02 * end], **ticks}


def _draw_band(
    film: Film, at: np.ndarray, line: Line, low: float, log_evidence: float, colours: Tokens
) -> None:
    means = np.nan_to_num(line.means, nan=low)
    half = 2.0 * np.nan_to_num(line.errors, posinf=0.0)
    area = {"mode": "lines", "line": {"width": 0}, "fill": "toself", "hoverinfo": "skip"}
    around = np.concatenate([at, at[::-1]]).tolist()
    gap = np.concatenate([np.full(len(at), log_evidence), np.minimum(means, log_evidence)[::-1]]).tolist()
    film.figure.add_trace(scatter(x=around, y=gap, fillcolor=fill(colours.gap, 0.1), **area, name="gap"))
    band = np.concatenate([means + half, (means - half)[::-1]]).tolist()
    film.figure.add_trace(
        scatter(x=around, y=band, fillcolor=fill(colours.q_mark, 0.22), **area, name="± 2 se")
    )


def _flat(film: Film, x: np.ndarray, y: np.ndarray, line: dict[str, Any], name: str) -> None:
    values = [value if np.isfinite(value) else None for value in np.round(y, 6).tolist()]
    style = {
        "mode": "lines" if len(values) > 1 else "markers",
        "line": line,
        "marker": {"color": line["color"]},
    }
    film.figure.add_trace(scatter(x=x.tolist(), y=values, hoverinfo="skip", name=name, **style))


def _name(film: Film, line: Line, log_evidence: float, moves: bool, colours: Tokens) -> None:
    """The mean above the plot, log p(x) above its line."""
    top = {"yref": "paper", "y": 1.0, "xref": "paper", "yanchor": "bottom", "yshift": 3, "showarrow": False}
    note = {"x": 0.0, "xanchor": "left", "xshift": -40, "font": {"color": colours.q_text}, **top}
    told = [_told(*row) for row in zip(line.counts.tolist(), line.means, line.errors, strict=True)]
    if moves:
        annotate(film, note, {"text": told})
    else:
        film.figure.add_annotation(text=told[-1], **note)
    place = {"x": 1.0, "xref": "x domain", "xanchor": "right", "y": log_evidence, "yanchor": "bottom"}
    ground = {"bgcolor": fill(colours.bg, 0.7), "borderpad": 1, "yshift": 2, "showarrow": False}
    word = f"log p(x) {number(log_evidence, 2)}"
    film.figure.add_annotation(text=word, font={"color": colours.posterior}, **place, **ground)


def _told(count: int, mean: float, error: float) -> str:
    return f"K = {count:,}: mean {number(float(mean), 2)} ± {_short(float(error))}"
