# SPDX-License-Identifier: Apache-2.0
"""The study's server: several people, their tokens, and no answer lost, also by a kill."""

import html
import http.client
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import studies
from processes import Fork

from spade_eval.errors import UserError
from spade_eval.pages.local_server import JSON, LocalServer, serving
from spade_eval.pages.study.answers import Answers
from spade_eval.pages.study.collecting import collect
from spade_eval.pages.study.database import FILE, Database, StaleError
from spade_eval.pages.study.making import Made, page_data
from spade_eval.pages.study.server import StudyServer
from spade_eval.reports.html.study_page import served_study_page


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return studies.make(tmp_path)


@contextmanager
def served(made: Made, people: int = 3) -> Iterator[LocalServer]:
    with ExitStack() as stack:
        database = stack.enter_context(Database.opened(made.folder / FILE))
        study = StudyServer(made.folder, made.key, database, people)
        server = LocalServer(study.routes(*served_study_page(page_data(made.folder))))
        stack.enter_context(serving(server))
        yield server


def posted(port: int, path: str, **fields: Any) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    headers = {"Content-Type": JSON, "Origin": f"http://127.0.0.1:{port}"}
    connection.request("POST", path, json.dumps(fields), headers)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, json.loads(text) if response.status == 200 else text


def plain(answers: Answers) -> list[dict[str, Any]]:
    return [asdict(item) for item in answers.answers]


def test_a_person_answers_takes_back_and_goes_on(made: Made) -> None:
    token = made.key.token(0)
    given = plain(studies.answered(made.key, 0))
    with served(made) as server:
        port = server.server_port
        status, state = posted(port, "/join", token=token)
        assert (status, state) == (200, {"person": token, "sheet": 0, "revision": 0, "answers": []})
        for place, answer in enumerate(given[:3]):
            status, said = posted(port, "/answer", token=token, revision=place, first=place,
                                  answers=[answer])  # fmt: skip
            assert (status, said) == (200, {"revision": place + 1})
        assert posted(port, "/answer", token=token, revision=3, first=2, answers=[])[0] == 200
        assert posted(port, "/join", token=token)[1]["answers"] == given[:2]
        rest = {"token": token, "first": 2, "answers": given[2:]}
        assert posted(port, "/answer", revision=4, **rest) == (200, {"revision": 5})
    assert collect(made.folder, made.key, []).people == (studies.answered(made.key, 0, token),)


def test_another_window_is_not_written_over(made: Made) -> None:
    token = made.key.token(1)
    given = plain(studies.answered(made.key, 1))
    with served(made) as server:
        fields = {"token": token, "revision": 0, "first": 0, "answers": given[:1]}
        assert posted(server.server_port, "/answer", **fields)[0] == 200
        status, text = posted(server.server_port, "/answer", **fields)
        assert (status, text) == (409, "another window has answered meanwhile; join again\n")
        ahead = {**fields, "revision": 1, "first": 3}
        assert posted(server.server_port, "/answer", **ahead)[0] == 409
        assert posted(server.server_port, "/join", token=token)[1]["answers"] == given[:1]


def test_nobody_sees_or_writes_anothers_answers(made: Made) -> None:
    with served(made, people=2) as server:
        port = server.server_port
        mine, other = made.key.token(0), made.key.token(1)
        given = plain(studies.answered(made.key, 0))
        posted(port, "/answer", token=mine, revision=0, first=0, answers=given[:1])
        assert posted(port, "/join", token=other)[1]["answers"] == []
        for token in (made.key.token(2), "", mine[:-1], mine.upper(), 0, None, [mine]):
            status, text = posted(port, "/join", token=token)
            assert status == 403
            assert text.startswith("this link is not one of this study")
        # Answers to somebody else's sheet are not answers to one's own.
        status, text = posted(port, "/answer", token=other, revision=0, first=0, answers=given)
        assert status == 400
        assert "another question than its sheet asks" in text


def test_requests_that_no_page_sends_are_one_line(made: Made) -> None:
    token = made.key.token(0)
    given = plain(studies.answered(made.key, 0))
    sound = {"token": token, "revision": 0, "first": 0, "answers": given}
    with served(made) as server:
        port = server.server_port
        for changes in (
            {"first": -1}, {"first": "0"}, {"first": True}, {"revision": None}, {"answers": {}},
            {"answers": [1]}, {"answers": [{**given[0], "code": "0" * 16}]}, {"more": 1},
            {"answers": [*given, given[0]]},
        ):  # fmt: skip
            status, text = posted(port, "/answer", **{**sound, **changes})
            assert status == 400, changes
            assert text.count("\n") == 1
        assert posted(port, "/join", token=token)[1]["revision"] == 0


def test_the_page_and_its_images_are_there_and_nothing_else(made: Made) -> None:
    with served(made) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)

        def status_of(path: str) -> int:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            return response.status

        image = next((made.folder / "handout" / "images").iterdir())
        assert status_of("/") == status_of(f"/images/{image.name}") == 200
        for path in ("/key.json", "/../key.json", "/answers.sqlite", "/images/", "/join"):
            assert status_of(path) == 404


