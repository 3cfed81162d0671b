"""A real report of a real run, opened in a real browser: it draws, its controls do what they say, and it fits."""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from ranvier.recipes.config import build_config
from ranvier.recipes.recipe_files import load_values
from ranvier.recipes.report import write_report
from ranvier.recipes.train_run import train
from tests.recipes.conftest import Quiet

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(
        CHROMIUM is None or DRIVER is None, reason="needs Debian's packages chromium and chromium-driver"
    ),
    # selenium leaves sockets to its driver for the collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
LITTLE = {"model.hidden": "24,16", "train.epochs": "3"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trainings on the package's digits, smaller than the recipe's."""
    folder = tmp_path_factory.mktemp("runs")
    for name, more in (("learned", {}), ("fixed", {"model.delays": "fixed"})):
        train(build_config(load_values("digits"), {**LITTLE, **more}), folder / name, Quiet())
    write_report([folder / "learned", folder / "fixed"], folder / "both.html")
    return folder


class Page:
    """A page in the browser."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, file: Path, width: int = 1100, *, dark: bool = False) -> None:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}  # so that no click meets a page that scrolls
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [theme, still]})
        self.driver.get(file.as_uri())
        self.until(
            "return [...document.querySelectorAll('.drawing')]"
            ".every(d => d.closest('details:not([open])') || d.children.length)"
        )

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def until(self, script: str) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 30).until(lambda driver: driver.execute_script(script))

    def one(self, selector: str) -> Any:
        from selenium.webdriver.common.by import By

        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def canvas(self) -> str:
        picture: str = self.run("return document.querySelector('canvas').toDataURL()")
        return picture

    def complaints(self) -> list[Any]:
        complaints: list[Any] = self.driver.get_log("browser")
        return complaints

    def complains(self, about: str) -> bool:
        """Whether the browser says so within half a minute."""
        from selenium.common.exceptions import TimeoutException
        from selenium.webdriver.support.ui import WebDriverWait

        try:
            heard = WebDriverWait(self.driver, 30)
            return heard.until(lambda _: any(about in complaint["message"] for complaint in self.complaints()))
        except TimeoutException:
            return False

    def overflow(self) -> int:
        wide: int = self.run("return document.documentElement.scrollWidth - window.innerWidth")
        return wide

    def picture(self) -> Any:
        return imread(io.BytesIO(self.driver.get_screenshot_as_png()))


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = CHROMIUM or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_page_load_timeout(60)
    yield Page(driver)
    driver.quit()


@pytest.fixture
def report(page: Page, runs: Path) -> Iterator[Page]:
    page.open(runs / "learned" / "report.html")
    yield page
    assert page.complaints() == []


def press(target: Any, key: str) -> None:
    from selenium.webdriver.common.keys import Keys

    target.send_keys(getattr(Keys, key))


def test_every_drawing_is_drawn_and_named(report: Page) -> None:
    figures = report.run(
        "return [...document.querySelectorAll('figure')].map(f => [f.dataset.draw, "
        "f.querySelectorAll('svg, canvas').length, f.querySelector('.drawing').getAttribute('aria-label'), "
        "f.querySelector('figcaption').textContent])"
    )
    assert [name for name, *_ in figures] == ["confusion", "travel", "rates", "delays", "strength", "learning"]
    for name, drawings, label, caption in figures:
        assert drawings > 0, name
        assert len(label) > 20
        assert 5 < len(caption.split()) < 30
    unnamed = report.run(
        "return [...document.querySelectorAll('svg[role=img], canvas')]"
        ".filter(drawing => !drawing.getAttribute('aria-label')).length"
    )
    assert unnamed == 0
    assert (
        report.run("return document.querySelector('[data-draw=learning] path.line').getAttribute('d')").count("L") == 2
    )


def test_the_time_moves_the_spikes(report: Page) -> None:
    slider = report.one("[data-control=time]")
    report.run("arguments[0].value = 0; arguments[0].dispatchEvent(new Event('input'))", slider)
    start, told = report.canvas(), report.one("[data-draw=travel] .read").text
    for _ in range(12):
        press(slider, "ARROW_RIGHT")
    assert slider.get_attribute("value") == "12"
    assert slider.get_attribute("aria-valuetext") == "120 ms"
    assert report.canvas() != start
    assert "120 ms" in report.one("label:has([data-control=time]) + output").text
    press(slider, "END")
    assert report.one("[data-draw=travel] .read").text != told
    press(slider, "HOME")
    assert report.canvas() == start


