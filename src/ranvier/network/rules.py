"""What a network must keep to, and the error where it does not."""

from __future__ import annotations

from numbers import Real

from ranvier.errors import RuleError

MAX_CHANNELS = 2**24
MAX_STEPS = 65535  # of a tail, as of a clip
MAX_BUFFER = 2**24  # values that one layer holds while it runs
DECAY_ONE = 4096  # an integer decay counts in parts of it, as on Loihi
MAX_INT32 = 2**31 - 1
MAX_COUNT = 255  # size of an event in an integer network


class NetworkError(RuleError):
    """A network, or a file that should hold one, breaks a rule; the message says which, where and what is allowed."""


def require(condition: bool, message: str) -> None:
    """Raise :class:`NetworkError` with this message unless the condition holds."""
    if not condition:
        raise NetworkError(message)


def is_whole(value: object, low: int, high: int) -> bool:
    """Whether a value is an integer (not a truth value) in [low, high]."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def is_real(value: object, low: float, high: float) -> bool:
    """Whether a value is a real number (not a truth value) in [low, high]."""
    return isinstance(value, Real) and not isinstance(value, bool) and bool(low <= value <= high)  # type: ignore[operator]
