"""Verdicts on a catalogue of images, on traps, by lineage, and the cost of hostile metadata."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import model
from agent.core.model import Class, Evidence, Strength, Verdict
from agent.core.pytorch import classify
from tests.core import catalogue
from tests.core.catalogue import derived, make_image, renamed

Build = Callable[[], model.Image]


def verdict(image: model.Image, *others: model.Image) -> Verdict:
    return classify.classify((image, *others))[image.id]


def run(*commands: str) -> Verdict:
    """The verdict on an image with these history lines and a name without meaning."""
    return verdict(make_image("corp/tool:1", history=commands))


# The catalogue.


@pytest.mark.parametrize("build", catalogue.PYTORCH)
def test_a_pytorch_image_is_recognised_with_its_versions(build: Build) -> None:
    found = verdict(build())
    assert (found.kind, found.torch_version, found.accelerator) == (Class.PYTORCH, *catalogue.PYTORCH[build])


@pytest.mark.parametrize("build", catalogue.AMBIGUOUS)
def test_an_image_that_may_be_either_is_ambiguous(build: Build) -> None:
    assert verdict(build()).kind is Class.AMBIGUOUS


@pytest.mark.parametrize("build", catalogue.OTHER)
def test_another_image_has_no_evidence_at_all(build: Build) -> None:
    assert verdict(build()) == Verdict(kind=Class.OTHER)


def test_one_host_with_everything_gives_the_same_kinds() -> None:
    images = catalogue.everything()
    together = classify.classify(images)
    assert {id_: found.kind for id_, found in together.items()} == {image.id: verdict(image).kind for image in images}


WITHOUT_A_NAME = {
    catalogue.pytorch_runtime: Class.PYTORCH,
    catalogue.ngc: Class.PYTORCH,
    catalogue.rocm: Class.AMBIGUOUS,
    catalogue.aws_training: Class.PYTORCH,
    catalogue.azure_curated: Class.PYTORCH,
    catalogue.azure_acpt: Class.AMBIGUOUS,
    catalogue.transformers_pytorch: Class.PYTORCH,
    catalogue.text_generation_inference: Class.AMBIGUOUS,
    catalogue.vllm: Class.PYTORCH,
    catalogue.sglang: Class.PYTORCH,
    catalogue.lightning: Class.PYTORCH,
    catalogue.ultralytics: Class.PYTORCH,
    catalogue.runpod: Class.PYTORCH,
    catalogue.jupyter_pytorch: Class.PYTORCH,
    catalogue.kubeflow_notebook: Class.OTHER,
    catalogue.intel: Class.OTHER,
    catalogue.convention: Class.OTHER,
}


@pytest.mark.parametrize("build", WITHOUT_A_NAME)
def test_an_image_that_lost_its_name_is_judged_by_its_contents(build: Build) -> None:
    assert verdict(renamed(build())).kind is WITHOUT_A_NAME[build]


def test_an_image_whose_inspect_failed_is_absent() -> None:
    image = replace(catalogue.pytorch_runtime(), details=None)
    assert classify.classify([image, catalogue.redis()]).keys() == {catalogue.redis().id}


# How much is enough.


def test_two_medium_signs_of_one_kind_count_once() -> None:
    env = {"TORCH_CUDA_ARCH_LIST": "8.0", "TORCH_NVCC_FLAGS": "-x", "PYTORCH_ROCM_ARCH": "gfx90a"}
    assert verdict(make_image("corp/tool:1", env=env)).kind is Class.AMBIGUOUS


def test_two_medium_signs_of_two_kinds_suffice() -> None:
    image = make_image("corp/tool:1", env={"TORCH_CUDA_ARCH_LIST": "8.0"}, entrypoint=("vllm", "serve"))
    assert verdict(image).kind is Class.PYTORCH


def test_a_weak_sign_does_not_make_a_medium_one_enough() -> None:
    assert verdict(make_image("corp/torch-tool:1", env={"TORCH_CUDA_ARCH_LIST": "8.0"})).kind is Class.AMBIGUOUS


# Versions and accelerators.


def test_the_variable_beats_the_tag_and_the_history() -> None:
    image = make_image(
        "a/pytorch:2.7-cuda11.8", env={"PYTORCH_VERSION": "v2.9.0"}, history=["RUN pip install torch==2.8"]
    )
    assert verdict(image).torch_version == "2.9.0"


def test_the_tag_beats_the_history() -> None:
    assert verdict(make_image("a/pytorch:2.7-cuda11.8", history=["RUN pip install torch==2.8"])).torch_version == "2.7"


def test_the_last_installation_in_history_counts() -> None:
    assert run("RUN pip install torch==2.8", "RUN pip install torch==2.9.0+cu118").torch_version == "2.9.0"


def test_a_build_argument_gives_the_version_if_nothing_is_pinned() -> None:
    assert run("RUN |1 TORCH_VERSION=2.8.0+cu128 /bin/sh -c pip install torch").torch_version == "2.8.0"


def test_a_variable_that_is_not_a_version_is_ignored() -> None:
    image = make_image("a/b:1", env={"PYTORCH_VERSION": "nightly"}, history=["RUN pip install torch==2.8.1"])
    assert verdict(image).torch_version == "2.8.1"


def test_the_build_version_of_nvidia_is_torchs_version_if_it_is_alone() -> None:
    assert verdict(make_image("a/b:1", env={"PYTORCH_BUILD_VERSION": "2.2.0a0+81ea7a4"})).torch_version == "2.2.0a0"


def test_the_release_number_of_nvidia_is_not_a_version_of_torch() -> None:
    assert verdict(make_image("a/b:1", env={"NVIDIA_PYTORCH_VERSION": "24.01"})).torch_version is None


@pytest.mark.parametrize(
    "name",
    [
        "vllm/vllm-openai:v0.9.2",
        "lmsysorg/sglang:v0.5.3-cu129",
        "ghcr.io/huggingface/text-generation-inference:2.4.0",
        "huggingface/transformers-pytorch-gpu:4.41.2",
        "nvcr.io/nvidia/pytorch:24.01-py3",
        "runpod/pytorch:3.10-2.0.0",
        "runpod/pytorch:1.0.3-cu124-torch210",
        "mcr.microsoft.com/azureml/curated/pytorch:2.2-cuda12.1",
    ],
)
def test_a_tag_that_is_not_about_torch_gives_no_version(name: str) -> None:
    assert verdict(make_image(name)).torch_version is None


UPGRADE = "RUN pip install torch==2.7.1 --index-url https://download.pytorch.org/whl/cu118"
INHERITED = {"PYTORCH_VERSION": "2.1.0", "CUDA_VERSION": "12.6.3"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("corp/pytorch:2.7.1-cuda11.8", ("2.7.1", "cuda11.8")),
        ("corp/app:torch2.7.1", ("2.7.1", "cuda12.6")),
        ("corp/pytorch:2.8.0-cuda11.8", ("2.1.0", "cuda11.8")),
        ("corp/app:1", ("2.1.0", "cuda12.6")),
    ],
)
def test_a_tag_that_agrees_with_the_history_wins_over_an_inherited_env(name: str, expected: tuple[str, str]) -> None:
    found = verdict(make_image(name, env=INHERITED, history=[UPGRADE]))
    assert (found.torch_version, found.accelerator) == expected


def test_a_tag_that_begins_with_python_gives_torchs_version_and_its_cuda() -> None:
    found = verdict(make_image("runpod/pytorch:3.10-2.0.0-117"))
    assert (found.torch_version, found.accelerator) == ("2.0.0", "cuda11.7")


def test_a_wrong_tag_does_not_give_the_accelerator_either() -> None:
    name = "mcr.microsoft.com/azureml/curated/acpt-pytorch-2.2-cuda12.1:2.2-cuda12.1"
    assert verdict(make_image(name)).accelerator is None


ACCELERATORS = [
    ({"CUDA_VERSION": "11.8.0"}, "2.9-cuda12.1", "cuda11.8"),
    ({"CUDA_VERSION": "12.3.2.001"}, "2.9", "cuda12.3"),
    ({"CUDA_VERSION": ""}, "2.9-cuda12.1", "cuda12.1"),
    ({"CUDA_VERSION": "unknown"}, "2.9", None),
    ({"CUDA_VERSION": "118"}, "2.9", None),
    ({"ROCM_VERSION": "6.1.3"}, "2.9-rocm6.0", "rocm6.1"),
    ({"ROCM_PATH": "/opt/rocm-6.2.0"}, "2.9", "rocm6.2"),
    ({"ROCM_PATH": "/opt/rocm"}, "2.9-rocm6.0", "rocm6.0"),
    ({}, "2.9-cpu", "cpu"),
    ({}, "2.9", None),
]


@pytest.mark.parametrize(("env", "tag", "accelerator"), ACCELERATORS)
def test_the_accelerator_comes_from_env_and_then_from_the_tag(
    env: dict[str, str], tag: str, accelerator: str | None
) -> None:
    label = {"com.nvidia.cuda.version": "9.0"}
    assert verdict(make_image(f"pytorch/pytorch:{tag}", env=env, labels=label)).accelerator == accelerator


def test_the_wheel_index_gives_the_accelerator_if_nothing_else_does() -> None:
    assert run("RUN pip install torch --index-url https://download.pytorch.org/whl/cu118").accelerator == "cuda11.8"


# Lineage.


def seed() -> model.Image:
    return catalogue.embeds_torch_by_pip()


def squashed(*references: str, env: dict[str, str] | None = None, layers: tuple[str, ...] = ("app",)) -> model.Image:
    """An image built on the seed by a tool that records no history, so only its layers show the seed."""
    image = derived(seed(), *references, env=env, layers=layers)
    assert image.details is not None
    return replace(image, details=replace(image.details, history=()))


LINEAGE = Evidence("lineage", Strength.MEDIUM, "built on corp/ranker:7")
ARCH = {"TORCH_CUDA_ARCH_LIST": "8.0"}


def test_lineage_and_a_medium_sign_suffice() -> None:
    image = squashed("corp/app:1", env=ARCH)
    assert (verdict(image, seed()).kind, verdict(image, seed()).evidence[-1]) == (Class.PYTORCH, LINEAGE)


def test_without_the_seed_there_is_no_lineage() -> None:
    assert verdict(squashed("corp/app:1", env=ARCH)).kind is Class.AMBIGUOUS


def test_lineage_and_a_weak_sign_do_not_suffice() -> None:
    found = verdict(squashed("corp/torch-app:1"), seed())
    assert (found.kind, found.evidence[-1]) == (Class.AMBIGUOUS, LINEAGE)


def test_lineage_alone_does_not_suffice() -> None:
    assert verdict(squashed("corp/app:1"), seed()) == Verdict(kind=Class.OTHER)


def test_a_seed_whose_layers_are_in_an_image_without_evidence_does_not_count() -> None:
    image, plain = squashed("corp/app:1", env=ARCH), squashed("corp/other:1", layers=("other",))
    assert verdict(image, seed(), plain).kind is Class.AMBIGUOUS


def test_all_layers_of_the_seed_must_be_there() -> None:
    image = squashed("corp/app:1", env=ARCH)
    assert image.details is not None
    cut = replace(image, details=replace(image.details, layers=image.details.layers[:1]))
    assert verdict(cut, seed()).kind is Class.AMBIGUOUS


def test_the_layers_of_the_seed_must_come_first() -> None:
    image = squashed("corp/app:1", env=ARCH)
    assert image.details is not None
    other = replace(image, details=replace(image.details, layers=("sha256:0", *image.details.layers[1:])))
    assert verdict(other, seed()).kind is Class.AMBIGUOUS


def test_a_seed_is_not_built_on_itself() -> None:
    assert "lineage" not in {sign.kind for sign in verdict(seed()).evidence}


def test_a_base_of_a_pytorch_image_inherits_nothing_from_it() -> None:
    cuda = replace(catalogue.nvidia_cuda(), id="sha256:cuda")
    assert classify.classify((*catalogue.everything(), cuda))["sha256:cuda"] == Verdict(kind=Class.OTHER)


def test_an_image_without_an_installation_in_its_history_is_not_a_seed() -> None:
    base = catalogue.pytorch_runtime()
    image = derived(base, "corp/app:1", env={"PYTORCH_VERSION": "", **ARCH})
    assert verdict(image, base).kind is Class.AMBIGUOUS


def test_an_image_that_only_claims_torch_on_a_plain_base_does_not_affect_others() -> None:
    kinds = classify.classify([catalogue.pretender(), catalogue.ubuntu(), catalogue.postgres()])
    assert [kinds[build().id].kind for build in (catalogue.ubuntu, catalogue.postgres)] == [Class.OTHER, Class.OTHER]


def test_an_image_without_layers_is_not_a_seed() -> None:
    empty = replace(seed(), details=replace(seed().details or model.Details(), layers=()))
    assert verdict(squashed("corp/app:1", env=ARCH), empty).kind is Class.AMBIGUOUS


def test_an_untagged_image_on_a_pytorch_base_inherits_its_signs() -> None:
    found = verdict(derived(catalogue.pytorch_runtime()), catalogue.pytorch_runtime())
    assert (found.kind, found.torch_version) == (Class.PYTORCH, "2.9.0")


def test_an_untagged_seed_is_named_by_its_id() -> None:
    untagged = renamed(seed())
    assert verdict(squashed("corp/app:1", env=ARCH), untagged).evidence[-1].text == f"built on {untagged.id[:19]}"


# Cost, and hostile input.


def cpu_seconds(images: list[model.Image]) -> float:
    """The best of three, so that a busy machine does not count."""

    def once() -> float:
        start = time.process_time()
        classify.classify(images)
        return time.process_time() - start

    return min(once() for _ in range(3))


HOSTILE = {
    "words": "RUN pip install " + "torch-" * 17_000,
    "spaces": "RUN pip install torch" + " " * 100_000,
    "options": "RUN pip install " + "-c " * 33_000,
    "installers": "RUN " + "pip " * 25_000,
    "variables": "RUN |1 A=" + "x " * 250 + " /bin/sh -c pip install torch " + "$A" * 33_000,
    "braces": "RUN pip install torch " + "${a:-" * 20_000,
    "arguments": "RUN |9999 " + "A=torch " * 12_000,
    "separators": "RUN torch" + "&&;|" * 25_000,
    "wheels": "RUN pip install torch-1" + "1.whlx" * 16_000,
    "addresses": "RUN pip install " + "download.pytorch.org/whl/nightly/" * 3_000,
    "shells": "RUN torch " + "/bin/sh -c " * 9_000,
    "extras": "RUN pip install torch" + "[" * 100_000,
    "nops": "/bin/sh -c #(nop) ARG " + "TORCH=" * 16_000,
    "digits": "RUN pip install torch==" + "1" * 100_000,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_line_of_history_costs_no_more_than_its_length(kind: str) -> None:
    line = HOSTILE[kind]
    assert cpu_seconds([make_image("a/b:1", history=[line])]) < 0.25


@pytest.mark.parametrize("text", ["torch" * 20_000, "cuda1." * 16_000, "1.1" * 33_000, "rc1-" * 25_000, "/" * 100_000])
def test_hostile_names_and_values_cost_no_more_than_their_length(text: str) -> None:
    env = {"PYTORCH_VERSION": text, "CUDA_VERSION": text, "ROCM_PATH": text}
    image = make_image(f"a/pytorch:{text}", env=env, labels={text: text}, entrypoint=[text], pulled=False)
    assert cpu_seconds([image]) < 0.25


SCRAPS = (
    "RUN |2 |1 TORCH= PYTORCH= torch== torch $TORCH ${TORCH:-1} /bin/sh -c pip install conda #(nop) ARG && ; ' \" [ ] ="
)
LINES = st.lists(st.sampled_from(SCRAPS.split())).map(" ".join) | st.text()
TEXTS = st.dictionaries(st.text() | st.sampled_from(["PYTORCH_VERSION", "CUDA_VERSION", "ROCM_PATH"]), st.text())


@given(
    references=st.lists(st.text()),
    env=TEXTS,
    labels=st.dictionaries(
        st.text() | st.just("com.amazonaws.ml.engines.sagemaker.dlc.framework.pytorch.1"), st.text()
    ),
    history=st.lists(LINES),
    entrypoint=st.lists(st.text()),
)
def test_no_metadata_raises(
    references: list[str], env: dict[str, str], labels: dict[str, str], history: list[str], entrypoint: list[str]
) -> None:
    image = make_image(*references, env=env, labels=labels, history=history, entrypoint=entrypoint)
    found = verdict(image)
    assert (found.kind is Class.OTHER) == (found.evidence == ())
    assert all(len(sign.text) <= 80 for sign in found.evidence)


@given(st.lists(st.sampled_from((*catalogue.PYTORCH, *catalogue.AMBIGUOUS, *catalogue.OTHER)), unique=True))
def test_no_other_image_makes_a_plain_image_pytorch(builds: list[Build]) -> None:
    images = [build() for build in builds]
    found = classify.classify(images)
    assert [found[image.id].kind for image, build in zip(images, builds, strict=True) if build in catalogue.OTHER] == [
        Class.OTHER for build in builds if build in catalogue.OTHER
    ]


GONE = "RUN /bin/sh -c pip uninstall -y torch # buildkit"


@pytest.mark.parametrize("name", ["corp/app:1", "teamai/pytorch:2.9-cuda11.8"])
def test_an_image_whose_history_removes_torch_is_ambiguous_whatever_its_base_shows(name: str) -> None:
    env = {"PYTORCH_VERSION": "2.9.0"}
    image = make_image(name, env=env, history=[GONE])
    again = make_image(name, env=env, history=[GONE, "RUN /bin/sh -c pip install torch==2.8 # buildkit"])
    assert [verdict(one).kind for one in (image, again)] == [Class.AMBIGUOUS, Class.PYTORCH]


def test_a_vendors_image_may_install_torch_again_in_a_way_its_history_does_not_show() -> None:
    image = make_image("vllm/vllm-openai:v0.9.2", history=[GONE])
    assert verdict(image).kind is Class.PYTORCH
