"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ranvier.files import write_atomically, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_block_that_raises_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    file = tmp_path / "table.md"
    write_text(file, "before\n")
    with pytest.raises(UnicodeEncodeError):
        write_text(file, "half \ud800")  # a lone surrogate has no UTF-8
    assert file.read_bytes() == b"before\n"
    assert names(tmp_path) == ["table.md"]


def test_text_is_utf8_with_unix_line_ends_under_any_locale(tmp_path: Path) -> None:
    code = "import sys; from ranvier.files import write_text; write_text(sys.argv[1], '\\u03c3 \\u2192 \\u017c\\n')"
    plain = {**os.environ, "LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=True, env=plain)
    assert (tmp_path / "a").read_bytes() == "σ → ż\n".encode()


def test_the_temporary_of_a_killed_process_is_removed_by_the_next_call(tmp_path: Path) -> None:
    file = tmp_path / "a [1]*.h5"
    code = (
        "import os, sys; from ranvier.files import write_atomically\n"
        "with write_atomically(sys.argv[1]) as t: t.write_bytes(b'half'); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(file)], check=False).returncode == 9
    assert len(names(tmp_path)) == 1
    with write_atomically(file) as mine:
        mine.write_bytes(b"whole")
        write_text(tmp_path / "other", "")
    assert names(tmp_path) == ["a [1]*.h5", "other"]
    assert file.read_bytes() == b"whole"


def test_errors_name_the_file_and_a_full_disk(tmp_path: Path) -> None:
    file = tmp_path / "missing" / "a"
    with pytest.raises(OSError, match="No such file") as missing:
        write_text(file, "")
    assert missing.value.filename == str(file)
    with pytest.raises(OSError, match="full") as full, write_atomically(tmp_path / "a"):
        raise OSError("Can't write data (errno = 28, error message = 'No space left on device')")
    assert (full.value.errno, full.value.filename) == (errno.ENOSPC, str(tmp_path / "a"))
