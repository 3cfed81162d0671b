"""Put a finished run into the package, under a name that its commands take: ``python -m tools.package_run``."""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path, PurePosixPath, PureWindowsPath
from tempfile import TemporaryDirectory
from typing import Any

import tomli_w
from safetensors.torch import save_file

import ranvier
from ranvier.files import write_text
from ranvier.recipes.checkpoint import checkpoint_file, load_checkpoint
from ranvier.recipes.config import ConfigError
from ranvier.recipes.pretrained import LICENCE_FILE, MODEL_FILE
from ranvier.recipes.report import OWN
from ranvier.recipes.run_config import read_config
from ranvier.runs import read_record, read_result

PACKAGED = Path(ranvier.__file__).parent / "recipes" / "pretrained_runs"
MOST_BYTES = 3_000_000
_COPIED = ("result.json", "metrics.jsonl", "network.safetensors")


def package_run(run: Path, name: str, licence: str, *, into: Path = PACKAGED) -> Path:
    """Write the files that a run of the package has: no checkpoint, pictures or clips, and no path of this machine.

    Args:
        run: folder of a finished training, with its checkpoint.
        name: a-z, 0-9 and -.
        licence: of the network and of what it was trained on, in a line.
        into: folder of the package's runs.

    Returns:
        The folder, ``into/name``; one that was there is replaced.

    Raises:
        ConfigError: the run will not do, or its files are larger than 3 MB together.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise ConfigError(f"name: {name!r} is not allowed (a-z, 0-9 and -, a letter first)")
    if not licence.strip() or "\n" in licence:
        raise ConfigError("licence: one line is needed")
    config, result, state = read_config(run), read_result(run), load_checkpoint(checkpoint_file(run))
    if result is None or state is None:
        raise ConfigError(f"{run}: is no single finished training (a run's folder with its checkpoint)")
    if config.data.kind == "folder" or config.train.init_from is not None:
        raise ConfigError(f"{run}: its configuration does not tell all that it was trained on (no folder, no start)")
    values = config.model_dump(mode="json", exclude_none=True)
    values["data"].pop("root", None)
    _refuse_paths(values)
    into.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=into, prefix=".") as temporary:
        made = Path(temporary) / name
        made.mkdir()
        write_text(made / "config.toml", tomli_w.dumps(values))
        write_text(made / LICENCE_FILE, licence.strip() + "\n")
        save_file(state["best"]["model"], made / MODEL_FILE)
        (made / MODEL_FILE).chmod(0o644)
        for file in _COPIED:
            shutil.copyfile(run / file, made / file)
        if read_record(run, OWN) is not None:
            shutil.copyfile(run / "observed.npz", made / "observed.npz")
        size = sum(file.stat().st_size for file in made.iterdir())
        if size > MOST_BYTES:
            raise ConfigError(f"{run}: its files have {size} bytes ({MOST_BYTES} allowed)")
        places = [str(place).encode() for place in (run.absolute(), getattr(config.data, "root", None)) if place]
        leak = next((file.name for file in made.iterdir() if any(p in file.read_bytes() for p in places)), None)
        if leak is not None:
            raise ConfigError(f"{run}: {leak} names a folder of this machine")
        shutil.rmtree(into / name, ignore_errors=True)
        made.replace(into / name)
    return into / name


def _refuse_paths(values: dict[str, Any]) -> None:
    for section, fields in values.items():
        for name, value in fields.items() if isinstance(fields, dict) else ():
            if any(path(str(value)).is_absolute() for path in (PurePosixPath, PureWindowsPath)):
                raise ConfigError(f"{section}.{name}: {value} is a path of this machine (a run without it)")


def main(arguments: list[str] | None = None) -> None:
    """Package a run; bad input is one line on standard error and exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m tools.package_run", description=__doc__, allow_abbrev=False)
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of a finished training")
    parser.add_argument("name", metavar="NAME", help="name in the package: a-z, 0-9 and -")
    parser.add_argument("--licence", metavar="TEXT", required=True, help="of network and training data, in a line")
    options = parser.parse_args(arguments)
    try:
        folder = package_run(options.run, options.name, options.licence)
    except (ConfigError, OSError) as error:
        parser.error(str(error))
    print(f"{folder} written: {sum(file.stat().st_size for file in folder.iterdir())} bytes")


if __name__ == "__main__":
    main()
