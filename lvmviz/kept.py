"""Results that are kept as long as they fit: like functools.lru_cache, but counted in bytes."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

R = TypeVar("R")


def _all(*args: Hashable) -> Hashable:
    return args


def kept(
    most: int, size: Callable[[R], int], key: Callable[..., Hashable] = _all
) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Keep a function's results by its arguments; beyond `most` bytes the least recently asked for go first.

    `key` says which arguments tell results apart. The newest is kept whatever its size. Two threads that ask
    for one thing at once may both make it.
    """

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        found: OrderedDict[Hashable, R] = OrderedDict()
        lock = threading.Lock()

        @functools.wraps(function)
        def ask(*args: Any) -> R:
            name = key(*args)
            with lock:
                if name in found:
                    found.move_to_end(name)
                    return found[name]
            made = function(*args)
            with lock:
                found[name] = made
                found.move_to_end(name)
                while len(found) > 1 and sum(map(size, found.values())) > most:
                    found.popitem(last=False)
            return made

        return ask

    return decorate
