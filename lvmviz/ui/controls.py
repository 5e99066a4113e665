"""Controls from knobs: choose one of a kind, adjust its numbers; every value is in the URL."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lvmviz.core import Choice, Knob, field_types, knobs, peers
from lvmviz.figures.theme import decimals_of
from lvmviz.ui import state
from lvmviz.ui.links import flag, number, one_of, short, words

TENTHS = (1.0, 1.3, 1.6, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)  # of a decade
Editor = Callable[[str], Mapping[str, Any]]  # name of the choice's control -> values of its hidden fields


class Controls:
    """The controls of one page: the first few in view, the rest under More.

    An editor supplies the hidden fields of a choice (a table's digest, clicked centres); a widget of its own
    may be drawn there.
    """

    def __init__(
        self, view: DeltaGenerator, more: DeltaGenerator, editors: Mapping[type, Editor] | None = None
    ) -> None:
        self.view, self.more, self.editors = view, more, editors or {}
        self.desk = view  # where editors are drawn

    def aside(self) -> Controls:
        """The same controls with every knob under More; only editors stay in view."""
        made = Controls(self.more, self.more, self.editors)
        made.desk = self.desk
        return made

    def adjust(self, cls: type[Choice], name: str = "", base: Choice | None = None) -> Any:
        """A choice of this class, a control for each knob; those of its choices' choices under More."""
        types, base = field_types(cls), base if type(base) is cls else cls()
        with self.desk:
            values: dict[str, Any] = dict(self.editors[cls](name)) if cls in self.editors else {}
        for field, meta in knobs(cls).items():
            full = f"{name}.{field}" if name else field
            if meta.hidden:
                continue
            default = getattr(base, field)
            if field in cls.idle({name: getattr(base, name) for name in types} | values):
                continue
            values[field] = (
                self.choose(types[field], full, default, meta, aside=meta.more or bool(name))
                if isinstance(default, Choice)
                else self.value(full, types[field], default, meta)
            )
        return cls(**values)

    def choose(self, kind: type[Choice], name: str, default: Choice, meta: Knob, aside: bool = False) -> Any:
        """One of a kind, with the default's dimension, then its own knobs; `aside` puts those under More.

        The knob's options name those that are offered besides.
        """
        options = [*(cls.__name__ for cls in peers(kind, default)), *meta.options]
        with self._place(meta):
            chosen = self._widget(
                name,
                type(default).__name__,
                parse=lambda text: one_of(text, options),
                write=str,
                draw=lambda key: st.selectbox(
                    _label(name, meta),
                    options,
                    index=options.index(st.session_state[key]),
                    format_func=lambda option: kind.options[option].name(),
                    key=key,
                    help=meta.help,
                ),
            )
        return (self.aside() if aside else self).adjust(kind.options[chosen], name, default)

    def value(self, name: str, kind: Any, default: Any, meta: Knob) -> Any:
        """A number, a word, a switch or a set of words."""
        with self._place(meta):
            if kind is bool:
                return self._widget(name, default, flag, lambda v: str(int(v)), _toggle(name, meta))
            if kind in (int, float):
                parse, draw = (lambda text: number(text, kind, meta)), _slider(name, kind, default, meta)
                return kind(self._widget(name, default, parse, short, draw))
            if kind is str:
                parse = lambda text: one_of(text, meta.options)  # noqa: E731
                draw = lambda key: st.selectbox(  # noqa: E731
                    _label(name, meta),
                    meta.options,
                    index=meta.options.index(st.session_state[key]),
                    key=key,
                    help=meta.help,
                )
                return self._widget(name, default, parse, str, draw)
            return self._words(name, default, meta)

    def _words(self, name: str, default: tuple[str, ...], meta: Knob) -> tuple[str, ...]:
        chosen = self._widget(
            name,
            list(default),
            parse=lambda text: [one_of(word, meta.options) for word in words(text)],
            write=lambda value: json.dumps(value),
            draw=lambda key: st.multiselect(
                _label(name, meta), meta.options, default=st.session_state[key], key=key, help=meta.help
            ),
        )
        return tuple(chosen) or default  # nothing chosen: the default rather than an empty table

    def _widget(
        self,
        name: str,
        default: Any,
        parse: Callable[[str], Any],
        write: Callable[[Any], str],
        draw: Callable[[str], Any],
    ) -> Any:
        """Draw a widget whose value comes from the session, the link or the default, in that order.

        The widget is told its value as its default too: a browser that fetches a widget's code only after the
        run that set the value would otherwise show the least of its range, and send that.
        """
        state.starts(name, default)
        key = state.key(name)
        if key in st.session_state and not _valid(st.session_state[key], parse, write):
            del st.session_state[key]  # kept from another choice with other words or another range
        if key not in st.session_state:
            st.session_state[key] = _from_link(name, default, parse)
        value = draw(key)
        state.holds(name, key, "" if value == default else write(value))
        return value

    def _place(self, meta: Knob) -> DeltaGenerator:
        return self.more if meta.more else self.view


def switch(name: str, label: str, options: Mapping[str, str], default: str) -> str:
    """A row of segments, one of them on, in the URL under `name`; the options' texts explain them."""
    key = state.key(name)
    switched(name, options, default)
    told = "  \n".join(f"{option}: {text}" for option, text in options.items() if text)
    chosen = str(
        st.segmented_control(
            label,
            list(options),
            default=st.session_state[key],
            key=key,
            label_visibility="collapsed",
            required=True,
            help=told or None,
        )
    )
    state.holds(name, key, "" if chosen == default else chosen)
    return chosen


def switched(name: str, options: Mapping[str, str], default: str) -> str:
    """What a switch stands at, also before it is drawn."""
    key = state.key(name)
    if key not in st.session_state:
        st.session_state[key] = _from_link(name, default, lambda text: one_of(text, options))
    return st.session_state[key]


def remedy(label: str, name: str, value: Any) -> None:
    """A button below an error that sets a control to what mends it."""
    st.button(label, key=f"remedy_{name}", on_click=state.put, args=(name, value))


def _from_link(name: str, default: Any, parse: Callable[[str], Any]) -> Any:
    text = state.linked(name)
    if text is None:
        return default
    try:
        return parse(text)
    except ValueError as error:
        state.problem(f"The link's {name} = {text[:40]} was not used: {error}.")
        return default


def _valid(value: Any, parse: Callable[[str], Any], write: Callable[[Any], str]) -> bool:
    try:
        parse(write(value))
    except (ValueError, TypeError):
        return False
    return True


def _label(name: str, meta: Knob) -> str:
    return meta.label or name.split(".")[-1].replace("_", " ").capitalize()


def _toggle(name: str, meta: Knob) -> Callable[[str], bool]:
    return lambda key: st.toggle(_label(name, meta), st.session_state[key], key=key, help=meta.help)


def _slider(name: str, kind: type, default: float, meta: Knob) -> Callable[[str], Any]:
    label = _label(name, meta)
    if meta.scale in ("log", "fine"):
        steps = decades if meta.scale == "log" else tenths
        return lambda key: st.select_slider(
            label,
            steps(meta, kind(st.session_state[key])),
            st.session_state[key],
            format_func=decade if meta.scale == "log" else _counted,
            key=key,
            help=meta.help,
        )
    assert meta.low is not None and meta.high is not None, f"{name} needs a range to have a slider"
    low, high = kind(meta.low), kind(meta.high)
    if meta.scale == "box":
        return lambda key: st.number_input(
            label, low, high, kind(st.session_state[key]), step=1, key=key, help=meta.help
        )
    step = 1 if kind is int else 10.0 ** (math.floor(math.log10(high - low)) - 2)
    shown = "%d" if kind is int else f"%.{max(2, decimals_of(step))}f"
    if meta.scale == "both":
        return lambda key: _slider_and_box(label, (low, high), step, shown, key, meta.help)
    return lambda key: st.slider(
        label, low, high, kind(st.session_state[key]), step=step, format=shown, key=key, help=meta.help
    )


def _slider_and_box(
    label: str, ends: tuple[float, float], step: float, shown: str, key: str, help: str
) -> float:
    """One number twice: the slider is quick, the box takes every digit."""
    now, box = st.session_state[key], f"{key}#"
    st.session_state[box] = now
    with st.container(horizontal=True, wrap=False, vertical_alignment="bottom", gap="small"):
        st.slider(label, *ends, now, step=step, format=shown, key=key, help=help or None)
        st.number_input(label, *ends, now, step=step, format="%g", key=box, label_visibility="collapsed",
                        width=72, on_change=_typed, args=(key, box))  # fmt: skip
    return now


def _typed(key: str, box: str) -> None:
    st.session_state[key] = st.session_state[box]


def decades(meta: Knob, now: float) -> list[float]:
    """0 where allowed, then every decade up to the highest, and the value of now among them."""
    high = meta.high or 1.0
    low = meta.low or 10.0 ** (round(math.log10(high)) - 8)
    powers = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
    return sorted({10.0**power for power in powers} | {meta.low or 0.0, high, now})


def _counted(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else decade(value)


def tenths(meta: Knob, now: float) -> list[float]:
    """Ten round steps a decade between two positive ends, and the value of now; of integers only those."""
    assert meta.low and meta.high, "a slider in steps of a decade needs two positive ends"
    powers = range(math.floor(math.log10(meta.low)), math.ceil(math.log10(meta.high)) + 1)
    steps = {float(f"{step * 10.0**power:.3g}") for power in powers for step in TENTHS}
    every = {*steps, meta.low, meta.high, now}
    whole = isinstance(now, int)
    inside = (step for step in every if meta.low <= step <= meta.high and (not whole or step == int(step)))
    return sorted({int(step) if whole else step for step in inside})


def decade(value: float) -> str:
    """1e-4 as 1e-4, not 1e-04; 0.1 as 0.1."""
    if value == 0 or 0.01 <= abs(value) < 1000:
        text = f"{value:g}"
    else:
        mantissa, power = f"{value:.3e}".split("e")
        text = f"{float(mantissa):g}e{int(power)}"
    return text if float(text) == value else repr(value)  # two values never share a label


__all__ = ["Controls", "decade", "decades"]
