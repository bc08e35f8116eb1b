"""A few calls of Docker's API. The demo acts as the users of images, so it does not use the agent's adapter."""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp

from agent.demo.errors import DemoError, DemoUsageError

TIMEOUT = aiohttp.ClientTimeout(total=60)  # seconds for one call


class Client:
    """A client of one engine. Each method raises DemoError, with the engine's message, if the call fails."""

    def __init__(self, url: str) -> None:
        """Raises DemoUsageError for an address other than unix:// and tcp://."""
        parts = urlsplit(url)
        if parts.scheme == "unix" and parts.path.startswith("/"):
            connector: aiohttp.BaseConnector = aiohttp.UnixConnector(path=parts.path)
            self._base = "http://engine"
        elif parts.scheme in ("tcp", "http") and parts.hostname:
            connector = aiohttp.TCPConnector()
            self._base = f"http://{parts.netloc}"
        else:
            raise DemoUsageError(f"--engine: {url!r} is not unix:///path/to/docker.sock or tcp://host:port")
        self.url = url
        self._session = aiohttp.ClientSession(connector=connector, timeout=TIMEOUT)

    async def close(self) -> None:
        await self._session.close()

    async def answers(self) -> bool:
        try:
            return (await self._call("GET", "/_ping"))[0] == 200
        except DemoError:
            return False

    async def version(self) -> str:
        return str((await self._json("GET", "/version"))["Version"])

    async def images(self, label: str = "") -> list[dict[str, Any]]:
        """All images, including untagged steps of builds; with `label` only those that have it."""
        return await self._listing("/images/json", label)

    async def import_image(self, ref: str, tar: bytes, changes: Sequence[str]) -> str:
        """Create an image with one layer. Returns its ID."""
        repository, _, tag = ref.rpartition(":")
        params = [("fromSrc", "-"), ("repo", repository), ("tag", tag), *(("changes", line) for line in changes)]
        await self._stream("/images/create", params, tar)
        return await self.image_id(ref)

    async def build(self, ref: str, context: bytes) -> str:
        """Build an image with the classic builder, which records the parent. Returns its ID."""
        params = [("t", ref), ("networkmode", "none"), ("rm", "1"), ("forcerm", "1")]
        await self._stream("/build", params, context)
        return await self.image_id(ref)

    async def image_id(self, ref: str) -> str:
        return str((await self._json("GET", f"/images/{quote(ref)}/json"))["Id"])

    async def remove_image(self, image_id: str) -> bool:
        """Remove an image, without force and without its parents. Returns whether it is gone."""
        status, _ = await self._call("DELETE", f"/images/{image_id}?noprune=1")
        return status in (200, 404)

    async def run(self, image: str, name: str, argv: Sequence[str], labels: Mapping[str, str], *, rm: bool) -> str:
        """Create and start a container without a network. Returns its ID."""
        body = {
            "Image": image,
            "Cmd": list(argv),
            "Labels": dict(labels),
            "StopTimeout": 1,
            "HostConfig": {"NetworkMode": "none", "AutoRemove": rm},
        }
        created = await self._json("POST", f"/containers/create?name={quote(name)}", body)
        await self._json("POST", f"/containers/{created['Id']}/start")
        return str(created["Id"])

    async def wait_until_removed(self, container: str) -> None:
        status, text = await self._call("POST", f"/containers/{container}/wait?condition=removed")
        if status not in (200, 404):
            raise DemoError(f"the engine at {self.url}: {text}")

    async def remove_container(self, container: str) -> None:
        await self._call("DELETE", f"/containers/{container}?force=1&v=1")

    async def containers(self, label: str) -> list[dict[str, Any]]:
        """The containers in any state that have `label`."""
        return await self._listing("/containers/json", label)

    async def _listing(self, path: str, label: str) -> list[dict[str, Any]]:
        params = [("all", "1"), ("filters", json.dumps({"label": [label]} if label else {}))]
        status, text = await self._call("GET", path, params=params)
        if status >= 400:
            raise DemoError(f"the engine at {self.url}: {_message(text)} (GET {path})")
        return list(json.loads(text))

    async def _stream(self, path: str, params: Sequence[tuple[str, str]], tar: bytes) -> None:
        """Send a request that is answered with 200 first, and with an error in one of the lines that follow."""
        headers = {"Content-Type": "application/x-tar"}
        status, text = await self._call("POST", path, params=params, data=io.BytesIO(tar), headers=headers)
        rows = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        error = next((row["error"] for row in rows if "error" in row), text if status >= 400 else "")
        if error:
            raise DemoError(f"the engine at {self.url} could not make an image: {error.strip()}")

    async def _json(self, method: str, path: str, body: object = None) -> Any:
        status, text = await self._call(method, path, json=body)
        if status >= 400:
            raise DemoError(f"the engine at {self.url}: {_message(text)} ({method} {path.partition('?')[0]})")
        return json.loads(text) if text.strip() else None

    async def _call(self, method: str, path: str, **options: Any) -> tuple[int, str]:
        try:
            async with self._session.request(method, self._base + path, **options) as answer:
                return answer.status, await answer.text()
        except (aiohttp.ClientError, OSError) as error:
            why = getattr(error, "strerror", None) or str(error) or "it took too long"
            raise DemoError(f"no engine answers at {self.url}: {why}") from None


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.strip()
