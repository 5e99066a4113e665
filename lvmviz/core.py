"""The vocabulary: choices, knobs, algorithms and random keys.

Whatever a person can choose is a value; whatever happens is a sequence of values. A choice is a frozen
dataclass that belongs to a kind (a data set, a start, an algorithm). Choices nest, so one value is at once
the settings, the controls on the page, the query string, the cache key and the name of the run.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
import json
import math
import numbers
import typing
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, TypeVar, dataclass_transform

import numpy as np
import torch

Key = int  # a random key: one 64-bit number, see `fold_in`
C = TypeVar("C", bound="type[Choice]")

_WORD = 2**64


class Knob(NamedTuple):
    """What a control needs to know about one field of a choice."""

    low: float | None = None
    high: float | None = None
    help: str = ""
    label: str = ""  # what the control says; the field's name when empty
    # "log": decades, with 0 below them when `low` is 0; "fine": ten a decade; "box": one to type; "both"
    scale: str = "linear"
    options: tuple[str, ...] = ()  # the words a text, or each of a tuple, may be; choices besides peers
    more: bool = False  # shown under "More"
    hidden: bool = False  # set by other means than a control (a click, an upload)


def knob(
    default: Any,
    low: float | None = None,
    high: float | None = None,
    help: str = "",
    *,
    label: str = "",
    scale: str = "linear",
    options: tuple[str, ...] = (),
    more: bool = False,
    hidden: bool = False,
) -> Any:
    """A field of a choice with its range and its words; controls are made from it."""
    meta = Knob(low, high, help, label, scale, options, more, hidden)
    return dataclasses.field(default=default, metadata={"knob": meta})


class Choice(abc.ABC):
    """A value that a person can choose; its direct subclasses are the kinds.

    `Kind.options` maps the name of every registered choice of a kind to its class.
    """

    options: ClassVar[dict[str, type[Choice]]]
    title: ClassVar[str] = ""  # what a menu says; made from the class name when empty
    private: ClassVar[bool] = False  # it names what belongs to one person, and so does every run made of it

    def __init_subclass__(cls) -> None:
        if Choice in cls.__bases__:
            cls.options = {}

    def __post_init__(self) -> None:
        for name, meta in knobs(type(self)).items():
            where, kind = f"{type(self).__name__}.{name}", field_types(type(self))[name]
            object.__setattr__(self, name, _checked(where, kind, meta, getattr(self, name)))
        idle = self.idle({name: getattr(self, name) for name in knobs(type(self))})
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            if field.name in idle:
                object.__setattr__(self, field.name, field.default)

    @classmethod
    def kind(cls) -> type[Choice]:
        """The kind this choice belongs to."""
        return next(base for base in cls.__mro__ if Choice in base.__bases__)

    @classmethod
    def idle(cls, values: Mapping[str, Any]) -> tuple[str, ...]:
        """The fields that change nothing when others have these values.

        They are at their defaults then, so that equal work has one name, and have no controls.
        """
        return ()

    @classmethod
    def name(cls) -> str:
        """What a menu calls this choice."""
        return cls.title or _words(cls.__name__)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def choice(cls: C) -> C:
    """Make a class a frozen, keyword-only dataclass and register it with its kind."""
    if not (cls.__doc__ or "").strip():
        raise TypeError(f"{cls.__name__} needs a docstring: it is what the menu explains the choice with")
    made = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    options = made.kind().options
    if made.__name__ in options:
        raise TypeError(f"two choices are called {made.__name__}: rename one of them")
    options[made.__name__] = made
    made.options = {made.__name__: made}  # what a field of this very class may hold
    return typing.cast(C, made)


def knobs(cls: type[Choice]) -> dict[str, Knob]:
    """The fields of a choice with their knobs, in the order they were written."""
    return {f.name: f.metadata.get("knob", Knob()) for f in dataclasses.fields(cls)}  # type: ignore[arg-type]


@functools.cache
def field_types(cls: type[Choice]) -> Mapping[str, Any]:
    """The fields' types, resolved."""
    hints = typing.get_type_hints(cls)
    return MappingProxyType({f.name: hints[f.name] for f in dataclasses.fields(cls)})  # type: ignore[arg-type]


def first_sentence(cls: type) -> str:
    """The first sentence of a docstring, for help texts."""
    text = " ".join((cls.__doc__ or "").split("\n\n")[0].split())
    return text.split(". ")[0].rstrip(".") + "."


def _words(name: str) -> str:
    if name.isupper():
        return name
    spaced = "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()
    return spaced[:1].upper() + spaced[1:]


def _checked(where: str, kind: Any, meta: Knob, value: Any) -> Any:
    """The value in its field's own type, or a ValueError with the remedy."""
    if isinstance(kind, type) and issubclass(kind, Choice):
        if not isinstance(value, kind):
            raise ValueError(f"{where} must be one of {', '.join(kind.options)}, not {value!r}")
        return value
    if kind is bool:
        return _switch(where, value)
    if kind in (int, float):
        return _number(where, kind, meta, value)
    return _word(where, meta, value) if kind is str else _tuple(where, kind, meta, value)


