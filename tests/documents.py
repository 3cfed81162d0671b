"""README and the pages of the documentation site, and the code in them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
}


def blocks(text: str, language: str) -> list[str]:
    """Content of every fenced block of a language."""
    named = r'^--8<-- "(examples/\w+\.py)"$'  # a script that the site shows in the block
    whole = re.sub(named, lambda script: (ROOT / script[1]).read_text(encoding="utf-8"), text, flags=re.MULTILINE)
    return re.findall(rf"^```{language}\n(.*?)^```$", whole, re.DOTALL | re.MULTILINE)


def console_lines(text: str) -> list[str]:
    """Every line of the blocks for a terminal."""
    return [line for block in blocks(text, "console") for line in block.splitlines()]


def commands(text: str) -> list[str]:
    """Every ``ranvier`` command: of blocks, and in backquotes in text and tables; each once, in order."""
    found = re.findall(r"^(?:.*(?:&&|\|) )?(ranvier [^#\n]*)$|`(ranvier [^`]+)`", text, re.MULTILINE)
    return list(dict.fromkeys(" ".join((block or inline).split()) for block, inline in found))
