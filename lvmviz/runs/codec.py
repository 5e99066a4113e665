"""Snapshots as bytes and back, to the bit: safetensors for the tensors, JSON for what stands round them.

One codec for every algorithm: a state or info is a NamedTuple of tensors, numbers, words, None, tuples and
other NamedTuples. Only NamedTuple classes that a registered choice declares (as the types that its `init`,
`step` and `shown` return) are made again; a name in a file is looked up among these and imports nothing.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import typing
from collections.abc import Iterator
from typing import Any

import safetensors
import torch
from safetensors.torch import load, save
from torch import Tensor

from lvmviz.core import Algorithm, Choice, field_types
from lvmviz.runs.files import Damaged
from lvmviz.runs.job import Snapshot

FORMAT = 1
_BROKEN = (safetensors.SafetensorError, ValueError, KeyError, TypeError, RecursionError, struct.error)
_KEY = "lvmviz"  # one key: several would be written in any order


def encode(step: int, state: Any, info: Any) -> bytes:
    """The bytes of a snapshot, equal for equal snapshots; ValueError for what no file can hold."""
    tensors: dict[str, Tensor] = {}
    told = {
        "format": FORMAT,
        "step": step,
        "state": _tree(state, tensors),
        "info": _tree(info, tensors),
    }
    told["sha256"] = _digest(told, tensors)
    return save(tensors, {_KEY: _json(told)})


def decode(data: bytes, device: str | torch.device = "cpu") -> Snapshot:
    """The snapshot that was encoded; Damaged, with a sentence, for anything else.

    What was on the CPU comes back there, what was on another device goes to `device`.
    """
    told, tensors = _opened(data)
    digest = told.pop("sha256", None)
    if digest != _digest(told, tensors):
        raise Damaged("the file is damaged: its content is not what was written")
    if told.get("format") != FORMAT:
        raise Damaged(f"the file has format {told.get('format')!r}, and this lvmviz reads {FORMAT}")
    try:
        step, state, info = told["step"], *(_value(told[name], tensors, device) for name in ("state", "info"))
    except Damaged:
        raise
    except _BROKEN as error:
        raise Damaged("the file is no snapshot of lvmviz") from error
    if type(step) is not int:
        raise Damaged("the file is no snapshot of lvmviz")
    return Snapshot(step, state, info)


def size(state: Any) -> int:
    """The bytes of all tensors in a state."""
    tensors: dict[str, Tensor] = {}
    _tree(state, tensors)
    return sum(tensor.nbytes for tensor in tensors.values())


def _opened(data: bytes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What the file says and its tensors, nothing of it trusted yet."""
    try:
        tensors = load(data)
        (length,) = struct.unpack_from("<Q", data)
        told = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][_KEY])
    except _BROKEN as error:
        raise Damaged("the file is damaged or no snapshot") from error
    if not isinstance(told, dict):
        raise Damaged("the file is no snapshot of lvmviz")
    return told, tensors


def _json(told: Any) -> str:
    return json.dumps(told, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _digest(told: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    """SHA-256 of what the file says and of every tensor's name, type, shape and bytes."""
    digest = hashlib.sha256(_json(told).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


# ---- values as JSON, their tensors aside ----


def _tree(value: Any, tensors: dict[str, Tensor]) -> Any:
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"bits": struct.pack(">d", value).hex()}
    if isinstance(value, Tensor):
        return _aside(value, tensors)
    if isinstance(value, tuple):
        return _branch(value, tensors)
    raise ValueError(f"a state cannot hold a {type(value).__name__}: make it a tensor, a number or a word")


def _aside(tensor: Tensor, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Put a tensor aside, in memory of its own; what stands for it says whether it was on the CPU."""
    name = f"{len(tensors):04d}"
    tensors[name] = tensor.detach().to("cpu", copy=True).contiguous()
    return {"tensor": name} if tensor.device.type == "cpu" else {"tensor": name, "away": True}


def _branch(value: tuple[Any, ...], tensors: dict[str, Tensor]) -> dict[str, Any]:
    items = [_tree(item, tensors) for item in value]
    if not hasattr(value, "_fields"):
        return {"items": items}
    name = _name(type(value))
    if _class(name) is not type(value):
        raise ValueError(f"no algorithm declares {name}: name it as the type that `init` returns")
    return {"class": name, "items": items}


def _value(node: Any, tensors: dict[str, Tensor], device: str | torch.device) -> Any:
    if isinstance(node, list):
        raise Damaged("the file is no snapshot of lvmviz")
    if not isinstance(node, dict):
        return node
    if "bits" in node:
        return struct.unpack(">d", bytes.fromhex(node["bits"]))[0]
    if "tensor" in node:
        return tensors[node["tensor"]].to(device if node.get("away") else "cpu")
    items = [_value(item, tensors, device) for item in node["items"]]
    return _made(node["class"], items) if "class" in node else tuple(items)


def _made(name: str, items: list[Any]) -> Any:
    cls = _class(name)
    if cls is None:
        raise Damaged(f"the file holds a {name!r}, which no algorithm here declares")
    return cls(*items)


# ---- the classes that may be made ----

_declared: dict[str, type] = {}


def _class(name: str) -> type | None:
    """The NamedTuple class of this name; asked again of the choices where it is not known yet."""
    if name not in _declared:
        _declared.update((_name(cls), cls) for cls in _declarations())
    return _declared.get(name)


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _declarations() -> Iterator[type]:
    for kind in _kinds(Algorithm, set()):
        for cls in kind.options.values():
            for method in ("init", "step", "shown"):
                yield from _named_tuples(_hints(getattr(cls, method, None)).get("return"))


def _kinds(kind: type[Choice], seen: set[type[Choice]]) -> set[type[Choice]]:
    """The kind and the kinds of everything that can be nested in its choices."""
    if kind not in seen:
        seen.add(kind)
        for cls in kind.options.values():
            for hint in field_types(cls).values():
                if isinstance(hint, type) and issubclass(hint, Choice):
                    _kinds(hint.kind(), seen)
    return seen


def _named_tuples(hint: Any) -> Iterator[type]:
    """The NamedTuple classes in a type, and in their fields."""
    if isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
        yield hint
        parts: tuple[Any, ...] = tuple(_hints(hint).values())
    else:
        parts = typing.get_args(hint)
    for part in parts:
        yield from _named_tuples(part)


def _hints(what: Any) -> dict[str, Any]:
    """The annotations, resolved; none where they name what only a type checker knows."""
    try:
        return typing.get_type_hints(what) if what is not None else {}
    except NameError:
        return {}
