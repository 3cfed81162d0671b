"""Names are the user's, or a stranger's: what would steer a terminal or turn a line around is shown escaped."""

from __future__ import annotations

import unicodedata

_JOINERS = "\u200c\u200d"  # part of words in Persian and Indian scripts, and of emoji


def escape_controls(text: str) -> str:
    r"""Text with control characters, line breaks, bidirectional and other invisible marks as ``\x1b``, ``\u202e``.

    Args:
        text: of any kind; lone surrogates, which stand for bytes of a file's name that are not UTF-8, are escaped too.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(letter: str) -> str:
    # control, format, surrogate, not assigned, line and paragraph separator
    hidden = unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Cn", "Zl", "Zp") and letter not in _JOINERS
    return letter.encode("unicode_escape").decode() if hidden else letter
