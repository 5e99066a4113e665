"""Every registered choice of every kind is a value: equal, hashable, printable, honest about its knobs."""

import ast
import functools
import hashlib
import inspect
import itertools
import json
import math
import pickle
import typing
from fractions import Fraction
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import lvmviz
from lvmviz.core import (
    Choice,
    canonical,
    choice,
    each,
    field_types,
    first_sentence,
    from_json,
    knob,
    knobs,
    to_json,
)
from tests.contracts.about import about

KINDS = [kind for kind in Choice.__subclasses__() if kind.__module__.startswith("lvmviz")]
CHOICES = [cls for kind in KINDS for cls in kind.options.values()]
NOT_NUMBERS = ["1", "", None, True, np.True_, 1j, (), [1.0], {}, math.nan, math.inf, -math.inf, 10**400, b"1"]
WIDE = 1e6  # how far values are drawn where a knob has no bound

over_choices = pytest.mark.parametrize("cls", CHOICES, ids=lambda cls: cls.__name__)
over_kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
over_families = pytest.mark.parametrize(
    "family", [list(kind.options.values()) for kind in KINDS], ids=[kind.__name__ for kind in KINDS]
)
few = settings(max_examples=15)  # of each of so many choices


def fields(family: list[type[Choice]]) -> list[tuple[type[Choice], str]]:
    """Every knob of every choice of a kind."""
    return [(cls, name) for cls in family for name in knobs(cls)]


def numbers(family: list[type[Choice]]) -> list[tuple[type[Choice], str]]:
    return [(cls, name) for cls, name in fields(family) if field_types(cls)[name] in (int, float)]


def is_choice(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Choice)


@functools.cache  # strategies are slow to build
def allowed(cls: type[Choice]) -> st.SearchStrategy[Choice]:
    """Any value of a choice that its knobs allow."""
    kinds = field_types(cls)
    fields = {name: _allowed(kinds[name], meta) for name, meta in knobs(cls).items()}
    return st.builds(cls, **fields | WORDS.get(cls.__name__, {}))


# texts that a choice checks in ways of its own
WORDS = {
    "Formula": {"expression": st.sampled_from(["-abs(z - 7)**1.5", "-z**2/2", "-log(1 + z**2)", "-cosh(z)"])},
    "Formula2D": {
        "expression": st.sampled_from(["-x**2 - y**2", "-abs(x) - abs(y - 3)", "-(x*y)**2 - x**2 - y**2"])
    },
}


def _allowed(kind: Any, meta: Any) -> st.SearchStrategy[Any]:
    if is_choice(kind):
        return st.one_of([allowed(cls) for cls in kind.options.values()])
    if kind is bool:
        return st.booleans()
    if kind in (int, float):
        low, high = -WIDE if meta.low is None else meta.low, WIDE if meta.high is None else meta.high
        return st.integers(int(low), int(high)) if kind is int else st.floats(low, high)
    if kind is str:
        return st.sampled_from(meta.options) if meta.options else st.text(max_size=20)
    assert typing.get_origin(kind) is tuple, f"no strategy for {kind}: add one here"
    item = typing.get_args(kind)[0]
    return st.lists(_allowed(item, meta._replace(low=None, high=None)), max_size=4).map(tuple)


# ---- the registry ----


def test_there_are_kinds_and_choices():
    """The walk finds what a reader of the package finds, so the tests below are about something."""
    assert {"Algorithm", "Dataset", "Regularizer", "Start"} <= {kind.__name__ for kind in KINDS}
    assert {"EM", "Iris", "Floor", "RandomPoints"} <= {cls.__name__ for cls in CHOICES}
    assert all(kind.options for kind in KINDS)
    assert len({cls.__name__ for cls in CHOICES}) == len(CHOICES)  # one namespace for repr and for the reader


@over_kinds
def test_kinds_know_their_choices(kind):
    assert (kind.__doc__ or "").strip()
    assert getattr(lvmviz, kind.__name__) is kind
    for name, cls in kind.options.items():
        assert (name, cls.kind()) == (cls.__name__, kind)
        assert issubclass(cls, kind) and not inspect.isabstract(cls)
    assert [type(value) for value in each(kind)] == list(kind.options.values())
    assert len({cls.name() for cls in kind.options.values()}) == len(kind.options)  # what the menu says


def test_a_choice_without_a_docstring_is_refused():
    class Kind(Choice):
        """A kind of this test's own."""

    with pytest.raises(TypeError, match="needs a docstring"):

        @choice
        class Mute(Kind):
            x: float = knob(0.0)

    assert Kind.options == {}


