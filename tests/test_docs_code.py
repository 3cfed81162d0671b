"""Every block of code in the documentation runs; ``test_docs_commands.py`` runs commands, ``test_docs.py`` README."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ranvier.recipes.config import build_config
from ranvier.recipes.recipe_files import load_values
from tests.documents import PAGES, ROOT, blocks, console_lines

# Packages that a block may go without: its page says when it was run, and with which version. Where they are installed
# the block runs.
ELSEWHERE = ("snntorch", "norse")


# Lines of the tutorial on microcontrollers, which are run below.
MICROCONTROLLER = "docs/tutorials/microcontroller.md"
COMPILED = ("gcc ", "./clip", "arm-none-eabi-")


def program(page: str) -> str:
    """The Python of a page, from top to bottom."""
    return "\n".join(block for block in blocks(PAGES[page], "python") if not needs_more(block))


def needs_more(block: str) -> bool:
    """Whether a block imports what is not installed."""
    names = re.findall(r"^import (\w+)", block, re.MULTILINE)
    return any(name in ELSEWHERE and importlib.util.find_spec(name) is None for name in names)


WITH_PYTHON = [page for page in PAGES if blocks(PAGES[page], "python") and page != "README.md"]
LONG = ("docs/tutorials/other_networks.md", "docs/howto/python.md")


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.slow] if page in LONG else []) for page in WITH_PYTHON]
)
def test_the_python_of_a_page_runs_from_top_to_bottom(page: str, tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text(program(page), encoding="utf-8")
    quiet = ["-W", "error", "-W", "ignore:`torch.jit.script:DeprecationWarning"]  # by SpikingJelly
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, *quiet, "page.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_blocks_that_need_more_are_python_and_few() -> None:
    every = [block for text in PAGES.values() for block in blocks(text, "python")]
    left_out = [block for block in every if re.search(rf"^import ({'|'.join(ELSEWHERE)})", block, re.MULTILINE)]
    assert len(left_out) == len(ELSEWHERE)
    for block in left_out:
        compile(block, "page", "exec")


def test_every_block_says_what_it_is() -> None:
    for page, text in PAGES.items():
        languages = re.findall(r"^```(.*)$", text, re.MULTILINE)
        assert set(languages[::2]) <= {"python", "console", "toml", "c"}, page
        assert set(languages[1::2]) <= {""}, page


def test_every_line_for_a_terminal_is_a_command_that_is_tested() -> None:
    microphone = "arecord -f S16_LE -r 48000 | ranvier run "
    several = "torchrun --nproc-per-node 2 -m ranvier train "  # tests/recipes/test_distributed.py runs it
    batch = "sbatch --array=1-8 --gpus-per-node=1 --wrap 'ranvier sweep "  # of a cluster, whose jobs run such a command
    starts = (
        "ranvier ", "pip install -c constraints.txt ", microphone, "cat one.wav | ranvier run ", several, batch,
        *COMPILED,
    )  # fmt: skip
    lines = [line for text in PAGES.values() for line in console_lines(text)]
    assert lines
    assert [line for line in lines if not line.startswith(starts)] == []


def test_scripts_that_pages_name_are_there() -> None:
    for page, text in PAGES.items():
        for script in re.findall(r"\b((?:examples|benchmarks|tests|tools)/[\w/]+\.\w+)", text):
            assert "NAME" in script or (ROOT / script).exists(), f"{page}: {script}"


def test_toml_is_read_and_the_recipe_is_one(tmp_path: Path) -> None:
    for page, text in PAGES.items():
        for block in blocks(text, "toml"):
            assert tomllib.loads(block), page
    configs = []
    for recipe in blocks(PAGES["docs/howto/own_recipe.md"], "toml"):
        (tmp_path / "mine.toml").write_text(recipe, encoding="utf-8")
        configs.append(build_config(load_values(str(tmp_path / "mine.toml")), {}))
    assert [(config.name, config.model.max_delay_ms) for config in configs] == [("shd-longer", 480.0), ("camera", 60.0)]
    assert configs[1].data.picture == (32, 32)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_the_program_for_a_microcontroller_gives_the_engines_class(tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text(program(MICROCONTROLLER), encoding="utf-8")
    (main,) = blocks(PAGES[MICROCONTROLLER], "c")
    (tmp_path / "main.c").write_text(main, encoding="utf-8")
    page = [sys.executable, "page.py"]
    said = subprocess.run(page, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    printed = []
    for line in console_lines(PAGES[MICROCONTROLLER]):
        words = [sys.executable, "-m", *line.split()] if line.startswith("ranvier ") else line.split()
        words += ["-Wall", "-Wextra", "-Werror"] if "gcc" in words[0] else []
        if words[0] == "./clip" or shutil.which(words[0]) is not None:  # a cross compiler may be missing
            done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            printed.append(done.stdout)
    assert "643,032" in printed[0]
    assert "56,532" in printed[0]
    assert said in printed
