"""The settings of the operator and the labels of the image's maker, on a real engine."""

from tests.acceptance.host import RealHost, seconds_between
from tests.support import engines, images, proc


@engines.ON_BOTH_ENDS
def test_labels_lists_and_rules_keep_what_they_name_and_nothing_else(lone_host: RealHost) -> None:
    host = lone_host
    host.configure(
        images={"include": ["team/*", "lab/*", "control/*"], "exclude": ["*/prod/*"]},
        policy={
            "protect": ["*:stable"],
            "rules": [
                {"match": "lab/*", "ttl": "1h"},
                {"match": "team/base:*", "keep": True},
                {"match": "team/local:*", "local_images": "keep"},
            ],
        },
    )
    host.torch("team/labelled:keep", labels={"torchkeeper.keep": "true"})
    host.torch("team/labelled:ttl", labels={"torchkeeper.ttl": "2h"})
    host.torch("team/prod/serve:1")
    host.torch("other/train:1")
    host.torch("team/both:1", extra_refs=["other/both:1"])
    host.torch("team/train:stable")
    host.torch("team/base:1")
    host.torch("lab/long:1")
    host.torch("team/local:1")
    gone = [
        host.torch("team/labelled:no", labels={"torchkeeper.keep": "false", "torchkeeper.ttl": "1s"}),
        host.torch("team/train:1"),
    ]
    with host.agent():
        for image in gone:
            host.await_gone(image)
        host.evict_a_control_image()
        document = host.json("plan")
    assert {" ".join(row["references"]): row["reason"] for row in document["images"]} == {
        "team/labelled:keep": "label-keep",
        "team/labelled:ttl": "recent",
        "team/prod/serve:1": "excluded",
        "other/train:1": "excluded",
        "other/both:1 team/both:1": "excluded",
        "team/train:stable": "protected-tag",
        "team/base:1": "rule-keep",
        "lab/long:1": "recent",
        "team/local:1": "local-only",
    }
    ttl = {
        row["references"][0]: seconds_between(row["idle_since"], row["deadline"])
        for row in document["images"]
        if row["reason"] == "recent"
    }
    assert ttl == {"team/labelled:ttl": 7200, "lab/long:1": 3600}


@engines.ON_ONE
def test_an_ambiguous_image_stays_until_the_configuration_lifts_it(lone_host: RealHost) -> None:
    host = lone_host
    image, plain = host.plain("team/torch-tools:1"), host.plain("team/web:1")
    with host.agent():
        host.evict_a_control_image()
        assert host.reasons() == {"team/torch-tools:1": "ambiguous", "team/web:1": "not-pytorch"}
    host.configure(images={"ambiguous": "evict"})
    with host.agent():
        host.await_gone(image)
    assert host.has_image(plain)


@engines.ON_ONE
def test_a_young_image_stays_for_its_minimum_age(lone_host: RealHost) -> None:
    host = lone_host
    host.configure(policy={"min_age": "1h"})
    host.torch("team/young:1")
    host.configure(policy={"rules": [{"match": "team/*", "ttl": "1s"}]})
    with host.agent():
        images.run(host.engine, "team/young:1", rm=True)
        assert host.reasons() == {"team/young:1": "min-age"}


@engines.ON_BOTH_ENDS
def test_an_image_retagged_while_due_is_young_again(lone_host: RealHost) -> None:
    host = lone_host
    host.configure(policy={"ttl": "4s"})
    image = host.torch("team/train:1")
    host.output_of("pause")
    with host.agent():
        proc.eventually(lambda: host.row(image)["held_by"] == "paused")
        host.engine.docker("tag", image, "team/train:2")
        row = host.row(image)
        host.output_of("resume")
        host.await_gone(image)
    tagged = host.last_event("tag", image=image)
    assert (row["references"], row["idle_since"]) == (["team/train:1", "team/train:2"], tagged)
    assert seconds_between(tagged, row["deadline"]) == 4
    assert seconds_between(tagged, host.last_event("delete", image=image)) >= 4