def test_two_choices_of_one_name_are_refused():
    class Kind(Choice):
        """A kind of this test's own."""

    def make():
        @choice
        class Same(Kind):
            """The same name again."""

        return Same

    first = make()
    with pytest.raises(TypeError, match="two choices are called Same"):
        make()
    assert Kind.options == {"Same": first}


def test_switches_are_switches():
    """No registered choice has a yes-or-no knob yet: the next one that does finds it checked."""

    class Kind(Choice):
        """A kind of this test's own."""

    @choice
    class Lamp(Kind):
        """On or off."""

        on: bool = knob(False, help="Whether it burns.")

    assert Lamp(on=True).on is True
    assert canonical(Lamp(on=np.True_)) == canonical(Lamp(on=True))
    for wrong in ("false", "", None, math.nan, [], 2, 0.5):
        with pytest.raises(ValueError, match=r"Lamp\.on"):
            Lamp(on=wrong)


# ---- the value ----


@over_families
def test_words_for_the_menu(family):
    for cls in family:
        with about(cls.__name__):
            assert (cls.__doc__ or "").strip()
            sentence = first_sentence(cls)
            assert sentence.endswith(".") and 10 < len(sentence) < 200
            assert sentence[0].isupper() or sentence[0].isdigit()
            assert cls.name().strip()


@over_families
def test_equal_hashable_picklable(family):
    for cls in family:
        with about(cls.__name__):
            one, two = cls(), cls()
            assert one == two and hash(one) == hash(two) and len({one, two}) == 1
            for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
                back = pickle.loads(pickle.dumps(one, protocol))
                assert back == one and type(back) is cls and canonical(back) == canonical(one)
            assert all(one != other() for other in CHOICES if other is not cls)


@over_families
def test_frozen_and_named_arguments_only(family):
    for cls in family:
        with about(cls.__name__):
            for name in knobs(cls):
                with pytest.raises(AttributeError):
                    setattr(cls(), name, getattr(cls(), name))
            with pytest.raises(TypeError):
                cls(0)


@over_choices
@few
@given(data=st.data())
def test_repr_and_canonical_json_round_trip_to_the_bit(cls, data):
    value = data.draw(allowed(cls))
    ast.parse(repr(value), mode="eval")
    typed = eval(repr(value), {"__builtins__": {}}, {name: getattr(lvmviz, name) for name in lvmviz.__all__})
    assert typed == value and repr(typed) == repr(value)
    text = canonical(value)
    back = from_json(cls.kind(), json.loads(text))
    assert back == value and hash(back) == hash(value) and type(back) is cls
    assert canonical(back) == text and repr(back) == repr(value)
    assert text.isascii() and json.loads(text)["choice"] == cls.__name__
    assert pickle.loads(pickle.dumps(value)) == value


@over_choices
@few
@given(data=st.data())
def test_equal_values_have_equal_texts_and_others_have_others(cls, data):
    one, two = data.draw(allowed(cls)), data.draw(allowed(cls))
    assert (one == two) == (canonical(one) == canonical(two))


def test_a_text_is_canonical():
    text = canonical(lvmviz.EM())
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert json.loads(text) == to_json(lvmviz.EM())


def test_minus_zero_is_zero():
    """They are equal and of one hash, so they must be one run."""
    assert lvmviz.Floor(amount=-0.0) == lvmviz.Floor(amount=0.0)
    assert canonical(lvmviz.Floor(amount=-0.0)) == canonical(lvmviz.Floor(amount=0.0))
    centres = [lvmviz.ByHand(centres=((zero, 1.0),)) for zero in (0.0, -0.0, 0)]
    assert len(set(map(canonical, centres))) == 1


# ---- the knobs ----


@over_families
def test_knobs_say_what_they_do(family):
    for cls, name in fields(family):
        with about(f"{cls.__name__}.{name}"):
            meta = knobs(cls)[name]
            assert meta.help.strip() and meta.help.strip()[-1] in ".?)", (
                f"{cls.__name__}.{name} needs a help sentence"
            )
            assert meta.scale in ("linear", "log", "fine", "box")
            assert len(set(meta.options)) == len(meta.options)


@over_families
def test_defaults_are_values_of_the_field(family):
    """The class attribute is the default and is what the value holds: nothing was mended on the way."""
    for cls, name in fields(family):
        with about(f"{cls.__name__}.{name}"):
            default, kind = getattr(cls, name), field_types(cls)[name]
            value = getattr(cls(), name)
            assert value == default and type(value) is type(default)
            assert isinstance(value, typing.get_origin(kind) or kind)


