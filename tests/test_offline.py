"""The default needs no network: not to be installed, nor to be trained, tested and evaluated."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, NoReturn

import pytest

from ranvier.cli import main


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every try to reach something is remembered and fails."""
    tries: list[Any] = []

    def refuse(*arguments: Any, **_: Any) -> NoReturn:
        tries.append(arguments)
        raise OSError("no network here")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("create_connection", "getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)
    return tries


def test_the_default_tries_no_network(
    no_network: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    little = ["--train.epochs", "1", "--model.hidden", "16"]
    assert main(["train", *little]) == 0
    assert "400" in capsys.readouterr().out
    run = Path("runs/digits")
    assert main(["eval", str(run / "network.safetensors"), "--data", str(run / "test.h5")]) == 0
    assert no_network == []


def test_what_needs_the_network_would_be_seen(no_network: list[Any], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["data", "fetch", "shd", "--out", str(tmp_path / "shd")])
    assert stopped.value.code == 2
    assert no_network != []
