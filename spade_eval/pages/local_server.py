# SPDX-License-Identifier: Apache-2.0
"""A small web server for one page of the suite: fixed routes, bounded requests, own page alone.

The standard library's server is enough for a handful of people, and adds no dependency. It listens
on 127.0.0.1 unless told otherwise. What a request may do is what a route does: no path of a request
is ever a path on the disk. A page of another site can make a browser send requests here, so that

- `Host` must name this machine (a foreign name that was made to point here does not);
- `Origin` must be this page's own, and POST must state it, with a body of JSON.

Whatever is wrong with a request is one line of plain text with a status of HTTP.
"""

import ipaddress
import socket
import socketserver
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from spade_eval.errors import UserError
from spade_eval.json_fields import parsed_json

LOOPBACK = "127.0.0.1"
LARGEST_BODY = 2**20  # bytes, of a request that states no other limit: a label map has 64 KiB
_MOST_CONNECTIONS = 256  # a browser holds up to six; each has a thread
_LONGEST_TARGET = 2048  # characters of path and query
_PATIENCE = 20.0  # seconds for the next bytes of a request, and between two requests
_MOST_DISCARDED = 2**23  # bytes of a refused body that are read, so that its sender hears why
_HTML, TEXT, JSON = "text/html; charset=utf-8", "text/plain; charset=utf-8", "application/json"


