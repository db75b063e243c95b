# SPDX-License-Identifier: Apache-2.0
"""The server behind the pages: what it answers, and all that it refuses in one line."""

import http.client
import json
import random
import socket
import sys
import threading
from collections.abc import Iterator

import pytest

from spade_eval.errors import UserError
from spade_eval.pages.local_server import (
    JSON,
    Answer,
    LocalServer,
    Refused,
    Request,
    Routes,
    serving,
)

_LARGEST = 1000


def _echo(request: Request) -> Answer:
    return Answer(content=json.dumps({"got": request.json()}).encode(), kind=JSON)


def _asked(request: Request) -> Answer:
    if request.query.get("what") == "user":
        raise UserError("a wrong value\nof the user's")
    if request.query.get("what") == "fault":
        raise RuntimeError("a fault")
    if request.query.get("what") == "refused":
        raise Refused(409, "no <b>markup</b>")
    return Answer(content=repr(dict(request.query)).encode(), may_be_kept=True)


_ROUTES = Routes(
    get={"/": lambda request: Answer(content=b"<p>page</p>"), "/asked": _asked},
    post={"/echo": (_echo, _LARGEST)},
)


@pytest.fixture
def server() -> Iterator[LocalServer]:
    server = LocalServer(_ROUTES)
    with serving(server):
        yield server


def asked(
    server: LocalServer, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, str, http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    own = {"Origin": server.address.rstrip("/"), "Content-Type": JSON} if body is not None else {}
    sent = {name.replace("_", "-"): value for name, value in {**own, **headers}.items()}
    connection.request(method, path, body, {n: v for n, v in sent.items() if v})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text, response


def raw(server: LocalServer, data: bytes) -> bytes:
    """Send bytes and end; return what comes back."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(2**16):
            answer += part
    return answer


def test_it_listens_on_this_machine_alone(server: LocalServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.address == f"http://127.0.0.1:{server.server_port}/"


def test_routes_answer(server: LocalServer) -> None:
    status, text, response = asked(server, "GET", "/")
    assert (status, text) == (200, "<p>page</p>")
    assert response.headers["Content-Type"].startswith("text/html")
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["Server"] == "spade-eval"
    status, text, response = asked(server, "GET", "/asked?a=1&b=%C3%A4")
    assert (status, text) == (200, "{'a': '1', 'b': 'ä'}")
    assert "max-age" in response.headers["Cache-Control"]
    assert asked(server, "POST", "/echo", b'{"a": [1]}')[:2] == (200, '{"got": {"a": [1]}}')


def test_one_connection_serves_many_requests(server: LocalServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    for _ in range(3):
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"<p>page</p>"
        assert connection.sock is not None
    connection.close()


@pytest.mark.parametrize("path", ["/../etc/passwd", "/%2e%2e/x", "//evil.example/", "/echo", "/x"])
def test_no_path_is_one_on_the_disk(server: LocalServer, path: str) -> None:
    status, text, _ = asked(server, "GET", path)
    assert status == 404
    assert text == "there is nothing at this address\n"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "192.168.0.7", "[", ""])
def test_a_foreign_host_is_refused(server: LocalServer, host: str) -> None:
    answer = raw(server, f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert answer.endswith(b"Host names another machine; open the address that was printed\n")


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:9000"])
def test_names_of_this_machine_pass_also_through_a_tunnel(server: LocalServer, host: str) -> None:
    assert asked(server, "GET", "/", Host=host)[0] == 200
    origin = f"http://{host}"
    assert asked(server, "POST", "/echo", b"1", Host=host, Origin=origin)[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://127.0.0.1"])
def test_a_post_of_another_page_is_refused(server: LocalServer, origin: str) -> None:
    status, text, _ = asked(server, "POST", "/echo", b"1", Origin=origin)
    assert (status, text.split(";")[0]) == (403, "Origin is not this page")


def test_a_get_of_another_page_is_refused(server: LocalServer) -> None:
    assert asked(server, "GET", "/", Origin="http://evil.example")[0] == 403


def test_a_form_of_another_page_has_no_json(server: LocalServer) -> None:
    status, text, _ = asked(server, "POST", "/echo", b"1", Content_Type="text/plain")
    assert (status, text) == (415, "expected a body of application/json\n")


def test_bodies_are_bounded(server: LocalServer) -> None:
    assert asked(server, "POST", "/echo", b" " * (_LARGEST - 1) + b"1")[0] == 200
    status, text, _ = asked(server, "POST", "/echo", b" " * 200_000)
    assert (status, text) == (413, "a body of 200,000 bytes, expected at most 1,000\n")
    head = b"POST /echo HTTP/1.1\r\nHost: localhost\r\n"
    for lines, status in (
        (b"", 411),
        (b"Transfer-Encoding: chunked\r\n", 411),
        (b"Content-Length: -1\r\n", 400),
        (b"Content-Length: 1\r\nContent-Length: 2\r\n", 400),
        (b"Content-Length: 99999999999999999999\r\n", 400),
        (b"Content-Length: 9\r\n", 400),  # and nothing follows
    ):
        assert raw(server, head + lines + b"\r\n").startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize("body", [b"{", b"\xff", b"1e", b"[" * 900, b"9" * 400])
def test_what_is_no_json_is_one_line(server: LocalServer, body: bytes) -> None:
    status, text, response = asked(server, "POST", "/echo", body)
    assert (status, text.count("\n")) == (400, 1)
    assert text.startswith("the body is no JSON")
    assert response.headers["Content-Type"].startswith("text/plain")


def test_errors_are_one_line_of_text(
    server: LocalServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(server, "GET", "/asked?what=user")[:2] == (400, "a wrong value of the user's\n")
    status, text, response = asked(server, "GET", "/asked?what=refused")
    assert (status, text) == (409, "no <b>markup</b>\n")
    assert response.headers["Content-Type"].startswith("text/plain")
    assert capsys.readouterr().err == ""
    status, text, _ = asked(server, "GET", "/asked?what=fault")
    assert (status, text) == (500, "the program failed here; its terminal says how\n")
    assert "RuntimeError: a fault" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "HEAD", "CONNECT"])
def test_other_methods_do_nothing(server: LocalServer, method: str) -> None:
    assert asked(server, method, "/")[0] == 501


def test_a_thousand_malformed_requests_do_no_harm(
    server: LocalServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Damaged from seeds: every answer is none, or one of HTTP that names a fault or a success."""
    sound = (
        b"POST /echo HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n"
        b'Content-Type: application/json\r\nContent-Length: 8\r\n\r\n{"a": 1}'
    )
    assert raw(server, sound).startswith(b"HTTP/1.1 200 ")
    statuses = set()
    for seed in range(1000):
        drawn = random.Random(seed)
        data = bytearray(sound)
        for _ in range(drawn.choice((1, 1, 3, 30))):
            place = drawn.randrange(len(data))
            action = drawn.randrange(4)
            if action == 0:
                data[place] = drawn.randrange(256)
            elif action == 1:
                del data[place : place + drawn.randrange(1, 40)]
            elif action == 2:
                data[place:place] = drawn.randbytes(drawn.randrange(1, 60))
            else:
                data[place:place] = drawn.choice((b"\r\n", b"\r\n\r\n", b"\0", b"%00", b"%", b"9"))
            data = data or bytearray(b"\r\n")
        answer = raw(server, bytes(data))
        if answer.startswith(b"HTTP/1."):  # HTTP/0.9 and silence have no status
            statuses.add(int(answer.split(b" ", 2)[1]))
    assert statuses <= {200, 400, 403, 404, 411, 413, 414, 415, 431, 501, 505}
    assert {400, 403} <= statuses
    assert asked(server, "POST", "/echo", b"1")[0] == 200
    assert capsys.readouterr().err == ""


def test_a_silent_connection_holds_nobody_up(server: LocalServer) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port)) as silent:
        silent.sendall(b"POST /echo HTTP/1.1\r\nContent-")
        assert asked(server, "GET", "/")[0] == 200


