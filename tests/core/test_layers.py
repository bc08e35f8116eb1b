"""Bytes: a layer is freed when its last holder goes, and what is not known is not promised."""

import hashlib
from dataclasses import replace

from agent.core import layers
from agent.core.model import HistoryStep
from tests.core.builders import image

BASE = image("base", layers={"sha256:b": 100})
TOP = image("top", layers={"sha256:b": 100, "sha256:t": 7})


def test_a_chain_id_is_the_digest_of_all_below_and_the_layer() -> None:
    second = "sha256:" + hashlib.sha256(b"sha256:b sha256:t").hexdigest()
    assert layers.chain_ids(("sha256:b", "sha256:t")) == ("sha256:b", second)


def test_a_shared_layer_is_freed_by_neither_alone() -> None:
    space = layers.Ledger([BASE, TOP])
    assert (space.would_free(BASE.id), space.would_free(TOP.id)) == (0, 7)


def test_a_shared_layer_is_freed_with_its_last_holder() -> None:
    space = layers.Ledger([BASE, TOP])
    assert [space.release(BASE.id), space.release(TOP.id)] == [0, 107]


def test_the_same_layer_on_another_base_is_another_one() -> None:
    other = image("other", layers={"sha256:x": 1, "sha256:t": 7})
    assert layers.Ledger([TOP, other]).would_free(TOP.id) == 107


def test_empty_steps_of_the_history_are_no_layers() -> None:
    assert TOP.details is not None
    history = (HistoryStep("FROM", 100), HistoryStep("ENV A=1", 0), HistoryStep("RUN", 7))
    assert layers.layer_sizes(replace(TOP.details, history=history)) == (100, 7)


def test_a_history_that_does_not_fit_promises_nothing_for_shared_layers() -> None:
    assert BASE.details is not None
    unclear = replace(BASE, details=replace(BASE.details, history=()))
    on_top = image("top", layers={"sha256:b": 0, "sha256:t": 7})
    assert layers.Ledger([unclear]).would_free(BASE.id) == 100
    assert layers.Ledger([unclear, on_top]).would_free(BASE.id) == 0


def test_an_unknown_image_frees_nothing() -> None:
    assert layers.Ledger([replace(BASE, details=None)]).would_free(BASE.id) == 0
    assert layers.Ledger([]).release("sha256:none") == 0


def test_a_copy_is_independent_both_ways() -> None:
    first = layers.Ledger([BASE, TOP])
    second = first.copy()
    assert (second.release(BASE.id), second.release(TOP.id), second.held_bytes) == (0, 107, 0)
    assert (first.held_bytes, first.would_free(TOP.id)) == (107, 7)
    third = first.copy()
    first.release(TOP.id)
    assert (third.held_bytes, third.would_free(TOP.id), first.would_free(BASE.id)) == (107, 7, 100)


def test_what_is_held_counts_each_layer_once() -> None:
    same = image("same", layers={"sha256:b": 100, "sha256:t": 7})
    ledger = layers.Ledger([BASE, TOP, same])
    held = [ledger.held_bytes]
    for item in (TOP, BASE, same):
        ledger.release(item.id)
        held.append(ledger.held_bytes)
    assert held == [107, 107, 107, 0]


def test_what_is_held_is_the_same_in_any_order_where_one_history_does_not_tell() -> None:
    assert TOP.details is not None
    unclear = replace(TOP, details=replace(TOP.details, history=()))
    assert [layers.Ledger(both).held_bytes for both in ([BASE, unclear], [unclear, BASE])] == [107, 107]


def test_an_image_is_released_once() -> None:
    ledger = layers.Ledger([BASE, TOP])
    assert [ledger.release(TOP.id), ledger.release(TOP.id), ledger.release(BASE.id)] == [7, 0, 100]


def test_bases_are_the_images_whose_complete_layers_come_first() -> None:
    same = image("same", layers={"sha256:b": 100, "sha256:t": 7})
    stranger = image("stranger", layers={"sha256:t": 7})
    empty = image("empty", layers={})
    assert layers.bases_of(TOP.id, [BASE, TOP, same, stranger, empty]) == (BASE.id, same.id)
    assert layers.bases_of(BASE.id, [BASE, TOP]) == ()
