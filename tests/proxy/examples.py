"""Requests: one of each kind that the agent makes, in every form, and those of the whole API of Docker."""

import re
from collections.abc import Iterator, Mapping
from itertools import product

from agent.adapters.docker.calls import CALLS, Call, Need

CONTAINER, IMAGE = "0a" * 32, "sha256:" + "1b" * 32
NAMES = (
    IMAGE,
    "base",
    "base:1",
    "teamai/pytorch:2.9-cuda12.4",
    "127.0.0.1:5000/a/b_c--d.e:V1.2_x-y",
    "Registry.Example:443/a/b@" + IMAGE,
    "a/b:1@sha512:" + "2c" * 64,
    "%5B::1%5D:5000/a:1",
)
# A value, or several, for each part of a path or query that differs from call to call.
VALUES: Mapping[str, tuple[str, ...]] = {
    "container": (CONTAINER,),
    "id": (IMAGE,),
    "name": NAMES,
    "repository": ("base", "127.0.0.1:5000/a/b_c--d.e", "%5B::1%5D:5000/a"),
    "tag": ("1", "V1.2_x-y"),
    "time": ("1796058667.765207152",),
    "seconds": ("10800",),
    "token": ("0123456789abcdef",),
    "any": ("%7B%22type%22:+%5B%22container%22,+%22image%22%5D%7D",),
}


def of(call: Call) -> Iterator[str]:
    """The targets of a call, with each of the values."""
    for query in call.queries:
        template = f"/v1.41{call.path}" if call.versioned else call.path
        template += f"?{query}" if query else ""
        pieces = re.split(r"{([a-z]+)}", template)
        for chosen in product(*(VALUES[part] for part in pieces[1::2])):
            values = iter(chosen)
            yield "".join(next(values) if index % 2 else piece for index, piece in enumerate(pieces))


def of_all(*needs: Need) -> list[tuple[str, str]]:
    """Method and target of the calls that are needed for any of these."""
    return [(call.method, target) for call in CALLS if call.need in needs for target in of(call)]


_C, _I = f"/containers/{CONTAINER}", f"/images/{IMAGE}"
# Every path of Docker's API, version 1.41 to 1.51, with the methods that it has.
API = (
    *(f"GET /containers/{name}" for name in ("json", "unknown/json")),
    *(f"GET {_C}/{verb}" for verb in ("json", "top", "logs", "changes", "export", "stats", "archive", "attach/ws")),
    *(f"POST {_C}/{verb}" for verb in ("start", "stop", "restart", "kill", "pause", "unpause", "wait", "resize")),
    *(f"POST {_C}/{verb}" for verb in ("attach", "rename", "update", "exec")),
    *("POST /containers/create", "POST /containers/prune", f"DELETE {_C}", f"PUT {_C}/archive", f"HEAD {_C}/archive"),
    *("POST /exec/1/start", "POST /exec/1/resize", "GET /exec/1/json", "POST /commit"),
    *("GET /images/json", "GET /images/search", "GET /images/get", f"GET {_I}/get", f"GET {_I}/json"),
    *(f"GET {_I}/history", f"GET {_I}/attestations", f"POST {_I}/push", f"POST {_I}/tag", f"DELETE {_I}"),
    *("POST /images/create", "POST /images/load", "POST /images/prune"),
    *("POST /build", "POST /build/prune", "POST /build/cancel", "POST /session", "POST /grpc", "POST /auth"),
    *("GET /info", "GET /version", "GET /_ping", "HEAD /_ping", "GET /events", "GET /system/df"),
    *("GET /networks", "GET /networks/n", "DELETE /networks/n", "POST /networks/create", "POST /networks/prune"),
    *("POST /networks/n/connect", "POST /networks/n/disconnect", "GET /distribution/a/json"),
    *("GET /volumes", "GET /volumes/v", "DELETE /volumes/v", "PUT /volumes/v", "POST /volumes/create"),
    *("POST /volumes/prune", "GET /plugins", "GET /plugins/privileges", "POST /plugins/pull", "POST /plugins/create"),
    *(f"POST /plugins/p/{verb}" for verb in ("enable", "disable", "upgrade", "push", "set")),
    *("GET /plugins/p/json", "DELETE /plugins/p", "GET /swarm", "GET /swarm/unlockkey"),
    *(f"POST /swarm/{verb}" for verb in ("init", "join", "leave", "update", "unlock")),
    *("GET /nodes", "GET /nodes/n", "DELETE /nodes/n", "POST /nodes/n/update", "GET /tasks", "GET /tasks/t"),
    *("GET /tasks/t/logs", "GET /services", "GET /services/s", "GET /services/s/logs", "DELETE /services/s"),
    *("POST /services/create", "POST /services/s/update", "GET /secrets", "GET /secrets/s", "DELETE /secrets/s"),
    *("POST /secrets/create", "POST /secrets/s/update", "GET /configs", "GET /configs/c", "DELETE /configs/c"),
    *("POST /configs/create", "POST /configs/c/update", "GET /checkpoints", f"POST {_C}/checkpoints"),
    *("GET /debug/vars", "GET /debug/pprof/", "GET /metrics", "OPTIONS /info", "TRACE /info", "PATCH /info"),
)