@over_families
def test_numbers_stay_in_their_range(family):
    for cls, name in numbers(family):
        with about(f"{cls.__name__}.{name}"):
            meta, default = knobs(cls)[name], getattr(cls(), name)
            assert meta.low is not None and meta.high is not None, "a control needs both ends"
            assert meta.low <= default <= meta.high
            assert meta.scale == "linear" or meta.low >= 0
            idle = name in cls.idle({other: getattr(cls(), other) for other in knobs(cls)})
            for end in (meta.low, meta.high):  # a number that plays no part stays what it is
                assert getattr(cls(**{name: end}), name) == (default if idle else end)
            whole = field_types(cls)[name] is int
            beyond_low = meta.low - 1 if whole else np.nextafter(meta.low, -math.inf)
            beyond_high = meta.high + 1 if whole else np.nextafter(meta.high, math.inf)
            for wrong in (beyond_low, beyond_high, -(10**30), 1e300, Fraction(10**9, 7)):
                assert_refused(cls, name, wrong)


@over_families
def test_numbers_are_numbers(family):
    for (cls, name), wrong in itertools.product(numbers(family), NOT_NUMBERS):
        assert_refused(cls, name, wrong)


@over_families
def test_one_number_has_one_text_however_spelt(family):
    for cls, name in numbers(family):
        with about(f"{cls.__name__}.{name}"):
            meta, kind = knobs(cls)[name], field_types(cls)[name]
            whole = (
                math.ceil(meta.low)
                if kind is int
                else next((n for n in (0, 1, 45) if meta.low <= n <= meta.high), None)
            )
            if whole is not None:
                assert meta.low <= whole <= meta.high
                spellings = [
                    whole,
                    float(whole),
                    *(make(whole) for make in (np.int64, np.float64, np.float32, np.uint8, Fraction)),
                ]
                made = [cls(**{name: spelling}) for spelling in spellings]
                assert len(set(made)) == len(set(map(canonical, made))) == len(set(map(repr, made))) == 1
                assert {type(getattr(value, name)) for value in made} == {kind}
            if kind is float:
                middle = 0.3 * meta.low + 0.7 * meta.high
                assert canonical(cls(**{name: np.float64(middle)})) == canonical(cls(**{name: middle}))
            else:
                assert_refused(cls, name, meta.low + 0.5)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (lvmviz.EM(components=3), lvmviz.EM(components=np.int32(3))),
        (lvmviz.EM(components=3), lvmviz.EM(components=3.0)),
        (lvmviz.EM(tolerance=0), lvmviz.EM(tolerance=np.float64(0.0))),
        (lvmviz.EM(tolerance=-0.0), lvmviz.EM(tolerance=0.0)),
        (
            lvmviz.EM(start=lvmviz.ByHand(centres=((1, 2),))),
            lvmviz.EM(start=lvmviz.ByHand(centres=[[np.float64(1), 2.0]])),
        ),
    ],
)
def test_one_setting_has_one_id_however_spelt(one, two):
    assert one == two and lvmviz.Job(one).id == lvmviz.Job(two).id


@over_families
def test_choices_hold_choices_of_their_kind(family):
    for cls, name in fields(family):
        with about(f"{cls.__name__}.{name}"):
            kind = field_types(cls)[name]
            if is_choice(kind):
                for wrong in (
                    None,
                    1.0,
                    "Iris",
                    kind,
                    type(getattr(cls(), name)),
                    *[other() for other in CHOICES if not issubclass(other, kind)],
                ):
                    assert_refused(cls, name, wrong)


@over_families
def test_words_are_words(family):
    for cls, name in fields(family):
        with about(f"{cls.__name__}.{name}"):
            if field_types(cls)[name] is str:
                for wrong in (None, 3, 3.0, math.nan, True, b"ab", ("ab",), ["ab"], np.array(["ab", "cd"])):
                    assert_refused(cls, name, wrong)
                if knobs(cls)[name].options:
                    assert_refused(cls, name, "no such word")


@over_families
def test_tuples_hold_what_they_say(family):
    for cls, name in fields(family):
        with about(f"{cls.__name__}.{name}"):
            kind = field_types(cls)[name]
            if typing.get_origin(kind) is not tuple:
                continue
            for wrong in (None, 3, 3.0, math.nan, True, "ab", b"ab", {"a": 1.0}, object()):
                assert_refused(cls, name, wrong)
            if typing.get_args(kind)[0] is str:
                items = [None, 3, 3.0, math.nan, True, ["ab"], np.array([1.0, 2.0]), {}]
            elif typing.get_args(kind)[0] is float:
                items = [None, "ab", (1.0,), [1.0], True, math.nan, np.array([1.0, 2.0]), {}]
            else:
                items = [
                    None,
                    3.0,
                    "ab",
                    (None,),
                    ("ab",),
                    (True,),
                    (math.nan, 1.0),
                    (math.inf,),
                    (10**400,),
                    ((1.0,),),
                    {},
                ]
            for item in items:
                assert_refused(cls, name, (item,))
            if knobs(cls)[name].options:
                assert_refused(cls, name, ("no such word",))


