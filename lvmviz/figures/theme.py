"""Every colour in the project, the layout all figures share, and how numbers are written.

Colour always means a quantity; everything else is ink on paper. Filled is the truth (posterior), outlined the
approximation (q), hatched the gap (KL).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lvmviz.figures.drawing import Drawing

FONT = "Inter, 'Source Sans', sans-serif"
HATCH = {"shape": "/", "size": 7, "solidity": 0.29}  # 2 px of 7

_LIGHT_CATEGORIES = """771B64 989717 2B9FB3 BA6189 09684F 83221A 40A16F 955F17 3A44BB 398BFA
    8365AC B76B4B 1D6485 DF6F6C 964854 656ADC 124A81 925237 B02A6A 24A29B"""
_DARK_CATEGORIES = """D8A1BF 928009 4CEFFE C05866 3D988B E1916B A2EBB7 F0D555 6F7AAA 2AB0FC
    AA98CC BBD383 23F7E1 AF7D4F E79693 3787D4 46D0FE E69E27 D8709E 27C7A2"""


def _listed(text: str) -> tuple[str, ...]:
    return tuple(f"#{code}" for code in text.split())


class Tokens(NamedTuple):
    """One theme's colours, named by what they mean."""

    bg: str  # page, figure, halo around marks
    surface: str  # inputs, code, hover label
    border: str  # frames, axes, rules
    text: str  # text and data
    muted: str  # secondary text, ticks, units
    posterior: str  # posterior, evidence and ELBO
    q_mark: str  # q's curve, ellipse and handles; E
    q_text: str  # any word in q's colour
    gap: str  # KL, always hatched or labelled
    prior: str  # prior marks; prior text is muted
    theta_mark: str  # parameters; M
    theta_text: str  # words in the parameters' colour, agreement
    control: str  # sliders and segments
    landscape: tuple[tuple[float, str], ...]  # a colour scale, low to high
    categories: tuple[str, ...]  # components 1 to 20; digits are the first ten


LIGHT = Tokens(
    bg="#FFFFFF",
    surface="#F5F6F8",
    border="#DDE1E7",
    text="#1A1D24",
    muted="#5B6371",
    posterior="#1D5FC4",
    q_mark="#D4690B",
    q_text="#AD5108",
    gap="#C4204E",
    prior="#7A8392",
    theta_mark="#0B8468",
    theta_text="#0A7A60",
    control="#1A1D24",
    landscape=((0.0, "#FFFFFF"), (0.35, "#DCE7F7"), (0.7, "#9CBDEA"), (1.0, "#3F7AD0")),
    categories=_listed(_LIGHT_CATEGORIES),
)
DARK = Tokens(
    bg="#12141A",
    surface="#1B1E26",
    border="#2E333E",
    text="#E9EBF0",
    muted="#A0A8B7",
    posterior="#6EA8FF",
    q_mark="#FFA047",
    q_text="#FFA047",
    gap="#FF4F6D",
    prior="#7C8596",
    theta_mark="#3CC9A2",
    theta_text="#3CC9A2",
    control="#8A93A5",
    landscape=((0.0, "#12141A"), (0.35, "#1A2740"), (0.7, "#274674"), (1.0, "#4577BE")),
    categories=_listed(_DARK_CATEGORIES),
)


def tokens(dark: bool) -> Tokens:
    """The colours of the dark or the light theme."""
    return DARK if dark else LIGHT


# ---- the layout all figures share ----


class Margin(NamedTuple):
    """The space around a plot, px."""

    l: int = 44  # noqa: E741, plotly's own names
    r: int = 12
    t: int = 8
    b: int = 34


def template(colours: Tokens) -> dict[str, Any]:
    """What every figure's layout starts from: transparent, small type, two thin axes and nothing else."""
    axis = {
        "fixedrange": True,
        "showgrid": False,
        "zeroline": False,
        "showline": True,
        "linewidth": 1,
        "linecolor": colours.border,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": colours.border,
        "tickfont": {"size": 11, "color": colours.muted},
        "title": {"font": {"size": 12, "color": colours.muted}, "standoff": 6},
        "nticks": 6,
    }
    hover = {
        "bgcolor": colours.surface,
        "bordercolor": colours.border,
        "font": {"size": 12, "color": colours.text},
    }
    layout = {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 12, "color": colours.text},
        "showlegend": False,
        "dragmode": False,
        "hovermode": "closest",
        "hoverlabel": hover,
        "xaxis": axis,
        "yaxis": axis,
    }
    return {"layout": layout}


