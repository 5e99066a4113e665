"""The derivation strip: one line at a time, every term with its value for the scene on screen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st

from lvmviz.figures.theme import Tokens, number, tokens
from lvmviz.ui import frame, state

LINE = "line"  # the control's name in the link
AGREE = 1e-9  # relative; both sides come from sums of their own
_PLAIN = {">=": "\\;\\ge\\;", "!=": "\\;\\ne\\;"}


class Term(NamedTuple):
    """A term in LaTeX, coloured by \\q{}, \\theta{}, \\p{}, \\kl{} and \\prior{}, and its value in nats."""

    latex: str
    value: float | None = None


class Line(NamedTuple):
    """One line: left side, relation ("=", "!=", ">="), right side as signed terms, a gap, the reason."""

    reason: str
    left: Term
    relation: str
    right: Sequence[tuple[str, Term]]  # ("+", term), ("-", term); the first sign is not shown when it is "+"
    gap: Term | None = None
    error: float = 0.0  # nats, how far the rules that the values come from may differ


def derivation(lines: Sequence[Line], *, decimals: int) -> None:
    """Draw one line with its values, and arrows to the others."""
    with st.container(
        key="derivation", horizontal=True, wrap=False, vertical_alignment="center", gap="medium"
    ):
        current = _current(len(lines))
        line = lines[current]
        with st.container(width=int(frame.CONTROLS * frame.scale()), gap=None):
            st.markdown(f"**Derivation** :gray[line {current + 1} of {len(lines)}]  \n:gray[{line.reason}]")
        st.latex(latex(line, tokens(frame.dark()), decimals))
        with st.container(horizontal=True, wrap=False, width="content", gap="xsmall"):
            for name, step, icon in (("previous", -1, "chevron_left"), ("next", 1, "chevron_right")):
                st.button(
                    f"The {name} line", key=f"line_{name}", icon=f":material/{icon}:", type="tertiary",
                    on_click=_go, args=(current + step,), disabled=not 0 <= current + step < len(lines),
                    help=f"The {name} line of the derivation",
                )  # fmt: skip


def _current(count: int) -> int:
    text = state.placed(LINE)
    return (
        min(int(text) - 1, count - 1)
        if text.isascii() and text.isdigit() and 0 < len(text) < 4 and text != "0"
        else 0
    )


def _go(line: int) -> None:
    state.place(LINE, str(line + 1) if line else "")


def latex(line: Line, colours: Tokens, decimals: int) -> str:
    """The line as LaTeX, in the colours of the plots."""
    right = "".join(
        f" {'' if i == 0 and sign == '+' else sign} {_term(term, colours, decimals)}"
        for i, (sign, term) in enumerate(line.right)
    )
    gap = f"\\qquad \\text{{gap }} {_term(line.gap, colours, decimals)}" if line.gap else ""
    return f"{_term(line.left, colours, decimals)} {_relation(line, colours)} {right} {gap}"


def agrees(line: Line) -> bool | None:
    """Whether both sides of a line have the same value; None where one has no value."""
    values = [term.value for _, term in line.right]
    known = [value for value in (line.left.value, *values) if value is not None and math.isfinite(value)]
    if len(known) < 1 + len(values):
        return None  # a term without a value, or an infinite one
    total = math.fsum(
        -term.value if sign == "-" else term.value for sign, term in line.right if term.value is not None
    )
    return math.isclose(known[0], total, rel_tol=AGREE, abs_tol=max(AGREE, line.error))


def _relation(line: Line, colours: Tokens) -> str:
    if line.relation in _PLAIN:
        return _PLAIN[line.relation]
    if agrees(line):
        return f"\\;\\textcolor{{{colours.theta_text}}}{{\\overset{{\\checkmark}}{{=}}}}\\;"
    return "\\;=\\;"


def _term(term: Term, colours: Tokens, decimals: int) -> str:
    shades = {"q": colours.q_text, "theta": colours.theta_text, "p": colours.posterior, "kl": colours.gap}
    shades |= {"prior": colours.muted, "ink": colours.text}
    body = term.latex
    for name, shade in shades.items():
        body = body.replace(f"\\{name}{{", f"\\textcolor{{{shade}}}{{")
    if term.value is None:
        return body
    value = number(term.value, decimals).replace("\u2212", "-")  # KaTeX sets its own minus sign
    return f"\\underbrace{{{body}}}_{{{value}}}"