@over_families
def test_arrays_and_lists_become_tuples(family):
    """A table's row or a click may hand NumPy values: the choice keeps plain ones, or says no."""
    for cls, name in fields(family):
        with about(f"{cls.__name__}.{name}"):
            kind = field_types(cls)[name]
            if typing.get_origin(kind) is not tuple:
                continue
            if typing.get_args(kind)[0] is str:
                words = list(knobs(cls)[name].options[:2]) or ["a", "b"]
                spellings: list[Any] = [
                    words,
                    tuple(words),
                    np.array(words),
                    [np.str_(word) for word in words],
                ]
            elif typing.get_args(kind)[0] is float:
                row = [0.5, -3.0]
                spellings = [row, tuple(row), np.array(row), [np.float64(part) for part in row]]
            else:
                pairs = [[0.5, 1.0], [2.0, -3.0]]
                spellings = [
                    pairs,
                    tuple(map(tuple, pairs)),
                    np.array(pairs),
                    [np.array(pair) for pair in pairs],
                ]
            made = [cls(**{name: spelling}) for spelling in spellings]
            assert len(set(made)) == len(set(map(canonical, made))) == len(set(map(repr, made))) == 1


def assert_refused(cls: type[Choice], name: str, wrong: Any) -> None:
    """The value is refused with a ValueError whose sentence names the field."""
    with about(f"{cls.__name__}.{name} given {wrong!r}"):
        with pytest.raises(ValueError, match=rf"\b{cls.__name__}\.{name}\b") as error:
            cls(**{name: wrong})
        assert len(str(error.value)) > len(f"{cls.__name__}.{name}") + 10


# ---- reading what others wrote ----

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@over_kinds
@given(data=JSON)
def test_garbage_is_refused(kind, data):
    with pytest.raises(ValueError, match=kind.__name__):
        from_json(kind, data)


@over_kinds
def test_what_is_no_choice_is_refused(kind):
    for data in (None, 1, "EM", [], {}, {"choice": None}, {"choice": "os.system"}, {"choice": []}):
        with about(kind.__name__, "from", data), pytest.raises(ValueError, match=kind.__name__):
            from_json(kind, data)


@over_choices
@few
@given(data=st.data())
def test_garbage_in_a_field_is_refused_or_kept_as_a_value(cls, data):
    """Whatever stands in a field: a ValueError with a sentence, or a value that reads back."""
    fields = data.draw(st.dictionaries(st.sampled_from([*knobs(cls), "no_field"]), JSON, max_size=3))
    try:
        value = from_json(cls.kind(), {"choice": cls.__name__, **fields})
    except ValueError as error:
        assert len(str(error)) > 15
    else:
        assert from_json(cls.kind(), json.loads(canonical(value))) == value
        assert hash(value) == hash(from_json(cls.kind(), json.loads(canonical(value))))


@over_families
def test_unknown_fields_and_other_kinds_are_refused(family):
    for cls in family:
        with about(cls.__name__):
            data = to_json(cls())
            with pytest.raises(ValueError, match=f"{cls.__name__} has no field 'colour_'"):
                from_json(cls.kind(), {**data, "colour_": 1})
            with pytest.raises(ValueError):
                from_json(cls.kind(), {**data, 3: 1, "colour_": 1, None: 2})
            for other in KINDS:
                if other is not cls.kind():
                    with pytest.raises(ValueError, match=f"is no {other.__name__}"):
                        from_json(other, data)


@over_families
def test_missing_fields_take_their_defaults(family):
    for cls in family:
        with about(cls.__name__):
            assert from_json(cls.kind(), {"choice": cls.__name__}) == cls()


@over_families
def test_a_kind_is_no_value_of_a_nested_field(family):
    for cls, name in fields(family):
        with about(f"{cls.__name__}.{name}"):
            kind = field_types(cls)[name]
            if is_choice(kind):
                for stranger in [other for other in CHOICES if not issubclass(other, kind)]:
                    with pytest.raises(ValueError, match=f"is no {kind.__name__}"):
                        from_json(cls.kind(), {"choice": cls.__name__, name: to_json(stranger())})


def test_the_text_of_a_choice_is_safe_to_hash():
    """No two registered defaults share a text, so none share an id."""
    texts = [canonical(cls()) for cls in CHOICES]
    assert len({hashlib.sha256(text.encode()).digest() for text in texts}) == len(CHOICES)
