"""The example in a real browser: isolated mirrors, one that shares, one added live."""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest

from tests.plugins.services import find_chromium

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "example_project"
PREPARE = "import run; run.prepare()"
SECONDS_TO_PREPARE = 180
SECONDS_TO_START = 30
SECONDS_TO_SHOW = 15
FRENCH_MONTHS = [
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
]
FOREIGN_VARIABLES = ("DATABASE_URL", "DEFAULT_STORAGE_DSN", "CACHE_URL", "SITE_ID")


@dataclass(frozen=True, kw_only=True)
class Example:
    """The example as it is served for these tests."""

    port: int
    environment: dict[str, str]

    def build_url(self, host: str, path: str = "/") -> str:
        return f"http://{host}:{self.port}{path}"

    def manage(self, *arguments: str) -> str:
        """Run a management command; return what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS_TO_PREPARE,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def find_mail(self, name: str) -> list[str]:
        """Return what was mailed for a mirror."""
        directory = Path(self.environment["EXAMPLE_VAR"]) / "mail" / name
        return [path.read_text() for path in sorted(directory.glob("*"))]

    def fetch(self, host: str, path: str = "/") -> tuple[int, str]:
        """Return status and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers={"Host": f"{host}:{self.port}"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        finally:
            connection.close()


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Iterator[Example]:
    """Set the example up as its run.py does, and serve it."""
    directory = tmp_path_factory.mktemp("example")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("DJANGO_") and name not in FOREIGN_VARIABLES
    }
    path = filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
    environment |= {"EXAMPLE_VAR": str(directory), "PYTHONPATH": os.pathsep.join(path)}
    prepared = subprocess.run(
        [sys.executable, "-c", PREPARE],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS_TO_PREPARE,
    )
    assert prepared.returncode == 0, prepared.stderr
    served = Example(port=find_free_port(), environment=environment)
    with (directory / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "manage.py", "runserver", "--noreload", str(served.port)],
            cwd=PROJECT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: answers(served, server), SECONDS_TO_START)
        yield served
    finally:
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(timeout=10)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """A real Chromium. Its hosts *.localhost are on this machine."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox", "--disable-quic"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    """A window of a visitor who was nowhere before."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(SECONDS_TO_SHOW * 1000)
    yield context.new_page()
    context.close()


def find_free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def answers(example: Example, server: "subprocess.Popen[bytes]") -> bool:
    assert server.poll() is None, "The server ended before it answered."
    try:
        return example.fetch("shop.localhost")[0] == 200
    except OSError:
        return False


def wait_until(is_done: Callable[[], bool], seconds: float) -> float:
    """Return after how many seconds it was so; fail if it never was."""
    began = time.monotonic()
    while not is_done():
        assert time.monotonic() - began < seconds, f"Not so within {seconds} s."
        time.sleep(0.02)
    return time.monotonic() - began


def log_in_to_admin(page, example: Example, host: str) -> None:
    page.goto(example.build_url(host, "/admin/login/?next=/admin/"))
    page.fill("[name=username]", "admin")
    page.fill("[name=password]", "admin")
    page.click("[type=submit]")
    page.wait_for_selector("#user-tools")


def add_product(page, example: Example, host: str, *, name: str, file: str) -> None:
    """Add a product with an uploaded picture in the admin."""
    log_in_to_admin(page, example, host)
    page.goto(example.build_url(host, "/admin/shop/product/add/"))
    page.select_option("[name=category]", index=1)
    page.fill("[name=name]", name)
    page.fill("[name=price]", "5")
    page.fill("[name=stock]", "7")
    page.check("[name=featured]")
    picture = {"name": file, "mimeType": "image/png", "buffer": draw_picture()}
    page.set_input_files("[name=image]", picture)
    page.click("[name=_save]")
    page.wait_for_selector(".messagelist .success")


def draw_picture() -> bytes:
    from PIL import Image

    picture = BytesIO()
    Image.new("RGB", (200, 300), "#c2410c").save(picture, "PNG")
    return picture.getvalue()


def get_picture_width(page, name: str) -> int:
    """Return the width of a product's picture as loaded: 0 if there is none."""
    picture = page.locator(".card", has_text=name).locator("img").first
    picture.scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")
    return int(picture.evaluate("image => image.naturalWidth"))


def find_accent(page) -> str:
    """Return a colour that the style sheet of a theme gives."""
    style = "getComputedStyle(document.documentElement)"
    return str(page.evaluate(f"{style}.getPropertyValue('--shop-accent')")).strip()


def test_each_host_shows_a_shop_of_its_own(example, page):
    page.goto(example.build_url("books.localhost"))
    books = page.inner_text("body")
    page.goto(example.build_url("films.localhost"))
    films = page.inner_text("body")

    assert "Harbour & Quill" in books
    assert "The Salt Orchard" in books
    assert "£18.99" in books
    assert "KALTES LICHT" in films.upper()
    assert "29,00\u00a0€" in films
    assert "KALTES LICHT" not in books.upper()
    assert "THE SALT ORCHARD" not in films.upper()


def test_original_shows_its_own_data_only(example, page):
    page.goto(example.build_url("shop.localhost"))
    shop = page.inner_text("body").upper()

    assert "DESK LAMP" in shop
    assert "KALTES LICHT" not in shop
    assert "THE SALT ORCHARD" not in shop


def test_products_of_a_mirror_are_not_found_in_another(example):
    assert example.fetch("books.localhost", "/product/tidal/")[0] == 200
    assert example.fetch("films.localhost", "/product/tidal/")[0] == 404
    assert example.fetch("shop.localhost", "/product/tidal/")[0] == 404


