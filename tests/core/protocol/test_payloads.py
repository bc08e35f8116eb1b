"""Payloads may be compressed: a reader takes both, and is not filled by a small message that is a huge one inside."""

import zlib

import pytest

from agent.core.protocol import payloads
from agent.core.protocol.topics import PROBE
from tests.fleet.builders import make_image, make_inventory, make_status

INVENTORY = make_inventory(*(make_image(f"sha256:{number:064}") for number in range(40)))


def test_a_compressed_payload_reads_as_the_plain_one() -> None:
    packed = payloads.packed(INVENTORY)
    assert (packed[:1], len(packed) < len(INVENTORY) / 5) == (b"\x78", True)
    assert payloads.decode(payloads.Inventory, packed) == payloads.decode(payloads.Inventory, INVENTORY)
    assert payloads.unpacked(packed) == INVENTORY


def test_what_compression_would_lengthen_stays_as_it_is() -> None:
    for payload in (b"", b"{}", PROBE):
        assert payloads.packed(payload) == payload


@pytest.mark.parametrize(
    "payload",
    [
        b"\x78",
        b"\x78\x9c",
        b"\x78\x9crubbish",
        zlib.compress(make_status())[:-5],
        zlib.compress(b" " * (payloads.MAX_UNPACKED + 1)),
    ],
)
def test_what_is_damaged_cut_off_or_huge_inside_is_no_payload(payload: bytes) -> None:
    assert payloads.decode(payloads.Status, payload) is None


def test_a_payload_as_large_as_may_be_is_unpacked() -> None:
    whole = b" " * payloads.MAX_UNPACKED
    assert payloads.unpacked(zlib.compress(whole)) == whole
