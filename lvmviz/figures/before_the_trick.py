"""Two gradients from ever more draws: that of the log of a mean, and that of a mean of logs."""

from __future__ import annotations

from typing import Any

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import Drawing, scatter
from lvmviz.figures.gradients import told
from lvmviz.figures.theme import Margin, Tokens, fill

HEIGHT = 400
_MARGIN = Margin(l=52, r=12, t=8)
_TAILS = (0.05, 0.95)  # between which nine of ten estimates lie


def picture(
    counts: np.ndarray,
    ratio: np.ndarray,
    elbo: np.ndarray,
    marks: np.ndarray,
    expected: np.ndarray,
    exact: float,
    exact_elbo: float,
    *,
    dark: bool = False,
    height: int = HEIGHT,
) -> Drawing:
    """Estimates (R, T) from the first k draws `counts` (T,), nine tenths shaded; exact values as lines."""
    colours = theme.tokens(dark)
    low, high = _reach(ratio, elbo, expected, exact, exact_elbo)
    made = theme.figure(
        colours, height=height, margin=_MARGIN, xaxis=_draws(counts), uirevision="trick",
        yaxis={"title": {"text": "∂/∂θ"}, "range": [low, high], **theme.ticks(low, high, 5)},
    )  # fmt: skip
    ends = [float(counts[0]), float(counts[-1])]
    _band(made, counts, ratio, colours.prior)
    _band(made, counts, elbo, colours.q_mark)
    _line(made, ends, [exact] * 2, {"color": colours.posterior, "width": 2.5})
    if abs(exact_elbo - exact) > 1e-6 * (1.0 + abs(exact)):
        _line(made, ends, [exact_elbo] * 2, {"color": colours.q_mark, "width": 1.5, "dash": "5px,4px"})
    _line(made, marks, expected, {"color": colours.prior, "width": 2.5, "dash": "2px,3px"})
    _names(made, counts, ratio, elbo, exact, exact_elbo, (low, high), colours)
    return made


def _reach(*parts: Any) -> tuple[float, float]:
    """All means, and nine tenths of all estimates but those of the very first draws."""
    ratio, elbo, expected, exact, exact_elbo = parts
    wide = [np.quantile(part[:, min(2, part.shape[1] - 1) :], _TAILS, axis=0) for part in (ratio, elbo)]
    every = np.concatenate([*(band.ravel() for band in wide), expected, [exact, exact_elbo]])
    room = 0.05 * float(np.ptp(every)) or 1.0
    return float(every.min()) - room, float(every.max()) + room


def _draws(counts: np.ndarray) -> dict[str, Any]:
    top = max(float(np.log10(counts[-1])), 0.1)
    values = [10**power for power in range(int(top + 1e-9) + 1)]
    text = [str(value) for value in values]
    return {"type": "log", "title": {"text": "draws K in one estimate"}, "range": [-0.02 * top, 1.02 * top],
            "tickmode": "array", "tickvals": values, "ticktext": text}  # fmt: skip


def _band(made: Drawing, counts: np.ndarray, found: np.ndarray, colour: str) -> None:
    lower, upper = np.quantile(found, _TAILS, axis=0)
    x = np.concatenate([counts, counts[::-1]])
    y = np.concatenate([upper, lower[::-1]])
    made.add_trace(scatter(x=x.tolist(), y=_short(y), mode="lines", line={"width": 0.75, "color": colour},
                           fill="toself", fillcolor=fill(colour, 0.16), hoverinfo="skip"))  # fmt: skip
    _line(made, counts, found.mean(0), {"color": colour, "width": 2.25})


def _line(made: Drawing, x: Any, y: Any, line: dict[str, Any]) -> None:
    made.add_trace(scatter(x=np.asarray(x).tolist(), y=_short(np.asarray(y)), mode="lines", line=line,
                           hovertemplate="K = %{x}: %{y:.3g}<extra></extra>"))  # fmt: skip


def _short(values: np.ndarray) -> list[float]:
    return [float(f"{value:.6g}") for value in values.tolist()]


def _names(
    made: Drawing,
    counts: np.ndarray,
    ratio: np.ndarray,
    elbo: np.ndarray,
    exact: float,
    exact_elbo: float,
    span: tuple[float, float],
    colours: Tokens,
) -> None:
    """Each line's name beside it, where the other is far."""
    box = {"showarrow": False, "borderpad": 1, "bgcolor": fill(colours.bg, 0.85)}
    right = {"x": 1.0, "xref": "paper", "xanchor": "right", "xshift": -4}
    made.add_annotation(text=f"exact ∂ log p(x) = {told(exact)}", y=exact, yanchor="top", yshift=-2,
                        font={"color": colours.posterior}, **right, **box)  # fmt: skip
    if abs(exact_elbo - exact) > 1e-6 * (1.0 + abs(exact)):
        made.add_annotation(text=f"exact ∂ ELBO = {told(exact_elbo)}", y=exact_elbo, yanchor="top", yshift=-2,
                            font={"color": colours.q_text}, **right, **box)  # fmt: skip
    at = len(counts) // 3
    place = {"x": float(np.log10(counts[at])), "xanchor": "left", "xshift": 8}
    above = min(max(float(np.quantile(ratio[:, at], 0.95)), span[0]), span[1])
    made.add_annotation(text="ratio of averages; dotted: expected", y=above,
                        yanchor="bottom" if above < span[1] else "top", font={"color": colours.muted},
                        **place, **box)  # fmt: skip
    below = min(max(float(np.quantile(elbo[:, at], 0.05)), span[0]), span[1])
    made.add_annotation(text="the ELBO's, q's draws", y=below, yanchor="top" if below > span[0] else "bottom",
                        font={"color": colours.q_text}, **place, **box)  # fmt: skip
