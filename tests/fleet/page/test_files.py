"""The page's files, without a browser: what is served is there, licensed, and loads nothing from elsewhere."""

import json
import os
import re
from pathlib import Path

import pytest

import agent
from tests.support import proc
from tests.support.page.axe import vendor
from tests.support.page.monitor import PAGE

OURS = [PAGE / "index.html", PAGE / "style.css", *sorted((PAGE / "js").rglob("*.js"))]
STATIC = re.compile(r'"(?:\./)?static/__VERSION__/([^"]+)"')


def test_every_file_that_the_index_names_is_there() -> None:
    named = STATIC.findall((PAGE / "index.html").read_text())

    libraries = {f"vendor/{Path(name).name}" for name in vendor().FILES}
    assert {name for name in named if name.startswith("vendor/")} <= libraries
    assert [name for name in named if not name.startswith("vendor/") and not (PAGE / name).exists()] == []


def test_the_import_map_names_every_library() -> None:
    text = (PAGE / "index.html").read_text()
    found = re.search(r'<script type="importmap">(.*?)</script>', text, re.DOTALL)
    assert found

    imports = json.loads(found[1])["imports"]

    assert {Path(path).name for path in imports.values()} == {
        Path(name).name for name in vendor().FILES if "css" not in name
    }


def test_every_module_is_asked_for_at_once() -> None:
    named = STATIC.findall((PAGE / "index.html").read_text())

    assert sorted(name for name in named if name.startswith("js/")) == sorted(
        str(path.relative_to(PAGE)) for path in OURS if path.suffix == ".js"
    )


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(PAGE)))
def test_no_file_loads_anything_from_elsewhere(path: Path) -> None:
    text = path.read_text().replace("http://www.w3.org/2000/svg", "")

    assert re.findall(r"https?://|url\(|@import", text) == []


def test_the_lock_file_carries_no_address() -> None:
    assert "://" not in (PAGE / "package-lock.json").read_text()


def test_no_module_makes_markup_of_text() -> None:
    written = [
        path
        for path in OURS
        if re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", path.read_text())
    ]

    assert written == []


def test_the_lock_file_names_no_registry() -> None:
    assert "resolved" not in (PAGE / "package-lock.json").read_text()


def test_versions_are_exact() -> None:
    package = json.loads((PAGE / "package.json").read_text())

    versions = {**package["dependencies"], **package["devDependencies"]}
    assert [name for name, version in versions.items() if not re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", version)] == []


def test_each_library_is_copied_with_its_licence_and_a_compressed_copy(tmp_path: Path) -> None:
    hook = vendor()
    modules = make_modules(hook.FILES, tmp_path / "node_modules")

    hook._copy(modules, tmp_path / "vendor")

    names = {Path(name).name for name in hook.FILES}
    licences = {
        "LICENSE.htm",
        "LICENSE.preact",
        "LICENSE.preact-signals",
        "LICENSE.preact-signals-core",
        "LICENSE.uplot",
    }
    assert {path.name for path in (tmp_path / "vendor").iterdir()} == names | {
        f"{name}.gz" for name in names
    } | licences


def test_a_library_without_a_licence_is_not_passed_on(tmp_path: Path) -> None:
    hook = vendor()
    modules = make_modules(hook.FILES, tmp_path / "node_modules")
    (modules / "htm/LICENSE").unlink()

    with pytest.raises(FileNotFoundError, match="htm has no licence, so it may not be passed on"):
        hook._copy(modules, tmp_path / "vendor")


def test_a_build_without_a_registry_goes_on_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    hook = vendor()
    monkeypatch.setattr(hook, "STAMP", tmp_path / "absent")
    monkeypatch.setattr(hook, "npm", lambda: ["sh", "-c", "echo 'npm error code ENOTFOUND' >&2; exit 1"])

    hook.PageHook.initialize(object(), "standard", {})

    assert capsys.readouterr().err == (
        "warning: the package is built without the monitor's page: npm could not bring its libraries: code ENOTFOUND\n"
    )


def make_modules(files: tuple[str, ...], folder: Path) -> Path:
    """What npm leaves, with the files that the hook copies."""
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    for package in ("preact", "htm", "uplot", "@preact/signals", "@preact/signals-core"):
        (folder / package / "LICENSE").write_text("MIT")
    return folder


def test_the_package_has_the_page_and_not_what_builds_it() -> None:
    page = Path(agent.__file__).parent / "fleet/page"
    proc.require((page / "vendor/.lock").exists(), "the page's libraries are missing: make page")

    named = STATIC.findall((page / "index.html").read_text())

    assert [name for name in named if not (page / name).exists()] == []
    assert len(list((page / "vendor").glob("LICENSE.*"))) == 5
    if os.environ.get("TEST_BUILT_PACKAGE"):
        assert [
            name
            for name in ("vendor.py", "package.json", "package-lock.json", "screenshot.png")
            if (page / name).exists()
        ] == []
