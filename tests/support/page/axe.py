"""axe-core, which finds what keeps people from using a page. npm brings it into .cache; it is not shipped."""

import importlib.util
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.support.page.browser import Browser
from tests.support.page.monitor import PAGE
from tests.support.proc import ROOT, require

FOLDER = ROOT / ".cache/axe"
RUN = """
  const done = arguments[arguments.length - 1];
  const described = ({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`;
  axe.run(document, { resultTypes: ["violations"], iframes: false }).then(
    ({ violations }) => done(violations.map(described)),
    (error) => done([String(error)]));
"""


def source() -> str:
    script = FOLDER / "node_modules/axe-core/axe.min.js"
    stamp = FOLDER / "package-lock.json"
    if not script.exists() or stamp.read_bytes() != (PAGE / "package-lock.json").read_bytes():
        require(_install(), "npm cannot bring axe-core: it is missing, or no registry answers")
    return script.read_text()


def violations(browser: Browser, script: str) -> list[str]:
    """What is wrong with the page as it stands; each with the elements that it is about."""
    browser.run(script)
    found: list[Any] = browser.driver.execute_async_script(RUN)
    return [str(each) for each in found]


def vendor() -> ModuleType:
    """The build hook, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("page_vendor", PAGE / "vendor.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _install() -> bool:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PAGE / name, FOLDER)
    hook = vendor()
    try:
        command = [*hook.npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    except hook.Unreachable:
        return False
    return subprocess.run(command, cwd=Path(FOLDER), check=False, capture_output=True, timeout=300).returncode == 0
