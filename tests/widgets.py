"""Controls by their names: a control's key changes when Python sets it."""

import re
from typing import Any

from streamlit.testing.v1 import AppTest

KINDS = (
    "slider",
    "select_slider",
    "selectbox",
    "multiselect",
    "number_input",
    "toggle",
    "button_group",
    "text_input",
)


def control(app: AppTest, name: str) -> Any:
    """The widget of a control that is on the page now."""
    asked = re.compile(re.escape(f"lvmviz.{name}") + r"(~\d+)?")
    return next(one for kind in KINDS for one in app.get(kind) if asked.fullmatch(one.key or ""))
