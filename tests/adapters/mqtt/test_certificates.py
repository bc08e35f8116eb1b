"""When a certificate expires is read as openssl reads it, and a damaged one is an error and nothing worse."""

import contextlib
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.adapters.mqtt import certificates
from tests.support.certificates import Authority, end_of


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.mark.parametrize("days", [30, -1, 9000, 50_000])  # from 2050 on the time has another form
def test_the_end_is_the_one_that_openssl_reads(authority: Authority, days: int) -> None:
    pair = authority.issue("a", days=days)
    assert certificates.expiry(pair.cert) == end_of(pair.cert)


def test_an_authority_of_the_system_is_read_too() -> None:
    """Certificates of many makers, with old and new forms."""
    bundle = Path(ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt")
    if not bundle.exists():
        pytest.skip("this system has no authorities")
    context = ssl.create_default_context()
    for der, read in zip(context.get_ca_certs(binary_form=True), context.get_ca_certs(), strict=True):
        seconds = ssl.cert_time_to_seconds(str(read["notAfter"]))
        assert certificates.not_after(der) == datetime.fromtimestamp(seconds, UTC)


def test_the_first_certificate_of_a_chain_counts_whatever_text_is_before_it(
    authority: Authority, tmp_path: Path
) -> None:
    mine, chain = authority.issue("a", days=5), tmp_path / "chain.pem"
    chain.write_bytes(b"Certificate:\n    Data: Version 3\n" + mine.cert.read_bytes() + authority.ca.read_bytes())
    assert certificates.expiry(chain) == end_of(mine.cert)


@pytest.mark.parametrize(
    "content", [b"", b"no PEM", b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----", b"\0" * 100]
)
def test_a_file_without_a_certificate_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c").write_bytes(content)
    with pytest.raises(ValueError, match=r"has a certificate that is damaged|has no certificate in PEM form"):
        certificates.expiry(tmp_path / "c")


@given(st.data())
def test_a_damaged_certificate_is_a_value_error_or_has_an_end(authority: Authority, data: st.DataObject) -> None:
    good = ssl.PEM_cert_to_DER_cert(authority.ca.read_text())
    at = data.draw(st.integers(0, len(good) - 1))
    damaged = good[:at] + data.draw(st.binary(max_size=8)) + good[at + data.draw(st.integers(0, 8)) :]
    with contextlib.suppress(ValueError):
        assert certificates.not_after(damaged).tzinfo is UTC


@given(st.binary())
def test_any_bytes_are_a_value_error_or_have_an_end(content: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert certificates.not_after(content).tzinfo is UTC
