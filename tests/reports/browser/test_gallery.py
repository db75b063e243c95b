# SPDX-License-Identifier: Apache-2.0
"""The gallery in a browser: order, filters, one image large, keys, and thousands of images."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import html_runs
import pytest

from spade_eval.reports.html.galleries import PAINTER
from spade_eval.reports.html.report import write_html

ESCAPE, ENTER = "\ue00c", "\ue007"
LEFT, UP, RIGHT, DOWN, PAGE_DOWN = "\ue012", "\ue013", "\ue014", "\ue015", "\ue00f"
STEMS = [f"val_{number:03d}" for number in range(45)]
MODELS = ("spade", "concat")
ORDER, OF, CLASS = (f"#gallery-tools [name={name}]" for name in ("order", "model", "class"))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gallery")
    run = html_runs.write_run(
        folder / "run", html_runs.measurements(models=MODELS), STEMS, kept={"real": 8}
    )
    return write_html(html_runs.report_of([run]), folder / "html")[0]


def scores(source: str, label: int | None = None) -> list[float | None]:
    """Per-image IoU by plain loops: of one class, or the mean over the image's classes."""
    found: list[float | None] = []
    for hits, target, prediction in html_runs.image_counts(
        source, len(STEMS), len(html_runs.CLASSES)
    ).tolist():
        labels = [k for k in range(len(target)) if target[k] and label in (None, k)]
        iou = [hits[k] / (target[k] + prediction[k] - hits[k]) for k in labels]
        found.append(sum(iou) / len(iou) if iou else None)
    return found


def names(browser: Any) -> list[str]:
    script = "return [...document.querySelectorAll('#scenes h3')].map((h) => h.firstChild.data)"
    return browser.run(script)


def in_order(keys: list[float | None], *, descending: bool) -> list[str]:
    """Names by key, those without one last; the page rounds to 0.01 points, ties keep order."""
    rounded = [None if key is None else round(10_000 * key) for key in keys]
    sign = -1 if descending else 1
    order = sorted(
        range(len(keys)),
        key=lambda image: (rounded[image] is None, sign * (rounded[image] or 0)),
    )
    return [STEMS[image] for image in order]


def test_pictures_stand_side_by_side_and_missing_ones_are_named(browser: Any, page: Path) -> None:
    browser.open(page)
    first = browser.texts("#scenes .scene:first-child .name")
    assert first == ["label map", "real", "oracle", *MODELS]
    assert names(browser) == STEMS[:20]
    browser.run("document.querySelector('#scenes').scrollIntoView()")
    browser.wait_for("return document.querySelector('#scenes img').naturalWidth === 16")
    ninth = "#scenes .scene:nth-child(9) .missing"
    assert browser.texts(ninth) == ["not kept"]
    assert browser.texts("#page-count") == ["1 to 20 of 45"]


def test_worst_images_first(browser: Any, page: Path) -> None:
    browser.open(page)
    browser.choose(ORDER, "worst")
    browser.choose(OF, "3")  # spade
    assert names(browser) == in_order(scores("spade"), descending=False)[:20]
    browser.choose(ORDER, "best")
    assert names(browser) == in_order(scores("spade"), descending=True)[:20]


def test_largest_disagreement_first(browser: Any, page: Path) -> None:
    browser.open(page)
    browser.choose(ORDER, "disagreement")
    pairs = zip(*(scores(model) for model in MODELS), strict=True)
    apart = [
        None if one is None or other is None
        else abs(round(10_000 * one) - round(10_000 * other)) / 10_000
        for one, other in pairs
    ]  # fmt: skip
    assert names(browser) == in_order(apart, descending=True)[:20]


def test_a_class_limits_and_orders_the_images(browser: Any, page: Path) -> None:
    browser.open(page)
    browser.choose(CLASS, "1")
    browser.choose(ORDER, "worst")
    browser.choose(OF, "3")
    # The IoU of a class is stored in half per cents.
    keys = [None if key is None else round(200 * key) for key in scores("spade", 1)]
    holding = [image for image, key in enumerate(keys) if key is not None]
    expected = [STEMS[image] for image in sorted(holding, key=lambda image: keys[image] or 0)]
    assert names(browser) == expected[:20]
    assert browser.texts("#page-count") == [f"1 to 20 of {len(holding)}"]


