"""What several tests of data share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.corpora.server import Served, serving


@pytest.fixture
def served() -> Iterator[Served]:
    """A server on this machine."""
    with serving() as there:
        yield there
