"""JSON of a type with a version: older ones are upgraded, newer ones and unknown fields are refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from reprlib import repr as short
from typing import Any, TypeVar

from pydantic import ValidationError

from ranvier.errors import RuleError
from ranvier.runs.accuracy import Record

T = TypeVar("T", bound=Record)


class RunError(RuleError):
    """A file of a run's folder, or the folder itself, breaks a rule."""


def parse_versioned(model: type[T], text: str, version: int, upgrade: Callable[[dict[str, Any]], dict[str, Any]]) -> T:
    """A value of a type from its JSON.

    Args:
        model: the type; its JSON is an object.
        text: JSON.
        version: that is written now.
        upgrade: makes fields of this version from those of a file without a version.

    Raises:
        RunError: the text is damaged or of a newer version; names the field, not the file.
    """
    try:
        values = json.loads(text)
        if isinstance(values, dict):
            found = values.get("version", 0)
            if type(found) is int and found > version:
                raise RunError(f"version: {found} is newer than this Ranvier reads (up to {version})")
            values = values if "version" in values else {**upgrade(values), "version": version}
        return model.model_validate_json(json.dumps(values, ensure_ascii=False).encode("utf-8"))
    except ValidationError as error:
        raise RunError(_explained(error)) from None
    except RecursionError:
        raise RunError("is nested too deeply") from None
    except RunError:
        raise
    except ValueError as error:
        raise RunError(str(error)[:200]) from None


def _explained(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part)[:40] for part in first["loc"]) or "content"
    if first["type"] == "extra_forbidden":
        return f"{place}: no such field"
    shown = "" if first["type"] == "missing" else f": {short(first['input'])}"
    return f"{place}{shown}: {first['msg'][:200]}"
