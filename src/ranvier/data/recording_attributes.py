"""What a recording says of itself in its attributes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast, get_args

from ranvier.data.recording_rules import PER_SECOND, Fault, TimeUnit


def own_description(
    attributes: Mapping[str, str], faults: list[Fault]
) -> tuple[int | None, dict[str, Any] | None, TimeUnit | None]:
    """Channels, ear and unit of the times; what cannot be understood is added to ``faults``."""
    own, ear = None, None
    if "ear" in attributes:
        try:
            ear = dict(json.loads(attributes["ear"]))
            own = ear["channels"]
        except (ValueError, TypeError, KeyError, RecursionError):
            own = 0
        if not isinstance(own, int) or isinstance(own, bool) or not 1 <= own <= 65535:
            faults.append(
                Fault("attribute 'ear' does not say the number of channels (JSON with channels, 1 ... 65535)")
            )
            own, ear = None, None
    return own, ear, own_unit(attributes, faults)


def own_unit(attributes: Mapping[str, str], faults: list[Fault]) -> TimeUnit | None:
    """Unit of the times; one that is not known is added to ``faults``."""
    unit = attributes.get("time_unit")
    for known in get_args(TimeUnit):
        if unit == known:
            return cast(TimeUnit, known)
    if unit is not None:
        faults.append(Fault(f"attribute 'time_unit' is {unit[:20]!r} ({', '.join(PER_SECOND)} allowed)"))
    return None


def left_out_of(text: str) -> tuple[str, ...]:
    """Why files were left out, of attribute ``left_out``."""
    try:
        reasons = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    return tuple(str(reason) for reason in reasons) if isinstance(reasons, list) else ()
