"""The page's files: their addresses, their caching, the policy of the page."""

import base64
import gzip
import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent import __version__
from agent.fleet.web import page_files
from tests.support import fleet_web
from tests.support.fleet_web import Monitor

INDEX = """<!doctype html><meta name="version" content="__VERSION__">
<script type="importmap">
{"imports": {"preact": "./static/__VERSION__/vendor/preact.mjs"}}
</script>
<script type="module" src="static/__VERSION__/js/main.js"></script>"""
MISSING = "The page's libraries are not here. Run: make page"


def write_page(folder: Path) -> None:
    files = {
        "index.html": INDEX,
        "style.css": "body{}",
        "js/main.js": "import 'preact';" + " " * 1000,
        "js/pages/host.js": "1",
        "vendor/preact.mjs": "export {}",
        "vendor/LICENSE.txt": "MIT",
        "vendor.py": "secret",
        "package.json": "{}",
        "js/notes.md": "secret",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.fixture
async def monitor(tmp_path: Path) -> AsyncIterator[Monitor]:
    write_page(tmp_path / "page")
    async with fleet_web.monitor(tmp_path) as running:
        yield running


async def addresses(monitor: Monitor) -> list[str]:
    html = await (await monitor.request("GET", "/")).text()
    return ["/" + match for match in re.findall(r"static/[^\"]+", html)]


async def test_the_page_has_the_version_and_names_files_that_exist(monitor: Monitor) -> None:
    response = await monitor.request("GET", "/")
    html = await response.text()
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert f'content="{__version__}"' in html
    assert "__VERSION__" not in html
    assert {path: (await monitor.request("GET", path)).status for path in await addresses(monitor)} == dict.fromkeys(
        await addresses(monitor), 200
    )


async def test_the_policy_allows_the_scripts_of_the_page_and_its_import_map_only(monitor: Monitor) -> None:
    response = await monitor.request("GET", "/")
    html = await response.text()
    inline = html.partition('<script type="importmap">')[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
    assert response.headers["Content-Security-Policy"] == (
        f"default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self'; img-src 'self' data:;"
        " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none';"
        " require-trusted-types-for 'script'; trusted-types 'none'"
    )


async def test_the_page_is_asked_for_each_time_and_sent_only_if_it_changed(monitor: Monitor) -> None:
    first = await monitor.request("GET", "/")
    assert first.headers["Cache-Control"] == "no-cache"
    for known in (first.headers["ETag"], f"W/{first.headers['ETag']}", f'"other", {first.headers["ETag"]}'):
        again = await monitor.request("GET", "/", headers={"If-None-Match": known})
        assert (again.status, await again.read()) == (304, b"")
    other = await monitor.request("GET", "/", headers={"If-None-Match": '"other"'})
    assert other.status == 200


async def test_a_file_has_its_type_and_is_kept_for_ever(monitor: Monitor) -> None:
    types = {}
    for path in await addresses(monitor):
        response = await monitor.request("GET", path)
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        types[path.rpartition("/")[2]] = response.headers["Content-Type"]
    assert types == {"preact.mjs": "text/javascript; charset=utf-8", "main.js": "text/javascript; charset=utf-8"}


async def test_a_file_is_sent_compressed_to_whom_takes_that(monitor: Monitor) -> None:
    path = next(path for path in await addresses(monitor) if path.endswith("main.js"))
    plain = await monitor.request("GET", path, headers={"Accept-Encoding": "identity"})
    small = await monitor.request("GET", path)
    assert (plain.headers.get("Content-Encoding"), small.headers.get("Content-Encoding")) == (None, "gzip")
    assert await plain.read() == await small.read()
    assert int(small.headers["Content-Length"]) < int(plain.headers["Content-Length"])


async def test_nothing_else_of_the_folder_is_served(monitor: Monitor) -> None:
    base = (await addresses(monitor))[0].rpartition("/vendor/")[0]
    for name in ("vendor.py", "package.json", "js/notes.md", "index.html", "..%2fvendor.py", "js/..%2f..%2ffleet.db"):
        assert (await monitor.request("GET", f"{base}/{name}")).status == 404
    assert (await monitor.request("GET", "/static/0.0.0/style.css")).status == 404
    assert (await monitor.request("GET", f"{base}/style.css")).status == 200


async def test_without_its_libraries_the_page_says_what_to_do(tmp_path: Path) -> None:
    write_page(tmp_path / "page")
    (tmp_path / "page/vendor/preact.mjs").unlink()
    async with fleet_web.monitor(tmp_path) as running:
        response = await running.request("GET", "/")
        assert response.status == 200
        assert MISSING in await response.text()
        assert "script-src 'none'" in response.headers["Content-Security-Policy"]
        assert (await running.get("/api/version"))[0] == 200


async def test_without_any_file_the_page_says_what_to_do(tmp_path: Path) -> None:
    async with fleet_web.monitor(tmp_path) as running:
        assert MISSING in await (await running.request("GET", "/")).text()


def test_a_file_that_changed_has_another_address_under_the_same_version(tmp_path: Path) -> None:
    write_page(tmp_path)
    before = page_files.load(tmp_path, "1.0")
    (tmp_path / "js/main.js").write_text("2")
    after = page_files.load(tmp_path, "1.0")
    assert before.version.startswith("1.0-")
    assert before.version != after.version
    assert gzip.decompress(after.files["js/main.js"].gzipped) == b"2"
