"""Images without a tag, pulled by digest from a real registry: they are kept by what keeps a tag."""

from collections.abc import Mapping

import pytest

from tests.acceptance.host import RealHost, seconds_between
from tests.support import engines, images, proc, registry

pytestmark = engines.ON_BOTH_ENDS

KEPT = {  # repository -> what keeps it, by the configuration below
    "prod/model": "excluded",
    "team/golden": "protected-tag",
    "team/frozen": "protected-tag",
    "team/base": "rule-keep",
    "lab/long": "recent",
    "team/pinned": "pinned",
}
GOES = ("team/idle", "control/pytorch")


@pytest.fixture
def pullable(lone_host: RealHost, loopback_registry: registry.Registry) -> dict[str, tuple[str, str]]:
    """Repository -> the ID of its image and its digest reference; none of the images is here."""
    found = {}
    for repository in (*KEPT, *GOES):
        tag = f"{loopback_registry.name}/{repository}:2.9"
        image = lone_host.torch(tag)
        lone_host.engine.docker("push", tag)
        digest = lone_host.engine.docker("image", "inspect", "--format={{index .RepoDigests 0}}", tag)
        lone_host.engine.docker("image", "rm", tag)
        found[repository] = (image, digest)
    assert lone_host.engine.images() == []
    return found


def test_images_pulled_by_digest_are_kept_by_what_names_their_repository_or_digest(
    lone_host: RealHost, pullable: Mapping[str, tuple[str, str]]
) -> None:
    host = lone_host
    frozen = pullable["team/frozen"][1]
    host.configure(
        images={"exclude": ["*/prod/*"]},
        policy={
            "ttl": "2s",
            "local_images": "keep",
            "protect": ["*/team/golden:*", frozen, "*:latest"],
            "rules": [{"match": "*/team/base:*", "keep": True}, {"match": "*/lab/*", "ttl": "1h"}],
        },
    )
    with host.agent():
        host.output_of("pause")
        for _, digest in pullable.values():
            host.engine.docker("pull", digest)
        host.output_of("pin", pullable["team/pinned"][1])
        proc.eventually(lambda: len(host.rows()) == len(pullable))
        host.output_of("resume")
        for repository in GOES:
            host.await_gone(pullable[repository][0])
        rows = host.rows()
        story = host.output_of("explain", pullable["prod/model"][1])
    assert {repository: rows[pullable[repository][0]]["reason"] for repository in KEPT} == KEPT
    assert len(rows) == len(KEPT)
    explanations = {repository: rows[pullable[repository][0]]["explanation"] for repository in KEPT}
    assert explanations["prod/model"] == f"kept: {pullable['prod/model'][1]} matches images.exclude"
    assert explanations["team/frozen"] == f"kept: {frozen} matches policy.protect"
    long = rows[pullable["lab/long"][0]]
    assert seconds_between(long["idle_since"], long["deadline"]) == 3600
    # A table folds long words: only the letters count.
    assert explanations["prod/model"].replace(" ", "") in story.replace(" ", "")


def test_images_pulled_by_digest_are_evicted_where_nothing_names_them(
    lone_host: RealHost, pullable: Mapping[str, tuple[str, str]]
) -> None:
    host = lone_host
    host.configure(policy={"ttl": "2s", "local_images": "keep", "protect": ["*:latest", "*:2.9"]})
    with host.agent():
        for _, digest in pullable.values():
            host.engine.docker("pull", digest)
        for image, _ in pullable.values():
            host.await_gone(image)


def test_a_digest_reference_does_not_make_a_rule_for_a_tag_useless(
    lone_host: RealHost, loopback_registry: registry.Registry
) -> None:
    """After a pull, and always on the containerd store, a tagged image has a digest reference as well."""
    host = lone_host
    tag = f"{loopback_registry.name}/team/train:2.9"
    host.configure(
        images={"include": ["*/team/train:2.*"]},
        policy={"ttl": "1h", "local_images": "keep", "rules": [{"match": "*/train:2.9", "ttl": "2s"}]},
    )
    host.torch(tag)
    host.engine.docker("push", tag)
    host.engine.docker("image", "rm", tag)
    with host.agent():
        host.engine.docker("pull", tag)
        host.await_gone(images.image_id(host.engine, tag))
