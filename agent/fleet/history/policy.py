"""What the history reads from a policy in force, which a host may fill with anything. Pure."""

import json
from datetime import timedelta

from agent.core import units


def ttl(document: str) -> int | None:
    """`policy.ttl` of a policy in milliseconds; None if there is none, or a newer agent writes it in another way."""
    policy = json.loads(document).get("policy")
    try:
        found = units.parse_duration(policy.get("ttl")) if isinstance(policy, dict) else None
    except ValueError:
        return None
    return None if found is None else found // timedelta(milliseconds=1)
