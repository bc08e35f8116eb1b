"""Every call that torchkeeper makes to the engine: the one list from which the rules of the socket proxies are made.

`make proxy` writes the files of `config/proxy/` and the tables of the documents from it. A call that is not in the list
is refused by the proxy, so a new call in this package needs its entry here. The regular expressions use only what PCRE,
Go and Python have in common, and match the target of a request as the client sends it, with nothing decoded.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

VERSION = r"/v1\.[0-9]{2}"  # the prefix of all calls but two

_WORD = "[A-Za-z0-9]+(?:[._-]+[A-Za-z0-9]+)*"  # cannot be `.` or `..`
_HOST = rf"(?:%5B[0-9A-Fa-f:.]+%5D|{_WORD})(?::[0-9]+)?"  # with an address of IPv6 in encoded brackets
_REPOSITORY = f"{_HOST}(?:/{_WORD})*"
_TAG = "[A-Za-z0-9_][A-Za-z0-9._-]*"
_DIGEST = "[a-z0-9+._-]+:[0-9a-f]{32,128}"
# What stands for the parts of a path or a query that differ from call to call.
PARTS = {
    "container": "[0-9a-f]{64}",
    "id": "sha256:[0-9a-f]{64}",
    "name": f"{_REPOSITORY}(?::{_TAG})?(?:@{_DIGEST})?",  # a reference, or an ID
    "repository": _REPOSITORY,
    "tag": _TAG,
    "time": r"[0-9]+\.[0-9]{9}",
    "seconds": "[0-9]+",
    "token": "[0-9a-f]{16}",
    "any": "[^&]+",  # a filter of events, which can do no harm
}


class Need(StrEnum):
    """What a call is needed for; the value stands in the documents."""

    OBSERVE = "always"
    ENFORCE = "in `enforce` mode"
    BUILD_CACHE = "with `cleanup.build_cache_after`"
    PERSON = "never through the proxy"  # a person's own command; none of them suits a proxy that protects the host


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One kind of request. `queries`: the complete queries that it may have, `{part}` for one of PARTS."""

    method: str
    path: str  # without the version, `{part}` for one of PARTS
    queries: tuple[str, ...] = ("",)
    versioned: bool = True
    need: Need = Need.OBSERVE
    when: str  # for people

    @property
    def path_pattern(self) -> str:
        """A regular expression of the path with its version, without anchors."""
        return (VERSION if self.versioned else "") + _pattern(self.path)

    @property
    def target_pattern(self) -> str:
        """A regular expression of path and query, without anchors."""
        queries = [rf"\?{_pattern(query)}" for query in self.queries if query]
        if not queries:
            return self.path_pattern
        choice = queries[0] if len(queries) == 1 else "|".join(queries)
        optional = "?" if "" in self.queries else ""
        return self.path_pattern + (f"(?:{choice}){optional}" if optional or len(queries) > 1 else choice)

    def is_made_by(self, method: str, target: str) -> bool:
        """Whether a request, with its target as it was sent, is this call."""
        return method == self.method and re.fullmatch(self.target_pattern, target) is not None


def _pattern(template: str) -> str:
    """A regular expression of a path or a query."""
    pieces = re.split(r"{([a-z]+)}", template)
    return "".join(PARTS[piece] if index % 2 else _escaped(piece) for index, piece in enumerate(pieces))


def _escaped(text: str) -> str:
    return re.sub(r"([.?+*()\[\]|^$\\])", r"\\\1", text)


def permitted(*needs: Need) -> tuple[Call, ...]:
    """The calls that are needed for any of these."""
    return tuple(call for call in CALLS if call.need in needs)


def find(method: str, target: str) -> Call | None:
    """The call that a request is; `target` as it was sent, with its version and query."""
    return next((call for call in CALLS if call.is_made_by(method, target)), None)


# The encoded `{"until": ["3600s"]}`.
_UNUSED_FOR = "filters=%7B%22until%22:+%5B%22{seconds}s%22%5D%7D"

CALLS = (
    Call(method="GET", path="/version", versioned=False, when="at each connection"),
    Call(method="GET", path="/_ping", versioned=False, when="every 15 seconds, and when the event stream ends"),
    Call(method="GET", path="/info", when="at each connection"),
    Call(
        method="GET",
        path="/events",
        queries=("since={time}&filters={any}", "since=1&until={time}"),
        when="the event stream, and the events that the engine remembers",
    ),
    Call(
        method="GET",
        path="/containers/json",
        queries=("all=1",),
        when="which images are used: at each connection, before each removal, every hour",
    ),
    Call(
        method="GET",
        path="/containers/{container}/json",
        when="which image a new container uses, and when a stopped one ended",
    ),
    Call(
        method="GET",
        path="/images/json",
        queries=("all=1", ""),
        when="which images there are: at each connection, before each removal, every hour; and in `check`",
    ),
    Call(
        method="GET",
        path="/images/{name}/json",
        queries=("", "manifests=1"),
        when="what a new image is; before and after a removal, which image a name refers to",
    ),
    Call(method="GET", path="/images/{id}/history", when="what a new image is"),
    Call(
        method="DELETE",
        path="/images/{name}",
        queries=("noprune=1",),
        need=Need.ENFORCE,
        when="to evict an image; never with `force`",
    ),
    Call(
        method="POST",
        path="/images/{id}/tag",
        queries=("repo={repository}&tag={tag}",),
        need=Need.ENFORCE,
        when="to give an image its tags back after the engine refused to delete it, or after a crash",
    ),
    Call(method="GET", path="/system/df", need=Need.BUILD_CACHE, when="which build cache there is, every hour"),
    Call(
        method="POST",
        path="/build/prune",
        queries=(f"all=1&{_UNUSED_FOR}",),
        need=Need.BUILD_CACHE,
        when="to remove build cache that nobody used for that time",
    ),
    Call(
        method="POST",
        path="/images/create",
        queries=("fromImage={any}", "fromImage={any}&tag={any}"),
        need=Need.PERSON,
        when="`restore IMAGE` pulls an evicted image again",
    ),
    Call(
        method="POST",
        path="/containers/create",
        queries=("name=torchkeeper-look-inside-{token}",),
        need=Need.PERSON,
        when="`explain --look-inside` creates a container that is never started",
    ),
    Call(
        method="GET",
        path="/containers/{container}/archive",
        queries=("path={any}",),
        need=Need.PERSON,
        when="`explain --look-inside` reads files of the image",
    ),
    Call(
        method="GET",
        path="/containers/torchkeeper-look-inside-{token}/json",
        need=Need.PERSON,
        when="`explain --look-inside` finds its container again",
    ),
    Call(
        method="DELETE",
        path="/containers/{container}",
        queries=("v=1",),
        need=Need.PERSON,
        when="`explain --look-inside` removes its container",
    ),
)