def test_another_neuron_layer_and_clip_can_be_followed(report: Page) -> None:
    seen = {report.canvas()}
    told = {report.one("[data-draw=travel] .read").text}
    neuron = report.one("[data-control=neuron]")
    press(neuron, "HOME")
    press(neuron, "ARROW_RIGHT")
    for name in ("layer", "clip"):
        seen.add(report.canvas())
        told.add(report.one("[data-draw=travel] .read").text)
        press(report.one(f"[data-control={name}]"), "ARROW_DOWN")
    seen.add(report.canvas())
    told.add(report.one("[data-draw=travel] .read").text)
    assert len(seen) == 4
    assert len(told) >= 3


def test_arrows_are_drawn_only_where_a_neuron_is_followed(report: Page) -> None:
    """In the accent's colour; a spike that has left shows the way it has gone."""

    def reddish() -> int:
        picture = imread(io.BytesIO(base64.b64decode(report.canvas().partition(",")[2])))
        return int(((picture[:, :, 0] - picture[:, :, 1]) * picture[:, :, 3] > 0.35).sum())

    slider = report.one("[data-control=time]")
    press(slider, "HOME")
    before = reddish()
    press(slider, "END")
    assert reddish() > before + 200


def test_play_moves_the_time_and_stops(report: Page) -> None:
    slider = report.one("[data-control=time]")
    press(slider, "HOME")
    button = report.one("[data-control=play]")
    press(button, "ENTER")
    assert button.text == "Pause"
    report.until("return Number(document.querySelector('[data-control=time]').value) > 2")
    press(button, "ENTER")
    assert button.text == "Play"
    at = slider.get_attribute("value")
    report.driver.execute_async_script("setTimeout(arguments[0], 300)")
    assert slider.get_attribute("value") == at


