"""HAProxy with the project's rules: what it lets pass, what it refuses, and how long it waits."""

import signal
import socket
import stat
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.adapters.docker import calls
from agent.adapters.docker.calls import Need
from tests.proxy import examples
from tests.support import haproxy, proc, recording_engine
from tests.support.haproxy import HAProxy
from tests.support.recording_engine import RecordingEngine

pytestmark = pytest.mark.real

ALL = (Need.OBSERVE, Need.ENFORCE, Need.BUILD_CACHE)
STREAM = "/v1.41/events?since=1796058667.765207152&filters=%7B%7D"
QUICK = {"timeout client 75s": "timeout client 1s", "timeout server 75s": "timeout server 1s"}


@pytest.fixture(scope="module")
def engine() -> Iterator[RecordingEngine]:
    with recording_engine.running() as server:
        yield server


@pytest.fixture(scope="module")
def proxy(engine: RecordingEngine) -> Iterator[HAProxy]:
    """The proxy that lets the most pass: with the calls for the build cache."""
    with haproxy.running(engine.path, build_cache=True) as running:
        yield running


def verdicts(proxy: HAProxy, engine: RecordingEngine, requests: list[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """The status of each request. What reached the engine is exactly what was answered with 200, unchanged."""
    engine.drain()
    found = {(method, target): proxy.status(method, target) for method, target in requests}
    passed = [f"{method} {target}" for (method, target), status in found.items() if status == 200]
    assert engine.drain() == passed
    return found


def test_every_call_passes_unchanged(proxy: HAProxy, engine: RecordingEngine) -> None:
    requests = [request for request in examples.of_all(*ALL) if "/events?since=1796" not in request[1]]
    assert set(verdicts(proxy, engine, requests).values()) == {200}


def test_nothing_else_of_the_api_passes(proxy: HAProxy, engine: RecordingEngine) -> None:
    pairs = [(line.split(" ")[0], line.split(" ")[1]) for line in examples.API]
    requests = [(method, prefix + path) for method, path in pairs for prefix in ("", "/v1.41")]
    found = verdicts(proxy, engine, requests)
    assert {f"{method} {target}" for (method, target), status in found.items() if status == 200} == {
        "GET /version",
        "GET /_ping",
        "GET /v1.41/info",
        "GET /v1.41/images/json",
        f"GET /v1.41/images/{examples.IMAGE}/json",
        f"GET /v1.41/images/{examples.IMAGE}/history",
        f"GET /v1.41/containers/{examples.CONTAINER}/json",
        "GET /v1.41/system/df",
    }
    assert set(found.values()) == {200, 403}


def test_no_attack_passes(proxy: HAProxy, engine: RecordingEngine) -> None:
    assert set(verdicts(proxy, engine, list(examples.ATTACKS)).values()) <= {400, 403}


def test_no_command_of_a_person_passes(proxy: HAProxy, engine: RecordingEngine) -> None:
    assert set(verdicts(proxy, engine, examples.of_all(Need.PERSON)).values()) == {403}


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Length": "2"}, "{}"),
        ({"Transfer-Encoding": "chunked"}, "2\r\n{}\r\n0\r\n\r\n"),
        ({"Upgrade": "h2c", "Connection": "Upgrade"}, ""),
        ({"Upgrade": "tcp", "Connection": "Upgrade"}, ""),
    ],
)
def test_a_body_and_another_protocol_are_refused(
    proxy: HAProxy, engine: RecordingEngine, headers: dict[str, str], body: str
) -> None:
    engine.drain()
    assert proxy.status("POST", f"/v1.41/images/{examples.IMAGE}/tag?repo=a&tag=1", headers, body) in (400, 403)
    assert engine.drain() == []


def test_http_2_does_not_lead_around_the_rules(proxy: HAProxy, engine: RecordingEngine) -> None:
    engine.drain()
    settings_frame, path = b"\0\0\0\x04\0\0\0\0\0", b"/v1.41/containers/create"
    literal = b"\x83\x86\x04" + bytes([len(path)]) + path + b"\x41\x01x"  # POST, http, the path, an authority
    request = len(literal).to_bytes(3, "big") + b"\x01\x05\0\0\0\x01" + literal
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(str(proxy.socket))
        client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings_frame + request)
        proc.eventually(lambda: b"does not permit" in client.recv(4096))
    assert engine.drain() == []


PIECES = (
    "/",
    "//",
    "..",
    "%2e",
    "%2f",
    "&",
    "?",
    "force=1",
    "&force=1",
    "noprune=1",
    "json",
    "x",
    "1",
    ":",
    "@",
    "A",
    "%",
)