def test_the_policy_of_the_page_is_sent_as_a_header_too(made: Made) -> None:
    """The browser then holds to it before it reads a byte, and no page can frame this one."""
    with served(made) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
        for path in ("/", "/index.html"):
            connection.request("GET", path)
            response = connection.getresponse()
            text = html.unescape(response.read().decode())
            policy, separator, framed = response.headers["Content-Security-Policy"].partition(
                "; frame-ancestors "
            )
            assert (separator, framed) == ("; frame-ancestors ", "'none'")
            assert policy.startswith("default-src 'none'; script-src 'sha256-")
            assert f'http-equiv="Content-Security-Policy" content="{policy}"' in text


def test_many_people_at_once(made: Made) -> None:
    people = 12
    with served(made, people) as server:

        def answer_all(person: int) -> None:
            sheet = person % len(made.key.drawn.sheets)
            given = plain(studies.answered(made.key, sheet))
            for place, item in enumerate(given):
                status, _ = posted(
                    server.server_port, "/answer", token=made.key.token(person), revision=place,
                    first=place, answers=[item],
                )  # fmt: skip
                assert status == 200

        threads = [threading.Thread(target=answer_all, args=(person,)) for person in range(people)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = collect(made.folder, made.key, [])
    assert len(found.people) == people
    for item in found.people:
        assert item == studies.answered(made.key, item.sheet, item.person)


def test_a_kill_loses_no_answer_that_was_confirmed(tmp_path: Path) -> None:
    """Two people answer side by side; the command is killed again and again, and goes on."""
    made = studies.make(tmp_path, questions=12, per_person=36, repeats=0)
    people = range(2)
    given = {person: plain(studies.answered(made.key, person)) for person in people}
    confirmed = dict.fromkeys(people, 0)

    def answer(person: int, port: int) -> None:
        token = made.key.token(person)
        try:
            state = posted(port, "/join", token=token)[1]
            first, revision = len(state["answers"]), state["revision"]
            # One more than was confirmed is there where the kill came before its confirmation.
            assert first - confirmed[person] in (0, 1)
            assert state["answers"] == given[person][:first]
            for place in range(first, len(given[person])):
                fields = {"token": token, "revision": revision, "first": place}
                status, said = posted(port, "/answer", **fields, answers=[given[person][place]])
                assert status == 200
                revision, confirmed[person] = said["revision"], place + 1
        except (OSError, http.client.HTTPException, ValueError):
            return  # killed

    kills = 0
    while min(confirmed.values()) < len(given[0]):
        server = Fork("spade_eval", "study", "serve", made.folder, "--port", 0)
        server.until(lambda server=server: server.out.count("#") >= 2)  # type: ignore[misc]
        port = int(server.out.partition("127.0.0.1:")[2].partition("/")[0])
        enough = sum(confirmed.values()) + 30
        with ThreadPoolExecutor(2) as pool:
            answers = [pool.submit(answer, person, port) for person in people]
            while sum(confirmed.values()) < enough and not all(item.done() for item in answers):
                time.sleep(0.001)
            server.kill()
            for item in answers:
                item.result()
        kills += 1
    assert kills >= 2
    found = collect(made.folder, made.key, []).people
    assert {item.answers for item in found} == {
        studies.answered(made.key, person).answers for person in people
    }


def test_a_stale_write_changes_nothing(tmp_path: Path, made: Made) -> None:
    answers = studies.answered(made.key, 0).answers
    with Database.opened(tmp_path / FILE) as database:
        assert database.write("a", 0, 0, 0, answers[:2]) == 1
        with pytest.raises(StaleError):
            database.write("a", 0, 0, 2, answers[2:3])
        with pytest.raises(StaleError):
            database.write("a", 0, 1, 3, answers[3:4])
        assert database.state("a", 0).answers == answers[:2]
        assert database.state("b", 1).answers == ()


def test_what_is_no_database_is_one_line(made: Made) -> None:
    (made.folder / FILE).write_bytes(b"text" * 300)
    with pytest.raises(UserError, match=r"answers\.sqlite: no file of answers can be kept there"):
        collect(made.folder, made.key, [])


def test_the_file_of_another_study_is_refused(made: Made) -> None:
    other = studies.make(made.folder.parent, seed=3)
    with Database.opened(other.folder / FILE) as database:
        database.write("0" * 16, 0, 0, 0, studies.answered(other.key, 0).answers)
    (other.folder / FILE).rename(made.folder / FILE)
    with pytest.raises(UserError, match=r"answers\.sqlite: person 0+: answer 1 is to another"):
        collect(made.folder, made.key, [])


def test_a_study_without_images_is_not_served(made: Made) -> None:
    for path in (made.folder / "handout" / "images").iterdir():
        path.unlink()
    with (
        Database.opened(made.folder / FILE) as database,
        pytest.raises(UserError, match="no images are here"),
    ):
        StudyServer(made.folder, made.key, database, 1).routes("", "")
