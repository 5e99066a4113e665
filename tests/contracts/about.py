"""What a loop within one test is about at the moment, for the message when it fails."""

import contextlib
from collections.abc import Iterator

import pytest


@contextlib.contextmanager
def about(*place: object) -> Iterator[None]:
    """Whatever fails within is an AssertionError whose message begins with the place."""
    try:
        yield
    except (Exception, pytest.fail.Exception) as error:
        raise AssertionError(f"{' '.join(map(str, place))}: {error}") from error
