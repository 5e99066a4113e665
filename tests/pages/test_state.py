"""The URL is the state: link to choice and back, bad links, undo like an editor's."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from lvmviz import EM, ByHand, Iris, Stored, Wine, own_data
from lvmviz.core import Choice, field_types, knobs, peers
from lvmviz.tables import read_table
from lvmviz.ui import link_of
from tests.widgets import control, sound

TABLE = "a,b,c\n1,2,3\n2,1,5\n3,5,9\n9,2,1\n4,4,2\n"


def choosing() -> None:
    import streamlit as st

    from lvmviz import EM, ByHand, Stored
    from lvmviz.ui import Controls, own, state

    state.enter()
    state.begin("test")
    em = Controls(st.container(), st.container(), {Stored: own.own_table, ByHand: own.by_hand}).adjust(EM)
    state.finish()
    st.session_state["made"] = em
    st.session_state["problems"] = list(state.problems())


def framed() -> None:
    import streamlit as st

    from lvmviz import EM
    from lvmviz.ui import Controls, page, state

    def draw() -> None:
        Controls(st.container(), st.container()).adjust(EM)
        st.caption(f"step {state.position()}")

    page("test", "Test", "A claim.", draw)


def editing() -> None:
    """Two controls, a position and the four actions."""
    import streamlit as st

    from lvmviz.core import Knob
    from lvmviz.ui import Controls, state

    state.enter()
    state.begin("test")
    controls = Controls(st.container(), st.container())
    controls.value("n", int, 1, Knob(0, 9))
    controls.value("word", str, "a", Knob(options=("a", "b", "c")))
    st.button("on", key="on", on_click=lambda: state.place("step", str((state.position() + 1) % 4 or "")))
    state.position()
    state.finish()
    st.button("undo", key="undo", on_click=state.undo, disabled=not state.can_undo())
    st.button("redo", key="redo", on_click=state.redo, disabled=not state.can_redo())
    st.button("reset", key="reset", on_click=state.reset, disabled=not state.current())
    st.session_state["told"] = (state.can_undo(), state.can_redo(), state.generation())


def opened(script: Any, link: dict[str, str]) -> AppTest:
    app = AppTest.from_function(script, default_timeout=60)
    app.query_params.update(link)
    return sound(app.run())


def versioned(link: dict[str, str]) -> dict[str, str]:
    return link | {"v": "1"} if link else {}


@pytest.fixture(scope="module")
def digest(home: Any) -> Iterator[str]:
    yield own_data.put(read_table(TABLE))


# ---- link to choice and back ----


def allowed(cls: type[Choice]) -> st.SearchStrategy[Any]:
    """Any value of a choice that its controls can hold."""
    if cls is ByHand:
        centre = st.tuples(*[st.floats(-1e6, 1e6)] * 2)
        return st.builds(ByHand, centres=st.lists(centre, max_size=3).map(tuple))
    kinds, fields = field_types(cls), knobs(cls)
    shown = {name: meta for name, meta in fields.items() if not meta.hidden}
    parts = {name: _allowed(kinds[name], meta, getattr(cls(), name)) for name, meta in shown.items()}
    return st.builds(cls, **parts)


def _allowed(kind: Any, meta: Any, default: Any) -> st.SearchStrategy[Any]:
    if isinstance(kind, type) and issubclass(kind, Choice):
        return st.one_of([allowed(cls) for cls in peers(kind, default)])
    if kind is int:
        return st.integers(int(meta.low), int(meta.high))
    if kind is float:
        return st.floats(meta.low, meta.high)
    return st.lists(st.sampled_from(meta.options), min_size=1, unique=True).map(tuple)


@settings(max_examples=20)
@given(em=allowed(EM))
def test_a_link_opens_exactly_its_choice(em):
    app = opened(choosing, link_of(em))
    assert app.session_state["made"] == em
    assert app.session_state["problems"] == []
    written = dict(app.query_params)
    assert written == versioned(link_of(em))
    sound(app.run())  # and nothing moves when the page runs again, with the browser's values
    assert app.session_state["made"] == em
    assert dict(app.query_params) == written
    again = opened(choosing, written)
    assert again.session_state["made"] == em and dict(again.query_params) == written


@pytest.mark.parametrize(
    "kind", [kind for kind in field_types(EM).values() if isinstance(kind, type(Choice))]
)
def test_every_option_of_every_kind_opens(kind, digest):
    field = next(name for name, made in field_types(EM).items() if made is kind)
    for cls in peers(kind, getattr(EM(), field)):
        em = EM(**{field: Stored(digest=digest, features=("c", "a")) if cls is Stored else cls()})
        app = opened(choosing, link_of(em))
        assert app.session_state["made"] == em
        assert dict(app.query_params) == versioned(link_of(em))


@pytest.mark.parametrize("amount", [0.0999999999, 0.000100001, 0.00009999999, 1e-300])
def test_a_value_between_decades_stays_when_the_page_runs_again(amount):
    app = opened(choosing, {"regularizer.amount": repr(amount)})
    sound(app.run())
    assert app.session_state["made"].regularizer.amount == amount


def test_defaults_leave_the_query_string_empty():
    app = opened(choosing, {})
    assert app.query_params == {} and app.session_state["made"] == EM()
    app.slider(key="lvmviz.components").set_value(5).run()
    assert dict(app.query_params) == {"components": "5", "v": "1"}
    app.slider(key="lvmviz.components").set_value(3).run()
    assert app.query_params == {}


def test_what_a_link_says_at_the_default_or_in_vain_is_not_written():
    assert opened(choosing, {"components": "3", "data": "Iris", "v": "1"}).query_params == {}
    assert opened(choosing, {"unknown": "x", "components.x": "1"}).query_params == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [("components", text) for text in ("0", "21", "x", "", "3.5", "1e1", "nan", "²", "9" * 5000, "<b>")]
    + [("regularizer.amount", text) for text in ("nan", "inf", "-1", "1", "a", "")]
    + [("data", text) for text in ("", "iris", "Nope", "EM", "Dataset", "__class__")]
    + [("start", "Iris"), ("regularizer", "0")]
    + [
        ("data.features", text)
        for text in ("[]", "petal length", '["x"]', "[1]", "[" * 9999, '["petal length", "x"]')
    ],
)
def test_a_bad_value_gives_the_default_and_one_sentence(name, text):
    app = opened(choosing, {name: text})
    assert app.session_state["made"] == EM() and app.query_params == {}
    (sentence,) = app.session_state["problems"]
    assert name in sentence and text[:40] in sentence and sentence.endswith(".") and len(sentence) < 400


def test_what_is_good_in_a_link_survives_what_is_bad():
    app = opened(
        choosing, {"components": "5", "data": "Nope", "regularizer": "Added", "regularizer.amount": "x"}
    )
    assert link_of(app.session_state["made"]) == {"components": "5", "regularizer": "Added"}
    assert len(app.session_state["problems"]) == 2


@pytest.mark.parametrize(("version", "told"), [(None, 0), ("1", 0), ("0", 1), ("", 1), ("2", 1), ("x", 1)])
def test_another_version_is_said(version, told):
    app = opened(choosing, {"components": "4"} | ({} if version is None else {"v": version}))
    assert app.session_state["made"].components == 4
    assert len(app.session_state["problems"]) == told
    assert all("another version" in sentence for sentence in app.session_state["problems"])
    assert app.query_params["v"] == "1"


# ---- what the page says of a bad link ----


@pytest.mark.parametrize("link", [{"components": "99"}, {"data": "Nope"}, {"step": "x"}, {"v": "0"}])
def test_a_bad_link_is_said_at_once(link):
    assert len(opened(framed, link).warning) == 1, "the sentence must not wait for the next click"


@pytest.mark.parametrize("name", ["components", "step", "data"])
def test_a_bad_link_is_quoted_as_text(name):
    app = sound(opened(framed, {name: ":red[**x**]"}).run())
    (warning,) = app.warning
    assert ":red[" not in warning.value and "**x" not in warning.value


@pytest.mark.parametrize(
    ("text", "step"),
    [("0", 0), ("7", 7), ("007", 7), ("999999999", 999999999), ("", 0)]
    + [
        (bad, None)
        for bad in ("-1", "1e9", "²", "٣", "99999999999", "1.0", " 1", "+1", "1_0", "x", "0x1", "𝟙")
    ],
)
def test_positions(text, step):
    app = opened(framed, {"step": text})
    assert app.caption[0].value == f"step {step or 0}"
    sound(app.run())
    assert len(app.warning) == (step is None)
    assert app.query_params == versioned({"step": text} if step is not None and text else {})


# ---- switching ----


def test_switching_the_data_set_and_back():
    app = opened(choosing, {})
    for name in ("Wine", "Blobs", "Moons", "Digits", "Iris", "ThreeInARow", "Iris"):
        sound(app.selectbox(key="lvmviz.data").set_value(name).run())
        made = app.session_state["made"]
        assert type(made.data).__name__ == name and made.data == type(made.data)()
        assert dict(app.query_params) == versioned(link_of(made))
        assert app.session_state["problems"] == []
    assert app.query_params == {}


def test_what_one_data_set_cannot_hold_falls_back_to_its_default():
    app = opened(choosing, link_of(EM(data=Wine(features=("hue", "ash")))))
    sound(app.selectbox(key="lvmviz.data").set_value("Iris").run())
    assert app.session_state["made"] == EM()
    assert app.session_state["problems"] == [], "no link is bad because its data set was left"


def test_the_opened_link_does_not_come_back_after_a_change():
    app = opened(choosing, {"data": "Blobs", "data.clusters": "6"})
    sound(app.slider(key="lvmviz.data.clusters").set_value(8).run())
    sound(app.selectbox(key="lvmviz.data").set_value("Iris").run())
    sound(app.selectbox(key="lvmviz.data").set_value("Blobs").run())
    assert app.session_state["made"].data.clusters != 6


def test_an_own_tables_columns_are_not_the_next_data_sets(digest):
    app = opened(choosing, link_of(EM(data=Stored(digest=digest, features=("c", "a")))))
    sound(app.selectbox(key="lvmviz.data").set_value("Iris").run())
    features = app.multiselect(key="lvmviz.data.features")
    sound(features.set_value(["petal width", "sepal width"]).run())
    made = app.session_state["made"]
    assert made.data == Iris(features=("petal width", "sepal width"))
    assert app.query_params["data.features"] == json.dumps(list(made.data.features))
    assert opened(choosing, dict(app.query_params)).session_state["made"] == made


def test_the_columns_of_an_own_table_can_be_undone(digest):
    app = opened(choosing, link_of(EM(data=Stored(digest=digest, features=("a", "b")))))
    (columns,) = [box for box in app.multiselect if box.label == "Columns"]
    sound(columns.set_value(["a", "c"]).run())
    assert app.session_state["made"].data.features == ("a", "c")
    app.query_params = link_of(EM(data=Stored(digest=digest, features=("a", "b"))))
    sound(app.run())  # the browser's back button
    assert app.session_state["made"].data.features == ("a", "b")


def test_all_columns_of_an_own_table(digest):
    em = EM(data=Stored(digest=digest))
    app = opened(choosing, link_of(em))
    assert app.session_state["made"].data.table().columns == ("a", "b", "c")
    assert dict(app.query_params) == versioned(link_of(em))
    assert app.session_state["made"] == em, "one choice, one run"


# ---- hidden fields ----


def test_hidden_fields_have_no_control_and_come_from_editors():
    def script() -> None:
        import streamlit as st

        from lvmviz import EM, ByHand
        from lvmviz.ui import Controls, state

        asked = []

        def editor(name: str) -> dict[str, object]:
            asked.append(name)
            return {"centres": ((1.0, 2.0),)}

        state.enter()
        state.begin("test")
        em = Controls(st.container(), st.container(), {ByHand: editor}).adjust(EM)
        state.finish()
        st.session_state["made"], st.session_state["asked"] = em, asked

    app = opened(
        script, {"start": "ByHand", "start.centres": "[[9, 9]]", "data": "Stored", "data.digest": "ab"}
    )
    assert app.session_state["made"].start == ByHand(centres=((1.0, 2.0),))
    assert app.session_state["made"].data == Stored(), "without an editor a hidden field keeps its default"
    assert app.session_state["asked"] == ["start"]
    shown = {
        widget.key
        for kind in ("slider", "selectbox", "multiselect", "text_input")
        for widget in app.get(kind)
    }
    assert not shown & {"lvmviz.start.centres", "lvmviz.data.digest", "lvmviz.data.features"}


@pytest.mark.parametrize(
    "text",
    ["x", "5", "[[]", "[5]", '[["x"]]', "{}", "[[1, null]]", '{"a": 1}', "[" * 99999]
    + ["[[NaN, 1]]", "[[1e999, 1]]", f"[[1{'0' * 400}, 1]]"],
)
def test_centres_that_are_no_points_are_said(text):
    app = opened(choosing, {"start": "ByHand", "start.centres": text})
    assert app.session_state["made"].start == ByHand()
    assert len(app.session_state["problems"]) == (text != "{}")


# ---- undo, redo, reset ----


class Editor:
    """What an editor does: a change forgets what could be redone, a position is no change."""

    def __init__(self) -> None:
        self.now: dict[str, str] = {}
        self.past: list[dict[str, str]] = []
        self.future: list[dict[str, str]] = []

    def change(self, name: str, text: str) -> None:
        changed = {k: v for k, v in {**self.now, name: text}.items() if v}
        if changed != self.now:
            self._open(changed)

    def _open(self, link: dict[str, str]) -> None:
        self.past, self.future, self.now = [*self.past, self.now], [], link

    def step(self) -> None:
        step = (int(self.now.get("step", "0")) + 1) % 4
        self.now = {k: v for k, v in {**self.now, "step": str(step) if step else ""}.items() if v}

    def undo(self) -> None:
        self.future, self.now, self.past = [*self.future, self.now], self.past[-1], self.past[:-1]

    def redo(self) -> None:
        self.past, self.now, self.future = [*self.past, self.now], self.future[-1], self.future[:-1]

    def reset(self) -> None:
        self._open({})


@settings(max_examples=10)
@given(
    actions=st.lists(
        st.tuples(st.just("n"), st.integers(0, 3))
        | st.tuples(st.just("word"), st.sampled_from("abc"))
        | st.sampled_from([("on",), ("undo",), ("undo",), ("redo",), ("redo",), ("reset",)]),
        max_size=12,
    )
)
@example(
    [("n", 2), ("on",), ("on",), ("undo",), ("redo",), ("undo",), ("n", 3), ("on",), ("word", "b"), ("undo",)]
)
@example([("n", 2), ("n", 3), ("undo",), ("reset",), ("undo",), ("undo",), ("redo",), ("on",), ("redo",)])
def test_undo_redo_and_reset_are_an_editors(actions):
    app, model = opened(editing, {}), Editor()
    for action in actions:
        match action:
            case ("n", value):
                control(app, "n").set_value(value)
                model.change("n", "" if value == 1 else str(value))
            case ("word", value):
                control(app, "word").set_value(value)
                model.change("word", "" if value == "a" else value)
            case (name,):
                if app.button(key=name).disabled:
                    continue
                app.button(key=name).click()
                {"on": model.step, "undo": model.undo, "redo": model.redo, "reset": model.reset}[name]()
        sound(app.run())
        assert dict(app.query_params) == versioned(model.now)
        assert app.session_state["told"][:2] == (bool(model.past), bool(model.future))
        assert str(control(app, "n").value) == model.now.get("n", "1")


def test_undo_goes_back_to_the_opened_link_and_no_further():
    app = opened(editing, {"n": "5", "word": "c", "step": "3"})
    assert not app.session_state["told"][0]
    control(app, "n").set_value(7).run()
    app.button(key="undo").click().run()
    assert dict(app.query_params) == versioned({"n": "5", "word": "c", "step": "3"})
    assert app.session_state["told"][:2] == (False, True)


def test_nothing_to_undo_is_no_error():
    def script() -> None:
        from lvmviz.ui import state

        state.enter()
        state.begin("test")
        state.undo()
        state.redo()
        state.finish()

    assert opened(script, {}).query_params == {}


def test_the_browsers_back_button_opens_the_address():
    app = opened(editing, {"n": "5"})
    control(app, "n").set_value(7).run()
    generation = app.session_state["told"][2]
    app.query_params = {"n": "5", "v": "1"}
    sound(app.run())
    assert control(app, "n").value == 5 and dict(app.query_params) == {"n": "5", "v": "1"}
    assert app.session_state["told"][2] > generation, "the browser must forget the old position"
    sound(app.run())
    assert control(app, "n").value == 5


def test_another_page_starts_without_a_past():
    def script() -> None:
        import streamlit as st

        from lvmviz.core import Knob
        from lvmviz.ui import Controls, state

        state.enter()
        state.begin(st.session_state.get("page", "one"))
        Controls(st.container(), st.container()).value("n", int, 1, Knob(0, 9))
        state.finish()
        st.session_state["told"] = (state.can_undo(), state.can_redo(), state.position())

    app = opened(script, {"step": "4"})
    control(app, "n").set_value(7).run()
    assert app.session_state["told"] == (True, False, 4)
    app.session_state["page"], app.query_params = "two", {}
    sound(app.run())
    assert app.session_state["told"] == (False, False, 0)
    assert control(app, "n").value == 1 and app.query_params == {}


def test_a_control_that_python_sets_is_another_widget():
    """A browser sends the value of a widget in a closed popover again, whatever Python has set meanwhile."""
    app = opened(editing, {"n": "5"})
    before = control(app, "n").key
    sound(app.button(key="reset").click().run())
    assert control(app, "n").key != before and control(app, "n").value == 1
