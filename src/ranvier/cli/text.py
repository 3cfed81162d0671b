"""Text on the terminal as it is: names are the user's."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from ranvier.escape import escape_controls


def plain_text(text: str) -> Text:
    """Names are the user's: no markup, no control characters."""
    return Text(escape_controls(text))


def print_line(console: Console, text: str) -> None:
    console.print(plain_text(text), soft_wrap=True)
