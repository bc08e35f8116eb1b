"""An authority of a test's own, and certificates that it signs, made with openssl."""

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.support import proc

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    cert: Path
    key: Path

    def keys(self) -> dict[str, str]:
        """As keys of `[mqtt]`."""
        return {"cert_file": str(self.cert), "key_file": str(self.key)}

    def replace_with(self, other: "Pair") -> None:
        """Put another pair into these files, as a renewal does."""
        for mine, theirs in ((self.key, other.key), (self.cert, other.cert)):
            mine.write_bytes(theirs.read_bytes())


class Authority:
    """An authority in `folder`, whose certificate is `ca`."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self.ca, self._key = folder / f"{name}.crt", folder / f"{name}.key"
        _openssl(
            *("req", "-x509", *_NEW_KEY, "-keyout", self._key, "-out", self.ca),
            *("-subj", f"/CN=authority {name}", "-days", "30"),
        )

    def issue(self, name: str, *, days: int = 30, file: str = "", names: str = "DNS:localhost,IP:127.0.0.1") -> Pair:
        """A certificate for a common name. `days`: until it expires; -1: it expired a day ago."""
        file = file or name
        pair = Pair(self._folder / f"{file}.crt", self._folder / f"{file}.key")
        request, extensions = self._folder / f"{file}.csr", self._folder / f"{file}.ext"
        extensions.write_text(f"subjectAltName={names}\n")
        _openssl("req", *_NEW_KEY, "-keyout", pair.key, "-out", request, "-subj", f"/CN={name}")
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._key, "-CAcreateserial"),
            *("-days", days, "-extfile", extensions, "-out", pair.cert),
        )
        return pair


def end_of(cert: Path) -> datetime:
    """When a certificate expires, as openssl says it."""
    text = _openssl("x509", "-in", cert, "-noout", "-enddate", "-dateopt", "iso_8601").strip()
    return datetime.strptime(text, "notAfter=%Y-%m-%d %H:%M:%SZ").replace(tzinfo=UTC)


def _openssl(*args: object) -> str:
    program = proc.require_program("openssl", "openssl")
    done = subprocess.run([program, *map(str, args)], check=True, capture_output=True, text=True)
    return done.stdout
