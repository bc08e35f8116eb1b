"""The login of a person at a registry, as `docker login` stored it."""

import asyncio
import base64
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.adapters.docker import json_values

DOCKER_HUB = "https://index.docker.io/v1/"
HELPER_TIMEOUT = 30.0  # seconds; a helper may ask a password store
_TOKEN = "<token>"  # noqa: S105 - the user name with which a helper marks an identity token


async def header(repository: str, environ: Mapping[str, str]) -> str:
    """The value of `X-Registry-Auth` for the registry of a repository; "" without a login that can be read."""
    registry = registry_of(repository)
    config = _config(environ)
    helper = json_values.fields(config.get("credHelpers")).get(registry) or config.get("credsStore")
    login = await _ask(helper, registry) if isinstance(helper, str) else {}
    login = login or _stored(config, registry)
    if not login:
        return ""
    return base64.urlsafe_b64encode(json.dumps({**login, "serveraddress": registry}).encode()).decode()


def registry_of(repository: str) -> str:
    """The name under which logins at the registry of a repository are stored."""
    host, slash, _ = repository.partition("/")
    return host if slash and (re.search(r"[.:]", host) or host == "localhost") else DOCKER_HUB


def _config(environ: Mapping[str, str]) -> dict[str, Any]:
    folder = Path(environ["DOCKER_CONFIG"]) if environ.get("DOCKER_CONFIG") else Path("~/.docker").expanduser()
    with suppress(OSError, ValueError):
        return json_values.fields(json_values.parsed((folder / "config.json").read_bytes()))
    return {}


def _stored(config: Mapping[str, Any], registry: str) -> dict[str, str]:
    for address, entry in json_values.fields(config.get("auths")).items():
        if _host(address) == _host(registry):
            return _login(json_values.fields(entry))
    return {}


def _login(entry: Mapping[str, Any]) -> dict[str, str]:
    if token := json_values.text(entry.get("identitytoken"), 100_000):
        return {"identitytoken": token}
    with suppress(ValueError):
        user, colon, password = base64.b64decode(json_values.text(entry.get("auth"), 100_000)).decode().partition(":")
        if colon:
            return {"username": user, "password": password.rstrip("\0")}
    return {}


def _host(address: str) -> str:
    return re.sub(r"^https?://", "", address).partition("/")[0]


async def _ask(helper: str, registry: str) -> dict[str, str]:
    """The login that a credential helper has; {} if it has none."""
    if not re.fullmatch(r"[A-Za-z0-9._-]+", helper):
        return {}
    with suppress(OSError, ValueError, TimeoutError):
        async with asyncio.timeout(HELPER_TIMEOUT):
            process = await asyncio.create_subprocess_exec(
                f"docker-credential-{helper}",
                "get",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
            answer, _ = await process.communicate(registry.encode())
        found = json_values.fields(json_values.parsed(answer))
        user, secret = (json_values.text(found.get(name), 100_000) for name in ("Username", "Secret"))
        if secret:
            return {"identitytoken": secret} if user == _TOKEN else {"username": user, "password": secret}
    return {}
