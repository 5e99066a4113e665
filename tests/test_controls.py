"""What controls say and read: labels of decades, sliders' options, words of a link, the link of a choice."""

import json
import math
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lvmviz import EM, Added, Blobs, ByHand, Floor, Iris, KMeansPlusPlus, Stored
from lvmviz.core import Choice, Knob, field_types, knobs
from lvmviz.ui import links
from lvmviz.ui.controls import decade, decades, tenths
from lvmviz.ui.links import link_of, words

POSITIVE = st.floats(1e-12, 1e6)


def choices() -> list[type[Choice]]:
    return [
        cls
        for kind in Choice.__subclasses__()
        for cls in kind.options.values()
        if cls.__module__[:6] == "lvmviz"
    ]


LOGS = [(cls, name, meta) for cls in choices() for name, meta in knobs(cls).items() if meta.scale == "log"]


# ---- decades ----


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1e-4, "1e-4"), (1e-9, "1e-9"), (0.001, "1e-3"), (0.01, "0.01"), (0.1, "0.1"), (1.0, "1")]
    + [(10.0, "10"), (100.0, "100"), (1000.0, "1e3"), (1e12, "1e12"), (2.5e-5, "2.5e-5")],
)
def test_decades_are_written_short(value, text):
    assert decade(value) == text


@pytest.mark.parametrize("power", range(-300, 300, 7))
def test_no_decade_has_a_padded_exponent(power):
    text = decade(10.0**power)
    assert float(text) == 10.0**power
    assert "e-0" not in text and "e+" not in text and "e0" not in text


@given(value=POSITIVE)
@example(0.0999999999)  # 0.1 to six digits
@example(0.000100001)  # 1e-4 to four
def test_two_options_of_a_slider_never_have_one_label(value):
    """Streamlit keeps a slider's value as its label: of two with one label, the wrong one comes back."""
    options = decades(Knob(0.0, 1e6, scale="log"), value)
    labels = [decade(option) for option in options]
    assert len(set(labels)) == len(labels), [label for label in labels if labels.count(label) > 1]


@pytest.mark.parametrize(("cls", "name", "meta"), LOGS, ids=lambda x: getattr(x, "__name__", ""))
@given(data=st.data())
def test_log_sliders_contain_every_value_of_their_range(cls, name, meta, data):
    value = data.draw(st.floats(meta.low, meta.high))
    options = decades(meta, value)
    assert value in options and options == sorted(set(options))
    assert set(decades(meta, getattr(cls(), name))) <= set(options) | {getattr(cls(), name)}
    assert options[-1] == meta.high and all(meta.low <= option <= meta.high for option in options)
    assert (0.0 in options) == (meta.low == 0)


def test_there_are_log_sliders():
    assert {cls for cls, _, _ in LOGS} >= {EM, Floor, Added}


@pytest.mark.parametrize(("low", "high"), [(1e-3, 1.0), (0.01, 100.0), (None, 10.0)])
def test_decades_lie_in_the_range(low, high):
    options = decades(Knob(low, high, scale="log"), high)
    ratios = [b / a for a, b in zip(options, options[1:], strict=False) if a > 0]
    assert all(math.isclose(ratio, 10.0) for ratio in ratios)
    assert options[-1] == high and (low is None or options[0] == low)


@given(now=st.floats(0.05, 5.0))
def test_tenths_are_round_and_contain_where_one_is(now):
    options = tenths(Knob(0.05, 5.0, scale="fine"), now)
    assert now in options and options == sorted(set(options)) and (options[0], options[-1]) == (0.05, 5.0)
    assert set(options) >= {0.1, 0.13, 0.5, 1.3, 2.0, 2.5}
    labels = [decade(option) for option in options]
    assert len(set(labels)) == len(labels)


