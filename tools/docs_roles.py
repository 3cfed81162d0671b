"""For the documentation site: docstrings' roles (:func:`name`) as the code that they name."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension

_ROLE = re.compile(r":(?:class|func|meth|mod|data|attr):`~?([^`]+)`")


class Roles(Extension):  # type: ignore[misc]
    """Reads ``:func:`ranvier.models.freeze``` as the plain code ``ranvier.models.freeze``."""

    def on_instance(self, *, obj: Any, **_: Any) -> None:
        """Called with every object that has been read."""
        if obj.docstring is not None:
            obj.docstring.value = _ROLE.sub(r"`\1`", obj.docstring.value)