def test_too_many_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spade_eval.pages.local_server._MOST_CONNECTIONS", 2)
    server = LocalServer(_ROUTES)
    with serving(server):
        place = ("127.0.0.1", server.server_port)
        held = [socket.create_connection(place) for _ in range(3)]
        held[2].settimeout(10)
        assert held[2].recv(1) == b""
        for connection in held:
            connection.close()


def test_requests_are_answered_side_by_side() -> None:
    """Two that wait for each other end."""
    together = threading.Barrier(2, timeout=10)

    def meet(request: Request) -> Answer:
        together.wait()
        return Answer(content=b"met")

    server = LocalServer(Routes(get={"/": meet}))
    with serving(server):
        found: list[int] = []
        threads = [
            threading.Thread(target=lambda: found.append(asked(server, "GET", "/")[0]))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [200, 200]


def test_a_port_that_is_taken_is_one_line(server: LocalServer) -> None:
    with pytest.raises(UserError, match=r"nothing can listen there .* give another --port"):
        LocalServer(_ROUTES, port=server.server_port)
    with pytest.raises(UserError, match="nothing can listen there"):
        LocalServer(_ROUTES, port=70_000)


@pytest.mark.skipif(sys.platform != "linux", reason="all of 127.0.0.0/8 is this machine on Linux")
def test_on_another_interface_an_address_passes_and_a_foreign_name_does_not() -> None:
    server = LocalServer(_ROUTES, host="0.0.0.0")
    with serving(server):
        assert asked(server, "GET", "/", Host="192.168.0.7:8000")[0] == 200
        assert asked(server, "GET", "/", Host="evil.example")[0] == 403
