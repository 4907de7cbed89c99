"""A look at the site in headless Chromium, as a visitor with a phone and one with a desk have it.

    python docs/check_site.py build/site [--pictures FOLDER]

Every page renders at the width of a phone without scrolling sideways, and without an error in the
console.  The search finds a parameter, and a copy button copies the code that it stands at.  Nothing
comes from another host.  Needs selenium, and Debian's chromium and chromium-driver.
"""

import argparse
import functools
import http.server
import sys
import threading
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

PHONE, DESK = (375, 812), (1280, 900)
TERM = "n_accum_bits"
SHOWN = [
    "index", "getting_started", "guide", "which_width", "api", "gallery/index", "gallery/plot_01_width",
    "reference/qnnprune.PrunedNeuralNetClassifier", "reference/qnnprune.inspection",
]  # fmt: skip
# Elements that reach beyond the page, outside of boxes that scroll by themselves.
TOO_WIDE = """
    const page = document.documentElement, main = document.querySelector("article").parentElement;
    const beyond = element => element.scrollWidth > element.clientWidth;
    return [page, main, ...document.querySelectorAll("article, article > section")]
        .filter(beyond).map(element => element.tagName + " by " + (element.scrollWidth - element.clientWidth));
"""
OPTIONS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Say nothing."""


def serve(folder: Path) -> str:
    """Serve a folder from a thread, and return its address."""
    handler = functools.partial(_Quiet, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def browser():
    """A browser that reaches this machine alone."""
    options = webdriver.ChromeOptions()
    for option in OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))


def resize(driver, size):
    """Give the page the width and height of a screen, in CSS pixels."""
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def page_problems(driver, url: str) -> list[str]:
    """What is wrong with a page at the width of a phone."""
    driver.get(url)
    problems = [
        entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"
    ]
    if not driver.find_elements(By.CSS_SELECTOR, "article h1"):
        problems.append("no heading")
    if wide := driver.execute_script(TOO_WIDE):
        problems.append(f"too wide: {wide}")
    return problems


def search_problems(driver, root: str) -> list[str]:
    """What is wrong with the search."""
    driver.get(f"{root}/search.html?q={TERM}")
    title = driver.find_element(By.CSS_SELECTOR, "#search-results h2")
    WebDriverWait(driver, 60).until(lambda d: title.text == "Search Results")  # it is done
    links = driver.find_elements(By.CSS_SELECTOR, "#search-results li a")
    found = [link.get_attribute("href") for link in links]
    wanted = "qnnprune.PrunedNeuralNetClassifier"
    return [] if any(wanted in link for link in found) else [f"{TERM} leads to {found[:5]}"]


def copy_problems(driver, url: str) -> list[str]:
    """What is wrong with the copy buttons of a page."""
    driver.execute_cdp_cmd(
        "Browser.grantPermissions",
        {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]},
    )
    driver.get(url)
    blocks = driver.find_elements(By.CSS_SELECTOR, "div.highlight pre")
    buttons = WebDriverWait(driver, 60).until(
        lambda d: d.find_elements(By.CSS_SELECTOR, "div.highlight button.copybtn")
    )
    ActionChains(driver).move_to_element(buttons[0]).click().perform()
    copied = driver.execute_async_script(
        "const done = arguments[0];"
        "setTimeout(() => navigator.clipboard.readText().then(done, e => done(String(e))), 500)"
    )
    problems = (
        [] if len(blocks) == len(buttons) else [f"{len(blocks)} blocks, {len(buttons)} buttons"]
    )
    return problems + ([] if copied.strip() == blocks[0].text.strip() else [f"copied {copied!r}"])


def take_pictures(driver, root: str, folder: Path):
    """Write a picture of each page of `SHOWN` on both screens."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in (("desk", DESK), ("phone", PHONE)):
        resize(driver, size)
        for page in SHOWN:
            driver.get(f"{root}/docs/{page}.html")
            driver.save_screenshot(str(folder / f"{page.replace('/', '_')}_{name}.png"))


def main() -> int:
    """Check the site; the exit code is 1 where a page has a problem."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("site", type=Path)
    parser.add_argument("--pictures", type=Path, help="folder for pictures of some pages")
    args = parser.parse_args()
    root, driver = serve(args.site), browser()
    try:
        resize(driver, PHONE)
        found = {"search": search_problems(driver, root)}
        found["copy"] = copy_problems(driver, f"{root}/docs/getting_started.html")
        for path in sorted(args.site.rglob("*.html")):
            page = path.relative_to(args.site).as_posix()
            if not page.startswith(("_", "genindex", "search", "index", "py-modindex")):
                found[page] = page_problems(driver, f"{root}/{page}")
        if args.pictures:
            take_pictures(driver, root, args.pictures)
    finally:
        driver.quit()
    wrong = {page: problems for page, problems in found.items() if problems}
    for page, problems in wrong.items():
        print(f"{page}: {'; '.join(problems)}")
    print(f"{len(found)} looked at, {len(wrong)} with problems")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
