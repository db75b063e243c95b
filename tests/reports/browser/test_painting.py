# SPDX-License-Identifier: Apache-2.0
"""The painting page in a browser: strokes, keys, touch, files, names, and its own place alone."""

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from painting_files import SIZE, session_of, write_encoder, write_generator
from PIL import Image

from spade_eval.datasets.folder import Folder
from spade_eval.datasets.scenes import Scenes
from spade_eval.models.labels import SemanticLayout
from spade_eval.pages.local_server import LocalServer, serving
from spade_eval.pages.painting import maps
from spade_eval.pages.painting.routes import painting_routes
from spade_eval.pages.painting.session import Session
from spade_eval.reports.html.painting import painting_page

TAB, ENTER, CONTROL, SPACE = "\ue004", "\ue007", "\ue009", " "
LEFT, UP, RIGHT, DOWN = "\ue012", "\ue013", "\ue014", "\ue015"
HOSTILE = "<img src=x onerror=window.hacked=1>"
# Every panel shows the newest map, and nothing is under way.
AT_REST = """return typeof asking !== "undefined" && board.version > 0 && !asking.isBusy
    && panels.every((panel) => panel.made && panel.version === board.version)"""
LABELS = "return [...board.labels]"
IMAGES = "return panels.map((panel) => panel.made.pixels)"


def served(session: Session) -> LocalServer:
    return LocalServer(painting_routes(session, *painting_page(session.facts())))


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return Scenes("val", SIZE, length=5)


