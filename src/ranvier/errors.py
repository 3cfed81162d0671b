"""What every error about given values or files has in common."""

from __future__ import annotations

from typing import Any


class RuleError(ValueError):
    """Something that was given breaks a rule.

    It reads ``place: value is not allowed (allowed)``, or ``place: fault`` where there is no value to show. A place
    alone is the whole message.

    Attributes:
        place: field, argument or file.
        value: what was given there; None where there is nothing to show.
        allowed: what may stand there.
        fault: what is wrong, without the place.
    """

    def __init__(self, place: object, value: Any = None, allowed: str = "", *, fault: str = "") -> None:
        super().__init__(place, value, allowed)
        self.place, self.value, self.allowed = str(place), value, allowed
        self.fault = fault or (f"{value} is not allowed ({allowed})" if allowed else "")

    def __str__(self) -> str:
        if len(self.args) != 3:  # set anew
            return super().__str__()
        return f"{self.place}: {self.fault}" if self.fault else self.place

    def __reduce__(self) -> Any:
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[RuleError], args: tuple[Any, ...], fields: dict[str, Any]) -> RuleError:
    """The same error in another process."""
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(fields)
    return error


class ConfigError(RuleError):
    """A recipe or a command breaks a rule; the message names the field, the value and what is allowed."""
