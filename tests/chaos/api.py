"""The engine's API for everybody but the agent: fast, and with the bare answers."""

import asyncio
import io
import json
import os
import tarfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.support import proc, torch_file

STREAMED = ("images/create", "images/load")  # answered with one document a line
SMALL = 64  # bytes of the file that makes each image's layer its own


class Api:
    """Calls of one engine. Each raises OSError, TimeoutError or aiohttp.ClientError where it gets no answer."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def call(
        self, method: str, path: str, body: object = None, params: Iterable[tuple[str, str]] = ()
    ) -> tuple[int, Any]:
        """The status, and the JSON document (or the text) of the answer."""
        data = None if body is None else io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
        kind = "application/x-tar" if isinstance(body, bytes) else "application/json"
        headers = {"Content-Type": kind} if data is not None else {}
        query = list(params)
        async with self._session.request(
            method, f"http://engine/{path}", data=data, params=query, headers=headers
        ) as answer:
            text = await answer.text()
            is_json = answer.content_type == "application/json" and path not in STREAMED
            return answer.status, json.loads(text) if is_json and text else text

    async def load(self, reference: str, changes: Iterable[str], tar: bytes) -> str:
        """Import an image under one tag; its full ID. Raises AssertionError where the engine refuses."""
        repository, _, tag = reference.rpartition(":")
        params = [("fromSrc", "-"), ("repo", repository), ("tag", tag), *(("changes", change) for change in changes)]
        status, text = await self.call("POST", "images/create", tar, params)
        assert status == 200, text
        told = json.loads(text.strip().splitlines()[-1])
        assert "status" in told, told
        return str(told["status"])

    async def load_all(self, tar: bytes) -> None:
        """Load what `docker save` wrote. Raises AssertionError where the engine refuses."""
        status, text = await self.call("POST", "images/load", tar, [("quiet", "1")])
        assert status == 200, text
        assert "errorDetail" not in str(text), text

    async def image_id(self, reference: str) -> str:
        status, found = await self.call("GET", f"images/{reference}/json")
        assert status == 200, found
        return str(found["Id"])

    async def tag(self, image: str, reference: str) -> int:
        repository, _, tag = reference.rpartition(":")
        return (await self.call("POST", f"images/{image}/tag", params=[("repo", repository), ("tag", tag)]))[0]

    async def create(self, name: str, image: str, cmd: Iterable[str] = ("true",)) -> tuple[int, Any]:
        body = {"Image": image, "Cmd": list(cmd), "StopTimeout": 1, "HostConfig": {"NetworkMode": "none"}}
        return await self.call("POST", "containers/create", body, [("name", name)])

    async def tags(self, image: str) -> set[str] | None:
        """The tags of an image by its ID, or None where it is gone."""
        status, found = await self.call("GET", f"images/{image}/json")
        return set(found["RepoTags"] or ()) if status == 200 else None

    async def events(self, kind: str, stopping: asyncio.Event) -> AsyncIterator[dict[str, Any]]:
        """The events of one type from now on, until the engine ends or `stopping` is set."""
        params = {"filters": json.dumps({"type": [kind]})}
        limits = aiohttp.ClientTimeout(total=None, sock_read=0.5)
        since = time.time() - 2
        while not stopping.is_set():
            query = {**params, "since": f"{since:.9f}"}
            since = time.time() - 2
            with suppress(aiohttp.SocketTimeoutError):  # nothing told: ask again, so that the end is seen
                async with self._session.get("http://engine/events", params=query, timeout=limits) as answer:
                    async for line in answer.content:
                        yield json.loads(line)


@asynccontextmanager
async def calling(socket: Path, timeout: float = proc.COMMAND) -> AsyncIterator[Api]:
    """A client for as long as the block lasts; it outlives restarts of the engine."""
    limits = aiohttp.ClientTimeout(total=timeout)
    connector = aiohttp.UnixConnector(str(socket), limit=16, force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=limits) as session:
        yield Api(session)
    await asyncio.sleep(0)  # closed sockets go one turn of the loop later


def tiny_tar() -> bytes:
    """A root file system with a static busybox, torch's own version file, and a file that no other has."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.add(proc.require_program("busybox", "busybox-static"), "bin/busybox")
        for applet in ("sh", "sleep", "true"):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for name, content in ((torch_file.PLACE, torch_file.of("", None)), ("payload", os.urandom(SMALL))):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()
