"""Pins as people write them: what is meant is pinned, and what means nothing is named, and stops every eviction."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.adapters import overrides
from agent.core.policy.overrides import Overrides, Pin
from tests.support import overrides_by_hand
from tests.support.builders import make_id, make_image

AT = "2026-03-01T12:00:00Z"
ID = make_id("torch")
DIGEST = "sha256:" + "ab" * 32
LAST = "nothing is evicted until then"


def write(folder: Path, *pins: object) -> None:
    overrides_by_hand.path(folder).write_text(json.dumps({"pins": pins}))


def pin(**written: Any) -> dict[str, Any]:
    return {"at": AT, **written}


def read(reference: str = "", id_: str = "") -> Overrides:
    made = Pin(id=id_, reference=reference, at=datetime(2026, 3, 1, 12, tzinfo=UTC))
    return Overrides(pins=(made,))


@pytest.mark.parametrize(
    ("written", "reference"),
    [
        ("team/torch:1", "team/torch:1"),
        ("docker.io/team/torch:1", "team/torch:1"),
        ("docker.io/library/python:3", "python:3"),
        ("  team/torch:1\n", "team/torch:1"),
        ("team/torch", "team/torch:latest"),
        ("registry.io:5000/team/torch", "registry.io:5000/team/torch:latest"),
        ("[::1]:5000/torch:1", "[::1]:5000/torch:1"),
        (f"docker.io/team/torch@{DIGEST}", f"team/torch@{DIGEST}"),
        (f"team/torch:1@{DIGEST.upper().replace('SHA', 'sha')}", f"team/torch@{DIGEST}"),
        ("team/a__b-c.d--e:V1.0_x-y", "team/a__b-c.d--e:V1.0_x-y"),
    ],
)
def test_a_reference_is_taken_as_pin_takes_it(tmp_path: Path, written: str, reference: str) -> None:
    write(tmp_path, pin(reference=written))
    assert overrides.load(tmp_path) == read(reference=reference)


@pytest.mark.parametrize("written", [ID, ID[7:], ID.upper(), ID[7:].upper(), f" {ID}\n"])
def test_an_id_is_taken_as_pin_takes_it(tmp_path: Path, written: str) -> None:
    write(tmp_path, pin(id=written))
    assert overrides.load(tmp_path) == read(id_=ID)


@pytest.mark.parametrize("written", [ID[:19], ID[7:19], ID[7:40].upper()])
def test_the_start_of_an_id_pins_every_image_that_has_it(tmp_path: Path, written: str) -> None:
    write(tmp_path, pin(id=written))
    found = overrides.load(tmp_path).pins[0]
    same = "sha256:" + written.lower().removeprefix("sha256:").ljust(64, "0")
    meant = [found.means(replace(make_image(), id=other)) for other in (ID, same, make_id("another"))]
    assert meant == [True, True, False]


def test_a_digest_reference_pins_the_image_that_has_it(tmp_path: Path) -> None:
    write(tmp_path, pin(reference=f"docker.io/team/torch@{DIGEST}"))
    found = overrides.load(tmp_path).pins[0]
    assert found.means(make_image(digests=(f"team/torch@{DIGEST}",)))
    assert not found.means(make_image(digests=(f"team/other@{DIGEST}",)))


MISTAKES = [
    (pin(), "names no image; write a reference like team/pytorch:2.9, or an id"),
    (pin(reference="", id=" "), "names no image; write a reference"),
    (pin(reference="team/*"), "reference: a pin names one image; write patterns into policy.protect or images.exclude"),
    (pin(reference="team/torch 1"), "reference: no image can have this name; write it like team/pytorch:2.9"),
    (pin(reference="Torch:1"), "reference: no image can have this name"),
    (pin(reference="https://registry/torch:1"), "reference: no image can have this name"),
    (pin(reference="team/torch@sha256:1234"), "reference: no image can have this name"),
    (pin(reference="team//torch:1"), "reference: no image can have this name"),
    (pin(reference="x" * 600), "reference: no image can have this name"),
    (pin(reference=ID), "reference: this reads as an image ID; write it as id"),
    (pin(reference=ID[7:19]), "reference: this reads as an image ID; write it as id"),
    (pin(reference=7), "reference: Input should be a valid string"),
    (pin(id="team/torch:1"), "id: this is not an image ID; write its 12 to 64 digits"),
    (pin(id=ID[7:18]), "id: this is not an image ID; write its 12 to 64 digits"),
    (pin(id=f"{ID}0"), "id: this is not an image ID"),
    (pin(id=ID, until="tomorrow"), "until: 'tomorrow' is not a time; write it like 2026-03-01T12:00:00Z"),
    (pin(id=ID, until="2026-03-01"), "until: '2026-03-01' is not a time"),
    (pin(id=ID, until="2026-13-01T00:00:00Z"), "until: '2026-13-01T00:00:00Z' is not a time"),
    (pin(id=ID, until="9999-12-31T23:59:59-23:59"), "until: '9999-12-31T23:59:59-23:59' is not a time"),
    (pin(id=ID, until=1772366400), "until: 1772366400 is not a time"),
    (pin(id=ID, until=1e308), "until: 1e+308 is not a time"),
    ({"id": ID}, "at: is missing"),
    (pin(id=ID, unti=AT), "unti: is an unknown key"),
    ("team/torch:1", "is not a JSON object"),
]


@pytest.mark.parametrize(("entry", "message"), MISTAKES)
def test_an_entry_that_means_nothing_is_named_by_its_place_and_its_text(
    tmp_path: Path, entry: Any, message: str
) -> None:
    write(tmp_path, pin(reference="team/torch:1"), entry)
    with pytest.raises(overrides.OverridesUnreadable) as caught:
        overrides.load(tmp_path)
    shown = json.dumps(entry)[:60]
    error = str(caught.value)
    assert error.startswith(f"{tmp_path / overrides.FILE}: pin 2 of 2, {shown}")
    assert message in error
    assert error.endswith(f"; correct that in the file; {LAST}")


RUBBISH = [
    (b"", "is not valid JSON"),
    (b'{"pins": [', "is not valid JSON: Expecting value: line 1 column 11"),
    (b"[]", 'is not a JSON object; it begins with {"pins": ['),
    (b"NaN", "NaN is not allowed in this file"),
    (b'{"pins": [{"id": NaN}]}', "NaN is not allowed"),
    (b'{"pins": 1e999}', "pins: Input should be a valid list"),
    (b'{"pins": [], "pins": []}', "the key 'pins' is repeated in one object"),
    (b'{"pins": [{"id": "a", "id": "b"}]}', "the key 'id' is repeated in one object"),
    (b'{"pin": []}', "pin: is an unknown key"),
    (b'{"pause": {}}', "pause: at: is missing"),
    (b'{"pause": {"at": 5}}', "pause: at: 5 is not a time"),
    (b'{"pins": [{"reference": "\\ud800"}]}', "pin 1 of 1"),
    (b'{"\\ud800": 1}', "unable to parse raw data as a unicode string"),
    (b'{"pins": [{"reason": "\xed\xa0\x80"}]}', "pin 1 of 1"),
    (b'{"pins": [], "\xff": 1}', "is not valid JSON"),
    (b"[" * 100_000, "is nested too deeply"),
    (b'{"pins": [' + b"[" * 900 + b"]" * 900 + b"]}", ""),
    (b'{"pins": ' + b"1" * 10_000 + b"}", ""),
    (b" " * 10_000_000 + b"{}", "is larger than 4.0 MB; take old pins out of it"),
]


@pytest.mark.parametrize(("data", "message"), RUBBISH, ids=range(len(RUBBISH)))
def test_rubbish_is_unreadable_and_never_a_crash(tmp_path: Path, data: bytes, message: str) -> None:
    overrides_by_hand.path(tmp_path).write_bytes(data)
    with pytest.raises(overrides.OverridesUnreadable) as caught:
        overrides.load(tmp_path)
    error = str(caught.value)
    assert error.encode()  # a lone surrogate would not do
    assert message in error
    assert error.endswith(LAST)
    assert "remove" not in error


def test_a_link_and_a_pipe_are_unreadable(tmp_path: Path) -> None:
    file = overrides_by_hand.path(tmp_path)
    file.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(overrides.OverridesUnreadable, match="is a link and not a file; put the file"):
        overrides.load(tmp_path)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(overrides.OverridesUnreadable, match="is not a file"):
        overrides.load(tmp_path)


def test_a_file_that_would_be_too_large_to_read_is_not_written(tmp_path: Path) -> None:
    many = Overrides(pins=tuple(read(id_=ID).pins * 30_000))
    with pytest.raises(OSError, match="would be larger than"):
        overrides.change(tmp_path, lambda _: many)
    assert overrides.load(tmp_path) == Overrides()
