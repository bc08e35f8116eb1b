"""The rules of a socket proxy and the tables of the documents, from the list of calls.

`make proxy` runs it in the source tree. HAProxy compares the complete target of a request as it was sent: a name or a
query that is encoded in another way than the agent encodes it is refused.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from agent.adapters.docker import calls
from agent.adapters.docker.calls import Call, Need

REFUSAL = '{"message":"the socket proxy does not permit this call"}'
BEGIN, END = "<!-- calls: made by `make proxy` -->", "<!-- end of calls -->"
DOCUMENTS = ("SECURITY.md", "docs/socket-proxy.md")

_TEMPLATES = Path(__file__).parent  # with the rules left out


def haproxy(file: str, *, observe: bool) -> str:
    """A configuration of HAProxy. `observe`: only the calls of `observe` mode, all of them GET."""
    purpose = "only the calls that the agent makes pass"
    if observe:
        purpose = "only the calls of observe mode pass, and none of them changes anything"
    always = calls.permitted(Need.OBSERVE) if observe else calls.permitted(Need.OBSERVE, Need.ENFORCE)
    cache = [call for call in calls.permitted(Need.BUILD_CACHE) if call.method == "GET" or not observe]
    rules = f"{_rules(always)}\n.if defined(BUILD_CACHE)\n{_rules(cache)}\n.endif"
    text = (_TEMPLATES / "haproxy.in").read_text().replace("PURPOSE", purpose).replace("FILE", file)
    return text.replace("RULES", rules).replace("REFUSAL", REFUSAL)


def _rules(permitted: Iterable[Call]) -> str:
    return "\n".join(
        f"    # {_sentence(call.when)}\n"
        f"    http-request allow if {{ method {call.method} }} {{ url -m reg '^{call.target_pattern}$' }}"
        for call in permitted
    )


def _sentence(when: str) -> str:
    return when[:1].upper() + when[1:]


def wollomatic() -> str:
    """A file of Docker Compose with the flags of wollomatic/socket-proxy, which adds the anchors itself."""
    flags = [_flag(call) for call in calls.permitted(Need.OBSERVE)]
    for need, title in ((Need.ENFORCE, "for enforce mode"), (Need.BUILD_CACHE, "for cleanup.build_cache_after")):
        flags += [f"      # {title}:", *(_flag(call).replace("- ", "# - ", 1) for call in calls.permitted(need))]
    return (_TEMPLATES / "socket-proxy.in").read_text().replace("FLAGS", "\n".join(flags))


def _flag(call: Call) -> str:
    decoded = call.path_pattern.replace("%5B", r"\[").replace("%5D", r"\]")  # it compares the decoded path
    return f"      - '-allow{call.method}={decoded}'"


def table() -> str:
    """The calls as a table in Markdown."""
    rows = (f"| {_forms(call)} | {call.need} | {call.when} |" for call in calls.CALLS)
    return "\n".join(["| call | needed | when |", "|---|---|---|", *rows])


def _forms(call: Call) -> str:
    targets = (f"{call.path}?{_readable(query)}" if query else call.path for query in call.queries)
    return ", ".join(f"`{call.method} {target}`" for target in targets)


def _readable(query: str) -> str:
    for encoded, plain in (("%7B", "{"), ("%7D", "}"), ("%22", '"'), ("%5B", "["), ("%5D", "]"), (":+", ":")):
        query = query.replace(encoded, plain)
    return query


def with_table(document: str) -> str:
    """A document with the present table between its two marks. Raises ValueError if it has none."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"there is no {BEGIN!r} followed by {END!r}")
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def files(root: Path) -> dict[Path, str]:
    """Each file that `make proxy` writes, with its content; documents must exist."""
    proxies = root / "config" / "proxy"
    return {
        proxies / "haproxy.cfg": haproxy("haproxy.cfg", observe=False),
        proxies / "haproxy-observe.cfg": haproxy("haproxy-observe.cfg", observe=True),
        proxies / "socket-proxy.yaml": wollomatic(),
        **{root / name: with_table((root / name).read_text()) for name in DOCUMENTS},
    }


def main() -> None:
    for path, content in files(Path.cwd()).items():
        path.write_text(content)
        print(path.relative_to(Path.cwd()), file=sys.stderr)


if __name__ == "__main__":
    main()
