# SPDX-License-Identifier: Apache-2.0
"""The preference study in a browser: answered by keys and by touch, from disk and from a server."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import studies
from processes import Fork, free_port

from spade_eval.pages.study.answers import Answers, read_answers
from spade_eval.pages.study.collecting import collect, collected
from spade_eval.pages.study.making import Made

ESCAPE, BACKSPACE = "\ue00c", "\ue003"
LEFT, RIGHT, DOWN = "\ue012", "\ue014", "\ue015"
_READY = (
    "return !document.getElementById('ask').hidden && "
    "document.getElementById('question').className === 'question'"
    " && document.getElementById('count').textContent.startsWith(arguments_0 + ' /')"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return studies.make(tmp_path_factory.mktemp("study"), ties=True)


def wait_for_question(browser: Any, number: int) -> None:
    browser.wait_for(_READY.replace("arguments_0", f"'{number}'"))


def begin(browser: Any, number: int = 1) -> None:
    browser.wait_for("return !document.getElementById('go').disabled")
    browser.click(browser.one("#go"))
    wait_for_question(browser, number)


def opened(browser: Any, page: Path, **window: Any) -> None:
    """Open the page as somebody who was never there."""
    browser.open(page, **window)
    browser.run(
        "return new Promise((done) => {"
        "indexedDB.deleteDatabase('spade-eval').addEventListener('success', done); }).then(() => 1)"
    )
    browser.open(page, **window)


def saved(browser: Any, folder: Path) -> Path:
    """Press "Save the answers"; return the file."""
    behaviour = {"behavior": "allow", "downloadPath": str(folder)}
    browser.driver.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
    before = set(folder.iterdir())
    browser.click(browser.one("#save"))
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        files = [path for path in set(folder.iterdir()) - before if path.suffix == ".json"]
        if files and files[0].stat().st_size:  # before it is written it is there, and empty
            return files[0]
        time.sleep(0.02)
    raise AssertionError("no file was saved")


def sides(answers: Answers) -> list[str]:
    return [answer.side for answer in answers.answers]


def test_a_whole_study_is_answered_by_keys(browser: Any, made: Made, tmp_path: Path) -> None:
    """With an answer taken back, a pause, and the page closed and opened again and again."""
    opened(browser, made.page)
    begin(browser)
    total = len(made.key.drawn.sheets[0])
    browser.press(LEFT)
    wait_for_question(browser, 2)
    browser.press(RIGHT)
    wait_for_question(browser, 3)
    browser.press(BACKSPACE)
    wait_for_question(browser, 2)
    browser.press(DOWN)
    wait_for_question(browser, 3)
    browser.press(ESCAPE)
    assert browser.texts("#rest h1") == ["Paused"]
    browser.press(LEFT)  # which answers nothing now
    browser.click(browser.one("#resume"))
    wait_for_question(browser, 3)
    for number in range(3, total + 1):
        for _ in range(4):  # of localStorage Chromium 156 loses one in ten
            browser.open(made.page)
            begin(browser, number)
        browser.press(RIGHT)
    browser.wait_for("return !document.getElementById('rest').hidden")
    assert browser.texts("#rest h1") == ["All questions are answered. Thank you."]
    path = saved(browser, tmp_path)
    found = read_answers(path, made.key)
    assert sides(found) == ["left", "tie"] + ["right"] * (total - 2)
    assert found.sheet == 0
    assert all(0 < answer.seconds < 60 for answer in found.answers)
    added = collect(made.folder, made.key, [path])
    assert added.added == total
    assert browser.console() == []
    requests = [name for name in browser.requests() if not name.startswith("data:")]
    folder = made.page.parent.resolve().as_uri()
    assert all(name.startswith((folder, "blob:file:")) for name in requests)


def test_the_map_and_both_images_are_those_of_the_key(browser: Any, made: Made) -> None:
    opened(browser, made.page.with_name("index.html"))
    browser.run("location.hash = '#2'")
    browser.run("location.reload()")
    browser.wait_for("return document.getElementById('sheet').value === '1'")
    begin(browser)
    shown = browser.run(
        "return ['map', 'left', 'right'].map((id) => (document.querySelector(`img#${id}`) || "
        "document.querySelector(`#${id} img`)).src.split('/').pop())"
    )
    asked = made.key.drawn.sheets[1][0]
    parts = ["map", *(("second", "first") if asked.swapped else ("first", "second"))]
    assert shown == [made.key.file_name(asked.question, part) for part in parts]


def test_names_of_classes_are_text(browser: Any, made: Made) -> None:
    opened(browser, made.page)
    begin(browser)
    assert sorted(browser.texts("#legend .named")) == [studies.HOSTILE, "sky"]
    assert browser.run(
        "return window.hacked === undefined && !document.querySelector('#legend img')"
    )


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone_and_is_answered_by_touch(browser: Any, made: Made, dark: bool) -> None:
    opened(browser, made.page, width=390, height=844, dark=dark)
    begin(browser)
    assert browser.run("return document.documentElement.scrollWidth") == 390
    places = browser.run(
        "return ['left', 'right', 'undo', 'tie', 'pause'].map((id) => {"
        "const box = document.getElementById(id).getBoundingClientRect();"
        "return [box.left, box.right, box.bottom, box.height]; })"
    )
    assert all(left >= 0 and right <= 390 and bottom <= 844 for left, right, bottom, _ in places)
    assert all(height >= 44 for *_, height in places)  # what a finger hits
    browser.click(browser.one("#right"))
    wait_for_question(browser, 2)
    browser.click(browser.one("#tie"))
    wait_for_question(browser, 3)
    ground = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") != dark
    assert browser.console() == []


def test_a_held_key_answers_once(browser: Any, made: Made) -> None:
    opened(browser, made.page)
    begin(browser)
    browser.run(
        "for (let i = 0; i < 5; i += 1) document.body.dispatchEvent(new KeyboardEvent('keydown', "
        "{ key: 'ArrowLeft', repeat: i > 0, bubbles: true }))"
    )
    wait_for_question(browser, 2)


def test_images_with_a_limit_go_and_can_still_be_judged(browser: Any, tmp_path: Path) -> None:
    made = studies.make(tmp_path, seconds=0.3)
    opened(browser, made.page)
    browser.wait_for("return !document.getElementById('go').disabled")
    browser.click(browser.one("#go"))
    browser.wait_for("return document.querySelector('.question.over') !== null")
    style = "return getComputedStyle(document.querySelector(arguments[0])).visibility"
    assert browser.run(style, "#left img") == "hidden"
    assert browser.run(style, "#map") == "visible"
    browser.press(LEFT)
    browser.wait_for("return document.getElementById('count').textContent.startsWith('2 /')")
    assert not browser.all("#tie")
    browser.press(DOWN)  # no tie is offered
    browser.wait_for("return document.querySelector('.question.over') !== null")
    assert browser.texts("#count")[0].startswith("2 /")


def test_another_person_begins_anew(browser: Any, made: Made, tmp_path: Path) -> None:
    opened(browser, made.page)
    names = set()
    for _ in range(2):
        begin(browser)
        for number in range(1, len(made.key.drawn.sheets[0]) + 1):
            wait_for_question(browser, number)
            browser.press(LEFT)
        browser.wait_for("return !document.getElementById('rest').hidden")
        names.add(json.loads(saved(browser, tmp_path).read_text())["person"])
        browser.click(browser.one("#anew"))
    assert len(names) == 2


# -------------------------------------------------------------- with the server


class Served:
    """`spade-eval study serve` on a port that stays, which can be killed and started again."""

    def __init__(self, made: Made) -> None:
        self.made, self.port = made, free_port()
        self.process = self.start()

    def start(self) -> Fork:
        self.process = Fork("spade_eval", "study", "serve", self.made.folder, "--port", self.port)
        self.process.until(lambda: self.process.out.count("#") >= 2)
        return self.process

    def link(self, person: int) -> str:
        return f"http://127.0.0.1:{self.port}/#{self.made.key.token(person)}"


def visit(browser: Any, link: str) -> None:
    browser.driver.get("about:blank")
    browser.driver.get(link)


def test_two_people_at_once_and_a_server_killed_in_the_middle(browser: Any, tmp_path: Path) -> None:
    made = studies.make(tmp_path)
    served = Served(made)
    total = len(made.key.drawn.sheets[0])
    driver = browser.driver
    browser.open(made.page)  # sets the window
    driver.get_log("performance")
    windows = [driver.current_window_handle]
    driver.switch_to.new_window("tab")
    windows.append(driver.current_window_handle)
    try:
        for person, window in enumerate(windows):
            driver.switch_to.window(window)
            visit(browser, served.link(person))
            begin(browser)
        for number in range(1, 4):
            for window, key in zip(windows, (LEFT, RIGHT), strict=True):
                driver.switch_to.window(window)
                browser.press(key)
                wait_for_question(browser, number + 1)
        served.process.kill()
        for window, key in zip(windows, (RIGHT, LEFT), strict=True):  # nobody is stopped by it,
            driver.switch_to.window(window)  # as long as the next images are there
            browser.press(key)
            browser.wait_for("return !document.getElementById('waiting').hidden")
        assert "kept here and sent when it does" in browser.texts("#waiting")[0]
        served.start()
        for window in windows:
            driver.switch_to.window(window)
            browser.wait_for("return document.getElementById('waiting').hidden")
            driver.refresh()
            begin(browser, 5)
        for number in range(5, total + 1):
            for window in windows:
                driver.switch_to.window(window)
                wait_for_question(browser, number)
                browser.press(LEFT)
        for window in windows:
            driver.switch_to.window(window)
            browser.wait_for(
                "return document.getElementById('rest-text').textContent.includes('have arrived')"
            )
        requests = browser.requests()
    finally:
        driver.switch_to.window(windows[1])
        driver.close()
        driver.switch_to.window(windows[0])
        served.process.kill()
    own = f"http://127.0.0.1:{served.port}/"
    assert all(name.startswith((own, "data:", "about:", "file:", "chrome")) for name in requests)
    collect(made.folder, made.key, [])
    people = {item.person: sides(item) for item in collected(made.folder, made.key)}
    rest = ["left"] * (total - 4)
    assert people == {
        made.key.token(0): ["left"] * 3 + ["right", *rest],
        made.key.token(1): ["right"] * 3 + ["left", *rest],
    }


def test_a_link_that_is_none_says_so(browser: Any, tmp_path: Path) -> None:
    served = Served(studies.make(tmp_path))
    try:
        visit(browser, f"http://127.0.0.1:{served.port}/#0123456789abcdef")
        browser.wait_for("return !document.getElementById('trouble').hidden")
        assert browser.texts("#trouble")[0].startswith("this link is not one of this study")
        assert browser.run("return document.getElementById('go').disabled")
    finally:
        served.process.kill()
