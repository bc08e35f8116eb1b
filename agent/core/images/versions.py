"""Read torch's version in the forms that people write."""

import re

_VERSION = re.compile(
    r"v?([0-9]{1,4}(?:\.[0-9]{1,9}){1,3}(?:(?:a|b|rc)[0-9]{1,9})?(?:\.post[0-9]{1,9})?(?:\.dev[0-9]{1,9})?)"
)


def plain_version(text: str) -> str | None:
    """`v2.1.0`, `2.2.0a0+81ea7a4` and `2.6.0.*` become `2.1.0`, `2.2.0a0` and `2.6.0`; None if it is not a version."""
    match = _VERSION.match(text.strip(" \"'"))
    return match[1] if match else None
