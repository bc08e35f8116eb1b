"""The login for a pull: the one that `docker login` stored, from the file or from a credential helper."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.docker import credentials

AUTH = base64.b64encode(b"alice:s3:cret").decode()


async def header(folder: Path, config: object, repository: str = "reg.io:5000/team/torch", **environ: str) -> Any:
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    found = await credentials.header(repository, {"DOCKER_CONFIG": str(folder), **environ})
    return json.loads(base64.urlsafe_b64decode(found)) if found else None


@pytest.mark.parametrize(
    ("repository", "registry"),
    [
        ("reg.io:5000/team/torch", "reg.io:5000"),
        ("localhost/torch", "localhost"),
        ("team/torch", credentials.DOCKER_HUB),
        ("torch", credentials.DOCKER_HUB),
    ],
)
def test_the_registry_of_a_repository_is_named_as_docker_names_it(repository: str, registry: str) -> None:
    assert credentials.registry_of(repository) == registry


async def test_a_stored_password_is_sent(tmp_path: Path) -> None:
    for address in ("reg.io:5000", "https://reg.io:5000/v1/"):
        found = await header(tmp_path, {"auths": {"other.io": {"auth": AUTH}, address: {"auth": AUTH}}})
        assert found == {"username": "alice", "password": "s3:cret", "serveraddress": "reg.io:5000"}


async def test_a_stored_token_is_sent(tmp_path: Path) -> None:
    found = await header(tmp_path, {"auths": {"reg.io:5000": {"identitytoken": "t"}}})
    assert found == {"identitytoken": "t", "serveraddress": "reg.io:5000"}


@pytest.mark.parametrize(
    "config", [{}, "{", "[]", {"auths": 1}, {"auths": {"reg.io:5000": {"auth": "é"}}}, {"credsStore": "../../bin/sh"}]
)
async def test_without_a_login_that_can_be_read_none_is_sent(tmp_path: Path, config: object) -> None:
    assert await header(tmp_path, config) is None


@pytest.mark.parametrize("setting", [{"credsStore": "fake"}, {"credHelpers": {"reg.io:5000": "fake"}}])
async def test_a_credential_helper_is_asked_for_the_registry(
    tmp_path: Path, setting: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "docker-credential-fake"
    helper.write_text(
        '#!/bin/sh\n[ "$1" = get ] && host=$(cat) && printf \'{"Username": "bob", "Secret": "for %s"}\' "$host"\n'
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = await header(tmp_path, setting)
    assert found == {"username": "bob", "password": "for reg.io:5000", "serveraddress": "reg.io:5000"}


async def test_a_helper_that_does_not_exist_leaves_the_stored_login(tmp_path: Path) -> None:
    found = await header(tmp_path, {"credsStore": "none-such", "auths": {"reg.io:5000": {"auth": AUTH}}})
    assert found["username"] == "alice"
