"""What every error about a recipe's values has in common."""

from __future__ import annotations


class ConfigError(ValueError):
    """A recipe or a command breaks a rule; the message names the field, the value and what is allowed."""