def test_tenths_of_whole_numbers_are_whole():
    options = tenths(Knob(1, 10_000, scale="fine"), 17)
    assert all(isinstance(option, int) for option in options) and options[:4] == [1, 2, 3, 4]
    assert {10, 13, 17, 25, 1000, 1300, 10_000} <= set(options) and options[-1] == 10_000


# ---- numbers and words ----


@given(value=st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**9), 10**9))
def test_numbers_are_written_so_that_they_read_back(value):
    text = links.short(value)
    assert float(text) == value
    assert Decimal(text) == Decimal(value) or repr(value) == text  # shortest, never rounded


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "3",
        '"x"',
        "{}",
        "[]",
        "[1]",
        '["a", 1]',
        '["a", null]',
        "x",
        "[",
        "[" * 100_000,
        "NaN",
        '{"a": "b"}',
    ]
    + ['[["a"]]'],
)
def test_what_is_no_list_of_words_is_refused_with_a_sentence(text):
    with pytest.raises(ValueError, match=r"^it is no list"):
        words(text)


@given(st.lists(st.text(max_size=8), min_size=1, max_size=6))
def test_words_read_back_in_order_each_once(given_words):
    assert words(json.dumps(given_words)) == sorted(set(given_words), key=given_words.index)


@pytest.mark.parametrize(
    "text", ["0", "21", "-1", "3.5", "x", "", "nan", "1e1", "9" * 5000, "²", "0x3", "1 2", "None"]
)
def test_numbers_out_of_range_or_none_are_refused_with_a_sentence(text):
    with pytest.raises(ValueError, match=r"^it (is no whole number|must lie between 1 and 20)$"):
        links.number(text, int, Knob(1, 20))


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "-1e-9", "0.11", "1e999", "x", "", "1,5", "(0)"])
def test_reals_out_of_range_or_none_are_refused_with_a_sentence(text):
    with pytest.raises(ValueError, match=r"^it (is no number|must lie between 0 and 0.1)$"):
        links.number(text, float, Knob(0.0, 0.1))


# ---- the link of a choice ----


@pytest.mark.parametrize("cls", choices(), ids=lambda cls: cls.__name__)
def test_defaults_say_nothing(cls):
    assert link_of(cls()) == {}


def test_links_name_what_differs_and_only_that():
    assert link_of(EM(components=4)) == {"components": "4"}
    assert link_of(EM(data=Blobs())) == {"data": "Blobs"}
    assert link_of(EM(data=Blobs(spread=0.5, seed=3))) == {
        "data": "Blobs",
        "data.spread": "0.5",
        "data.seed": "3",
    }
    assert link_of(EM(start=KMeansPlusPlus())) == {"start": "KMeansPlusPlus"}
    assert link_of(EM(regularizer=Floor(amount=0.0))) == {"regularizer.amount": "0"}
    assert link_of(EM(regularizer=Added(amount=1e-4))) == {
        "regularizer": "Added",
        "regularizer.amount": "0.0001",
    }  # as if there were no Floor, whose default 1e-4 is
    assert link_of(EM(regularizer=Added(amount=1e-6))) == {"regularizer": "Added"}
    assert link_of(EM(data=Iris(features=("petal width",)))) == {"data.features": '["petal width"]'}
    assert link_of(EM(data=Stored(digest="ab"), start=ByHand(centres=((1, 2.5),)))) == {
        "data": "Stored",
        "data.digest": "ab",
        "start": "ByHand",
        "start.centres": "[[1.0, 2.5]]",
    }


def test_a_link_has_the_names_of_fields():
    full = link_of(
        EM(
            data=Blobs(points=9),
            components=2,
            start=ByHand(centres=((0.0,),)),
            regularizer=Added(amount=0),
            tolerance=0,
        )
    )
    for name in full:
        cls: type = EM
        for part in name.split("."):
            kind = field_types(cls)[part]
            cls = {"data": Blobs, "start": ByHand, "regularizer": Added}.get(part, kind)
    assert all(isinstance(text, str) and text for text in full.values())