def test_names_columns_and_pages(browser: Any, page: Path) -> None:
    browser.open(page)
    browser.run("document.querySelector('#gallery-tools .columns input').click()")
    assert "label map" not in browser.texts("#scenes .scene:first-child .name")
    browser.run("document.querySelector('.pager [data-step=\"1\"]').click()")
    browser.run("document.querySelector('.pager [data-step=\"1\"]').click()")
    assert names(browser) == STEMS[40:]
    assert browser.run("return document.querySelector('.pager [data-step=\"1\"]').disabled")
    browser.choose("#gallery-tools [name=name]", "val_01")
    assert names(browser) == STEMS[10:20]
    browser.choose("#gallery-tools [name=name]", "nothing")
    assert names(browser) == []
    assert browser.texts("#page-count") == ["no image fits"]


def test_the_legend_shows_colours_and_chooses_a_class(browser: Any, page: Path) -> None:
    browser.open(page)
    browser.run("document.getElementById('class-legend').open = true")
    assert browser.texts("#class-legend button") == list(html_runs.CLASSES)
    shown = browser.run("""return [...document.querySelectorAll('#class-legend .swatch')].map(
        (swatch) => getComputedStyle(swatch).backgroundColor.match(/\\d+/g).map(Number))""")
    assert shown == [list(color) for color in html_runs.COLORS]
    browser.run("document.querySelectorAll('#class-legend button')[2].click()")
    assert browser.run("return document.querySelector('#gallery-tools [name=class]').value") == "2"


def test_an_image_opens_large_and_keys_move_it(browser: Any, page: Path) -> None:
    browser.open(page)
    browser.choose(ORDER, "worst")
    order = in_order(mean_of_models(), descending=False)
    tile = browser.one("#scenes .tile")
    browser.run("arguments[0].focus()", tile)
    browser.press(ENTER)
    is_open = "return document.getElementById('zoom').open"
    assert browser.run(is_open)
    assert browser.one("#zoom-title").text == order[0]
    browser.press(RIGHT, RIGHT)
    assert browser.one("#zoom-title").text == order[2]
    browser.press(LEFT)
    assert browser.one("#zoom-title").text == order[1]
    assert browser.texts("#zoom-place") == ["2 / 45"]
    image = STEMS.index(order[1])
    truth = html_runs.image_counts("spade", len(STEMS), len(html_runs.CLASSES))[image, 1]
    present = [name for name, count in zip(html_runs.CLASSES, truth, strict=True) if count]
    rows = browser.texts("#legend tbody th")
    assert rows == [*present, "mean of the classes", "accuracy"]
    browser.press(ESCAPE)
    assert not browser.run(is_open)
    assert browser.driver.switch_to.active_element == tile
    assert browser.console() == []


def mean_of_models() -> list[float | None]:
    """The default key: the mean of the models' scores, rounded as the page has them."""
    pairs = zip(*(scores(model) for model in MODELS), strict=True)
    return [
        None if None in pair else sum(round(10_000 * value) for value in pair) / len(pair) / 10_000
        for pair in pairs
    ]  # type: ignore[arg-type]


