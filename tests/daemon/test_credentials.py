"""The files of certificates and passwords while the agent runs: used after a change, and alerts about them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from agent.adapters.mqtt import broker, credentials
from agent.adapters.mqtt.credentials import CredentialFiles, is_loopback
from agent.config import sections
from agent.core.protocol.alerts import AlertId
from agent.daemon.credentials import LOOK_EVERY, SPREAD, CredentialWatch
from agent.reporting.host_report import HostReport
from tests.support.certificates import Authority, Pair, end_of
from tests.support.fakes.broker import FakeBroker
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.executor import InlineExecutor

SETTLED = 2 * LOOK_EVERY + 1  # seconds until a change is seen to stand still


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def renewed(authority: Authority) -> Pair:
    return authority.issue("gpu-07", days=90, file="renewed")


class Watched:
    """A watch over the files of one host, whose clock the test moves, and how often it connected again."""

    def __init__(self, pair: Pair, *, url: str = "mqtts://b", chance: float = 0.5, **keys: str) -> None:
        mqtt = sections.Mqtt.model_validate({"url": url, **pair.keys(), **keys})
        self.files = CredentialFiles(broker.all_options(mqtt, "a"))
        self.report = HostReport()
        self.clock = FakeClock()
        self.renewals = 0
        self.watch = CredentialWatch(self.files, self._renew, self.report, self.clock, chance=lambda: chance)

    def _renew(self) -> None:
        self.renewals += 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Watched"]:
        asyncio.get_running_loop().set_default_executor(InlineExecutor())
        task = asyncio.create_task(self.watch.run())
        try:
            await self.clock.advance(1)
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def alert(self, alert: AlertId) -> str:
        found = self.report.alerts.get(alert)
        return found.message if found is not None else ""


@pytest.fixture
def mine(authority: Authority, tmp_path: Path) -> Pair:
    """A pair of this test's own, for the watch to follow."""
    pair = Pair(tmp_path / "host.crt", tmp_path / "host.key")
    pair.replace_with(authority.issue("gpu-07"))
    pair.key.chmod(0o600)
    return pair


async def test_changed_files_are_used_within_the_hour_at_the_hosts_own_time(mine: Pair, renewed: Pair) -> None:
    async with Watched(mine).running() as watched:
        mine.replace_with(renewed)
        await watched.clock.advance(SETTLED + SPREAD / 2 - 2 * LOOK_EVERY)
        assert watched.renewals == 0
        await watched.clock.advance(2 * LOOK_EVERY)
        assert watched.renewals >= 1
        assert watched.watch.certificate_expiry == end_of(renewed.cert)


async def test_a_hangup_uses_changed_files_at_once_and_does_nothing_otherwise(mine: Pair, renewed: Pair) -> None:
    async with Watched(mine).running() as watched:
        watched.watch.request()
        await watched.clock.advance()
        assert watched.renewals == 0
        mine.replace_with(renewed)
        watched.watch.request()
        await watched.clock.advance()
        assert watched.renewals == 1


async def test_a_connection_that_was_made_with_the_new_files_meanwhile_is_kept(mine: Pair, renewed: Pair) -> None:
    async with Watched(mine).running() as watched:
        mine.replace_with(renewed)
        async with watched.files.noting(FakeBroker().connector("a"))(None):
            await watched.clock.advance(2 * SPREAD)
    assert watched.renewals == 0


async def test_files_that_do_not_fit_keep_the_connection_and_raise_an_alert_until_they_do(
    mine: Pair, renewed: Pair
) -> None:
    async with Watched(mine, chance=0.0).running() as watched:
        mine.cert.write_bytes(renewed.cert.read_bytes())
        await watched.clock.advance(SETTLED)
        assert watched.alert(AlertId.CREDENTIALS_UNUSABLE).startswith(f"mqtt.key_file: {mine.key}: is not the key of")
        assert watched.renewals == 0
        mine.key.write_bytes(renewed.key.read_bytes())
        await watched.clock.advance(SETTLED)
        assert (watched.alert(AlertId.CREDENTIALS_UNUSABLE), watched.renewals > 0) == ("", True)


