"""The list of calls: it has what the adapter asks for and no more, and the files of the proxies are made from it."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from agent.adapters.docker import calls, proxy_rules
from agent.adapters.docker.calls import CALLS, Call, Need
from tests.proxy import examples
from tests.support.proc import ROOT

FILES = proxy_rules.files(ROOT)
THROUGH_THE_PROXY = {need for need in Need if need is not Need.PERSON}


def calls_in_the_code() -> set[str]:
    """`METHOD /path` of each request in the Docker adapter, `{}` for what differs from call to call."""
    sources = [file.read_text() for file in (ROOT / "agent/adapters/docker").glob("*.py")]
    found = set()
    for text in re.findall(r"\._(?:json|list|text|parsed|request|about)\(([^\n]*)", "\n".join(sources)):
        if path := re.match(r'[^"]*"([^"]+)"', text):
            method = re.search(r'"(POST|DELETE|PUT|HEAD)"', text)
            found.add(f"{method[1] if method else 'GET'} /" + re.sub(r"{[^}]*}", "{}", path[1]))
    return found


def in_short(call: Call) -> str:
    return f"{call.method} " + re.sub(r"[\w-]*{[^}]*}", "{}", call.path)


def test_it_has_each_call_in_the_code() -> None:
    assert calls_in_the_code() <= {in_short(call) for call in CALLS}


def test_each_call_that_passes_the_proxy_is_in_the_code() -> None:
    assert {in_short(call) for call in CALLS if call.need in THROUGH_THE_PROXY} <= calls_in_the_code()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_is_made_from_it_is_up_to_date(path: Path) -> None:
    assert path.read_text() == FILES[path]


def test_its_patterns_are_anchored_by_their_users_and_contain_no_line_end() -> None:
    assert all(re.fullmatch(r"[ -~]+", call.target_pattern) for call in CALLS)


@pytest.mark.parametrize(("method", "target"), examples.of_all(*Need))
def test_each_form_of_a_call_is_this_call(method: str, target: str) -> None:
    found = calls.find(method, target)
    assert found is not None
    assert target in examples.of(found)


@pytest.mark.parametrize(("method", "target"), examples.ATTACKS)
def test_a_call_in_another_form_is_none(method: str, target: str) -> None:
    found = calls.find(method, target)
    assert found is None or found.need is Need.PERSON


def test_only_two_calls_of_the_api_without_a_query_change_nothing_and_need_no_version() -> None:
    split = (line.split(" ") for line in examples.API)
    assert [f"{method} {path}" for method, path in split if calls.find(method, path)] == ["GET /version", "GET /_ping"]


def test_all_calls_of_observe_mode_are_gets() -> None:
    assert {call.method for call in calls.permitted(Need.OBSERVE)} == {"GET"}
    assert set(re.findall(r"method ([A-Z]+)", proxy_rules.haproxy("x", observe=True))) == {"GET"}


def test_no_call_forces_creates_executes_or_prunes_images() -> None:
    through = calls.permitted(*THROUGH_THE_PROXY)
    assert [call.path for call in through if call.method == "DELETE"] == ["/images/{name}"]
    assert [call.path for call in through if call.method == "POST"] == ["/images/{id}/tag", "/build/prune"]
    assert not [call for call in through if "force" in call.target_pattern]


# wollomatic/socket-proxy


def flags(text: str) -> dict[str, list[str]]:
    """Method -> the patterns of paths, as the program reads its flags from the file."""
    found: dict[str, list[str]] = {}
    for method, pattern in re.findall(r"(?m)^ +- '-allow([A-Z]+)=(.*)'$", text):
        found.setdefault(method, []).append(pattern)
    return found


def decoded_paths(*needs: Need) -> set[tuple[str, str]]:
    return {(method, unquote(target.partition("?")[0])) for method, target in examples.of_all(*needs)}


def test_the_flags_of_wollomatics_proxy_permit_the_gets_of_observe_mode_and_nothing_else() -> None:
    permitted = flags(proxy_rules.wollomatic())
    assert set(permitted) == {"GET"}
    for method, path in decoded_paths(Need.OBSERVE):
        assert any(re.fullmatch(pattern, path) for pattern in permitted[method])
    for line in examples.API:
        path = line.partition(" ")[2]
        assert (path in ("/version", "/_ping")) == any(re.fullmatch(pattern, path) for pattern in permitted["GET"])


def test_the_commented_flags_of_wollomatics_proxy_permit_the_other_calls() -> None:
    permitted = flags(proxy_rules.wollomatic().replace("# - '", "- '"))
    for method, path in decoded_paths(*THROUGH_THE_PROXY):
        assert any(re.fullmatch(pattern, path) for pattern in permitted[method])
    assert not any(re.fullmatch(pattern, "/v1.41/containers/create") for pattern in permitted["POST"])