@st.composite
def near_misses(draw: st.DrawFn) -> tuple[str, str]:
    """A call with a few characters removed, replaced or added."""
    method, target = draw(st.sampled_from([*examples.of_all(*ALL), *examples.ATTACKS]))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(1, len(target)))
        end = min(len(target), start + draw(st.integers(0, 3)))
        target = target[:start] + draw(st.sampled_from(PIECES)) + target[end:]
    return draw(st.sampled_from([method, "GET", "DELETE", "POST"])), target


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(request=near_misses())
def test_it_decides_as_the_list_does(proxy: HAProxy, engine: RecordingEngine, request: tuple[str, str]) -> None:
    method, target = request
    if "/events?" in target:
        return  # a permitted one would stay open
    call = calls.find(method, target)
    passes = call is not None and call.need in ALL
    assert (proxy.status(method, target) == 200) is passes
    assert engine.drain() == ([f"{method} {target}"] if passes else [])


def test_a_refusal_is_logged_and_a_permitted_call_is_not(engine: RecordingEngine) -> None:
    with haproxy.running(engine.path) as running:
        assert running.status("GET", "/v1.41/info") == 200
        assert running.status("POST", "/v1.41/containers/create?name=x") == 403
        [line] = proc.eventually(running.refusals)
        assert line == 'status=403 method=POST target="/v1.41/containers/create?name=x" reason=PR'
        assert "/info" not in running.output()


def test_the_calls_for_the_build_cache_are_refused_unless_they_are_asked_for(engine: RecordingEngine) -> None:
    with haproxy.running(engine.path) as running:
        found = verdicts(running, engine, examples.of_all(Need.ENFORCE, Need.BUILD_CACHE))
    assert {target for (_, target), status in found.items() if status == 403} == {
        target for _, target in examples.of_all(Need.BUILD_CACHE)
    }


@pytest.mark.parametrize("build_cache", [False, True])
def test_with_the_rules_of_observe_mode_only_gets_pass(engine: RecordingEngine, build_cache: bool) -> None:
    requests = [request for request in examples.of_all(*ALL) if "/events?since=1796" not in request[1]]
    with haproxy.running(engine.path, "haproxy-observe.cfg", build_cache=build_cache) as running:
        passed = {request for request, status in verdicts(running, engine, requests).items() if status == 200}
    wanted = {call for call in requests if call in examples.of_all(Need.OBSERVE)}
    assert passed == wanted | ({("GET", "/v1.41/system/df")} if build_cache else set())


def test_its_socket_is_for_its_user_and_group_only(proxy: HAProxy) -> None:
    assert stat.filemode(proxy.socket.stat().st_mode) == "srw-rw----"


# Time


def open_stream(proxy: HAProxy) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(proc.PATIENCE)
    client.connect(str(proxy.socket))
    client.sendall(f"GET {STREAM} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert b"200 OK" in client.recv(4096)
    return client


def test_an_idle_stream_stays_open_longer_than_any_time_out_and_delivers() -> None:
    with recording_engine.running() as engine, haproxy.running(engine.path, replaced=QUICK) as running:
        with open_stream(running) as client:
            time.sleep(3)
            engine.speak.set()
            assert recording_engine.LINE in client.recv(4096)
        engine.hanging = True
        assert running.status("GET", "/v1.41/info") == 504  # the time-outs are the short ones


def test_a_stream_that_the_agent_leaves_is_left_at_the_engine_too() -> None:
    with recording_engine.running() as engine, haproxy.running(engine.path) as running:
        open_stream(running).close()
        assert engine.left.wait(10)


def test_a_call_that_the_agent_gives_up_is_given_up_at_the_engine_too() -> None:
    with recording_engine.running() as engine, haproxy.running(engine.path) as running:
        engine.hanging = True
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(running.socket))
            client.sendall(f"DELETE /v1.41/images/{examples.IMAGE}?noprune=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            proc.eventually(lambda: len(engine.requests) == 1)
        assert engine.left.wait(10)
        assert len(engine.requests) == 1


def test_its_stop_does_not_wait_for_the_stream() -> None:
    sooner = {"hard-stop-after 5s": "hard-stop-after 1s"}
    with (
        recording_engine.running() as engine,
        haproxy.running(engine.path, replaced=sooner) as running,
        open_stream(running),
    ):
        running.send_signal(signal.SIGUSR1)
        proc.eventually(lambda: running.returncode() is not None, timeout=10)