def test_each_mirror_has_its_own_theme_language_and_time_zone(example, page):
    page.goto(example.build_url("films.localhost"))
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert ground == "rgb(16, 17, 20)"
    assert page.get_attribute("html", "lang") == "de"
    assert "(Europe/Berlin)" in page.inner_text(".clock")
    assert page.inner_text(".clock").startswith("Hier ist es")


def test_mirror_without_a_theme_has_the_projects_looks(example, page):
    page.goto(example.build_url("shop.localhost"))

    assert find_accent(page) == "#4453d6"
    assert "/static/shop/theme.css" in page.content()


def test_admin_has_the_looks_of_its_mirror(example, page):
    page.goto(example.build_url("books.localhost", "/admin/login/"))

    assert find_accent(page) == "#1f5c4d"
    assert "/static/themes/paper/shop/theme.css" in page.content()


def test_sharing_mirror_shows_the_goods_of_its_owner_in_its_own_language(example, page):
    page.goto(example.build_url("films-fr.localhost"))

    assert page.get_attribute("html", "lang") == "fr"
    assert page.inner_text(".header .brand") == "Minuit Ciné"
    assert "Notre sélection" in page.inner_text("main")
    assert "Lumière froide" in page.inner_text("main")
    assert get_picture_width(page, "Lumière froide") > 0
    assert "(Europe/Paris)" in page.inner_text(".clock")


def test_dates_are_written_in_the_language_of_the_mirror(example, page):
    page.goto(example.build_url("films-fr.localhost", "/product/kaltes-licht/"))

    [month] = page.inner_text("dl dd:nth-of-type(2)").split()[1:2]
    assert month in FRENCH_MONTHS


def test_picture_uploaded_in_one_mirror_is_in_no_other(example, page):
    add_product(
        page, example, "books.localhost", name="Paper Kite", file="paper-kite.png"
    )
    path = "/media/products/paper-kite.png"

    page.goto(example.build_url("books.localhost"))
    assert get_picture_width(page, "Paper Kite") == 200
    assert example.fetch("books.localhost", path)[0] == 200
    assert example.fetch("films.localhost", path)[0] == 404
    assert example.fetch("films-fr.localhost", path)[0] == 404
    assert example.fetch("shop.localhost", path)[0] == 404
    assert "Paper Kite" not in example.fetch("films.localhost")[1]
    log_in_to_admin(page, example, "films.localhost")
    page.goto(example.build_url("films.localhost", "/admin/shop/product/?q=Kite"))
    assert page.locator("#result_list tbody tr").count() == 0
    page.goto(example.build_url("films.localhost", "/admin/shop/product/"))
    assert page.locator("#result_list tbody tr").count() > 0
    assert "Paper Kite" not in page.inner_text("body")


def test_picture_uploaded_by_the_owner_is_in_the_sharing_mirror(example, page):
    add_product(
        page, example, "films.localhost", name="Vorhang auf", file="vorhang.png"
    )

    page.goto(example.build_url("films-fr.localhost"))
    assert get_picture_width(page, "Vorhang auf") == 200
    assert example.fetch("books.localhost", "/media/products/vorhang.png")[0] == 404


def test_staff_of_one_mirror_is_not_logged_in_to_another(example, page):
    log_in_to_admin(page, example, "books.localhost")
    [session] = [
        cookie for cookie in page.context.cookies() if cookie["name"] == "sessionid"
    ]
    stolen = {"name": "sessionid", "value": session["value"]}
    page.context.add_cookies([{**stolen, "domain": "films.localhost", "path": "/"}])

    page.goto(example.build_url("films.localhost", "/admin/"))
    assert "/admin/login/" in page.url
    page.goto(example.build_url("books.localhost", "/admin/"))
    assert "/admin/login/" not in page.url


def test_order_is_kept_by_the_mirror_it_was_placed_in(example, page):
    page.goto(example.build_url("films-fr.localhost", "/product/sternwarte-7/"))
    page.click(".buy button")
    page.click(".panel .button")
    page.fill("#checkout [name=name]", "Anne Petit")
    page.fill("#checkout [name=email]", "anne@petit.example")
    page.fill("#checkout [name=address]", "4 rue Basse")
    page.fill("#checkout [name=postcode]", "59000")
    page.fill("#checkout [name=city]", "Lille")
    page.click("#checkout button")

    assert "Merci, Anne Petit" in page.inner_text("h1")
    (letter,) = example.find_mail("films-fr")
    assert "From: bonjour@minuit-cine.example" in letter
    assert example.find_mail("films") == []
    log_in_to_admin(page, example, "films.localhost")
    page.goto(example.build_url("films.localhost", "/admin/shop/order/?q=Petit"))
    assert page.locator("#result_list tbody tr").count() == 1
    page.goto(example.build_url("films.localhost", "/admin/shop/product/?q=Sternwarte"))
    assert page.input_value("[name=form-0-stock]") == "21"
    log_in_to_admin(page, example, "books.localhost")
    page.goto(example.build_url("books.localhost", "/admin/shop/order/?q=Petit"))
    assert page.locator("#result_list tbody tr").count() == 0


def test_mirror_added_while_the_server_runs_answers_within_two_seconds(example, page):
    assert example.fetch("music.localhost")[0] == 404
    name = ("--set", "SHOP_NAME=Needle", "--theme", "vinyl")

    example.manage("mirror_add", "music", "--host", "music.localhost", *name)
    seconds = wait_until(lambda: example.fetch("music.localhost")[0] == 200, 2)
    example.manage("mirror_run", "music", "--", "seed")

    assert seconds < 2
    page.goto(example.build_url("music.localhost"))
    assert page.inner_text(".header .brand") == "Needle"
    assert find_accent(page) == "#d9480f"
    assert get_picture_width(page, "Warm Static") > 0
    assert "Tidal" not in page.inner_text("body")
    assert "Warm Static" not in example.fetch("books.localhost")[1]
