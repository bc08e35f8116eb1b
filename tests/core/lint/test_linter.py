"""Names that mislead: examples of each rule, no false alarm on common images of GPU hosts, and hostile names."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.lint import linter, names
from agent.core.lint.linter import Finding
from agent.core.model import Class, Image, Verdict
from agent.core.protocol import inventory, payloads
from agent.core.pytorch import classify
from tests.core import catalogue
from tests.core.builders import decide, pytorch_image
from tests.core.catalogue import make_image

OUTSIDE, ALIKE, TAG, MANY = "outside-convention", "look-alike", "tag-contradicts", "many-names"
SINGLE = "single-sign"
CPU = {"PYTORCH_VERSION": "2.9.0+cpu"}


def torch(*references: str, version: str = "2.9.0", cuda: str = "12.6.3", history: tuple[str, ...] = ()) -> Image:
    """A PyTorch image by its ENV, with or without CUDA."""
    env = {"PYTORCH_VERSION": version} | ({"CUDA_VERSION": cuda} if cuda else {})
    return make_image(*references, env=env, history=history, pulled=False)


def plain(*references: str, env: Mapping[str, str] | None = None, history: tuple[str, ...] = ()) -> Image:
    """An image whose ENV shows only what is passed in."""
    return make_image(*references, env=env, history=history, pulled=False)


def find(*images: Image) -> tuple[Finding, ...]:
    """The findings about names, without those about single signs."""
    return tuple(one for one in linter.find(images, classify.classify(images)) if one.rule != SINGLE)


def found(*images: Image) -> list[tuple[str, str]]:
    return [(one.reference, one.rule) for one in find(*images)]


# outside-convention

WITHIN = [
    "teamai/pytorch:2.9-cuda12.6",
    "teamai/pytorch:2.9.0-cuda12.6-cudnn9-devel",
    "teamai/pytorch:2.9-cu126",
    "teamai/pytorch:2.9-cuda12",
    "registry.corp:5000/teamai/pytorch:2.9-cuda12.6",
    "registry.corp:5000/pytorch:2.9-cuda12.6",
    "teamai/torch:2.9-cuda12.6",
    "teamai/ranker:7-cuda12.6",
    "teamai/ranker:7-torch2.9-cuda12.6",
    "teamai/pytorch:25.10-py3",
    "nvcr.io/nvidia/pytorch:latest",
    "harbor.corp/nvcr/nvidia/pytorch:mine",
    "registry.corp:5000/pytorch/pytorch:latest",
    "mcr.microsoft.com/azureml/curated/acpt-pytorch-2.2-cuda12.1:54",
    "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:latest",
]


@pytest.mark.parametrize("reference", WITHIN)
def test_a_name_within_the_convention_or_a_vendors_is_left_alone(reference: str) -> None:
    assert find(torch(reference)) == ()


@pytest.mark.parametrize("reference", ["teamai/pytorch:2.9-rocm6.2", "teamai/pytorch:2.9-cpu"])
def test_any_accelerator_follows_the_convention(reference: str) -> None:
    assert find(torch(reference, cuda="")) == ()


VERSION, ACCELERATOR = "a version", "an accelerator like cuda12.6"
OUTSIDES = [
    ("teamai/pytorch:latest", f"{VERSION} and {ACCELERATOR}", "teamai/pytorch:2.9.0-cuda12.6"),
    ("teamai/pytorch:2.9", ACCELERATOR, "teamai/pytorch:2.9.0-cuda12.6"),
    ("teamai/pytorch:2.9-gpu", ACCELERATOR, "teamai/pytorch:2.9.0-cuda12.6"),
    ("teamai/pytorch:cuda12.6", VERSION, "teamai/pytorch:2.9.0-cuda12.6"),
    ("teamai/torch:v2", ACCELERATOR, "teamai/pytorch:2.9.0-cuda12.6"),
    ("pytorch:2.9-cuda12.6", "an organisation", "ORG/pytorch:2.9.0-cuda12.6"),
    ("teamai/gpu-pytorch:2.9-cuda12.6", "the framework's plain name", "teamai/pytorch:2.9.0-cuda12.6"),
    ("mine:1", f"an organisation and {ACCELERATOR}", "ORG/mine:1-torch2.9.0-cuda12.6"),
    ("x", f"an organisation, {VERSION} and {ACCELERATOR}", "ORG/x:torch2.9.0-cuda12.6"),
    ("corp/ranker:7", ACCELERATOR, "corp/ranker:7-torch2.9.0-cuda12.6"),
    ("reg.corp/a/b/pytorch:exp7", f"{VERSION} and {ACCELERATOR}", "reg.corp/a/b/pytorch:2.9.0-cuda12.6"),
]


@pytest.mark.parametrize(("reference", "lacking", "proposed"), OUTSIDES)
def test_a_name_outside_the_convention_gets_a_better_one(reference: str, lacking: str, proposed: str) -> None:
    image = replace(torch("a/b:1"), references=(reference,))
    why = f"does not follow org/framework:version-cuda<version>: it lacks {lacking}; name it {proposed}"
    assert find(image) == (Finding(image.id, reference, OUTSIDE, why),)
    assert find(torch(proposed.replace("ORG", "teamai"))) == ()


@pytest.mark.parametrize(
    "image",
    [
        torch("teamai/pytorch:exp7", cuda=""),
        plain("teamai/pytorch:exp7"),
        torch("teamai/pytorch:exp7", cuda="99.9"),
        torch("corp/" + "x" * 300 + ":1"),
        torch("corp/ranker:" + "7" * 120),
        torch("corp/ranker:torch1.9"),
    ],
)
def test_no_name_is_proposed_if_it_would_not_be_read_back(image: Image) -> None:
    assert [one.rule for one in find(image) if "name it" in one.explanation] == []
    assert (image.references[0], OUTSIDE) in found(image)


def test_one_name_within_the_convention_is_enough() -> None:
    assert find(torch("teamai/pytorch:latest", "teamai/pytorch:2.9-cuda12.6")) == ()


def test_an_image_without_a_name_is_not_linted() -> None:
    assert find(replace(torch("teamai/pytorch:exp7"), references=())) == ()


def test_a_name_that_two_images_would_get_is_proposed_with_a_suffix() -> None:
    images = (torch("teamai/pytorch:build-17"), torch("teamai/pytorch:build-18", cuda="12.6.1"))
    other = "name it teamai/pytorch:2.9.0-cuda12.6-SUFFIX, because another image has or would get that name"
    assert [one.explanation.partition("; ")[2] for one in find(*images)] == [other, other]


def test_a_name_that_is_taken_is_proposed_with_a_suffix() -> None:
    findings = find(torch("teamai/pytorch:exp7"), torch("teamai/pytorch:2.9.0-cuda12.6", cuda="12.6.1"))
    assert [one.reference for one in findings if "2.9.0-cuda12.6-SUFFIX" in one.explanation] == ["teamai/pytorch:exp7"]


@pytest.mark.parametrize(
    "image", [plain("corp/tool:1", env={"TORCH_CUDA_ARCH_LIST": "8.0"}), plain("corp/torchserve-ui:1.4")]
)
def test_the_convention_does_not_apply_to_an_application_that_may_have_torch(image: Image) -> None:
    assert classify.classify([image])[image.id].kind is Class.AMBIGUOUS
    assert find(image) == ()


# look-alike

LOOK_ALIKES = [
    (("a/pytorch-gpu", "a/gpu-pytorch"), ["a/gpu-pytorch", "a/pytorch-gpu"]),
    (("a/pytorch", "a/pytorch-gpu"), ["a/pytorch-gpu"]),
    (("a/pytorch", "a/pytorch_gpu", "a/pytorch-cuda"), ["a/pytorch-cuda", "a/pytorch_gpu"]),
    (("a/pytorch", "a/torch"), ["a/torch"]),
    (("a/pytorch", "b/torch-gpu"), ["b/torch-gpu"]),
    (("pytorch", "gpu-pytorch"), ["gpu-pytorch"]),
    (("a/my-train", "a/train_my"), ["a/my-train", "a/train_my"]),
    (("a/train", "a/train-gpu"), ["a/train-gpu"]),
    (("a/pytorch", "b/pytorch"), []),
    (("a/pytorch", "reg.corp/a/pytorch-gpu"), []),
    (("a/train", "b/train-gpu"), []),
    (("a/pytorch-gpu", "a/pytorch-cpu"), []),
    (("a/pytorch-cu118", "a/pytorch-cu126"), []),
    (("a/pytorch", "a/pytorch-train"), []),
    (("a/gpu", "a/cuda"), []),
    (("pytorch/pytorch", "pytorch/pytorch-gpu"), []),
    (("pytorch/pytorch", "a/pytorch-gpu"), []),
]


@pytest.mark.parametrize(("repositories", "flagged"), LOOK_ALIKES)
def test_names_that_differ_only_by_decoration_are_look_alikes(
    repositories: tuple[str, ...], flagged: list[str]
) -> None:
    findings = found(*(torch(f"{name}:2.9-cuda12.6") for name in repositories))
    assert [reference for reference, rule in findings if rule == ALIKE] == [f"{name}:2.9-cuda12.6" for name in flagged]


def test_a_look_alike_is_reported_once_for_an_image_with_the_other_names() -> None:
    image = torch("a/torch:2.9-cuda12.6", "a/torch:2.9.0-cuda12.6")
    why = "differs from a/pytorch only by decoration or order; keep one of these names"
    assert find(image, torch("a/pytorch:2.9-cuda12.6")) == (Finding(image.id, "a/torch:2.9-cuda12.6", ALIKE, why),)


def test_gpu_in_a_name_is_not_decoration_if_it_distinguishes_a_cuda_build_from_a_cpu_build() -> None:
    assert find(torch("a/train-gpu:7-cuda12.6"), plain("a/train:8-cpu", env=CPU)) == ()


CPU_BESIDE_CUDA = [
    (plain("a/pytorch:2.9", env=CPU), torch("a/pytorch:2.9-cuda12.6"), ["a/pytorch:2.9"]),
    (plain("a/pytorch:2.9-cpu", env=CPU), torch("a/pytorch:2.9"), ["a/pytorch:2.9"]),
    (plain("a/pytorch-cpu:2.9", env=CPU), torch("a/pytorch:2.9"), ["a/pytorch:2.9"]),
    (plain("a/pytorch:x", env=CPU), torch("a/pytorch:y"), ["a/pytorch:x", "a/pytorch:y"]),
    (plain("a/pytorch:gpu", env=CPU), torch("a/pytorch:2.9-cuda12.6"), ["a/pytorch:gpu"]),
    (plain("a/pytorch:2.9-cpu", env=CPU), torch("a/pytorch:2.9-cuda12.6"), []),
    (plain("a/pytorch:2.9-cpu", env=CPU), torch("a/pytorch:2.9-gpu"), []),
    (plain("a/pytorch:2.9", env=CPU), torch("b/pytorch:2.9-cuda12.6"), []),
    (plain("a/pytorch:2.9", env=CPU), torch("a/pytorch:2.8-cuda12.6", version="2.8.0"), []),
    (torch("a/pytorch:2.9", cuda=""), torch("a/pytorch:2.9-cuda12.6"), []),
    (torch("a/pytorch:2.9"), torch("a/pytorch:2.9-cuda12.6"), []),
]


@pytest.mark.parametrize(("one", "other", "flagged"), CPU_BESIDE_CUDA)
def test_a_cpu_build_beside_a_cuda_build_of_its_version_must_show_it_in_its_name(
    one: Image, other: Image, flagged: list[str]
) -> None:
    assert [reference for reference, rule in found(one, other) if rule == ALIKE] == flagged


def test_a_build_that_its_name_does_not_show_is_reported_with_the_other_build() -> None:
    findings = find(plain("a/pytorch:2.9", env=CPU), torch("a/pytorch:2.9-cuda12.6"))
    assert [one.explanation for one in findings if one.rule == ALIKE] == [
        "is torch 2.9.0 for cpu beside a/pytorch:2.9-cuda12.6, and the name does not show it; put cpu into the tag"
    ]


# tag-contradicts

INSTALLS = "RUN pip install torch==2.7.1 --index-url https://download.pytorch.org/whl/cu118"
CONTRADICTIONS = [
    (torch("a/pytorch:2.9-cuda11.8"), "says cuda11.8, but ENV CUDA_VERSION says cuda12.6"),
    (torch("a/pytorch:2.8-cuda12.6"), "says torch 2.8, but ENV PYTORCH_VERSION says 2.9.0"),
    (torch("a/pytorch:2.8"), "says torch 2.8, but ENV PYTORCH_VERSION says 2.9.0"),
    (torch("a/pytorch:2.9.1-cuda12.6"), "says torch 2.9.1, but ENV PYTORCH_VERSION says 2.9.0"),
    (torch("a/pytorch:2-cuda12.6", version="1.13.1"), "says torch 2, but ENV PYTORCH_VERSION says 1.13.1"),
    (torch("a/pytorch:2.9-cuda13"), "says cuda13, but ENV CUDA_VERSION says cuda12.6"),
    (torch("a/pytorch:2.9-rocm6.2"), "says rocm6.2, but ENV CUDA_VERSION says cuda12.6"),
    (torch("a/pytorch:2.9-cpu"), "says cpu, but ENV CUDA_VERSION says cuda12.6"),
    (torch("a/app:1-torch280-cu126"), "says torch 2.8.0, but ENV PYTORCH_VERSION says 2.9.0"),
    (torch("a/vllm:v0.9.2-cu128"), "says cuda12.8, but ENV CUDA_VERSION says cuda12.6"),
    (
        torch("a/pytorch:2.9-cuda12.6", version="2.9.0+cu118", cuda=""),
        "says cuda12.6, but ENV PYTORCH_VERSION says cuda11.8",
    ),
    (
        plain("a/pytorch:2.9-rocm6.2", env={"PYTORCH_VERSION": "2.9", "ROCM_VERSION": "6.1.3"}),
        "says rocm6.2, but ENV ROCM_VERSION says rocm6.1",
    ),
    (
        plain("a/pytorch:2.8-cuda12.6", env={"PYTORCH_BUILD_VERSION": "2.9.0a0+81ea7a4"}),
        "says torch 2.8, but ENV PYTORCH_BUILD_VERSION says 2.9.0a0",
    ),
    (
        torch("a/pytorch:2.4-cuda11.8"),
        "says torch 2.4, but ENV PYTORCH_VERSION says 2.9.0; says cuda11.8, but ENV CUDA_VERSION says cuda12.6",
    ),
]


@pytest.mark.parametrize(("image", "why"), CONTRADICTIONS)
def test_a_tag_that_contradicts_env_is_found_with_both(image: Image, why: str) -> None:
    (reference,) = image.references
    found_one = [one for one in find(image) if one.rule == TAG]
    assert found_one == [Finding(image.id, reference, TAG, why)]


AGREEING = [
    torch("a/pytorch:2.9-cuda12", version="2.9.1"),
    torch("a/pytorch:2.9.1-cuda12.6", version="2.9"),
    torch("a/pytorch:2.9.0-cuda12.6", version="2.9.0a0+81ea7a4"),
    torch("a/pytorch:2.9-cuda12.6", version="2.9.0a0+145a3a7bda.nv25.10"),
    torch("a/pytorch:2.9.0-rc1-cuda12.6"),
    torch("a/pytorch:2.9-cuda12.6", version="v2.9.0+cu126"),
    torch("a/pytorch:2.9-cpu", version="2.9.0+cpu"),
    torch("a/pytorch:2.9-cu118", version="2.9.0+cu118"),
    torch("a/pytorch:2.7-cuda11.8", history=(INSTALLS,)),
    torch("a/pytorch:2.9-cuda11.8", cuda=""),
    torch("a/pytorch:2.9-cuda12.6", cuda="latest"),
    torch("a/pytorch:2.9-cuda12.6", version="nightly"),
    torch("nvcr.io/nvidia/pytorch:25.10-py3", version="2.9.0a0+145a3a7", cuda="13.0.2"),
    torch("a/pytorch:25.10-py3", version="2.9.0a0+145a3a7", cuda="13.0.2"),
    torch("vllm/vllm-openai:v0.9.2"),
    torch("lmsysorg/sglang:v0.5.3-cu126"),
    torch("ultralytics/ultralytics:8.3.200"),
    torch("pytorchlightning/pytorch_lightning:2.4.0-py3.11-torch2.9-cuda12.6.3"),
    torch("runpod/pytorch:3.10-2.0.0"),
    torch("a/pytorch:7"),
    torch("a/pytorch:24.01"),
    torch("a/pytorch:20240501-devel"),
    torch("a/pytorch-lightning:1.4-cuda12.6"),
]


@pytest.mark.parametrize("image", AGREEING, ids=lambda image: image.references[0])
def test_a_tag_is_compared_only_in_its_own_precision_and_only_if_it_is_about_torch(image: Image) -> None:
    assert [one.explanation for one in find(image) if one.rule == TAG] == []


def test_labels_and_the_release_number_of_nvidia_are_never_compared() -> None:
    image = make_image(
        "a/pytorch:2.2-cuda12.3",
        env={"NVIDIA_PYTORCH_VERSION": "24.01", "CUDA_VERSION": "12.3.2.001"},
        labels={"com.nvidia.cuda.version": "9.0", "com.nvidia.pytorch.version": "2.1.0"},
    )
    assert find(image) == ()


# many-names

GOOD = "a/pytorch:2.9-cuda12.6"
NAMES = [
    ((GOOD, "a/pytorch:latest", "a/pytorch:stable"), None),
    ((GOOD, f"registry.corp:5000/{GOOD}", f"localhost/{GOOD}"), None),
    ((GOOD, "a/pytorch:latest", f"reg.corp/{GOOD}", "reg.corp/a/pytorch:latest"), None),
    ((GOOD, "b/ranker:7"), f"is one image under 2 repositories: {GOOD}, b/ranker:7"),
    (
        (GOOD, "a/pytorch:b", "a/pytorch:c", "a/pytorch:d"),
        f"is one image under 4 tags: {GOOD}, a/pytorch:b, a/pytorch:c, a/pytorch:d",
    ),
    (
        (GOOD, *(f"a/pytorch:{number}" for number in range(100, 119))),
        "is one image under 20 tags: a/pytorch:100, a/pytorch:101, a/pytorch:102, a/pytorch:103 and 16 more",
    ),
]


@pytest.mark.parametrize(("references", "why"), NAMES)
def test_the_names_of_an_image_with_many_names_are_listed(references: tuple[str, ...], why: str | None) -> None:
    image = torch(*references)
    expected = (Finding(image.id, min(references), MANY, why),) if why else ()
    assert find(image) == expected


# Which images are linted, and how findings are reported.


def test_common_images_of_gpu_hosts_give_no_false_alarm() -> None:
    """Both findings are right: an application and a base contain torch, but their names break the convention."""
    assert found(*catalogue.everything()) == [("corp/base:1", OUTSIDE), ("corp/ranker:7", OUTSIDE)]


@pytest.mark.parametrize("build", [*catalogue.PYTORCH, *catalogue.AMBIGUOUS, *catalogue.OTHER])
def test_each_of_them_alone_gives_no_false_alarm(build: Callable[[], Image]) -> None:
    alarming = (catalogue.pretender, catalogue.embeds_torch_by_pip)
    assert [rule for _, rule in found(build())] == [OUTSIDE] * (build in alarming)


def test_an_image_that_is_not_pytorch_is_not_linted_and_is_not_a_look_alike() -> None:
    images = (torch("a/train-gpu:7-cuda12.6"), plain("a/train:1"))
    assert classify.classify(images)[images[1].id].kind is Class.OTHER
    assert find(*images) == ()


def test_an_image_whose_inspect_failed_is_not_linted() -> None:
    image = replace(torch("a/pytorch:exp7"), details=None)
    assert linter.find([image], {image.id: Verdict(kind=Class.PYTORCH)}) == ()


def test_warnings_are_grouped_by_image_and_begin_with_their_rule() -> None:
    one, other, good = torch("a/pytorch:2.8", "b/x:1"), torch("a/pytorch:exp7"), torch("a/pytorch:2.9-cuda12.6")
    warnings = linter.warnings_by_image(find(one, other, good))
    assert {id_: [text.partition(": ")[0] for text in texts] for id_, texts in warnings.items()} == {
        one.id: [MANY, OUTSIDE, TAG],
        other.id: [OUTSIDE],
    }
    (warning,) = warnings[other.id]
    assert warning == f"{OUTSIDE}: a/pytorch:exp7 {find(one, other, good)[-1].explanation}"


# Hostile names.

HOSTILE = [
    "",
    ":",
    "@",
    "/",
    "a/",
    "a/pytorch:",
    "/pytorch:2.9-cuda12.6",
    "-_.:-_.",
    "a/pytorch-" + "gpu-" * 30_000 + ":1",
    "a/pytorch:" + "2.9-" * 30_000,
    "a/torch\x1b[31m\n\u202epytorch:1",
    "\uff41/\uff50\uff59torch:\uff12.\uff19",
    "a/pytorch:²-cuda¹².6",
    "団体/トーチ:最新",
    "<none>:<none>",
]


@pytest.mark.parametrize("reference", HOSTILE, ids=lambda reference: ascii(reference[:24]))
def test_a_hostile_name_gives_short_printable_explanations_in_no_time(reference: str) -> None:
    image = replace(torch("a/b:1"), references=(reference, GOOD))
    started = time.process_time()
    findings = find(image, torch("a/pytorch-gpu:exp7"), torch("b/gpu-torch:exp8"))
    assert time.process_time() - started < 2
    assert all(one.explanation.isprintable() and len(one.explanation) < 1000 for one in findings)


def test_a_host_of_thousands_of_images_is_linted_in_a_second() -> None:
    few = (torch("a/pytorch:x"), plain("a/pytorch-gpu:x", env=CPU), torch("a/torch_cuda:x", version="2.8.0"))
    images = tuple(
        replace(image, id=f"sha256:{number}-{image.id}", references=(image.references[0] + str(number),))
        for image in few
        for number in range(1000)
    )
    verdicts = classify.classify(images)
    started = time.process_time()
    assert len(linter.find(images, verdicts)) > 3000
    assert time.process_time() - started < 5  # seconds; a rule that compares each with each takes minutes


WORDS = "a b reg.corp:5000 / / : - _ . pytorch torch gpu cuda cpu 2.9 2.9.0 -cuda12.6 -cpu 24.01-py3 latest vllm"
REFERENCES = st.lists(st.sampled_from(WORDS.split()), max_size=9).map("".join) | st.text(max_size=30)
VALUES = st.sampled_from(["", "2.9.0", "2.9.0+cpu", "2.9.0a0+81ea7a4", "12.6.3", "9", "x"]) | st.text(max_size=12)
VARIABLES = st.sampled_from(["PYTORCH_VERSION", "PYTORCH_BUILD_VERSION", "CUDA_VERSION", "ROCM_VERSION"])
VERDICTS = st.builds(
    Verdict,
    kind=st.sampled_from(Class),
    torch_version=st.none() | VALUES,
    accelerator=st.none() | VALUES | st.sampled_from(["cpu", "cuda12.6", "rocm6.1", "cuda12"]),
)
IMAGES = st.lists(st.tuples(st.lists(REFERENCES, max_size=5), st.dictionaries(VARIABLES, VALUES), VERDICTS), max_size=7)


@settings(deadline=None)  # the machine is shared
@given(IMAGES, st.randoms(use_true_random=False))
def test_lint_never_raises_and_does_not_depend_on_the_order(
    rows: list[tuple[list[str], dict[str, str], Verdict]], chance: object
) -> None:
    images = [
        replace(make_image("a/b:1", id=f"sha256:{number}", env=env), references=tuple(references))
        for number, (references, env, _) in enumerate(rows)
    ]
    verdicts = {image.id: row[2] for image, row in zip(images, rows, strict=True)}
    findings = linter.find(images, verdicts)
    assert {one.image_id for one in findings} <= {id_ for id_, one in verdicts.items() if one.kind is not Class.OTHER}
    shuffled = [replace(image, references=image.references[::-1]) for image in images]
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert linter.find(shuffled, verdicts) == findings


@given(REFERENCES, VERDICTS)
def test_every_name_that_is_proposed_follows_the_convention(reference: str, verdict: Verdict) -> None:
    proposed = names.suggest(names.parse(reference), verdict.torch_version, verdict.accelerator)
    if proposed is not None:
        read = names.parse(proposed)
        assert names.missing_parts(read) == ()
        assert (read.tag.version_text, read.tag.accelerator) == (verdict.torch_version, verdict.accelerator)


# single-sign


def doubts(*images: Image) -> list[tuple[str, str]]:
    return [
        (one.reference, one.explanation) for one in linter.find(images, classify.classify(images)) if one.rule == SINGLE
    ]


WAY_OUT = "; if that is wrong, add it to images.exclude or pin it; if it is right, add it to images.known"
SINGLE_SIGNS = [
    (torch("corp/ranker:7-cuda12.6"), "ENV PYTORCH_VERSION=2.9.0"),
    (plain("corp/ranker:7", history=("RUN pip install torch==2.9.0",)), "history: pip install torch==2.9.0"),
    (plain("teamai/pytorch:2.9-cuda12.6"), "named teamai/pytorch:2.9-cuda12.6"),
    (plain("rocm/pytorch:latest"), "named rocm/pytorch"),
]


@pytest.mark.parametrize(("image", "sign"), SINGLE_SIGNS, ids=lambda value: value if isinstance(value, str) else "")
def test_an_image_that_is_pytorch_by_one_sign_is_named_with_it_and_the_way_out(image: Image, sign: str) -> None:
    why = f"counts as PyTorch by one sign alone: {sign}{WAY_OUT}"
    assert doubts(image) == [(image.references[0], why)]


@pytest.mark.parametrize(
    "image",
    [
        torch("teamai/pytorch:2.9-cuda12.6"),
        torch("corp/torch-app:1"),
        plain("corp/app:1", env={"TORCH_CUDA_ARCH_LIST": "8.0"}, history=("RUN pip install torchvision",)),
        plain("corp/tool:1", env={"TORCH_CUDA_ARCH_LIST": "8.0"}),
        plain("corp/web:1"),
        replace(torch("a/b:1"), references=()),
    ],
    ids=["two strong", "a weak one beside it", "two medium", "ambiguous", "not PyTorch", "without a name"],
)
def test_no_other_image_is_reported_as_a_single_sign(image: Image) -> None:
    assert doubts(image) == []


def test_the_inventory_contains_misleading_names_beside_wrong_labels() -> None:
    odd = pytorch_image("odd", "lab/thing:final", labels={"torchkeeper.ttl": "soon"})
    fine = pytorch_image("fine", "team/pytorch:2.9-cuda12.6")
    shown = inventory.build(decide(odd, fine), "gpu-07", payloads.Disk(), ())
    assert {item.id: [text.split(":")[0] for text in item.warnings] for item in shown.images} == {
        odd.id: ["label torchkeeper.ttl", "outside-convention"],
        fine.id: [],
    }