def figure(colours: Tokens, *, height: int, margin: Margin | None = None, **layout: Any) -> Drawing:
    """An empty figure of the project's look; `layout` adds to it."""
    margins = (margin or Margin())._asdict()
    return Drawing(template=template(colours), height=height, margin=margins, **layout)


def pixels(colours: Tokens, *, width: float, height: int) -> Drawing:
    """An empty figure whose coordinates are pixels, y upwards, without axes."""
    off = {"visible": False, "fixedrange": True}
    axes = {"xaxis": {"range": [0, width], **off}, "yaxis": {"range": [0, height], **off}}
    return figure(colours, height=height, margin=Margin(0, 0, 0, 0), **axes)


# ---- colours ----


def rgb(colour: str) -> tuple[int, int, int]:
    """The sRGB bytes of #RRGGBB."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def fill(colour: str, alpha: float) -> str:
    """A colour at less than full strength."""
    return "rgba({},{},{},{:g})".format(*rgb(colour), alpha)


def mix(resp: np.ndarray, dark: bool) -> np.ndarray:
    """The categories' colours mixed by responsibilities (..., K), as sRGB bytes (..., 3).

    Light adds up linearly, so the mixing is done before the sRGB curve (IEC 61966-2-1), not after it.
    """
    colours = tokens(dark).categories
    if resp.shape[-1] > len(colours):
        raise ValueError(
            f"{resp.shape[-1]} components have only {len(colours)} colours: use fewer components"
        )
    encoded = np.array([rgb(colour) for colour in colours[: resp.shape[-1]]]) / 255.0
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    mixed = np.clip(resp @ linear, 0.0, 1.0)
    curve = np.where(mixed <= 0.0031308, 12.92 * mixed, 1.055 * mixed ** (1.0 / 2.4) - 0.055)
    return np.round(255.0 * curve).astype(np.uint8)


# ---- numbers ----


def number(x: float, decimals: int, *, signed: bool = False) -> str:
    """A number with fixed decimals and a true minus sign; `signed` adds an explicit plus."""
    if math.isnan(x):
        return "undefined"
    size = "∞" if math.isinf(x) else f"{abs(x):.{decimals}f}"
    if abs(x) >= 1e16 and len(size) > 1:
        size = f"{abs(x):.3e}".replace("e+", "e")  # no column holds forty digits, and a float has sixteen
    zero = not any(digit in size for digit in "123456789∞")
    sign = "−" if x < 0 and not zero else "+" if signed and not zero else ""
    return sign + size


def digits_of(error: float, most: int) -> int:
    """Decimals of a number with a standard error: two of one that is not small, else no error is all zeros.

    One that is next to nothing leaves `most`.
    """
    if error >= 0.01:
        return min(2, most)
    return most if error < 5e-7 else max(most, math.ceil(-math.log10(error)))


def nice_step(width: float, count: int = 4) -> float:
    """The step of 1, 2 or 5 times a power of ten that gives at most `count` intervals over a width."""
    return at_least(width / count)


def at_least(size: float) -> float:
    """The smallest 1, 2 or 5 times a power of ten that is not below a positive size."""
    power = math.floor(math.log10(size))
    steps = (factor * 10.0**exponent for exponent in (power, power + 1) for factor in (1, 2, 5))
    return next(step for step in steps if step >= size * (1 - 1e-12))


def decimals_of(step: float) -> int:
    """The fewest decimals that tell multiples of a step apart."""
    return max(0, -math.floor(math.log10(step) + 1e-9))


def ticks(low: float, high: float, count: int = 4) -> dict[str, Any]:
    """At least three round ticks between two numbers, with the fewest decimals that tell them apart."""
    values: list[float] = []
    step = 1.0
    while len(values) < 3:
        step = nice_step(high - low, count)
        values = [step * i for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
        count += 1
    return {"tickmode": "array", "tickvals": values, "ticktext": tick_texts(values, step)}


def tick_texts(values: Sequence[float], step: float) -> list[str]:
    """Tick labels with the decimals that their step needs."""
    return [number(value, decimals_of(step)) for value in values]