class Refused(Exception):  # noqa: N818  (an answer, not a fault)
    """A request that is answered with one line; `status` is that of HTTP."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request that passed the checks of this module."""

    method: str  # GET or POST
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        """Parse the body; what is no JSON within the suite's limits is `Refused` with 400."""
        try:
            return parsed_json(self.body)
        except ValueError as error:
            raise Refused(400, f"the body is no JSON ({error})") from error


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a route gives back."""

    content: bytes
    kind: str = _HTML  # its media type
    status: int = 200
    may_be_kept: bool = False  # by the browser, for an hour; for what never changes
    policy: str = ""  # of a page: its Content-Security-Policy, which no text in it can lift


Route = Callable[[Request], Answer]


@dataclass(frozen=True)
class Routes:
    """Who answers what: GET by path, POST by path with the largest body in bytes."""

    get: Mapping[str, Route]
    post: Mapping[str, tuple[Route, int]] = field(default_factory=dict)

    def answer(self, request: Request) -> Answer:
        """Answer a request; `Refused` where no route has its path."""
        route = self.get.get(request.path)
        if request.method == "POST":
            route, _ = self.post.get(request.path, (None, 0))
        if route is None:
            raise Refused(404, "there is nothing at this address")
        return route(request)

    def largest_body(self, path: str) -> int:
        """Return the bytes that a POST to a path may have."""
        return self.post[path][1] if path in self.post else LARGEST_BODY


class LocalServer(ThreadingHTTPServer):
    """Serves `routes` at `address`; a `UserError` where host and port cannot be had."""

    daemon_threads = True  # who keeps a connection open does not keep the program

    def __init__(self, routes: Routes, host: str = LOOPBACK, port: int = 0) -> None:
        self.routes = routes
        self._free = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        self._host = host
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), _Connection)
        except (OSError, OverflowError) as error:
            raise UserError(
                f"--host {host} --port {port}: nothing can listen there "
                f"({getattr(error, 'strerror', None) or error}); give another --port, or 0 for "
                "any that is free"
            ) from error

    @property
    def address(self) -> str:
        """Where the page is: "http://127.0.0.1:8123/"."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.server_port}/"

    def server_bind(self) -> None:
        """Bind without looking the name up, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self._host, self.server_address[1]

    def is_own_name(self, host: str) -> bool:
        """Return whether a `Host` means this machine; its port may be that of a tunnel.

        No name of a stranger's can be an address, so that on other interfaces each address passes.
        """
        name = urlsplit(f"//{host}").hostname or ""
        if name in ("localhost", LOOPBACK, "::1", self._host.lower()):
            return True
        return not _is_loopback(self._host) and _is_address(name)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own; the connection is closed where there are too many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer all requests of a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what went wrong; that someone went away or was too slow is nothing wrong."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            traceback.print_exc()


@contextmanager
def serving(server: LocalServer) -> Iterator[str]:
    """Serve beside the block, to which the address is given."""
    thread = threading.Thread(target=partial(server.serve_forever, 0.05), daemon=True)
    thread.start()
    try:
        yield server.address
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Connection(BaseHTTPRequestHandler):
    """One connection: checks each request, has it answered, writes the answer."""

    protocol_version = "HTTP/1.1"
    timeout = _PATIENCE
    server: LocalServer

    def do_GET(self) -> None:
        self._respond()

    do_POST = do_GET  # noqa: N815

    def version_string(self) -> str:
        return "spade-eval"

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing: standard error is for errors of the program."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what the standard library cannot read, in this module's form."""
        self.close_connection = True
        self._send(_line(code, message or "the request cannot be read"))

    def _respond(self) -> None:
        try:
            answer = self.server.routes.answer(self._request())
        except Refused as refused:
            answer = _line(refused.status, str(refused))
        except UserError as error:
            answer = _line(400, str(error))
        except (ConnectionError, TimeoutError):
            raise
        except Exception:
            traceback.print_exc()
            answer = _line(500, "the program failed here; its terminal says how")
        self.close_connection |= answer.status >= 400
        self._send(answer)

    def _request(self) -> Request:
        """Read one request; `Refused` for whatever is not as this server's page sends it."""
        target = self.path
        if len(target) > _LONGEST_TARGET or not target.startswith("/"):
            raise Refused(400, f"expected a path of at most {_LONGEST_TARGET} characters")
        body = self._body(urlsplit(target).path if target.isascii() else "")
        self._require_own_page()
        try:
            parts = urlsplit(target)
            query = dict(parse_qsl(parts.query, max_num_fields=20))
        except ValueError as error:
            raise Refused(400, f"the address cannot be read ({error})") from error
        return Request(method=self.command, path=parts.path, query=query, body=body)

    def _require_own_page(self) -> None:
        hosts = self.headers.get_all("Host", [])
        try:
            is_own = len(hosts) == 1 and self.server.is_own_name(hosts[0].strip())
        except ValueError:
            is_own = False
        if not is_own:
            raise Refused(403, "Host names another machine; open the address that was printed")
        origin = self.headers.get("Origin")
        is_posted = self.command == "POST"
        if (is_posted or origin is not None) and (
            origin is None or origin.partition("://")[2] != hosts[0].strip()
        ):
            raise Refused(403, "Origin is not this page; open the address that was printed")
        if is_posted and self.headers.get_content_type() != JSON:
            raise Refused(415, f"expected a body of {JSON}")

    def _body(self, path: str) -> bytes:
        """Read the body, whole and within the limit of its route."""
        if "Transfer-Encoding" in self.headers:
            raise Refused(411, "expected a body with Content-Length, not in parts")
        stated = self.headers.get_all("Content-Length", [])
        if not stated and self.command == "POST":
            raise Refused(411, "expected a Content-Length")
        text = stated[0].strip() if stated else "0"
        if len(stated) > 1 or not (text.isascii() and text.isdecimal()) or len(text) > 15:
            raise Refused(400, "Content-Length is no number of bytes")
        length = int(text)
        most = self.server.routes.largest_body(path) if self.command == "POST" else 0
        if length > most:
            self._discard(length)
            raise Refused(413, f"a body of {length:,} bytes, expected at most {most:,}")
        body = self.rfile.read(length)
        if len(body) < length:
            raise Refused(400, f"a body of {len(body):,} bytes, {length:,} were announced")
        return body

    def _discard(self, length: int) -> None:
        rest = min(length, _MOST_DISCARDED)
        while rest > 0 and (read := self.rfile.read(min(rest, 2**16))):
            rest -= len(read)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        kept = "private, max-age=3600" if answer.may_be_kept else "no-store"
        for name, value in (
            ("Content-Type", answer.kind),
            ("Content-Length", str(len(answer.content))),
            ("Cache-Control", kept),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        ):
            self.send_header(name, value)
        if answer.policy:
            self.send_header("Content-Security-Policy", f"{answer.policy}; frame-ancestors 'none'")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.content)


def _line(status: int, text: str) -> Answer:
    """Write one line, of text that cannot be more than one."""
    line = " ".join(text.split()).encode("ascii", "backslashreplace")
    return Answer(content=line + b"\n", kind=TEXT, status=status)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
