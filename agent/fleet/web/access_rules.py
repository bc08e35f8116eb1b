"""The rules of access from the configuration, refused where they would show the fleet to everybody."""

import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

from agent.config import sections
from agent.config.settings import ConfigError
from agent.fleet.web.access import Role, Rules, is_loopback

SHORTEST_TOKEN = 16  # characters


def load(monitor: sections.Monitor) -> Rules:
    """Raises ConfigError; its message names the key and the way out."""
    auth, (listen, _) = monitor.auth, monitor.address
    if auth.mode == "open" and not auth.allow_open and not is_loopback(listen):
        raise ConfigError(
            f"monitor.listen: {listen} would show the fleet to everybody; set monitor.auth.mode to token or proxy"
        )
    tokens = _tokens(auth)
    if auth.mode == "token" and not tokens:
        raise ConfigError("monitor.auth.viewer_token_file: is empty; write a token into a file, and name that file")
    if auth.mode == "proxy" and not auth.trusted_proxies:
        raise ConfigError("monitor.auth.trusted_proxies: is empty; list the addresses of the proxy")
    public = urlsplit(monitor.public_url)
    return Rules(
        mode=auth.mode,
        listen=listen,
        public=(public.scheme, public.netloc) if public.netloc else None,
        actions=monitor.actions,
        tokens=tokens,
        user_header=auth.user_header,
        groups_header=auth.groups_header,
        operators=frozenset(auth.operators),
        proxies=tuple(ipaddress.ip_network(network) for network in auth.trusted_proxies),
    )


def _tokens(auth: sections.MonitorAuth) -> dict[bytes, Role]:
    files: list[tuple[str, str, Role]] = [
        ("viewer_token_file", auth.viewer_token_file, "viewer"),
        ("operator_token_file", auth.operator_token_file, "operator"),
    ]
    found: dict[bytes, Role] = {}
    for key, path, role in files:
        if not path:
            continue
        token = _token(f"monitor.auth.{key}: {path}", Path(path))
        if token in found:
            raise ConfigError(f"monitor.auth.{key}: {path}: is the token of viewers, too; write another one")
        found[token] = role
    return found


def _token(where: str, path: Path) -> bytes:
    """The token in a file. `where` begins the messages, which never contain the token."""
    try:
        token = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read: {error.strerror}") from None
    if len(token) < SHORTEST_TOKEN or not token.isascii() or b" " in token or not token.decode().isprintable():
        raise ConfigError(
            f"{where}: must contain one line of at least {SHORTEST_TOKEN} letters and digits, like that of"
            " `openssl rand -hex 32`"
        )
    return token
