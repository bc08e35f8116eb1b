"""The client of a monitor's API, against a real server on loopback."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from agent.fleet.web import client
from agent.fleet.web.documents import Problem
from tests.fleet.test_what_if_view import answer
from tests.support import mosquitto

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A server that answers everything so; its address."""
    application = web.Application()
    application.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port := mosquitto.free_port())
    await site.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


def replying(body: str, status: int = 200) -> Handler:
    async def reply(request: web.Request) -> web.Response:
        return web.Response(text=body, status=status)

    return reply


async def test_the_question_goes_to_the_fixed_path_with_the_ttl_and_the_token() -> None:
    asked: list[tuple[str, str | None]] = []

    async def reply(request: web.Request) -> web.Response:
        asked.append((request.path_qs, request.headers.get("Authorization")))
        return web.Response(text=answer().model_dump_json())

    async with serving(reply) as url:
        assert await client.what_if(url + "/", "7d") == answer()
        assert await client.what_if(url, "12h", "secret") == answer()
    assert asked == [("/api/what-if?ttl=7d", None), ("/api/what-if?ttl=12h", "Bearer secret")]


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        ("", 401, "asks for a token; give the file that has it with --token-file"),
        (
            Problem(title="Bad Request", status=400, detail="ttl: must be longer than 0").model_dump_json(),
            400,
            "ttl: must",
        ),
        ("<html>Not Found</html>", 404, "HTTP 404, which is not that of a torchkeeper monitor"),
        ("", 302, "HTTP 302, which is not that of a torchkeeper monitor"),
        ("<html>Welcome</html>", 200, "is not that of a torchkeeper monitor; check --monitor"),
        (json.dumps({"ttl_seconds": 1}), 200, "is not that of a torchkeeper monitor; check --monitor"),
    ],
)
async def test_another_answer_is_one_sentence_with_the_way_out(body: str, status: int, expected: str) -> None:
    async with serving(replying(body, status)) as url:
        with pytest.raises(client.MonitorUnavailable, match=expected) as caught:
            await client.what_if(url, "7d")
    assert str(caught.value).startswith(f"{url}: ")
    assert "\n" not in str(caught.value)


async def test_a_monitor_that_is_not_there_is_one_plain_sentence() -> None:
    with pytest.raises(client.MonitorUnavailable) as caught:
        await client.what_if("http://127.0.0.1:1", "7d")
    assert str(caught.value) == (
        "http://127.0.0.1:1: no monitor answers there (Connection refused); start one with `torchkeeper monitor`, "
        "or give the address of yours with --monitor"
    )


@pytest.mark.parametrize("url", ["http://[::1", "http://", "http://127.0.0.1:x", "http://none.invalid"])
async def test_no_monitor_names_the_command_that_starts_one(url: str) -> None:
    with pytest.raises(client.MonitorUnavailable, match="start one with `torchkeeper monitor`"):
        await client.what_if(url, "7d")
