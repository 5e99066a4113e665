"""The gaps of a VAE's images: stacked bars, and one posterior with every q on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.drawing import Drawing, scatter
from lvmviz.figures.latent import LEVELS, SHARP, across, ellipse, levels, outline
from lvmviz.figures.marks import legend
from lvmviz.figures.theme import HATCH, Margin, fill, number
from lvmviz.figures.vae_images import ink

BARS, PLANE = 236, 300  # heights, px
ROOM = 1.36  # how high the axis reaches, in bars: a number and the legend stand above the highest
APPROXIMATION, AMORTIZATION = "approximation", "amortization"


def bars(
    approximation: np.ndarray,
    amortization: np.ndarray,
    names: Sequence[str],
    images: np.ndarray | None,
    *,
    chosen: int,
    left: np.ndarray | None = None,
    draws: int = 0,
    dark: bool = False,
    height: int = BARS,
) -> Drawing:
    """Stacked: hatched what the family costs (n,), plain above what sharing costs (n,); images (n, H, W).

    A line across each: what the importance weighted bound of so many draws leaves (n,).
    """
    colours = theme.tokens(dark)
    total = approximation + amortization
    high = ROOM * max(float(total.max()), 1e-6)
    places = list(range(len(total)))
    labels = [f"<b>{name}</b>" if k == chosen else name for k, name in enumerate(names)]
    made = theme.figure(
        colours,
        height=height,
        margin=Margin(l=48, r=8, t=8, b=76),
        barmode="stack",
        hovermode="x",
        hoverdistance=-1,
        bargap=0.35,
        xaxis={
            "range": [-0.6, len(places) - 0.4],
            "tickmode": "array",
            "tickvals": places,
            "ticktext": labels,
        },
        yaxis={"range": [0.0, high], "title": {"text": "nats"}, **theme.ticks(0.0, high, 3)},
    )
    told = "%{customdata[1]}<br>" + "%{y:.4f} nats<extra>" + "{}</extra>"
    data = [[str(k), name] for k, name in enumerate(names)]
    edge = {"color": colours.gap, "width": 1}
    made.add_trace(
        {
            "type": "bar",
            "x": places,
            "y": approximation.tolist(),
            "customdata": data,
            "hovertemplate": told.replace("{}", APPROXIMATION),
            "marker": {
                "color": fill(colours.gap, 0.0),
                "line": edge,
                "pattern": {**HATCH, "fgcolor": colours.gap, "bgcolor": fill(colours.gap, 0.0)},
            },
        }
    )
    made.add_trace(
        {
            "type": "bar",
            "x": places,
            "y": amortization.tolist(),
            "customdata": data,
            "hovertemplate": told.replace("{}", AMORTIZATION),
            "marker": {"color": fill(colours.gap, 0.14), "line": edge},
        }
    )
    words = "▨ approximation   ▢ amortization"
    if left is not None:
        words += f'   <span style="color:{colours.text}"><b>—</b> left by IWAE, K = {draws}</span>'
        made.add_trace(
            scatter(
                x=places,
                y=left.tolist(),
                mode="markers",
                customdata=data,
                hovertemplate=told.replace("{}", f"left by IWAE, K = {draws}"),
                marker={"symbol": "line-ew", "size": 22, "line": {"width": 2.5, "color": colours.text}},
            )
        )
    for k, value in zip(places, total.tolist(), strict=True):
        made.add_annotation(
            text=number(value, 2),
            x=k,
            y=value,
            yanchor="bottom",
            showarrow=False,
            font={"size": 11, "color": colours.text},
        )
    if images is not None:
        _draw_images(made, images, dark)
    made.add_annotation(
        text=words,
        xref="paper",
        yref="paper",
        x=1.0,
        y=1.0,
        xanchor="right",
        yanchor="top",
        showarrow=False,
        font={"size": 11, "color": colours.gap},
        bgcolor=fill(colours.bg, 0.8),
    )
    return made


def _draw_images(made: Drawing, images: np.ndarray, dark: bool) -> None:
    """Every image (n, H, W) below its bar."""
    under = [
        {
            "source": ink(image, dark),
            "xref": "x",
            "yref": "paper",
            "x": k,
            "y": -0.16,
            "sizex": 0.8,
            "sizey": 0.32,
            "xanchor": "center",
            "yanchor": "top",
        }
        for k, image in enumerate(images)
    ]
    made.update_layout(images=under)


def plane(
    first: np.ndarray,
    second: np.ndarray,
    density: np.ndarray,
    gaussians: Mapping[str, tuple[np.ndarray, np.ndarray]],
    cloud: np.ndarray | None,
    *,
    dark: bool = False,
    height: int = PLANE,
) -> Drawing:
    """p(z | x) (H, W) filled; the first Gaussian is the encoder's, others are dashed; a flow as its draws."""
    colours = theme.tokens(dark)
    around = {name: ellipse(mean, factor, 2.0) for name, (mean, factor) in gaussians.items()}
    seen = density >= LEVELS[0] * density.max()
    spans: list[tuple[float, float]] = []
    for k, (line, axis) in enumerate(((first, 0), (second, 1))):
        on, ends = line[seen.any(axis)], np.concatenate([part[k] for part in around.values()])
        low, high = min(on.min(), ends.min()), max(on.max(), ends.max())
        spans.append((float(low - 0.1 * (high - low)), float(high + 0.1 * (high - low))))
    names = ("z<sub>1</sub>", "z<sub>2</sub>")
    axes = [
        {"range": list(span), "title": {"text": name}, **theme.ticks(*span, 4)}
        for span, name in zip(spans, names, strict=True)
    ]
    made = theme.figure(
        colours,
        height=height,
        margin=Margin(44, 6, 6, 36),
        xaxis=axes[0],
        yaxis={**axes[1], "scaleanchor": "x"},
    )
    (left, wide), (low, tall) = (across(line, SHARP) for line in (first, second))
    made.update_layout(
        images=[
            {
                "source": levels(density, colours.posterior),
                "xref": "x",
                "yref": "y",
                "sizing": "stretch",
                "layer": "below",
                "x": left,
                "y": low + tall,
                "sizex": wide,
                "sizey": tall,
            }
        ]
    )
    if cloud is not None:
        made.add_trace(
            scatter(
                x=np.round(cloud[:, 0], 4).tolist(),
                y=np.round(cloud[:, 1], 4).tolist(),
                mode="markers",
                hoverinfo="skip",
                marker={
                    "size": 4,
                    "color": fill(colours.q_mark, 0.0),
                    "line": {"width": 1, "color": fill(colours.q_mark, 0.7)},
                },
            )
        )
    words = [("p(z|x)", colours.posterior)]
    dashes = {"encoder’s q": None, "best mean-field": "2px,3px", "best full": "6px,4px"}
    for name, (mean, factor) in gaussians.items():
        dash = dashes.get(name)
        for sds, width in ((1.0, 2.25), (2.0, 1.25)):
            line = {"color": colours.q_text if dash else colours.q_mark, "width": width if not dash else 1.5}
            dashed = {**line, "dash": dash} if dash else line
            made.add_trace(outline(ellipse(mean, factor, sds), dashed))
        sign = {"2px,3px": "┈", "6px,4px": "╌"}.get(dash or "", "─")
        words.append((f"{sign} {name}", colours.q_text))
    if cloud is not None:
        words.append(("○ draws of the flow", colours.q_text))
    legend(made, words, colours)
    return made