# What somebody who has taken over the agent would try, for each a way around a rule.
_ATTACKS = """
    # Removals: forced, with the parents, or not of an image
    DELETE /v1.41/images/ID
    DELETE /v1.41/images/ID?
    DELETE /v1.41/images/ID?force=1
    DELETE /v1.41/images/ID?noprune=0
    DELETE /v1.41/images/ID?noprune=
    DELETE /v1.41/images/ID?noprune
    DELETE /v1.41/images/ID?NOPRUNE=1
    DELETE /v1.41/images/ID?noprune=1&force=1
    DELETE /v1.41/images/ID?noprune=1&force
    DELETE /v1.41/images/ID?noprune=1&%66orce=1
    DELETE /v1.41/images/ID?noprune=1;force=1
    DELETE /v1.41/images/ID?noprune=1&
    DELETE /v1.41/images/ID?noprune=1#
    DELETE /v1.41/images/ID?noprune=11
    DELETE /v1.41/images/ID?force=1&noprune=1
    DELETE /v1.41/images/ID?%66orce=1&noprune=1
    DELETE /v1.41/images/ID?&noprune=1
    DELETE /v1.41/images/ID?%6eoprune=1
    DELETE /v1.41/images/?noprune=1
    DELETE /v1.41/images/../containers/CONTAINER?noprune=1
    DELETE /v1.41/images/a%2fb?noprune=1
    DELETE /v1.41/images/a%2F..%2Fb?noprune=1
    DELETE /v1.41/images/%61?noprune=1
    DELETE /v1.41/images/a/?noprune=1
    DELETE /v1.41/images//a?noprune=1
    DELETE /v1.41/images/a//b?noprune=1
    DELETE /v1.41/images/.?noprune=1
    DELETE /v1.41/images/..?noprune=1
    DELETE /v1.41/volumes/v?noprune=1
    DELETE /v1.41/containers/CONTAINER?noprune=1
    DELETE /images/ID?noprune=1
    GET /v1.41/images/ID?noprune=1
    POST /v1.41/images/ID?noprune=1
    PUT /v1.41/images/ID?noprune=1
    # Tags: not of an image by its ID, or with more
    POST /v1.41/images/ID/tag
    POST /v1.41/images/ID/tag?repo=a
    POST /v1.41/images/ID/tag?repo=a&tag=
    POST /v1.41/images/ID/tag?tag=1&repo=a
    POST /v1.41/images/ID/tag?repo=a&tag=1&force=1
    POST /v1.41/images/base:1/tag?repo=a&tag=1
    POST /v1.41/images/create/../ID/tag?repo=a&tag=1
    POST /v1.41/containers/CONTAINER/tag?repo=a&tag=1
    # Prunes of everything, or of another thing
    POST /v1.41/build/prune
    POST /v1.41/build/prune?all=1
    POST /v1.41/build/prune?all=1&filters=%7B%7D
    POST /v1.41/build/prune?filters=%7B%22until%22:+%5B%221s%22%5D%7D
    POST /v1.41/build/prune?all=1&filters=%7B%22until%22:+%5B%221s%22%5D%7D&filters=%7B%7D
    POST /v1.41/images/prune?all=1&filters=%7B%22until%22:+%5B%221s%22%5D%7D
    # Containers
    POST /v1.41/containers/create?name=x
    POST /v1.41/containers/CONTAINER/exec
    GET /v1.41/containers/CONTAINER/logs?stdout=1
    GET /v1.41/containers/CONTAINER/archive?path=/etc/shadow
    GET /v1.41/containers/CONTAINER/json?size=1
    GET /v1.41/containers/CONTAINER/json&
    GET /v1.41/containers/web/json
    GET /v1.41/containers/0a0a0a0a0a0a/json
    GET /v1.41/containers/CONTAINER0/json
    GET /v1.41/containers/../containers/CONTAINER/json
    # Lists and other paths in another form, other versions
    GET /info
    GET /containers/json?all=1
    GET /images/json?all=1
    GET /v1.41/version
    GET /v1.41/containers/json
    GET /v1.41/containers/json?all=1&size=1
    GET /v1.41/events
    GET /v1.41/events?since=1
    GET /v1.41/events?until=1.000000000
    GET /v1.41/events?filters=%7B%7D
    GET /v1.41/system/df?type=image
    GET /v1.41/info?
    GET /v1.41/info/
    GET /v1.41/INFO
    GET /v1.41/info%00
    GET /v1.41/info;x
    GET /v1.41/info%3f
    GET /v1.41/info#x
    GET /v1.41/in%66o
    GET /v1.41//info
    GET //v1.41/info
    GET /./v1.41/info
    GET /v1.41/images/../info
    GET /v1.41/%2e%2e/info
    GET /v1.41/images/%2e%2e/x/json
    GET /v1.41/_ping/../info
    GET /v1.4/info
    GET /v1.411/info
    GET /v2.41/info
    GET /v1x41/info
    GET /V1.41/info
    GET /v1.41/v1.41/info
    GET http://localhost/v1.41/info
    # A permitted target with another method
    POST /v1.41/info
    PUT /v1.41/info
    DELETE /v1.41/info
    HEAD /v1.41/info
    PATCH /v1.41/info
    OPTIONS /v1.41/info
    get /v1.41/info
"""
_LINES = (line.strip().replace("ID", IMAGE).replace("CONTAINER", CONTAINER) for line in _ATTACKS.splitlines())
ATTACKS = tuple((line.split(" ")[0], line.split(" ")[1]) for line in _LINES if line and not line.startswith("#"))
