"""Each way in which TLS fails is told apart, and names the key, the file and the way out."""

import signal
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.adapters.mqtt import broker
from agent.config import sections
from tests.support import secured_broker
from tests.support.certificates import Authority, end_of
from tests.support.secured_broker import SecuredBroker

pytestmark = pytest.mark.real
MISSING = "cannot be read: No such file or directory; put the file there, or correct"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    with secured_broker.running(tmp_path_factory.mktemp("tls")) as running:
        yield running


async def failure(**keys: str) -> broker.BrokerUnavailable:
    """Why a connection fails."""
    with pytest.raises(broker.BrokerUnavailable) as caught:
        await connect(**keys)
    return caught.value


async def connect(**keys: str) -> datetime | None:
    """Connect once; when the broker's certificate expires."""
    async with broker.connect(broker.options(sections.Mqtt.model_validate({"version": "5", **keys}), "a")) as opened:
        await opened.publish("x", b"1")
        return opened.certificate_expires


async def test_a_client_certificate_logs_in_and_the_brokers_own_end_is_known(secured: SecuredBroker) -> None:
    assert await connect(**secured.keys()) == end_of(secured.own.cert)


async def test_a_client_certificate_that_is_missing_is_asked_for(secured: SecuredBroker) -> None:
    error = await failure(**secured.keys(cert_file="", key_file=""))
    assert error.detail == f"{secured.server.url}: the broker requires a client certificate" or (
        error.detail.endswith("it ended the connection after the TLS handshake")
    )
    assert "mqtt.cert_file and mqtt.key_file" in error.hint


async def test_a_client_certificate_that_expired_is_named_with_its_end(secured: SecuredBroker) -> None:
    old = secured.authority.issue("gpu-07", days=-1, file="old")
    error = await failure(**secured.keys(**old.keys()))
    assert f"mqtt.cert_file, {old.cert}: " in error.detail
    assert f"has expired (on {end_of(old.cert):%Y-%m-%dT%H:%M:%SZ})" in error.detail
    assert error.hint == "issue a new one"


async def test_a_client_certificate_of_another_authority_is_named(secured: SecuredBroker, tmp_path: Path) -> None:
    foreign = Authority(tmp_path, "other").issue("gpu-07")
    error = await failure(**secured.keys(**foreign.keys()))
    assert str(foreign.cert) in str(error)
    assert "start the broker" not in str(error)


async def test_an_authority_that_did_not_sign_the_brokers_certificate_is_named(
    secured: SecuredBroker, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other").ca
    error = await failure(**secured.keys(ca_file=str(other)))
    assert f"its certificate is not signed by an authority in mqtt.ca_file, {other} (" in error.detail
    assert error.hint == "write the certificate of the authority that signed the broker's there"


async def test_without_an_authority_of_ones_own_its_key_is_named(secured: SecuredBroker) -> None:
    error = await failure(**secured.keys(ca_file=""))
    assert error.hint == "set mqtt.ca_file to the certificate of your own authority"


async def test_a_name_that_the_brokers_certificate_does_not_have_is_named(
    secured: SecuredBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", secured.server.port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)
    error = await failure(**secured.keys(url=f"mqtts://brokers.test:{secured.server.port}"))
    assert "its certificate is not valid for the name 'brokers.test'" in error.detail
    assert error.hint.startswith("write a name in mqtt.url that its certificate has")


async def test_an_expired_certificate_of_the_broker_is_told_apart(secured: SecuredBroker) -> None:
    files = secured.own
    kept = files.cert.read_bytes(), files.key.read_bytes()
    files.replace_with(secured.authority.issue("localhost", days=-1, file="late"))
    secured.server.restart()
    try:
        error = await failure(**secured.keys())
    finally:
        files.cert.write_bytes(kept[0])
        files.key.write_bytes(kept[1])
        secured.server.restart()
    assert error.detail == f"{secured.server.url}: its certificate has expired"
    assert error.hint == "renew it on the broker; is this host's clock right?"


async def test_tls_to_a_port_without_it_and_the_reverse_are_told_apart(secured: SecuredBroker) -> None:
    plain = await failure(**secured.keys(url=f"mqtts://localhost:{secured.plain_port}"))
    assert plain.detail == f"mqtts://localhost:{secured.plain_port}: its port does not answer in TLS"
    assert plain.hint == "write mqtt:// in mqtt.url, or the broker's TLS port"
    tls = await failure(url=f"mqtt://localhost:{secured.server.port}")
    assert "mqtts://" in tls.hint


def unreadable(path: Path) -> None:
    path.unlink()


def no_pem(_: Path) -> None:
    """It has another text from the start."""


@pytest.mark.parametrize(
    ("key", "spoil", "said"),
    [
        ("ca_file", unreadable, f"{MISSING} mqtt.ca_file"),
        ("ca_file", no_pem, "has no certificate in PEM form; put the certificate of the broker's authority there"),
        ("cert_file", unreadable, f"{MISSING} mqtt.cert_file"),
        ("key_file", unreadable, f"{MISSING} mqtt.key_file"),
    ],
)
async def test_a_file_that_cannot_be_used_is_named_by_its_key_and_path(
    secured: SecuredBroker, tmp_path: Path, key: str, spoil: Callable[[Path], None], said: str
) -> None:
    path = tmp_path / key
    path.write_text("no PEM")
    spoil(path)
    error = await failure(**secured.keys(**{key: str(path)}))
    assert isinstance(error, broker.LoginRefused)
    assert str(error).startswith(f"mqtt.{key}: {path}: {said}")


async def test_a_key_of_another_certificate_is_named(secured: SecuredBroker) -> None:
    other = secured.authority.issue("gpu-08")
    error = await failure(**secured.keys(key_file=str(other.key)))
    assert error.detail == (
        f"mqtt.key_file: {other.key}: is not the key of the certificate in mqtt.cert_file, {secured.client.cert}"
    )
    assert error.hint == "replace both files together"


async def test_a_pair_without_pem_is_named(secured: SecuredBroker, tmp_path: Path) -> None:
    (tmp_path / "c").write_text("no PEM")
    error = await failure(**secured.keys(cert_file=str(tmp_path / "c")))
    assert f"{tmp_path / 'c'}, {secured.client.key}: cannot be used: " in str(error)


async def test_a_certificate_of_the_broker_that_was_renewed_is_used_by_the_next_connection(
    secured: SecuredBroker,
) -> None:
    files = secured.own
    files.replace_with(secured.authority.issue("localhost", days=90, file="renewed"))
    secured.server.send_signal(signal.SIGHUP)
    expires = await connect(**secured.keys())
    while expires is not None and expires < datetime.now(UTC) + timedelta(days=60):
        expires = await connect(**secured.keys())
    assert expires == end_of(files.cert)
