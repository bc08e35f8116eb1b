"""Payloads may be compressed: a reader takes both, and is not filled by a small message that is a huge one inside."""

import zlib

import pytest

from agent.core.protocol import payloads as wire
from tests.fleet.builders import make_image, make_inventory, make_status

INVENTORY = make_inventory(*(make_image(f"sha256:{number:064}") for number in range(40)))


def test_a_compressed_payload_reads_as_the_plain_one() -> None:
    packed = wire.packed(INVENTORY)
    assert (packed[:1], len(packed) < len(INVENTORY) / 5) == (b"\x78", True)
    assert wire.decode(wire.Inventory, packed) == wire.decode(wire.Inventory, INVENTORY)
    assert wire.unpacked(packed) == INVENTORY


def test_what_compression_would_lengthen_stays_as_it_is() -> None:
    for payload in (b"", b"{}", wire.PROBE):
        assert wire.packed(payload) == payload


@pytest.mark.parametrize(
    "payload",
    [
        b"\x78",
        b"\x78\x9c",
        b"\x78\x9crubbish",
        zlib.compress(make_status())[:-5],
        zlib.compress(b" " * (wire.MAX_UNPACKED + 1)),
    ],
)
def test_what_is_damaged_cut_off_or_huge_inside_is_no_payload(payload: bytes) -> None:
    assert wire.decode(wire.Status, payload) is None


def test_a_payload_as_large_as_may_be_is_unpacked() -> None:
    whole = b" " * wire.MAX_UNPACKED
    assert wire.unpacked(zlib.compress(whole)) == whole
