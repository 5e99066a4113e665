"""The map of the pages: one intractable integral, and where the app deals with each of its consequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from lvmviz.figures import theme
from lvmviz.figures.drawing import Drawing, Trace, scatter
from lvmviz.figures.theme import Tokens

HEIGHT = 340
_LEFT, _RIGHT = 0.565, 0.995  # where the pages stand, in shares of the width
_NAMES = 0.2  # where the branches' names begin
_HEAD = 1.0  # rows above the first branch


class Node(NamedTuple):
    """One page on the map."""

    title: str
    group: str  # a key of GROUPS
    path: str | None  # where it is; None while the page does not exist yet


class Group(NamedTuple):
    """One quantity the integral denies us, and the way round it."""

    quantity: str
    way: str
    colour: str  # a field of the tokens


GROUPS = {
    "evidence": Group("evidence p(x)", "estimate it by sampling z", "posterior"),
    "posterior": Group("posterior p(z | x)", "fit a simpler q(z) to it", "posterior"),
    "gradient": Group("gradient of the ELBO", "estimate it from samples of q", "posterior"),
    "em": Group("best θ", "EM: move q, then θ", "theta_text"),
    "amortized": Group("q(z | x) for every x", "one network learns them all", "q_text"),
    "missing": Group("missing part of x", "treat it as latent too", "muted"),
}


def intractable_map(nodes: Sequence[Node], *, dark: bool = False, height: int = HEIGHT) -> Drawing:
    """Which quantity is intractable, and which page deals with it.

    Each page's bar carries its path as customdata; pages without one are muted and say "later".
    """
    unknown = [node.group for node in nodes if node.group not in GROUPS]
    if unknown:
        raise ValueError(f"the map has no group {unknown[0]!r}: choose from {', '.join(GROUPS)}")
    colours = theme.tokens(dark)
    groups = [name for name in GROUPS if any(node.group == name for node in nodes)]
    rows = len(groups)
    off = {"visible": False}
    span = {"xaxis": {"range": [0, 1], **off}, "yaxis": {"range": [rows - 0.4, -_HEAD - 0.55], **off}}
    made = theme.figure(colours, height=height, margin=theme.Margin(4, 4, 0, 0), hovermode="closest", **span)
    made.update_layout(barmode="overlay", barcornerradius=6, bargap=0)
    _draw_integral(made, colours)
    _draw_model(made, rows, colours)
    for row, name in enumerate(groups):
        _draw_branch(made, row, rows, GROUPS[name], colours)
        _draw_pages(made, row, [node for node in nodes if node.group == name], colours)
    return made


def _draw_integral(made: Drawing, colours: Tokens) -> None:
    """The heading: the one number that nothing on this map can do without."""
    formula = "log p(x | θ) = log ∫ p(x | z, θ) p(z) dz"
    _word(made, _NAMES, -_HEAD - 0.14, formula, size=15, color=colours.posterior, weight=600)
    told = "an integral over everything z could be: no closed form, so"
    _word(made, _NAMES, -_HEAD + 0.26, told, size=12, color=colours.muted)


def _draw_model(made: Drawing, rows: int, colours: Tokens) -> None:
    """The model as a plate: latent z above, observed x below, θ outside."""
    middle = (rows - 1) / 2
    z, x, across = middle - 0.85, middle + 0.85, 0.1
    box = {"type": "rect", "x0": 0.058, "x1": 0.142, "y0": z - 0.75, "y1": x + 0.95}
    made.add_shape(**box, line={"color": colours.prior, "width": 1}, fillcolor="rgba(0,0,0,0)")
    _word(made, 0.138, x + 0.74, "N", size=11, color=colours.muted, anchor="right")
    _arrow(made, (across, z), (across, x), colours)
    _arrow(made, (0.014, x), (across, x), colours)
    _circle(made, across, z, "z", colours.bg, colours.text, colours.prior)
    _circle(made, across, x, "x", colours.text, colours.bg, colours.text)
    _word(made, 0.014, x, "θ", size=14, color=colours.theta_text, anchor="center", weight=600)


def _circle(made: Drawing, x: float, y: float, name: str, inside: str, ink: str, ring: str) -> None:
    marker = {"size": 34, "color": inside, "opacity": 1, "line": {"width": 2, "color": ring}}
    font = {"size": 14, "color": ink, "weight": 600}
    made.add_trace(
        scatter(
            x=[x], y=[y], mode="markers+text", text=[name], textfont=font, marker=marker, hoverinfo="skip"
        )
    )


def _arrow(made: Drawing, start: tuple[float, float], end: tuple[float, float], colours: Tokens) -> None:
    """An arrow between two circles, which it leaves and meets at their rims."""
    made.add_annotation(
        x=end[0], y=end[1], ax=start[0], ay=start[1], axref="x", ayref="y", text="", showarrow=True,
        arrowhead=2, arrowsize=1, arrowwidth=1.5, arrowcolor=colours.muted, standoff=19, startstandoff=14,
    )  # fmt: skip


def _draw_branch(made: Drawing, row: int, rows: int, group: Group, colours: Tokens) -> None:
    """A quantity, the way round it, and the line that leads there from the model."""
    middle, trunk = (rows - 1) / 2, 0.162
    line = {"width": 1.25, "color": colours.prior}
    x, y = [0.142, trunk, trunk, _NAMES - 0.012], [middle, middle, row, row]
    made.add_trace(scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip"))
    _word(made, _NAMES, row - 0.17, group.quantity, size=13, color=getattr(colours, group.colour), weight=600)
    _word(made, _NAMES, row + 0.2, group.way, size=11, color=colours.muted)


def _draw_pages(made: Drawing, row: int, nodes: Sequence[Node], colours: Tokens) -> None:
    """The pages of one branch side by side, as bars that can be clicked anywhere."""
    space = 0.012
    slots = max(len(nodes), 2)
    width = (_RIGHT - _LEFT - (slots - 1) * space) / slots
    for i, node in enumerate(nodes):
        made.add_trace(_page(node, row, _LEFT + i * (width + space), width, colours))


def _page(node: Node, row: int, left: float, width: float, colours: Tokens) -> Trace:
    there = node.path is not None
    marker = {
        "color": colours.surface if there else "rgba(0,0,0,0)",
        "line": {"width": 1, "color": colours.prior if there else colours.border},
    }
    font = {"size": 12, "color": colours.text if there else colours.muted, "weight": 600 if there else 400}
    more: dict[str, Any] = {"customdata": [node.path]} if there else {}
    return dict(
        type="bar",
        orientation="h", base=[left], x=[width], y=[row], width=0.62, marker=marker, name=node.title,
        text=[node.title], textposition="inside", insidetextanchor="middle", textangle=0,
        constraintext="none", insidetextfont=font,
        hovertemplate=("open" if there else "later") + "<extra></extra>", **more,
    )  # fmt: skip


def _word(
    made: Drawing,
    x: float,
    y: float,
    text: str,
    *,
    size: int,
    color: str,
    anchor: str = "left",
    weight: int = 400,
) -> None:
    font = {"size": size, "color": color, "weight": weight}
    made.add_annotation(
        x=x, y=y, text=text, xanchor=anchor, showarrow=False, font=font, borderpad=0, align="left"
    )