def test_a_click_on_a_spike_follows_its_neuron(report: Page) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    select = report.one("[data-control=layer]")
    assert select.get_attribute("value") == "1"
    canvas = report.one("canvas")
    report.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", canvas)
    size = canvas.size
    # which clip is shown depends on what the network predicts, so a spike is looked for: dark and grey, in the
    # input's panel (the upper 100 pixels, right of its scale)
    pixels = imread(io.BytesIO(base64.b64decode(report.canvas().partition(",")[2])))[30:100, 140 : size["width"] - 20]
    dark = (pixels[:, :, :3].max(axis=2) < 0.55) & (np.ptp(pixels[:, :, :3], axis=2) < 0.1) & (pixels[:, :, 3] > 0.5)
    down, right = np.argwhere(dark)[0]
    ActionChains(report.driver).move_to_element_with_offset(
        canvas, -(size["width"] // 2) + 140 + int(right), -(size["height"] // 2) + 30 + int(down)
    ).click().perform()
    assert select.get_attribute("value") == "0"
    assert "of the input" in report.one("[data-draw=travel] .read").text


def test_the_epoch_moves_the_delays(report: Page) -> None:
    bars = "return [...document.querySelectorAll('[data-draw=delays] .after')].map(b => b.getAttribute('d')).join()"
    slider = report.one("[data-draw=delays] [data-control=epoch]")
    press(slider, "HOME")
    first = report.run(bars)
    assert "After epoch 1," in report.one("[data-draw=delays] .read").text
    press(slider, "END")
    assert report.run(bars) != first
    assert "After epoch 3," in report.one("[data-draw=delays] .read").text


def test_the_epoch_is_read_from_the_curves(report: Page) -> None:
    slider = report.one("[data-draw=learning] [data-control=epoch]")
    place = "return document.querySelector('[data-draw=learning] .now').getAttribute('x1')"
    press(slider, "HOME")
    first = report.run(place)
    assert report.one("[data-draw=learning] .read").text.startswith("Epoch 1")
    press(slider, "ARROW_RIGHT")
    assert report.run(place) != first
    assert report.one("[data-draw=learning] .read").text.startswith("Epoch 2")


def test_the_mistakes_are_read_with_the_arrow_keys(report: Page) -> None:
    matrix = report.one("[data-draw=confusion] svg")
    report.run("arguments[0].focus()", matrix)
    read = "return document.querySelector('[data-draw=confusion] .read').textContent"
    assert report.run(read).startswith("zero: right in")
    press(matrix, "ARROW_DOWN")
    assert report.run(read).startswith("one: predicted zero")


def test_a_class_that_is_never_right_is_marked_and_its_0_is_read(page: Page, runs: Path, tmp_path: Path) -> None:
    text = (runs / "learned" / "report.html").read_text()
    start = text.index('"confusion":[[') + len('"confusion":[[')
    (tmp_path / "never.html").write_text(f"{text[:start]}0{text[text.index(',', start) :]}")
    page.open(tmp_path / "never.html")
    counts = page.run("return RUNS[0].confusion")
    never = sum(row[place] == 0 for place, row in enumerate(counts))
    assert never >= 1
    assert page.run("return document.querySelectorAll('[data-draw=confusion] .never').length") == never
    numbers = page.run(
        "return [...document.querySelectorAll('[data-draw=confusion] svg text')].map(t => t.textContent)"
    )
    assert numbers.count("0") == never
    matrix = page.one("[data-draw=confusion] svg")
    page.run("arguments[0].focus()", matrix)
    read = page.run("return document.querySelector('[data-draw=confusion] .read').textContent")
    assert read.startswith("zero: right in 0 of ")


def test_numbers_in_the_matrix_can_be_read_on_their_squares(page: Page, runs: Path) -> None:
    """The contrast that WCAG 2 asks of text, 4.5, at every share and in both themes."""
    contrast = """
      const hex = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim().slice(1);
      const rgb = (name) => [0, 2, 4].map((i) => parseInt(hex(name).slice(i, i + 2), 16) / 255);
      const bright = (c) => c.map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
      let least = Infinity;
      for (const right of [true, false]) for (let share = 0.01; share <= 1; share += 0.01) {
        const { opacity, ink } = shade(share, right);
        const square = rgb(right ? "--ink" : "--accent"), paper = rgb("--paper");
        const mixed = square.map((v, i) => v * opacity + paper[i] * (1 - opacity));
        const [a, b] = [bright(mixed), bright(rgb(ink.slice(4, -1)))].sort((x, y) => y - x);
        least = Math.min(least, (a + 0.05) / (b + 0.05));
      }
      return least;
    """
    for dark in (False, True):
        page.open(runs / "learned" / "report.html", dark=dark)
        assert page.run(contrast) >= 4.5


def test_the_answer_is_told_at_the_end_and_nothing_before_anything_was_said(report: Page) -> None:
    slider = report.one("[data-control=time]")
    press(slider, "END")
    told = report.one("[data-draw=travel] .read").text
    said, label = report.run("return [RUNS[0].clips[0].said, RUNS[0].clips[0].label]")
    assert f"“{said}”" in told
    assert (f"“{label}”" in told.partition("Prediction")[2]) or said == label
    press(slider, "ARROW_LEFT")
    assert report.one("[data-draw=travel] .read").text != told
    alike = "return saying({ classes: ['a', 'b'] }, { share: [127, 127, 9, 9], steps: 3, said: 'a' }, 1).name"
    assert report.run(alike) is None


def test_arrows_lead_over_every_connection_of_a_layer(report: Page) -> None:
    """Where rings are drawn, ``[step, layer]``, of one spike of the first hidden layer, or of the input."""
    asked = """
      const rings = [], nothing = () => {};
      const pen = { beginPath: nothing, moveTo: nothing, lineTo: nothing, stroke: nothing, fill: nothing,
        setLineDash: nothing, arc: (x, y) => rings.push([x, y]) };
      const one = { step: [1], neuron: [0] }, none = { step: [], neuron: [] };
      const clip = { steps: 20, rasters: [one, one, none] };
      const places = { left: 0, right: 0, width: 20, x: (step) => step, y: (layer) => layer };
      const made = (from, to, delay) => ({ from, to, kept: 1, target: [0], delay: [delay], weight: [127] });
      const synapses = [made(0, 1, 2), made(1, 1, 3), made(1, 2, 4), made(0, 3, 5), made(1, 3, 6), made(2, 3, 7)];
      const state = { layer: arguments[0], neuron: 0, time: 19 };
      drawArrows(pen, places, { layers: [0, 0, 0, 0] }, clip, synapses, state, { accent: "", card: "", wide: 1 });
      return rings;
    """
    assert report.run(asked, 1) == [[1, 1], [4, 1], [5, 2], [7, 3]]
    assert report.run(asked, 0) == [[1, 0], [3, 1], [6, 3]]


@pytest.mark.parametrize(
    ("scores", "leads"),
    [("softmax", "b with 55.0%"), ("sum", "b"), ("count", "b with 55.0%"), ("max", "a"), ("last", "c")],
)
def test_what_leads_is_told_as_the_network_decides(report: Page, scores: str, leads: str) -> None:
    share = [[0, 60, 0], [70, 50, 0], [0, 0, 20], [255, 0, 0]]  # of a, b and c; the last step is yet to come
    asked = """
      const run = { classes: ['a', 'b', 'c'], scores: arguments[0] };
      const said = saying(run, { share: arguments[1].flat(), steps: 4, said: 'a' }, 2);
      return said.name + said.share;
    """
    assert report.run(asked, scores, share) == leads


def test_a_neuron_without_synapses_is_said_to_have_none(report: Page) -> None:
    told = """
      const run = { ...RUNS[0] }, clip = unpackClip(run, run.clips[0]), layer = 0, neuron = clip.rasters[0].neuron[0];
      const empty = () => new Int16Array(999);
      const made = { kept: 1, target: empty(), delay: empty(), weight: empty() };
      const none = run.layers.map((_, i) => ({ ...made, weight: empty(), from: i, to: i + 1 }));
      const state = { layer, neuron, time: clip.steps - 1, clip: 0 };
      const without = tell(run, clip, none, state);
      none[0].weight.fill(5);
      return [without, tell(run, clip, none, state), tell({ ...run, longest: 0 }, clip, none, state)];
    """
    without, delayed, at_once = report.run(told)
    assert "no synapse" in without
    assert ["synapse" in said and "neuron 0" in said for said in (without, delayed, at_once)] == [False, True, True]
    assert [" 0 ms " in said for said in (delayed, at_once)] == [True, False]
    assert "no. " in report.one("label:has([data-control=neuron]) + output").text


def test_everything_that_can_be_operated_is_reached_with_the_tab_key(report: Page) -> None:
    wanted = report.run("return document.querySelectorAll('input, select, button, summary').length")
    reached: set[str] = set()
    body = report.one("body")
    for _ in range(60):
        press(body if not reached else report.driver.switch_to.active_element, "TAB")
        reached.add(
            report.run(
                "const a = document.activeElement; return /INPUT|SELECT|BUTTON|SUMMARY/.test(a.tagName) ? "
                "String([...document.querySelectorAll('*')].indexOf(a)) : ''"
            )
        )
    assert len(reached - {""}) == wanted


@pytest.mark.parametrize("dark", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["light", "dark"])
@pytest.mark.parametrize("width", [320, 400, 1100])
@pytest.mark.parametrize("name", ["learned/report.html", "both.html"])
def test_it_fits_and_is_not_empty(page: Page, runs: Path, width: int, dark: bool, name: str) -> None:
    page.open(runs / name, width, dark=dark)
    page.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    page.until("return [...document.querySelectorAll('.drawing')].every(d => d.children.length)")
    assert page.overflow() <= 0
    for selector in ("h1", ".drawing svg", "canvas", "[data-draw=confusion] svg"):
        page.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", page.one(selector))
        picture = page.picture()[:, :, :3]
        colours = np.unique((picture * 15).round().reshape(-1, 3), axis=0)
        assert len(colours) > 5, selector
        assert (picture.mean() < 0.4) == dark
    assert page.complaints() == []


def test_a_comparison_highlights_the_best_and_opens_runs(page: Page, runs: Path) -> None:
    page.open(runs / "both.html")
    rights = page.run("return RUNS.map(run => run.right)")
    select = page.one("[data-control=highlight]")
    assert rights[int(select.get_attribute("value"))] == max(rights)
    high = "return document.querySelector('[data-draw=overlay] path.line.high').getAttribute('d')"
    first = page.run(high)
    press(select, "ARROW_DOWN" if select.get_attribute("value") == "0" else "ARROW_UP")
    page.until(f"return (() => {{ {high} }})() !== {first!r}")
    drawn = "return [...document.querySelectorAll('[data-draw=overlay] path.line')].map(p => getComputedStyle(p)"
    assert len(set(page.run(f"{drawn}.stroke)"))) == 2, "runs differ in colour"
    assert len(set(page.run(f"{drawn}.strokeDasharray)"))) == 2, "and in their dashes"
    assert page.run("return document.querySelectorAll('[data-draw=overlay] .kept-dot').length") == 2
    chart = "document.querySelector('[data-draw=overlay] .panels svg')"
    assert "chance: 5.0%" in page.run(f"return {chart}.textContent")
    assert page.run("return document.querySelectorAll('details.run[open]').length") == 0
    link = page.one(".runs a")
    page.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", link)  # the page scrolls smoothly
    link.click()
    page.until("return document.querySelectorAll('details.run[open] canvas').length === 1")
    assert page.complaints() == []


def test_on_a_phone_a_run_is_a_block_with_named_cells(page: Page, runs: Path) -> None:
    rows = "[...document.querySelectorAll('table.runs')].map(t => getComputedStyle(t.tBodies[0].rows[0]).display)"
    bars = "[...document.querySelectorAll('table.runs td.graph')].map(bar => bar.offsetWidth)"
    for width, display in ((1100, "table-row"), (390, "block")):
        page.open(runs / "both.html", width)
        assert page.run(f"return {rows}") == [display]
        assert min(page.run(f"return {bars}")) > 100, "bars are there on every screen"
    name = "return getComputedStyle(document.querySelector('table.runs td:not(.graph)'), '::before').content"
    assert page.run(name) == '"accuracy"'
    assert page.complaints() == []


def test_the_spikes_open_at_the_end_with_low_channels_below_and_frequencies(report: Page) -> None:
    slider = report.one("[data-control=time]")
    assert slider.get_attribute("value") == slider.get_attribute("max")
    labels = report.run("return RUNS[0].ticks.map(tick => tick[1])")
    assert labels[0].endswith("00 Hz")
    assert labels[-1].endswith(" kHz")
    clips = "RUNS[0].clips.map(clip => unpackClip(RUNS[0], clip))"
    places = f"const p = layout(800, RUNS[0], {clips}); return [p.y(0, 0), p.y(0, 139)]"
    lowest, highest = report.run(places)
    assert lowest > highest, "down the page"


def test_outlines_can_be_seen_in_the_dark(page: Page, runs: Path) -> None:
    """The contrast that WCAG 2 asks of graphics, 3."""
    contrast = """
      const bright = (text) => text.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
        .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
      const style = (selector) => getComputedStyle(document.querySelector(selector));
      const colours = [style("[data-draw=delays] .after").stroke, style("body").backgroundColor];
      const [a, b] = colours.map(bright).sort((x, y) => y - x);
      return (a + 0.05) / (b + 0.05);
    """
    for dark in (False, True):
        page.open(runs / "learned" / "report.html", dark=dark)
        assert page.run(contrast) >= 3


def test_the_page_asks_nothing_of_the_network(report: Page) -> None:
    assert report.run("return performance.getEntriesByType('resource').length") == 0


def test_what_is_wrong_in_a_page_would_be_seen(page: Page, runs: Path, tmp_path: Path) -> None:
    text = (runs / "learned" / "report.html").read_text()
    (tmp_path / "broken.html").write_text(text.replace("const RUNS = ", "const RUNS = nothing + "))
    page.driver.get((tmp_path / "broken.html").as_uri())
    assert page.complains("nothing")
    (tmp_path / "asking.html").write_text(text.replace("<main", '<img src="https://localhost:1/x.png"><main'))
    page.driver.get((tmp_path / "asking.html").as_uri())
    assert page.complains("Content Security Policy")