@pytest.fixture(scope="module")
def address(scenes: Scenes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two models side by side: one without a style, one with a latent and its encoder."""
    folder = tmp_path_factory.mktemp("models")
    plain = write_generator(folder / "a" / "generator.safetensors")
    styled = write_generator(folder / "b" / "generator.safetensors", "spade_vae")
    write_encoder(folder / "b" / "encoder.safetensors")
    with serving(served(session_of(scenes, plain, styled))) as place:
        yield place


@pytest.fixture
def page(browser: Any, address: str) -> Any:
    """The page at rest, on the map val_00001."""
    browser.open(f"{address}?map=val_00001")
    browser.wait_for(AT_REST)
    return browser


def drag(browser: Any, *steps: tuple[int, int], start: tuple[int, int] = (0, 0)) -> None:
    """Press so far from the middle of the map, and move, in pixels of the screen."""
    from selenium.webdriver.common.action_chains import ActionChains

    chain = ActionChains(browser.driver, duration=20)
    chain.move_to_element_with_offset(browser.one("#canvas"), *start).click_and_hold()
    for step in steps:
        chain.move_by_offset(*step)
    chain.release().perform()
    browser.wait_for(AT_REST)


def choose_class(browser: Any, name: str) -> None:
    browser.run(
        """[...document.querySelectorAll("#classes button")]
        .find((chip) => chip.textContent === arguments[0]).click()""",
        name,
    )


def test_a_map_of_the_dataset_is_shown_beside_its_images(page: Any, scenes: Scenes) -> None:
    assert page.run(LABELS) == scenes[1].label_map.ravel().tolist()
    assert page.texts("#images b") == ["spade", "spade_vae"]
    shown = page.run("""return [...document.querySelectorAll("#images canvas")].map((one) =>
        [...one.getContext("2d").getImageData(0, 0, 32, 32).data].filter((_, i) => i % 4 < 3))""")
    made = page.run("return panels.map((panel) => [...panel.pixels])")
    assert shown == made
    assert shown[0] != shown[1]
    present = {scenes.label_space.class_names[k] for k in np.unique(scenes[1].label_map)}
    assert set(page.texts("#scores tbody th")) == {*present, "mean of the classes", "accuracy"}
    assert page.console() == []


def test_a_stroke_changes_map_image_and_reading(page: Any) -> None:
    before, images, scores = page.run(LABELS), page.run(IMAGES), page.texts("#scores td")
    choose_class(page, "boat")
    drag(page, (80, 0), (0, 60))
    after = page.run(LABELS)
    assert {new for old, new in zip(before, after, strict=True) if old != new} == {15}
    assert after.count(15) > 20
    assert all(old != new for old, new in zip(images, page.run(IMAGES), strict=True))
    assert page.texts("#scores td") != scores
    assert "boat" in page.texts("#scores tbody th")
    assert "medians of" in page.texts("#times")[0]


def test_undo_restores_map_and_image(page: Any) -> None:
    before, images = page.run(LABELS), page.run(IMAGES)
    choose_class(page, "car")
    drag(page, (50, 10))
    drag(page, (-50, 40))
    painted = page.run(LABELS)
    for _ in range(2):
        page.click(page.one("#undo"))
    page.wait_for(AT_REST)
    assert page.run(LABELS) == before
    assert page.run(IMAGES) == images
    assert page.run("return document.getElementById('undo').disabled")
    for _ in range(2):
        page.click(page.one("#redo"))
    assert page.run(LABELS) == painted
    drag(page, (10, 0))
    assert page.run("return document.getElementById('redo').disabled")


def test_fill_paints_an_area_of_one_object(page: Any) -> None:
    page.press("f")
    middle = "return cellOf(16, 16)"
    before, objects = page.run(LABELS), page.run("return [...board.objects]")
    place = page.run(middle)
    choose_class(page, "field")
    drag(page)
    after = page.run(LABELS)
    changed = [i for i in range(1024) if before[i] != after[i]]
    expected = flooded(np.array(before), np.array(objects), place)
    assert changed == expected
    assert {after[i] for i in changed} == {7}


def flooded(labels: np.ndarray, objects: np.ndarray, place: int) -> list[int]:
    from scipy import ndimage

    same = (labels == labels[place]) & (objects == objects[place])
    areas, _ = ndimage.label(same.reshape(SIZE))
    return np.flatnonzero(areas.ravel() == areas.ravel()[place]).tolist()


def test_a_rectangle_has_its_corners_where_they_were_pressed(page: Any) -> None:
    page.press("r")
    choose_class(page, "sun")
    before = page.run(LABELS)
    scale = page.run("return canvas.getBoundingClientRect().width / width")
    half = round(scale / 2)  # the middle of a pixel of the map
    drag(page, (round(4.2 * scale), 0), (0, round(-6.2 * scale)), start=(half, half))
    after = np.array(page.run(LABELS)).reshape(SIZE)
    expected = np.array(before).reshape(SIZE)
    rows, columns = np.nonzero(after != expected)
    expected[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = 2
    assert (after == expected).all()
    assert (rows.max() - rows.min() + 1, columns.max() - columns.min() + 1) == (7, 5)


def test_a_stroke_of_its_own_object_has_an_edge(page: Any) -> None:
    choose_class(page, "rock")
    drag(page, (40, 0))
    number = "return board.objects[cellOf(16.5, 16)]"
    assert page.run(number) == 12
    page.click(page.one("#objects"))
    drag(page, (40, 0))
    first = page.run(number)
    drag(page, (40, 0))
    assert page.run(number) > first >= 256


def test_the_keyboard_alone_paints(page: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    before, images = page.run(LABELS), page.run(IMAGES)
    page.run("document.activeElement.blur()")
    page.press("/")
    page.press("pers", ENTER)
    assert page.run("return nameOf(hand.label)") == "person"
    assert page.run("return document.activeElement === canvas")
    for _ in range(40):  # the map is reached by Tab from anywhere
        page.press(TAB)
        if page.run("return document.activeElement === canvas"):
            break
    else:
        pytest.fail("Tab never arrives at the map")
    page.press("[", "[", "[", "[")  # a brush of one pixel
    assert page.texts("#size-shown") == ["1"]
    page.press(UP, UP, LEFT)
    chain = ActionChains(page.driver).key_down(SPACE)
    for key in (RIGHT, RIGHT, DOWN):
        chain.send_keys(key)
    chain.key_up(SPACE).perform()
    page.wait_for(AT_REST)
    after = page.run(LABELS)
    path = [14 * 32 + 15, 14 * 32 + 16, 14 * 32 + 17, 15 * 32 + 17]
    assert [place for place in path if after[place] != 13] == []
    others = [i for i in range(1024) if before[i] != after[i] and i not in path]
    assert others == []
    assert page.run(IMAGES) != images
    ActionChains(page.driver).key_down(CONTROL).send_keys("z").key_up(CONTROL).perform()
    page.wait_for(AT_REST)
    assert page.run(LABELS) == before
    assert page.run(IMAGES) == images


def test_keys_choose_tools_and_classes(page: Any) -> None:
    page.run("canvas.focus()")
    page.press("3")
    assert page.run("return nameOf(hand.label)") == "sun"
    page.press(".")
    assert page.run("return nameOf(hand.label)") == "mountain"
    page.press(",", ",")
    assert page.run("return nameOf(hand.label)") == "cloud"
    page.press("i")
    assert page.run("return hand.label === board.labels[cellOf(16, 16)]")
    for key, tool in (("f", "fill"), ("r", "rectangle"), ("b", "brush")):
        page.press(key)
        assert page.run("return document.querySelector('#tool :checked').value") == tool
    page.press("v")
    read = page.run("return [...bytesOf(panels[0].made.reading.labels)]")
    shown = page.run("""const pen = panels[0].canvas.getContext("2d");
        const { data } = pen.getImageData(0, 0, 32, 32);
        return [...new Uint32Array(data.buffer)].map((color) => colors.indexOf(color))""")
    assert shown == read


def test_the_legend_is_searched(page: Any) -> None:
    page.choose("#find", "A R")
    assert page.texts("#classes button") == ["grass", "road", "car"]
    page.choose("#find", "")
    assert len(page.texts("#classes button")) == 16
    shown = page.run("""return [...document.querySelectorAll("#classes .swatch")].map(
        (swatch) => getComputedStyle(swatch).backgroundColor.match(/\\d+/g).map(Number))""")
    assert shown == [list(color) for color in Scenes("val", SIZE).label_space.palette]


def test_a_finger_paints_and_does_not_scroll(browser: Any, address: str) -> None:
    browser.open(f"{address}?map=val_00001", width=390, height=844)
    browser.wait_for(AT_REST)
    assert browser.run("return document.documentElement.scrollWidth") == 390
    edges = """return [...document.querySelectorAll("main *")]
        .filter((one) => one.checkVisibility() && !one.closest(".chips, .scroll, .unseen"))
        .map((one) => one.getBoundingClientRect().right)"""
    assert max(browser.run(edges)) <= 390
    choose_class(browser, "boat")
    before = browser.run(LABELS)
    box = browser.run("return canvas.getBoundingClientRect().toJSON()")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for kind, points in (
        ("touchStart", [(x, y)]),
        ("touchMove", [(x, y + 40)]),
        ("touchMove", [(x, y + 80)]),
        ("touchEnd", []),
    ):
        touches = [{"x": left, "y": top} for left, top in points]
        browser.driver.execute_cdp_cmd(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches}
        )
    browser.wait_for(AT_REST)
    after = browser.run(LABELS)
    assert after.count(15) > before.count(15) + 10
    assert browser.run("return scrollY") == 0


def test_light_and_dark(browser: Any, address: str) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    browser.open(address, dark=True)
    assert browser.run(ground) == "rgb(22, 25, 29)"
    browser.click(browser.one("#theme input[value=light] + span"))
    assert browser.run(ground) == "rgb(255, 255, 255)"
    browser.click(browser.one("#theme input[value=auto] + span"))


def test_a_style_is_turned_drawn_and_taken_from_a_photo(page: Any, tmp_path: Path) -> None:
    assert page.texts("#style-of") == ["of spade_vae"]
    assert page.run("return document.getElementById('draw').value") == "1", "that it is scored with"
    seen = [page.run(IMAGES)]

    def changed() -> None:
        page.wait_for(AT_REST)
        images = page.run(IMAGES)
        assert images[0] == seen[0][0], "a model without a style looks at none of it"
        assert all(images[1] != earlier[1] for earlier in seen)
        seen.append(images)

    page.choose("#turn", "120")
    changed()
    page.click(page.one("#another"))
    changed()
    page.click(page.one("#photo-own"))
    changed()
    page.wait_for("return document.getElementById('photo').naturalWidth === 32")
    assert page.texts("#photo-name") == ["Style of val_00001"]
    Image.new("RGB", (50, 40), (200, 30, 30)).save(tmp_path / "red.jpg")
    page.one("#photo-file").send_keys(str(tmp_path / "red.jpg"))
    page.wait_for("return document.getElementById('photo-name').textContent.includes('opened')")
    changed()
    page.click(page.one("#photo-none"))
    page.wait_for(AT_REST)
    assert page.run(IMAGES) == seen[2]
    assert page.console() == []


def test_a_label_file_is_opened_or_dropped(page: Any, scenes: Scenes, tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(maps.label_file(scenes[3].label_map, scenes))
    page.one("#map-file").send_keys(str(tmp_path / "mine.png"))
    page.wait_for("return board.name === 'mine'")
    page.wait_for(AT_REST)
    assert page.run(LABELS) == scenes[3].label_map.ravel().tolist()
    Image.new("L", (8, 8), 200).save(tmp_path / "wrong.png")
    page.one("#map-file").send_keys(str(tmp_path / "wrong.png"))
    page.wait_for("return !document.getElementById('problem').hidden")
    (problem,) = page.texts("#problem")
    assert problem.startswith("this file: label ids 200 were found, 0..15 were expected")
    assert page.run(LABELS) == scenes[3].label_map.ravel().tolist()
    page.driver.execute_async_script("""
        const [labels, done] = arguments;
        const file = new File([Uint8Array.from(labels)], "dropped.png", { type: "image/png" });
        const data = new DataTransfer();
        data.items.add(file);
        listeners.push(() => done());
        document.getElementById("sheet").dispatchEvent(
          new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));""",
        list(maps.label_file(scenes[2].label_map, scenes)),
    )  # fmt: skip
    page.wait_for(AT_REST)
    assert page.run(LABELS) == scenes[2].label_map.ravel().tolist()
    assert page.run("return document.getElementById('problem').hidden")


def saved(browser: Any, folder: Path, button: str) -> Path:
    """Press a button that offers a file; return it when it is whole."""
    browser.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)}
    )
    known = set(folder.iterdir())
    browser.click(browser.one(button))
    for _ in range(200):
        fresh = [path for path in set(folder.iterdir()) - known if path.suffix == ".png"]
        if fresh and fresh[0].stat().st_size:
            return fresh[0]
        time.sleep(0.05)
    raise AssertionError("nothing was saved")


def test_map_and_image_are_saved(page: Any, scenes: Scenes, tmp_path: Path) -> None:
    path = saved(page, tmp_path, "#save-map")
    assert path.name == "val_00001.png"
    assert (maps.label_files_of(scenes).read(path) == scenes[1].label_map).all()
    choose_class(page, "car")
    drag(page, (30, 0))
    path = saved(page, tmp_path, "#save-map")
    assert path.name == "val_00001-painted.png"
    assert maps.label_files_of(scenes).read(path).ravel().tolist() == page.run(LABELS)
    page.press("v")  # what is read is shown; what is saved is the image
    path = saved(page, tmp_path, "#images button")
    assert path.name == "val_00001-painted-spade.png"
    stored = np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("RGB"))
    assert stored.ravel().tolist() == page.run("return [...panels[0].pixels]")


def test_maps_are_opened_by_name_and_by_address(browser: Any, address: str) -> None:
    browser.open(f"{address}?map=val_00003")
    browser.wait_for(AT_REST)
    assert browser.run("return board.name") == "val_00003"
    browser.click(browser.one("#map-after"))
    browser.wait_for("return board.name === 'val_00004'")
    assert browser.driver.current_url.endswith("?map=val_00004")
    browser.click(browser.one("#map-after"))
    browser.wait_for("return board.name === 'val_00000'")
    browser.choose("#map", "val_00002")
    browser.wait_for("return board.name === 'val_00002'")
    browser.open(f"{address}?map=%3Cb%3Eelsewhere")
    browser.wait_for(AT_REST)
    assert browser.run("return board.name") == "val_00000"
    (problem,) = browser.texts("#problem")
    assert problem.startswith("'<b>elsewhere' is no map or photo of scenes val")


def test_nothing_leaves_the_place_of_the_page(page: Any, address: str) -> None:
    drag(page, (30, 10))
    page.click(page.one("#photo-own"))
    page.wait_for(AT_REST)
    asked = page.requests()
    assert any(name.endswith("/image") for name in asked)
    assert any("/photo?name=" in name for name in asked)
    assert [name for name in asked if not name.startswith((address, "data:"))] == []
    assert page.console() == []
    stopped = page.driver.execute_async_script("""
        const done = arguments[0], stopped = [];
        document.addEventListener("securitypolicyviolation", (event) => {
          stopped.push(event.effectiveDirective);
          if (new Set(stopped).size === 3) done([...new Set(stopped)].sort());
        });
        const script = document.createElement("script");
        script.textContent = "window.hacked = 1";
        document.body.append(script);
        const picture = new Image();
        picture.src = "http://192.0.2.1/picture.png";
        fetch("http://192.0.2.1/").catch(() => null);""")
    assert stopped == ["connect-src", "img-src", "script-src-elem"]
    assert page.run("return window.hacked") is None


def test_names_are_text(browser: Any, tmp_path: Path) -> None:
    for kind in ("images", "labels"):
        (tmp_path / kind / "val").mkdir(parents=True)
    Image.new("RGB", SIZE).save(tmp_path / "images/val/&lt;b&gt;.png")
    Image.new("L", SIZE).save(tmp_path / "labels/val/&lt;b&gt;.png")
    classes = [HOSTILE, "</script><script>window.hacked=1</script>", "&amp;"]
    (tmp_path / "dataset.toml").write_text(
        'images = "images/{split}"\nlabels = "labels/{split}"\n'
        f"classes = {classes}\nignored = [255]\n"
    )
    dataset = Folder("val", SIZE, tmp_path)
    layout = SemanticLayout(num_classes=3, unknown="last")
    file = write_generator(tmp_path / "g" / "g.safetensors", layout=layout, called=HOSTILE)
    with serving(served(session_of(dataset, file))) as address:
        browser.open(address)
        browser.wait_for(AT_REST)
        assert browser.texts("#classes button") == [*classes, "unlabelled"]
        assert browser.texts("#images b") == [HOSTILE]
        assert browser.run("return board.name") == "&lt;b&gt;"
        assert browser.texts("#reading") == [], "no segmenter of these classes ships"
        drag(browser, (20, 0))
        assert browser.run("return window.hacked") is None
        assert browser.run("return document.querySelectorAll('main img').length") == 1
        assert browser.console() == []


def test_a_server_that_is_gone_is_said(page: Any) -> None:
    def reachable(is_there: bool) -> None:
        conditions = {"offline": not is_there, "latency": 0}
        rates = {"downloadThroughput": -1, "uploadThroughput": -1}
        page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {**conditions, **rates})

    page.driver.execute_cdp_cmd("Network.enable", {})
    choose_class(page, "boat")
    reachable(False)
    try:
        drag(page, (20, 0))
    finally:
        reachable(True)
    (problem,) = page.texts("#problem")
    assert problem == "spade-eval paint does not answer: start it again, then load the page again"
    assert page.run(LABELS).count(15), "what was painted is still there"
    drag(page, (0, 20))
    assert page.run("return document.getElementById('problem').hidden")
