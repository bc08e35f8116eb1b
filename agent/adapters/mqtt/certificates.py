"""When a certificate expires.

Python's ssl reads the dates of a peer's certificate only. For a certificate in a file it offers no public function, and
the package `cryptography` would add 12 MB to the image for this one date. So the few steps to `notAfter` in the DER
structure (RFC 5280, section 4.1) are made here; a test compares them with openssl.
"""

import base64
import binascii
import re
import ssl
from datetime import UTC, datetime
from pathlib import Path

_FIRST_CERTIFICATE = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----(.+?)-----END", re.DOTALL)
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18  # tags


def expiry(path: Path) -> datetime:
    """When the first certificate in a PEM file expires. Raises OSError, and ValueError if there is none."""
    found = _FIRST_CERTIFICATE.search(path.read_bytes())
    if found is None:
        raise ValueError("has no certificate in PEM form")
    try:
        return not_after(base64.b64decode(b"".join(found[1].split()), validate=True))
    except binascii.Error:
        raise ValueError("has a certificate that is damaged") from None


def expiry_of_peer(connection: ssl.SSLSocket) -> datetime | None:
    """When the certificate of the other side expires; None if it was not verified."""
    text = (connection.getpeercert() or {}).get("notAfter")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC) if isinstance(text, str) else None


def not_after(der: bytes) -> datetime:
    """The end of the validity of a certificate in DER form. Raises ValueError."""
    certificate, _ = _element(der, 0, _SEQUENCE)
    body, _ = _element(certificate, 0, _SEQUENCE)
    at = 0
    if body[:1] == bytes([_VERSION]):
        at = _end(body, at)
    for _ in ("serial number", "signature algorithm", "issuer"):
        at = _end(body, at)
    validity, _ = _element(body, at, _SEQUENCE)
    return _time(validity, _end(validity, 0))


def _time(data: bytes, at: int) -> datetime:
    """A time that ends with Z. A year of two digits is one from 1950 to 2049."""
    tag = data[at] if at < len(data) else 0
    if tag not in (_UTC_TIME, _GENERALIZED_TIME):
        raise ValueError("has a certificate without an end of its validity")
    text = _element(data, at, tag)[0].decode("ascii", errors="replace")
    if tag == _UTC_TIME:
        text = ("20" if text < "50" else "19") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _element(data: bytes, at: int, tag: int) -> tuple[bytes, int]:
    """The content of the element that begins at `at`, and where it ends. Raises ValueError if it has another tag."""
    if at + 2 > len(data) or data[at] != tag:
        raise ValueError("has a certificate that is damaged")
    length, at = data[at + 1], at + 2
    if length & 0x80:  # the number of bytes that the length takes
        size = length & 0x7F
        length, at = int.from_bytes(data[at : at + size], "big"), at + size
    if at + length > len(data):
        raise ValueError("has a certificate that is damaged")
    return data[at : at + length], at + length


def _end(data: bytes, at: int) -> int:
    """Where the element that begins at `at` ends, whatever its tag is."""
    if at >= len(data):
        raise ValueError("has a certificate that is damaged")
    return _element(data, at, data[at])[1]
