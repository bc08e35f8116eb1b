"""Removals by another path, the output of programs, and files from PyTorch's own index."""

import pytest

from agent.core.model import HistoryStep
from agent.core.pytorch import build_history
from agent.core.pytorch.build_history import TorchInstalls

_VENV = "RUN python -m venv /opt/venv && /opt/venv/bin/pip install torch"
_FILE = "pip install -r deps.txt from PyTorch's index alone"
_INDEX = "--index-url https://download.pytorch.org/whl/cpu"


def scan(*lines: str) -> TorchInstalls:
    return build_history.scan([HistoryStep(line, 0) for line in lines])


@pytest.mark.parametrize(
    "lines",
    [
        (_VENV, "RUN cd / && ln -s opt o && rm -rf o/venv"),
        (_VENV, "RUN D=/o; ln -s /opt $D; rm -rf /o/venv"),
        (_VENV, "ENV D=/o", "RUN ln -s /opt $D", "RUN rm -rf /o/venv"),
        (_VENV, "RUN IFS=:; D=/a:/opt/venv; rm -rf $D"),
        ("RUN ln -s /data /opt/v", "RUN pip install -t /opt/v torch", "RUN rm -rf /data"),
        ("RUN ln -s ../../data /opt/a/v", "RUN pip install -t /opt/a/v torch", "RUN rm -rf /data"),
        ("RUN su app -c 'pip install --user torch'", "RUN rm -rf /home/app"),
        ("RUN useradd -d /srv/u u", "USER u", "RUN pip install --user torch", "USER root", "RUN rm -rf /srv/u"),
        ("ENV PIP_USER=1", "RUN pip install torch", "RUN rm -rf ~/.local"),
    ],
)
def test_after_a_removal_by_another_path_nothing_is_certain(lines: tuple[str, ...]) -> None:
    assert scan(*lines).torch == ""


@pytest.mark.parametrize(
    "lines",
    [
        ("RUN ln -s /usr/bin/python3 /usr/bin/python", "RUN pip install torch", "RUN rm -rf /src/python"),
        ("RUN ln -sf $LIB /usr/lib/libcudart.so", "RUN pip install torch", "RUN rm -rf /src"),
        ("RUN ln -s /data /opt/v", "RUN pip install torch", "RUN mkdir /data && rm -rf /src"),
        ("RUN pip install torch", "RUN rm -rf ~/.local ~/.cache"),
    ],
)
def test_a_removal_of_something_else_does_not_remove_torch(lines: tuple[str, ...]) -> None:
    assert scan(*lines).torch == "pip install torch"


@pytest.mark.parametrize(
    ("program", "installs"),
    [
        ("pip install numpy $([ a = a ] && echo torch)", True),
        ("pip install numpy $([ a = b ] && echo torch)", False),
        ("pip install $(if [ a = b ]; then echo torch; else echo numpy; fi)", False),
        ("pip install $([ -f /x ] && echo torch)", False),
        ("pip install $(echo torch | sed s/torch/numpy/)", False),
        ("pip install $(echo torch; cat /x)", False),
        ("echo() { true; }; pip install $(echo torch)", False),
        ("set -e; pip install numpy $(false; echo torch)", False),
        ("w() { case $1 in a) echo torch ;; *) echo numpy ;; esac; }; pip install $(w a)", True),
        ("w() { case $1 in a) echo torch ;; *) echo numpy ;; esac; }; pip install $(w b)", False),
        ('on() { case "${1:-}" in 1) return 0 ;; *) return 1 ;; esac; }; if on 1; then pip install torch; fi', True),
        ('on() { case "${1:-}" in 1) return 0 ;; *) return 1 ;; esac; }; if on 0; then pip install torch; fi', False),
        ("W=yes; if [[ ${W^^} == YES ]]; then pip install torch; fi", True),
        ("W=no; N=W; if [[ ${!N} == yes ]]; then pip install torch; fi", False),
        ("sh -c 'pip install \"$@\"' _ numpy torch", True),
        ("sh -c 'pip install \"$@\"' torch numpy", False),
    ],
)
def test_the_output_and_the_status_of_a_program_decide(program: str, installs: bool) -> None:
    assert (scan(f"RUN /bin/bash -c {program}").torch != "") is installs


def test_a_file_from_pytorchs_index_alone_is_a_hint_of_its_own() -> None:
    assert scan(f"RUN pip install -r /x/deps.txt {_INDEX}").hints == ("download.pytorch.org", _FILE)


@pytest.mark.parametrize(
    "lines",
    [
        (f"RUN pip install -r deps.txt {_INDEX} --extra-index-url https://pypi.org/simple",),
        (f"RUN pip install -r deps.txt {_INDEX} --no-deps",),
        (f"RUN pip install -r deps.txt numpy {_INDEX}",),
        (f"RUN pip install --dry-run -r deps.txt {_INDEX}",),
        ("RUN pip install -r deps.txt --extra-index-url https://download.pytorch.org/whl/cpu",),
        (f"RUN python -m venv /v && /v/bin/pip install -r deps.txt {_INDEX}", "RUN rm -rf /v"),
        (f"RUN pip install -r deps.txt {_INDEX}", "RUN pip uninstall -y torch"),
    ],
)
def test_a_file_that_may_have_another_source_or_was_removed_is_not_such_a_hint(lines: tuple[str, ...]) -> None:
    assert _FILE not in scan(*lines).hints


@pytest.mark.parametrize(
    ("program", "installs"),
    [
        ('p=(numpy); p+=(torch); pip install "${p[@]}"', True),
        ("p=(); p+=(torch torchvision); pip install ${p[*]}", True),
        ('p=(torch); p=(numpy); pip install "${p[@]}"', False),
        ('p=(torch); p[0]=numpy; pip install "${p[@]}"', False),
        ("p=(torch); unset 'p[0]'; pip install \"${p[@]}\"", False),
        ('p=(torch); mapfile -t p < /x; pip install "${p[@]}"', False),
        ('p=(torch); read -ra p <<< "$X"; pip install "${p[@]}"', False),
        ('p=(torch); declare -a p=(numpy); pip install "${p[@]}"', False),
        ("p=(); [ -f /x ] && p+=(torch); pip install ${p[@]}", False),
        ('pip install "${p[@]}"', False),
    ],
)
def test_the_words_of_an_array_are_followed(program: str, installs: bool) -> None:
    assert (scan(f"RUN /bin/bash -c {program}").torch != "") is installs