async def test_a_changed_password_is_used_as_well(mine: Pair, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("old")
    mqtt = {"username": "gpu-07", "password_file": str(secret), "cert_file": "", "key_file": ""}
    async with Watched(mine, chance=0.0, **mqtt).running() as watched:
        secret.write_text("new one")
        await watched.clock.advance(SETTLED)
    assert watched.renewals >= 1


@pytest.mark.parametrize(
    ("days_left", "said", "severity"),
    [(15, "", None), (13, "expires on", "warning"), (-1, "has expired on", "critical")],
)
async def test_a_certificate_that_expires_soon_raises_an_alert(
    mine: Pair, days_left: int, said: str, severity: str | None
) -> None:
    watched = Watched(mine)
    watched.clock = FakeClock(end_of(mine.cert) - timedelta(days=days_left))
    watched.watch = CredentialWatch(watched.files, lambda: None, watched.report, watched.clock)
    async with watched.running():
        alert = watched.report.alerts.get(AlertId.CERTIFICATE_EXPIRES)
    assert (alert.severity if alert else None) == severity
    end = f"{end_of(mine.cert):%Y-%m-%dT%H:%M:%SZ}; renew it"
    message = watched.alert(AlertId.CERTIFICATE_EXPIRES)
    assert message.startswith(f"mqtt.cert_file, {mine.cert}, {said} {end}" if said else "")


async def test_the_alert_ends_when_the_certificate_is_renewed(mine: Pair, renewed: Pair) -> None:
    watched = Watched(mine)
    watched.clock = FakeClock(end_of(mine.cert) - timedelta(days=1))
    watched.watch = CredentialWatch(watched.files, lambda: None, watched.report, watched.clock)
    async with watched.running():
        assert AlertId.CERTIFICATE_EXPIRES in watched.report.alerts
        mine.replace_with(renewed)
        await watched.clock.advance(SETTLED)
    assert AlertId.CERTIFICATE_EXPIRES not in watched.report.alerts


async def test_the_brokers_certificate_counts_too(mine: Pair) -> None:
    watched = Watched(mine)
    watched.files.broker_certificate_expires = watched.clock.now() + timedelta(days=3)
    async with watched.running():
        assert watched.alert(AlertId.CERTIFICATE_EXPIRES).startswith("the broker's certificate expires on 20")


@pytest.mark.parametrize(
    ("url", "exposed"),
    [
        ("mqtt://broker", True),
        ("ws://broker/mqtt", True),
        ("mqtt://127.0.0.1", False),
        ("mqtt://[::1]:1883", False),
        ("mqtts://broker", False),
    ],
)
async def test_a_password_that_crosses_a_network_without_tls_raises_an_alert(
    mine: Pair, tmp_path: Path, url: str, exposed: bool
) -> None:
    secret = tmp_path / "password"
    secret.write_text("secret")
    secret.chmod(0o600)
    keys = {"username": "gpu-07", "password_file": str(secret), "cert_file": "", "key_file": ""}
    async with Watched(mine, url=url, **keys).running() as watched:  # type: ignore[arg-type]
        message = watched.alert(AlertId.CREDENTIALS_EXPOSED)
    assert ("is sent to" in message, "s:// in mqtt.url" in message) == (exposed, exposed)


@pytest.mark.parametrize("key", ["password_file", "key_file"])
async def test_a_secret_that_every_user_can_read_raises_an_alert_until_it_cannot(
    mine: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setattr("agent.adapters.mqtt.credentials._folders_are_open", lambda _: True)  # pytest's own are not
    secret = tmp_path / "password"
    secret.write_text("secret")
    path = {"password_file": secret, "key_file": mine.key}[key]
    for file in (secret, mine.key):
        file.chmod(0o644 if file == path else 0o640)
    async with Watched(mine, username="gpu-07", password_file=str(secret)).running() as watched:
        assert watched.alert(AlertId.CREDENTIALS_EXPOSED) == (
            f"mqtt.{key}: {path}: can be read by every user of this host; chmod o-r {path}"
        )
        path.chmod(0o640)
        await watched.clock.advance(SETTLED)
        assert watched.alert(AlertId.CREDENTIALS_EXPOSED) == ""


async def test_a_secret_in_a_folder_that_only_its_owner_may_enter_is_not_exposed(
    mine: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine.key.chmod(0o644)
    monkeypatch.setattr("agent.adapters.mqtt.credentials._folders_are_open", lambda _: False)
    async with Watched(mine).running() as watched:
        assert watched.alert(AlertId.CREDENTIALS_EXPOSED) == ""


def test_loopback_is_told_from_a_network_by_the_address_alone() -> None:
    hosts = ("localhost", "127.8.8.8", "::1", "broker.localhost", "broker", "10.0.0.1", "localhost.example")
    assert [is_loopback(host) for host in hosts] == [True, True, True, True, False, False, False]


@pytest.mark.parametrize(("modes", "open_to_all"), [((0o755, 0o711), True), ((0o755, 0o750), False)])
def test_a_file_is_open_to_all_only_if_every_folder_above_it_is(
    tmp_path: Path, modes: tuple[int, int], open_to_all: bool
) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    for folder, mode in zip((inner.parent, inner), modes, strict=True):
        folder.chmod(mode)
    above = credentials._folders_are_open(tmp_path / "x")
    assert credentials._folders_are_open(inner / "key") == (open_to_all and above)
