"""A layer is freed when the last image that has it is removed, and unknown bytes are not promised."""

import hashlib
from dataclasses import replace

from agent.core.images import layers
from agent.core.model import HistoryStep, Image
from tests.core.builders import image

BASE = image("base", layers={"sha256:b": 100})
TOP = image("top", layers={"sha256:b": 100, "sha256:t": 7})


def test_a_chain_id_is_the_digest_of_all_below_and_the_layer() -> None:
    second = "sha256:" + hashlib.sha256(b"sha256:b sha256:t").hexdigest()
    assert layers.chain_ids(("sha256:b", "sha256:t")) == ("sha256:b", second)


def test_a_shared_layer_is_not_freed_by_removing_one_image() -> None:
    space = layers.LayerIndex([BASE, TOP])
    assert (space.reclaimable_bytes(BASE.id), space.reclaimable_bytes(TOP.id)) == (0, 7)


def test_a_shared_layer_is_freed_with_the_last_image_that_has_it() -> None:
    space = layers.LayerIndex([BASE, TOP])
    assert [space.release(BASE.id), space.release(TOP.id)] == [0, 107]


def test_the_same_layer_on_another_base_counts_separately() -> None:
    other = image("other", layers={"sha256:x": 1, "sha256:t": 7})
    assert layers.LayerIndex([TOP, other]).reclaimable_bytes(TOP.id) == 107


def test_empty_steps_of_the_history_are_not_layers() -> None:
    assert TOP.details is not None
    history = (HistoryStep("FROM", 100), HistoryStep("ENV A=1", 0), HistoryStep("RUN", 7))
    assert layers.layer_sizes(replace(TOP.details, history=history)) == (100, 7)


def test_an_image_whose_history_does_not_match_its_layers_frees_nothing_if_it_shares_its_base() -> None:
    assert BASE.details is not None
    unclear = replace(BASE, details=replace(BASE.details, history=()))
    on_top = image("top", layers={"sha256:b": 0, "sha256:t": 7})
    assert layers.LayerIndex([unclear]).reclaimable_bytes(BASE.id) == 100
    assert layers.LayerIndex([unclear, on_top]).reclaimable_bytes(BASE.id) == 0


def test_an_unknown_image_frees_nothing() -> None:
    assert layers.LayerIndex([replace(BASE, details=None)]).reclaimable_bytes(BASE.id) == 0
    assert layers.LayerIndex([]).release("sha256:none") == 0


def test_a_copy_is_independent_both_ways() -> None:
    first = layers.LayerIndex([BASE, TOP])
    second = first.copy()
    assert (second.release(BASE.id), second.release(TOP.id), second.total_bytes) == (0, 107, 0)
    assert (first.total_bytes, first.reclaimable_bytes(TOP.id)) == (107, 7)
    third = first.copy()
    first.release(TOP.id)
    assert (third.total_bytes, third.reclaimable_bytes(TOP.id), first.reclaimable_bytes(BASE.id)) == (107, 7, 100)


def test_the_total_counts_each_layer_once() -> None:
    same = image("same", layers={"sha256:b": 100, "sha256:t": 7})
    layer_index = layers.LayerIndex([BASE, TOP, same])
    held = [layer_index.total_bytes]
    for item in (TOP, BASE, same):
        layer_index.release(item.id)
        held.append(layer_index.total_bytes)
    assert held == [107, 107, 107, 0]


def test_the_total_does_not_depend_on_the_order_if_one_history_does_not_show_the_sizes() -> None:
    assert TOP.details is not None
    unclear = replace(TOP, details=replace(TOP.details, history=()))
    assert [layers.LayerIndex(both).total_bytes for both in ([BASE, unclear], [unclear, BASE])] == [107, 107]


def test_an_image_is_released_once() -> None:
    layer_index = layers.LayerIndex([BASE, TOP])
    assert [layer_index.release(TOP.id), layer_index.release(TOP.id), layer_index.release(BASE.id)] == [7, 0, 100]


def test_bases_are_the_images_whose_complete_layers_come_first() -> None:
    same = image("same", layers={"sha256:b": 100, "sha256:t": 7})
    stranger = image("stranger", layers={"sha256:t": 7})
    empty = image("empty", layers={})
    assert layers.base_images(TOP.id, [BASE, TOP, same, stranger, empty]) == (BASE.id, same.id)
    assert layers.base_images(BASE.id, [BASE, TOP]) == ()


# A store that keeps compressed layers, too


def packed(name: str, packed_bytes: int, **layers: int) -> Image:
    return image(name, layers={f"sha256:{key}": size for key, size in layers.items()}, packed_bytes=packed_bytes)


def test_a_layer_frees_its_unpacked_and_its_compressed_bytes() -> None:
    assert layers.LayerIndex([packed("a", 40, x=100)]).reclaimable_bytes(packed("a", 40, x=100).id) == 140


def test_the_compressed_bytes_of_added_layers_are_the_difference_to_the_base() -> None:
    base, zeros, random = packed("base", 80, b=100), packed("zeros", 81, b=100, z=1000), packed("r", 90, b=100, r=10)
    layer_index = layers.LayerIndex([zeros, random, base])
    assert [layer_index.reclaimable_bytes(item.id) for item in (base, zeros, random)] == [0, 1001, 20]
    assert layer_index.total_bytes == 180 + 1001 + 20
    assert layer_index.reclaimable_together([base.id, zeros.id, random.id]) == 180 + 1001 + 20


def test_layers_that_only_one_image_has_share_its_compressed_bytes_by_size() -> None:
    one, other = packed("one", 55, b=100, o=10), packed("other", 150, b=100, p=150, q=50)
    layer_index = layers.LayerIndex([one, other])
    assert [layer_index.reclaimable_bytes(item.id) for item in (one, other)] == [10 + 5, 200 + 100]
    assert layer_index.reclaimable_together([one.id, other.id]) == 110 + 200 + 55 + 100


def test_an_image_with_fewer_compressed_bytes_than_its_base_adds_nothing() -> None:
    base, top = packed("base", 80, b=100), packed("top", 60, b=100, t=7)
    assert layers.LayerIndex([base, top]).reclaimable_bytes(top.id) == 7


def test_compressed_bytes_count_once_if_the_history_does_not_show_the_layers_sizes() -> None:
    plain = packed("a", 40, x=100, y=50)
    assert plain.details is not None
    unclear = replace(plain, size_bytes=190, details=replace(plain.details, history=()))
    assert layers.LayerIndex([unclear]).reclaimable_bytes(plain.id) == 190


def test_an_estimate_is_a_minimum_if_the_engine_does_not_report_compressed_bytes() -> None:
    known, unknown = packed("a", 40, x=100), replace(BASE, details=None)
    unreported = image("b", packed_bytes=None)
    assert layers.LayerIndex([unreported]).reclaimable_bytes(unreported.id) == 1000
    words = [layers.about(images) for images in ([], [known, unknown], [known, unreported])]
    assert words == ["about", "about", "at least"]
