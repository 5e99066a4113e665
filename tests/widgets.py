"""A page opened by its script alone, what it says, and its controls by their names."""

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


def sound(app: AppTest) -> AppTest:
    assert not app.exception, app.exception[0].stack_trace
    return app


def visited(path: str, **link: str) -> AppTest:
    """The page of a script, opened by a link."""
    app = AppTest.from_file(path, default_timeout=60)
    app.query_params.update(link)
    return sound(app.run())


def words(app: AppTest) -> str:
    """All that is said."""
    told = (*app.markdown, *app.caption, *app.error, *app.warning)
    return "\n".join(element.value for element in told)


def control(app: AppTest, name: str) -> Any:
    """The widget of a control that is on the page now; its key changes when Python sets it."""
    asked = re.compile(re.escape(f"lvmviz.{name}") + r"(~\d+)?")
    return next(one for kind in KINDS for one in app.get(kind) if asked.fullmatch(one.key or ""))
