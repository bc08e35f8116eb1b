"""`fleet what-if` for people."""

from typing import Any

from agent.fleet.web.documents import WhatIf
from agent.fleet.what_if_view import what_if_view
from tests.fleet.test_terminal import EVIL, render
from tests.support.times import START

GB = 1_000_000_000
HOST = {"host": "gpu-07", "images": 12, "bytes": 500 * GB, "disk_used_bytes": 900 * GB, "disk_total_bytes": 1000 * GB}


def answer(**fields: Any) -> WhatIf:
    defaults: dict[str, Any] = {
        "ttl_seconds": 604800,
        "at": START,
        "images": 431_882,
        "bytes": 2100 * GB,
        "hosts_with": 2,
        "offline_left_out": 252,
        "idle_spells": 9,
        "ended_with_use": 1,
        "hosts": [HOST],
    }
    return WhatIf.model_validate(defaults | fields)


def test_the_answer_says_what_would_go_and_what_the_past_says_of_it() -> None:
    shown = " ".join(render(what_if_view(answer(), "7d")).split())
    assert shown == (
        "A TTL of 7d would evict 431,882 images on 2 hosts, at least 2.1 TB, as of 12:00:00 UTC."
        " At least: layers that several of the images share are not counted. Images whose TTL is set by a rule or a"
        " label keep that TTL. Nothing is changed: each host's TTL is in its own configuration."
        " Left out: 252 hosts that are offline."
        " In the last 90 days, 1 of 9 idle times longer than 7d ended with a use before the present TTL;"
        " each of those images would have been pulled again."
        " HOST IMAGES BYTES DISK NOW DISK AFTER"
        " gpu-07 12 500 GB 90 % 40 %"
        " and 1 more hosts"
    )


def test_a_ttl_that_evicts_nothing_says_so_without_a_table() -> None:
    nothing = answer(images=0, bytes=0, hosts_with=0, offline_left_out=0, idle_spells=0, ended_with_use=0, hosts=[])
    shown = render(what_if_view(nothing, "30d"))
    assert shown.startswith("A TTL of 30d would evict nothing now, as of 12:00:00 UTC.\n")
    assert "HOST" not in shown
    assert "offline" not in shown


def test_a_disk_that_is_not_known_is_a_dash() -> None:
    unknown = answer(hosts=[HOST | {"disk_used_bytes": None, "disk_total_bytes": None}], hosts_with=1)
    assert render(what_if_view(unknown, "7d")).splitlines()[-1].split() == ["gpu-07", "12", "500", "GB", "-", "-"]


def test_everything_fits_80_columns_and_names_from_strangers_do_no_harm() -> None:
    shown = render(what_if_view(answer(hosts=[HOST | {"host": EVIL + "x" * 100}]), "7d"))
    assert max(map(len, shown.splitlines())) <= 80
    assert not set(shown) & set("\x1b\u202e\x07\r")


def test_an_answer_without_the_images_of_all_hosts_says_so() -> None:
    shown = " ".join(render(what_if_view(answer(incomplete_hosts=8000), "7d")).split())
    assert "Not complete yet: the monitor is still storing the images of 8,000 hosts; ask again soon." in shown