def test_all_pictures_zoom_and_move_together(browser: Any, page: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    browser.open(page)
    browser.run("document.querySelector('#scenes .tile').click()")
    matrices = """return [...document.querySelectorAll('#panels img')].map(
        (picture) => new DOMMatrix(getComputedStyle(picture).transform).toFloat64Array())
        .map((matrix) => [matrix[0], matrix[12], matrix[13]])"""
    browser.press("+", "+")
    factors = browser.run(matrices)
    assert len(factors) == 5
    assert {factor for factor, _, _ in factors} == {4}
    before = factors[0]
    picture = browser.one("#panels img")
    chain = ActionChains(browser.driver).move_to_element(picture).click_and_hold()
    chain.move_by_offset(30, 20).release().perform()
    moved = browser.run(matrices)
    for _, x, y in moved:
        assert x - before[1] == pytest.approx(30, abs=1)
        assert y - before[2] == pytest.approx(20, abs=1)
    assert len(browser.all("#panels .panel")) == 5, "the end of a drag is no press"
    browser.press("0")
    assert {tuple(matrix) for matrix in browser.run(matrices)} == {(1, 0, 0)}
    browser.click(browser.all("#panels .panel")[3])
    assert browser.texts("#panels .name") == ["spade"]
    browser.click(browser.one("#panels .panel"))
    assert len(browser.all("#panels .panel")) == 5


def test_arrow_keys_walk_the_pictures(browser: Any, page: Path) -> None:
    browser.open(page)
    place = """const tile = document.activeElement;
        return [tile.closest('.scene').querySelector('h3').firstChild.data,
                tile.querySelector('.name').textContent]"""
    browser.run("document.querySelector('#scenes .tile').focus()")
    browser.press(DOWN, RIGHT, RIGHT)
    assert browser.run(place) == [STEMS[1], "oracle"]
    browser.press(UP, LEFT)
    assert browser.run(place) == [STEMS[0], "real"]
    browser.press(PAGE_DOWN)
    assert browser.run(place) == [STEMS[20], "label map"]
    assert len(browser.all("#scenes .tile[tabindex='0']")) == 1


def test_a_phone_shows_pictures_and_the_large_view(browser: Any, page: Path) -> None:
    browser.open(page, width=390, height=844)
    assert browser.run("return document.documentElement.scrollWidth") == 390
    edges = """return [...document.querySelectorAll(arguments[0])].map(
        (one) => one.getBoundingClientRect().right)"""
    assert max(browser.run(edges, "#scenes .tile")) <= 390
    browser.run("document.querySelector('#scenes .tile').click()")
    assert max(browser.run(edges, "#panels .panel")) <= 390
    assert max(browser.run(edges, "#zoom header button")) <= 390


def test_an_image_can_be_painted_on(browser: Any, page: Path) -> None:
    """The link carries the map's name and nothing else, to this machine."""
    browser.open(page)
    link = "return document.querySelector(arguments[0]).href"
    assert browser.run(link, "#scenes .paint") == f"{PAINTER}?map={STEMS[0]}"
    browser.run("document.querySelectorAll('#scenes .tile')[5].click()")
    assert browser.run(link, "#zoom .paint") == f"{PAINTER}?map={STEMS[1]}"
    browser.press(RIGHT)
    assert browser.run(link, "#zoom .paint") == f"{PAINTER}?map={STEMS[2]}"
    assert browser.run("return document.querySelector('#zoom .paint').rel") == "noreferrer"
    assert not [name for name in browser.requests() if name.startswith("http")]


@pytest.mark.slow
def test_five_thousand_images_do_not_hang_the_page(browser: Any, tmp_path: Path) -> None:
    stems = [f"{number:012d}" for number in range(5000)]
    classes = [f"class {number}" for number in range(182)]
    measured = html_runs.measurements(classes, MODELS)
    run = html_runs.write_run(tmp_path / "run", measured, stems, classes=classes)
    started = time.perf_counter()
    page = write_html(html_runs.report_of([run]), tmp_path / "html")[0]
    # 6 s on two busy cores; a page that decoded its pictures would take minutes.
    assert time.perf_counter() - started < 60
    assert page.stat().st_size < 12_000_000
    browser.open(page)
    assert browser.run("return document.querySelectorAll('*').length") < 10_000
    assert len(browser.all("#scenes img")) == 20 * 5
    timing = "return performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
    assert browser.run(timing) < 20_000  # milliseconds; 1,000 when measured
    asked = [address for address in browser.requests() if address.endswith(".png")]
    assert len(asked) < 20 * 5, "pictures far below the window are loaded"
    seconds = browser.run("""const begun = performance.now();
        const order = document.querySelector('#gallery-tools [name=order]');
        order.value = 'disagreement';
        order.dispatchEvent(new Event('input', { bubbles: true }));
        return (performance.now() - begun) / 1000;""")
    assert seconds < 2
    assert browser.console() == []


def test_an_image_of_a_comparison_opens(browser: Any, tmp_path: Path) -> None:
    from spade_eval.reports.comparison_report import comparison_section
    from spade_eval.reports.statistics.differences import Comparison, ImageDifference, Pair

    run = html_runs.write_run(tmp_path / "run", html_runs.measurements(models=MODELS), STEMS)
    image = ImageDifference(name=STEMS[3], subject=0.9, baseline=0.1, difference=0.8)
    pair = Pair(subject="spade", baseline="concat", differences=(), classes=(), images=(image,))
    compared = Comparison(title="spade against concat", subject="spade", pairs=(pair,), notes=())
    report = html_runs.report_of([run])
    report = dataclasses.replace(report, sections=(comparison_section(compared), *report.sections))
    browser.open(write_html(report, tmp_path / "html")[0])
    browser.click(browser.one("#comparison button[data-image]"))
    assert browser.one("#zoom-title").text == STEMS[3]
