"""A posterior of one's own: a text field for its log density."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from lvmviz.formula_targets import Formula
from lvmviz.formulas import FormulaError
from lvmviz.plane_formulas import Formula2D
from lvmviz.ui import frame, state
from lvmviz.ui.fit import leave


def own_formula(name: str, kind: type[Formula] | type[Formula2D] = Formula) -> Mapping[str, Any]:
    """A text field for log p(x, z); what is wrong with it is said, and the last good one stays."""
    good = state.placed(f"{name}.expression")
    key = state.key(f"{name}.typed")
    now = st.session_state.setdefault(key, good or kind().expression)
    st.text_input("log p(x, z) =", now, key=key, max_chars=500, on_change=_typed, args=(name, key, kind))
    state.holds(f"{name}.typed", key, "")  # undo forgets what was typed, and its fault
    state.holds(f"{name}.fault", f"{key}.fault", "")
    if fault := st.session_state.get(f"{key}.fault"):
        frame.failed(fault)
    try:
        formula = kind(expression=good) if good else kind()
    except FormulaError as fault:
        state.problem(f"The link's formula was not used. {fault}")
        state.place(f"{name}.expression", "")
        formula = kind()
    st.latex(formula.latex)
    return {"expression": formula.expression}


def _typed(name: str, key: str, kind: type[Formula] | type[Formula2D]) -> None:
    text = st.session_state[key]
    try:
        kind(expression=text)
    except FormulaError as fault:
        st.session_state[f"{key}.fault"] = str(fault)
        return
    st.session_state[f"{key}.fault"] = None
    state.place(f"{name}.expression", text)
    leave()