def _switch(where: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{where} must be True or False, not {value!r}")
    return bool(value)


def is_real(value: Any) -> bool:
    """Whether it is a real number of any make, but no switch."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _number(where: str, kind: type, meta: Knob, value: Any) -> float | int:
    refused = ValueError(f"{where} must be a finite number, not {_shown(value)}")
    if not is_real(value):
        raise refused
    try:
        number = float(value)
    except OverflowError:
        raise refused from None
    if not math.isfinite(number):
        raise refused
    if kind is int and value != int(value):
        raise ValueError(f"{where} must be a whole number, not {value!r}")
    low = -math.inf if meta.low is None else meta.low
    high = math.inf if meta.high is None else meta.high
    if not low <= value <= high:
        raise ValueError(f"{where} = {number:g} is outside {low:g} to {high:g}: choose a value in that range")
    return int(value) if kind is int else number + 0.0  # -0.0 equals 0.0, so it is told as 0.0


def _word(where: str, meta: Knob, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{where} must be a text, not {_shown(value)}")
    if meta.options and value not in meta.options:
        raise ValueError(f"{where} must be one of {', '.join(meta.options)}, not {value!r}")
    return str(value)


def _tuple(where: str, kind: Any, meta: Knob, value: Any) -> tuple[Any, ...]:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{where} must be a tuple, not {_shown(value)}")
    item = typing.get_args(kind)[0]
    return tuple(_checked(where, item, meta, part) for part in value)


def _shown(value: Any) -> str:
    return value.__class__.__name__ if isinstance(value, int) and abs(value) >= 2**63 else repr(value)


# ---- canonical JSON: the only spelling of a choice that leaves the process ----


def to_json(value: Any) -> Any:
    """A choice as plain JSON values: the registered class name and its typed fields."""
    if isinstance(value, Choice):
        fields = {name: to_json(getattr(value, name)) for name in knobs(type(value))}
        return {"choice": type(value).__name__, **fields}
    if isinstance(value, tuple):
        return [to_json(item) for item in value]
    return value


def from_json(kind: type[Choice], data: Any) -> Choice:
    """The choice that `to_json` wrote, made only from classes registered with `kind`.

    Raises ValueError with a sentence for anything else.
    """
    name = data.get("choice") if isinstance(data, Mapping) else None
    if not isinstance(name, str) or name not in kind.options:
        raise ValueError(f"{name!r} is no {kind.__name__}: choose from {', '.join(kind.options)}")
    cls, types = kind.options[name], field_types(kind.options[name])
    unknown = set(data) - set(types) - {"choice"}
    if unknown:
        raise ValueError(f"{name} has no field {sorted(unknown, key=repr)[0]!r}: it has {', '.join(types)}")
    return cls(**{key: _field_from_json(types[key], data[key]) for key in types if key in data})


def _field_from_json(kind: Any, data: Any) -> Any:
    nested = isinstance(kind, type) and issubclass(kind, Choice)
    return from_json(kind, data) if nested else data


def canonical(value: Any) -> str:
    """One text for equal values: sorted keys, shortest floats, no NaN."""
    return json.dumps(to_json(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


# ---- algorithms ----


class Algorithm(Choice):
    """A method as a value: where it starts and what one step does.

    State is what the next step needs (a NamedTuple of tensors), Info the numbers to show (a NamedTuple of
    plain numbers and words about the state it comes with). `step` never changes the state it is given and
    draws only from its key, so a trace can be resumed, repeated and compared to the bit.
    """

    @abc.abstractmethod
    def init(self, key: Key) -> tuple[Any, Any]:
        """The first state and its numbers."""

    @abc.abstractmethod
    def step(self, key: Key, state: Any) -> tuple[Any, Any]:
        """The state after one step and its numbers."""

    @abc.abstractmethod
    def finished(self, state: Any, info: Any) -> bool:
        """Whether another step would change nothing worth showing."""

    def shown(self, state: Any) -> Any:
        """What of a state is kept to be looked at later: all of it, unless much is only for the next step."""
        return state

    def effort(self) -> float:
        """Roughly the floating-point operations of one step: what is long is decided by it; 0 is short."""
        return 0.0


# ---- random keys ----


def fold_in(key: Key, data: int) -> Key:
    """A new key from a key and a number (SplitMix64; Steele, Lea and Flood, 2014)."""
    z = (key * 0x9E3779B97F4A7C15 + data + 0x9E3779B97F4A7C15) % _WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % _WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % _WORD
    return z ^ (z >> 31)


def generator(key: Key) -> torch.Generator:
    """Random numbers for one key, drawn on the CPU so that every device sees the same ones."""
    return torch.Generator(device="cpu").manual_seed(key % 2**63)


def one_thread() -> None:
    """Let torch compute in one thread: for the small tensors of a page a second one only gets in the way.

    On a box of two busy cores an EM step took 40 times as long with two.
    """
    torch.set_num_threads(1)


def best_device() -> str:
    """The fastest device here: cuda, mps or cpu."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def real(device: str | torch.device) -> torch.dtype:
    """float64 wherever the device has it; mps has none."""
    return torch.float32 if torch.device(device).type == "mps" else torch.float64


def each(kind: type[Choice]) -> Iterator[Any]:
    """Every registered choice of a kind, or of an abstract class within it, at its defaults."""
    return (cls() for cls in kind.options.values() if issubclass(cls, kind))


def peers(kind: type[Choice], value: Choice) -> list[type[Choice]]:
    """The registered choices of a kind that fit in a value's place: of its dimension, if it has one."""
    fitting = (cls for cls in kind.options.values() if issubclass(cls, kind))
    return [cls for cls in fitting if getattr(cls, "dim", None) == getattr(value, "dim", None)]
