"""Which configurations are refused, as they would show the fleet to everybody."""

from pathlib import Path

import pytest

from agent.config import sections
from agent.config.settings import ConfigError
from agent.fleet.web import access_rules
from agent.fleet.web.access import Rules

TOKEN = "0123456789abcdef"


def load(listen: str = "127.0.0.1:9478", **auth: object) -> Rules:
    return access_rules.load(sections.Monitor(listen=listen, auth=sections.MonitorAuth.model_validate(auth)))


@pytest.mark.parametrize("listen", ["127.0.0.1:9478", "localhost:9478", "[::1]:9478", "127.0.0.2:1"])
def test_an_open_monitor_on_loopback_starts(listen: str) -> None:
    assert load(listen).mode == "open"


@pytest.mark.parametrize("listen", ["0.0.0.0:9478", "[::]:9478", "10.0.0.5:9478", "gpu-head:9478"])
def test_an_open_monitor_elsewhere_does_not_start(listen: str) -> None:
    host = listen.rpartition(":")[0].strip("[]")
    with pytest.raises(ConfigError) as refusal:
        load(listen)
    assert str(refusal.value) == (
        f"monitor.listen: {host} would show the fleet to everybody; set monitor.auth.mode to token or proxy"
    )


def test_allow_open_lets_it_start_for_reads() -> None:
    rules = load("0.0.0.0:9478", allow_open=True)
    assert (rules.mode, rules.actions) == ("open", False)


def test_tokens_are_read_from_their_files_with_their_roles(tmp_path: Path) -> None:
    (tmp_path / "v").write_text(f"{TOKEN}v\n")
    (tmp_path / "o").write_text(f"{TOKEN}o")
    rules = load(
        "0.0.0.0:9478", mode="token", viewer_token_file=str(tmp_path / "v"), operator_token_file=str(tmp_path / "o")
    )
    assert rules.tokens == {f"{TOKEN}v".encode(): "viewer", f"{TOKEN}o".encode(): "operator"}


@pytest.mark.parametrize("token", ["", "short", "0123456789 abcdef", "0123456789abcdeé", "0123456789\nabcdef"])
def test_a_token_that_is_easy_to_guess_or_cannot_be_sent_is_refused_and_not_shown(tmp_path: Path, token: str) -> None:
    file = tmp_path / "token"
    file.write_text(token)
    with pytest.raises(ConfigError) as refusal:
        load(mode="token", viewer_token_file=str(file))
    assert str(refusal.value) == (
        f"monitor.auth.viewer_token_file: {file}: must contain one line of at least 16 letters and digits, like that of"
        " `openssl rand -hex 32`"
    )


def test_a_token_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"monitor.auth.viewer_token_file: .*/none: cannot be read: No such file"):
        load(mode="token", viewer_token_file=str(tmp_path / "none"))


def test_one_token_has_one_role(tmp_path: Path) -> None:
    (tmp_path / "t").write_text(TOKEN)
    with pytest.raises(ConfigError, match=r"monitor.auth.operator_token_file: .* is the token of viewers, too"):
        load(mode="token", viewer_token_file=str(tmp_path / "t"), operator_token_file=str(tmp_path / "t"))


def test_token_without_a_file_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"monitor.auth.viewer_token_file: is empty"):
        load(mode="token")


def test_proxy_without_a_proxy_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"monitor.auth.trusted_proxies: is empty"):
        load(mode="proxy", trusted_proxies=[])
