"""A server on this machine that does what servers do: break off, stall, ignore ranges, send something else."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ranvier.corpora.published import Source

Answer = Callable[["Asked", bytes], None]
"""What the server does with a request, given the file."""


@dataclass
class Served:
    """A server, and what it has seen."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, list[Answer]] = field(default_factory=dict)  # for the first request, the second, ...; then whole
    asked: list[tuple[str, int]] = field(default_factory=list)  # name, first byte
    sent: int = 0
    over: threading.Event = field(default_factory=threading.Event)
    log: threading.Lock = field(default_factory=threading.Lock)

    def put(self, name: str, content: bytes, *answers: Answer) -> str:
        """Serve a file; its address."""
        self.files[name] = content
        self.answers[name] = list(answers)
        return f"{self.url}/{name}"

    def offer(self, name: str, content: bytes, *answers: Answer, md5: str | None = "") -> Source:
        """Serve a recording's packed file."""
        return Source(self.put(name, content, *answers), hashlib.md5(content).hexdigest() if md5 == "" else md5)


class Asked(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    served: Served

    def do_GET(self) -> None:
        name = self.path.strip("/")
        with self.served.log:
            self.served.asked.append((name, self.first))
            answers = self.served.answers.get(name)
            answer = gone if answers is None else answers.pop(0) if answers else whole
        self.close_connection = True
        answer(self, self.served.files.get(name, b""))

    @property
    def first(self) -> int:
        return int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))

    def head(self, status: int, length: int, **fields: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def send(self, content: bytes) -> None:
        try:
            self.wfile.write(content)
            self.wfile.flush()
        except OSError:  # the other side has had enough
            return
        with self.served.log:
            self.served.sent += len(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def begin(asked: Asked, content: bytes) -> bytes:
    """The head of a right answer; what has to follow."""
    if not asked.first:
        asked.head(200, len(content))
    elif asked.first < len(content):
        span = f"bytes {asked.first}-{len(content) - 1}/{len(content)}"
        asked.head(206, len(content) - asked.first, Content_Range=span)
    else:
        asked.head(416, 0, Content_Range=f"bytes */{len(content)}")
    return content[asked.first :]


def whole(asked: Asked, content: bytes) -> None:
    asked.send(begin(asked, content))


def breaks_off(asked: Asked, content: bytes) -> None:
    rest = begin(asked, content)
    asked.send(rest[: len(rest) // 2])


def knows_no_ranges(asked: Asked, content: bytes) -> None:
    asked.head(200, len(content))
    asked.send(content)


def gives_another_range(asked: Asked, content: bytes) -> None:
    asked.head(206, len(content), Content_Range=f"bytes 0-{len(content) - 1}/{len(content)}")
    asked.send(content)


def hangs_up(asked: Asked, content: bytes) -> None:
    pass


def stalls(asked: Asked, content: bytes) -> None:
    rest = begin(asked, content)
    asked.send(rest[: len(rest) // 2])
    asked.served.over.wait(30)


def gone(asked: Asked, content: bytes) -> None:
    asked.head(404, 0)


def calls_gzip_an_encoding(asked: Asked, content: bytes) -> None:
    asked.head(200, len(content), Content_Encoding="gzip")
    asked.send(content)


def does_not_say_how_much(asked: Asked, content: bytes) -> None:
    asked.send_response(200)
    asked.end_headers()
    asked.send(content)


def elsewhere(asked: Asked, content: bytes) -> None:
    asked.head(302, 0, Location=f"{asked.served.url}/moved.zip")


class Quiet(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@contextlib.contextmanager
def serving() -> Iterator[Served]:
    """The server, until the end of the block."""
    server = Quiet(("127.0.0.1", 0), type("Handler", (Asked,), {}))
    there = Served(f"http://127.0.0.1:{server.server_address[1]}")
    server.RequestHandlerClass.served = there  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield there
    there.over.set()
    server.shutdown()
    server.server_close()
    thread.join()
