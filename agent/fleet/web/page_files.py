"""The files of the page, read once: what is served is a list of known names, so no path leads out of the folder."""

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CONTENT_TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".txt": "text/plain",
}
_FOLDERS = ("js", "vendor")
_PLACEHOLDER = "__VERSION__"
_IMPORT_MAP = re.compile(r"<script type=\"importmap\">(.*?)</script>", re.DOTALL)
_MISSING = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>torchkeeper</title>"
    "<p>The page's libraries are not here. Run: make page</p>"
    "<p>The API works without them: <a href=api/hosts>api/hosts</a></p></html>"
)


@dataclass(frozen=True, slots=True)
class File:
    content_type: str
    body: bytes
    gzipped: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """`version`: of the files' addresses; another one as soon as any file is another. `policy`: the CSP of the page."""

    index: File
    etag: str
    version: str
    files: dict[str, File]
    policy: str


def load(folder: Path, version: str) -> Page:
    """The page, or a plain one that says what to do, if files are missing that it needs."""
    files = {name: _file(path) for name, path in _served(folder)}
    index = folder / "index.html"
    text = index.read_text() if index.is_file() else ""
    digest = hashlib.sha256(text.encode() + b"".join(name.encode() + files[name].body for name in sorted(files)))
    address = f"{version}-{digest.hexdigest()[:8]}"
    complete = bool(text) and all(name in files for name in _imported(text))
    html = _filled(text, version, address) if complete else _MISSING
    return Page(
        index=_made("text/html", html.encode()),
        etag=f'"{hashlib.sha256(html.encode()).hexdigest()[:16]}"',
        version=address,
        files=files if complete else {},
        policy=_policy(html),
    )


def _served(folder: Path) -> Iterable[tuple[str, Path]]:
    """The name below /static/<version>/ and the path of each file that is served."""
    paths = [folder / "style.css", *(path for name in _FOLDERS for path in sorted((folder / name).rglob("*")))]
    for path in paths:
        if path.suffix in CONTENT_TYPES and path.is_file():
            yield path.relative_to(folder).as_posix(), path


def _imported(text: str) -> list[str]:
    """The names of the files in the import map."""
    match = _IMPORT_MAP.search(text)
    addresses = json.loads(match[1])["imports"].values() if match else ()
    return [str(address).rpartition(f"{_PLACEHOLDER}/")[2] for address in addresses]


def _filled(text: str, version: str, address: str) -> str:
    return text.replace(f"static/{_PLACEHOLDER}/", f"static/{address}/").replace(_PLACEHOLDER, version)


def _file(path: Path) -> File:
    return _made(CONTENT_TYPES[path.suffix], path.read_bytes())


def _made(content_type: str, body: bytes) -> File:
    return File(content_type, body, gzip.compress(body, mtime=0))


def _policy(html: str) -> str:
    """The Content-Security-Policy. The import map is an inline script: its hash allows this one and no other."""
    match = _IMPORT_MAP.search(html)
    digest = base64.b64encode(hashlib.sha256(match[1].encode()).digest()).decode() if match else ""
    scripts = f"script-src 'self' 'sha256-{digest}'" if match else "script-src 'none'"
    return (
        f"default-src 'none'; {scripts}; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none';"
        " form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
