"""The page of a report in a real browser, without a screen: what it loads, and how it is used by mouse, by keys, and without scripts."""

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import run
from tests.reporting.site import make_site

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
DRIVER = shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs Chromium and chromedriver")

SWITCHES = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-quic",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
]  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page that was moved to a folder of its own, the runs and the data that it is from gone."""
    folder = tmp_path_factory.mktemp("made")
    runs = make_site(folder)
    result = run("report", "scenes=2", cwd=folder)
    assert result.returncode == 0, result.stderr
    moved = tmp_path_factory.mktemp("moved to") / "a colleague's.html"
    shutil.move(runs / "report/report.html", moved)
    shutil.rmtree(folder)
    return moved


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def show(browser, page: Path, width=1200, height=900, scripts=True, dark=False):
    """Opens the page anew, and returns the addresses that the browser asked for."""
    browser.get_log("performance")
    for command, words in (
        ("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}),
        ("Emulation.setScriptExecutionDisabled", {"value": not scripts}),
        ("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]}),
    ):  # fmt: skip
        browser.execute_cdp_cmd(command, words)
    browser.get(page.as_uri())
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return {m["params"]["request"]["url"][:5] for m in messages if m["method"] == "Network.requestWillBeSent"}


def elements(browser, selector):
    from selenium.webdriver.common.by import By

    return browser.find_elements(By.CSS_SELECTOR, selector)


def one(browser, selector):
    return elements(browser, selector)[0]


def loaded(browser, selector="img"):
    """How many images are seen, and how many of them have pixels."""
    found = [image for image in elements(browser, selector) if image.is_displayed()]
    return len(found), sum(int(image.get_property("naturalWidth")) > 0 for image in found)


@pytest.mark.parametrize("dark", [False, True])
def test_every_image_loads_and_nothing_is_asked_of_others(browser, page, dark):
    assert show(browser, page, dark=dark) <= {"file:", "data:"}
    shown, whole = loaded(browser)
    assert shown == whole == 4 * 8 + 6 * 6 + 2 * 2
    assert not browser.get_log("browser")
    colours = [one(browser, "body").value_of_css_property(key) for key in ("background-color", "color")]
    light = [sum(int(part) for part in colour.partition("(")[2].strip(")").split(",")[:3]) for colour in colours]
    assert (light[0] < light[1]) == dark, "light ink on dark paper, or dark on light"
    assert "text" in {child.tag_name for child in elements(browser, ".chart svg text")}
    assert one(browser, ".chart svg text").value_of_css_property("fill") != one(browser, "body").value_of_css_property(
        "background-color"
    )


def test_the_gallery_by_mouse(browser, page):
    from selenium.webdriver import ActionChains

    show(browser, page)
    gallery = elements(browser, ".gallery")[1]
    above, below, slider = (gallery.find_element("css selector", f".stage {s}") for s in (".above", ".below", "input"))
    assert above.get_property("alt") == "source_2x predicts of city<b>/fog_0"
    assert below.get_property("alt") == "sdgpa predicts of city<b>/fog_0"
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", slider)
    width = slider.size["width"]
    ActionChains(browser).move_to_element_with_offset(slider, -width // 4, 0).click().perform()
    at = float(slider.get_property("value"))
    assert 20 < at < 30
    assert above.value_of_css_property("clip-path") == f"inset(0px {100 - at:g}% 0px 0px)"
    assert one(gallery, ".edge").location["x"] == pytest.approx(slider.location["x"] + width * at / 100, abs=3)
    gallery.find_element("css selector", ".next").click()
    assert below.get_property("alt") == "sdgpa predicts of city<b>/fog_1"
    assert gallery.find_element("css selector", ".note").text.startswith("largest gain: source_2x")
    gallery.find_element("css selector", ".previous").click()
    gallery.find_element("css selector", ".previous").click()
    last = elements(gallery, ".scene")[-1].get_attribute("data-name")
    assert below.get_property("alt") == f"sdgpa predicts of {last}", "round from the first to the last"
    errors = elements(gallery, ".scene")[2].find_element("css selector", "img[data-title='errors of sdgpa']")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", errors)
    errors.click()
    assert below.get_property("alt") == "errors of sdgpa of city<b>/fog_7"
    assert below.get_property("src") == errors.get_property("src")
    assert not browser.get_log("browser")


def test_the_gallery_by_keys(browser, page):
    from selenium.webdriver import ActionChains, Keys

    show(browser, page)
    focused = []
    for _ in range(40):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        active = browser.switch_to.active_element
        focused.append(active.get_attribute("class") or active.tag_name)
        if active.get_attribute("type") == "range":
            break
    assert focused[0] == "skip", "first a way past the links"
    slider = browser.switch_to.active_element
    slider.send_keys(Keys.ARROW_RIGHT * 3)
    assert slider.get_property("value") == "53"
    slider.send_keys(Keys.END)
    assert slider.get_property("value") == "100"
    reached = {}
    for name in ("left", "previous", "which", "next", "right"):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        reached[name] = browser.switch_to.active_element
        assert name in reached[name].get_attribute("class")
    below = one(browser, ".below")
    reached["next"].send_keys(Keys.ENTER)
    assert below.get_property("alt") == "target edit of city<b>/1"
    reached["right"].send_keys("ground")
    assert below.get_property("alt") == "ground truth of city<b>/1"
    picture = one(browser, ".scene img")
    picture.send_keys(Keys.SPACE)
    assert below.get_property("alt") == "source of city<b>/0"
    assert browser.switch_to.active_element.get_attribute("type") == "range"
    assert not browser.get_log("browser")


def test_without_scripts_pictures_and_tables_are_there(browser, page):
    show(browser, page, scripts=False)
    assert loaded(browser) == (4 * 8 + 6 * 6, 4 * 8 + 6 * 6)
    assert not [viewer for viewer in elements(browser, ".viewer") if viewer.is_displayed()]
    assert not one(browser, "#theme").is_displayed()
    texts = [row.text for row in elements(browser, "#scores tr")]
    assert "sdgpa 40.5 ± 0.7 60.5 ± 0.7" in texts
    assert len([chart for chart in elements(browser, ".chart svg") if chart.is_displayed()]) >= 6


def test_on_a_phone_nothing_is_wider_than_the_screen(browser, page):
    show(browser, page, width=390, height=844)
    assert one(browser, "html").get_property("scrollWidth") == 390
    assert one(browser, ".stage").size["width"] > 340
    assert all(select.size["width"] > 80 for select in elements(browser, ".choices select"))


def test_light_and_dark_by_hand(browser, page):
    show(browser, page)
    before = one(browser, "body").value_of_css_property("background-color")
    one(browser, "#theme").click()
    assert one(browser, "body").value_of_css_property("background-color") != before
    one(browser, "#theme").click()
    assert one(browser, "body").value_of_css_property("background-color") == before
