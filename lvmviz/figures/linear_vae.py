"""A linear VAE beside probabilistic PCA: the spectrum with the line of the noise, the latents turned."""

from __future__ import annotations

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import Drawing, scatter
from lvmviz.figures.film import Film
from lvmviz.figures.latent import ellipse, outline
from lvmviz.figures.marks import annotate, legend
from lvmviz.figures.theme import Margin, fill, number

SPECTRUM, LATENTS = 300, 300  # heights, px
MOST = 24  # eigenvalues that are drawn


def spectrum(
    eigenvalues: np.ndarray,
    best: float,
    kl: np.ndarray,
    made: np.ndarray,
    noise: np.ndarray,
    own: np.ndarray,
    *,
    dark: bool = False,
    height: int = SPECTRUM,
) -> Film:
    """Eigenvalues (D,) of the data as bars on a log axis, those above sigma^2 `best` with their KL (q,).

    Rings are the model's own (T, q) the green line its noise variance (T,), `own` (T, q) its KLs.
    """
    colours = theme.tokens(dark)
    shown = eigenvalues[:MOST]
    floor = 0.4 * min(best, float(shown[shown > 1e-6 * shown[0]].min()), float(noise.min()))
    top = 4.0 * max(float(shown[0]), float(made.max()))
    low, high = np.log10(floor), np.log10(top)
    decades = range(int(np.ceil(low)), int(np.floor(high)) + 1)
    figure = theme.figure(
        colours,
        height=height,
        margin=Margin(l=52, t=10),
        uirevision="spectrum",
        bargap=0.3,
        xaxis={
            "range": [0.3, len(shown) + 0.7],
            "title": {"text": "principal direction"},
            "dtick": 1 + len(shown) // 12,
            "tick0": 1,
        },
        yaxis={
            "type": "log",
            "range": [low, high],
            "title": {"text": "variance λ"},
            "tickmode": "array",
            "tickvals": [10.0**p for p in decades],
            "ticktext": [f"{10.0**p:g}" for p in decades],
        },
    )
    places = np.arange(1, len(shown) + 1)
    q = made.shape[1]
    active = (places <= q) & (shown > best)
    strength = [fill(colours.text, 0.42 if on else 0.13) for on in active.tolist()]
    figure.add_trace(
        {
            "type": "bar",
            "x": places.tolist(),
            "y": np.maximum(shown, floor).tolist(),
            "base": None,
            "marker": {"color": strength, "line": {"width": 0}},
            "hovertemplate": "direction %{x}<br>variance %{y:.4g}<extra>data</extra>",
        }
    )
    film = Film(figure, len(noise))
    rows = np.repeat(noise[:, None], 2, 1)
    figure.add_trace(
        scatter(
            x=[0.3, len(shown) + 0.7],
            y=rows[0].tolist(),
            mode="lines",
            hoverinfo="skip",
            line={"color": colours.theta_mark, "width": 2},
        )
    )
    film.numbers(film.last(), "y", rows)
    marker = {"size": 11, "color": fill(colours.bg, 0.0), "line": {"width": 2.5, "color": colours.theta_mark}}
    figure.add_trace(
        scatter(
            x=places[:q].tolist(),
            y=made[0].tolist(),
            mode="markers",
            marker=marker,
            hovertemplate="W W' + σ²<br>%{y:.4g}<extra>linear VAE</extra>",
        )
    )
    film.numbers(film.last(), "y", np.maximum(made, floor))
    for k in range(0, min(q, 6) if len(shown) <= 12 else q, 1 if len(shown) <= 12 else 4):  # side by side
        texts = [number(float(value), 2) for value in own[:, k]]
        above = np.log10(np.maximum(made[:, k], max(shown[k], best, floor)))
        note = {
            "x": k + 1,
            "y": float(above[0]),
            "yshift": 14 if len(shown) <= 12 else 20,
            "showarrow": False,
            "text": texts[0],
            "font": {"size": 11, "color": colours.q_text},
        }
        annotate(film, note, {"text": texts, "y": above.tolist()})
    name = {
        "xref": "paper",
        "x": 1.0,
        "xanchor": "right",
        "yshift": 9,
        "showarrow": False,
        "text": "",
        "y": float(np.log10(noise[0])),
        "font": {"size": 12, "color": colours.theta_text},
    }
    told = [f"σ² = {value:.4g}" for value in noise.tolist()]
    annotate(film, name, {"text": told, "y": np.log10(noise).tolist()})
    words = (
        ("bars: the data’s covariance", colours.text),
        ("○ the model’s W Wᵀ + σ²", colours.theta_text),
        ("KL(q‖p(z)) of each latent", colours.q_text),
    )
    legend(figure, words, colours, right=True)
    return film


def latents(
    places: np.ndarray,
    posterior: np.ndarray,
    q: np.ndarray,
    *,
    flat: bool = False,
    dark: bool = False,
    height: int = LATENTS,
) -> Drawing:
    """E[z | x] (n, 2) with the prior's circles; in the middle the ellipses of a posterior and the best q."""
    colours = theme.tokens(dark)
    reach = max(2.4, 1.05 * float(np.abs(places).max()))
    one = {"range": [-reach, reach], "constrain": "domain", **theme.ticks(-reach, reach, 4)}
    made = theme.figure(
        colours,
        height=height,
        margin=Margin(40, 6, 8, 36),
        uirevision="latents",
        xaxis={**one, "constraintoward": "right", "title": {"text": "z<sub>1</sub>"}},
        yaxis={**one, "title": {"text": "z<sub>2</sub>"}, "scaleanchor": "x"},
    )
    for radius in (1.0, 2.0):
        around = ellipse(np.zeros(2), radius * np.eye(2), 1.0)
        made.add_trace(outline(around, {"width": 1.25, "color": colours.prior, "dash": "4px,4px"}))
    made.add_trace(
        scatter(
            x=np.round(places[:, 0], 3).tolist(),
            y=np.round(places[:, 1], 3).tolist(),
            mode="markers",
            hoverinfo="skip",
            marker={"size": 4, "color": colours.text, "opacity": 0.45},
        )
    )
    filled = {"fill": "toself", "fillcolor": fill(colours.posterior, 0.3)}
    around = ellipse(np.zeros(2), posterior, 2.0)
    made.add_trace(outline(around, {"width": 2, "color": colours.posterior}, **filled))
    made.add_trace(outline(ellipse(np.zeros(2), q, 2.0), {"width": 2.5, "color": colours.q_mark}))
    words = (
        ("p(z|x) at x = mean, 2 sd", colours.posterior),
        ("best mean-field q", colours.q_text),
        ("· E[z|x] of the data", colours.text),
        ("╌ p(z), 1 and 2 sd", colours.prior),
    )
    legend(made, words, colours)
    return made
