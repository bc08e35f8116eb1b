"""`torchkeeper fleet what-if` for people."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agent.core import units
from agent.fleet.shown import sanitize
from agent.fleet.web.documents import WhatIf, WhatIfHost


def what_if_view(answer: WhatIf, ttl: str) -> RenderableType:
    """What the TTL would evict now, what its use in the past says about it, and the hosts with the most bytes."""
    parts: list[RenderableType] = [Text(_effect(answer, ttl), style="bold"), Text(_caveats(answer, ttl))]
    if answer.hosts:
        parts += [Text(""), hosts_table(answer.hosts)]
    if (more := answer.hosts_with - len(answer.hosts)) > 0:
        parts.append(Text(f"and {more:,} more hosts", style="bold"))
    return Group(*parts)


def hosts_table(hosts: list[WhatIfHost]) -> Table:
    """One row for each host: what would go, and how full its disk would be then."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("HOST", overflow="ellipsis", no_wrap=True)
    for name in ("IMAGES", "BYTES", "DISK NOW", "DISK AFTER"):
        table.add_column(name, justify="right", no_wrap=True)
    for host in hosts:
        used, total = host.disk_used_bytes, host.disk_total_bytes
        after = None if used is None else max(0, used - host.bytes)
        table.add_row(
            sanitize(host.host),
            f"{host.images:,}",
            units.format_bytes(host.bytes),
            _share(used, total),
            _share(after, total),
        )
    return table


def _effect(answer: WhatIf, ttl: str) -> str:
    as_of = f"as of {answer.at:%H:%M:%S} UTC"
    if not answer.images:
        return f"A TTL of {ttl} would evict nothing now, {as_of}."
    images = "1 image" if answer.images == 1 else f"{answer.images:,} images"
    hosts = "1 host" if answer.hosts_with == 1 else f"{answer.hosts_with:,} hosts"
    return f"A TTL of {ttl} would evict {images} on {hosts}, at least {units.format_bytes(answer.bytes)}, {as_of}."


def _caveats(answer: WhatIf, ttl: str) -> str:
    sentences = [
        "At least: layers that several of the images share are not counted. Images whose TTL is set by a rule or a"
        " label keep that TTL. Nothing is changed: each host's TTL is in its own configuration."
    ]
    if answer.offline_left_out:
        noun = "host that is" if answer.offline_left_out == 1 else "hosts that are"
        sentences.append(f"Left out: {answer.offline_left_out:,} {noun} offline.")
    if answer.incomplete_hosts:
        count = "1 host" if answer.incomplete_hosts == 1 else f"{answer.incomplete_hosts:,} hosts"
        sentences.append(f"Not complete yet: the monitor is still storing the images of {count}; ask again soon.")
    if answer.idle_spells:
        sentences.append(
            f"In the last 90 days, {answer.ended_with_use:,} of {answer.idle_spells:,} idle times longer than {ttl}"
            " ended with a use before the present TTL; each of those images would have been pulled again."
        )
    return "\n".join(sentences)


def _share(used: int | None, total: int | None) -> str:
    return "-" if used is None or not total else f"{100 * used / total:.0f} %"
