"""Removals that are not followed, Pythons that something else selects, and words that are not packages."""

import pytest

from agent.core.model import HistoryStep
from agent.core.pytorch import build_history


@pytest.mark.parametrize(
    "lines",
    [
        ("RUN . /mc/etc/profile.d/conda.sh && conda activate && pip install torch && rm -rf /mc",),
        (
            "RUN conda config --add envs_dirs /e && conda create -y -n x pytorch",
            "RUN rm -rf /e",
        ),
        (
            "ENV PYENV_ROOT=/pyenv PATH=/pyenv/shims:/bin",
            "RUN pip install torch",
            "RUN rm -rf $PYENV_ROOT",
        ),
        (
            "ENV PATH=/root/.pyenv/shims:/bin",
            "RUN pip install torch",
            "RUN rm -rf /root/.pyenv",
        ),
        (
            "RUN uv python install 3.11 && uv pip install --system torch",
            "RUN uv python uninstall 3.11",
        ),
        (
            "RUN uv python install 3.11 && uv pip install --system torch",
            "RUN rm -rf /root/.local/share/uv",
        ),
        (
            "RUN uv python install 3.11 && uv pip install --system torch",
            "RUN rm -rf /root/.local",
        ),
        (
            "USER app",
            "RUN pip install --user torch",
            "USER root",
            "RUN userdel -r app",
        ),
        (
            "USER app",
            "RUN pip install --user torch",
            "USER root",
            "RUN deluser --remove-home app",
        ),
        (
            "WORKDIR /src",
            "RUN pip install -t vendor torch",
            "RUN git clean -fdxq",
        ),
        ("RUN pip install -t /opt/p torch && tar --remove-files -czf /p.tgz /opt/p",),
        ("RUN pip install -t python torch && zip -rmq layer.zip python",),
        (
            "RUN pip install -t /opt/p torch",
            "RUN rsync -a --delete /empty/ /opt/p/",
        ),
        (
            "RUN pip config set global.dry-run true",
            "RUN pip install torch",
        ),
        (
            "ENV PIP_CONFIG_FILE=/pip.conf",
            "RUN pip install torch",
            "RUN rm -rf /t",
        ),
        (
            "RUN poetry add torch",
            "RUN poetry env remove --all",
        ),
        (
            "RUN poetry add torch",
            "RUN poetry install --sync",
        ),
        (
            "RUN pipenv install torch",
            "RUN pipenv --rm",
        ),
        (
            "RUN pipenv run pip install torch",
            "RUN pipenv --rm",
        ),
        (
            "RUN poetry run pip install torch",
            "RUN poetry env remove python",
        ),
        ("RUN uv run --with pip pip install torch",),
        (
            "RUN apt-get install -y python3-torch",
            "RUN apt-mark auto python3-torch && apt-get autoremove -y",
        ),
        (
            "RUN conda install -y pytorch",
            "RUN conda remove -y python",
        ),
        (
            "RUN conda install -y pytorch",
            "RUN conda remove -y libtorch",
        ),
        (
            "RUN conda install -y pytorch",
            "RUN conda remove -y pytorch-mutex",
        ),
        (
            "RUN conda install -y pytorch",
            "RUN conda uninstall -y '*torch*'",
        ),
        (
            "RUN conda create -y -n x pytorch",
            "RUN conda-env remove -n x",
        ),
        (
            "RUN conda create -y -n x pytorch",
            "RUN conda env create -n x -f e.yml --force",
        ),
        ("RUN mount -t tmpfs none /v && pip install -t /v torch",),
        ("RUN uv pip install --system --no-build-package torch numpy",),
        ("RUN apt-get install -y -o APT::Get::Simulate=1 python3-torch",),
        ("RUN pip install torch --dry",),
        (
            "RUN poetry add --group gpu torch",
            "RUN poetry install --only main --sync",
        ),
        (
            "ENV UV_PYTHON=/opt/v/bin/python",
            "RUN uv venv /opt/v",
            "RUN uv pip install torch",
            "RUN rm -rf /opt/v",
        ),
        (
            "ENV PIP_PYTHON=/opt/v/bin/python",
            "RUN pip install torch",
            "RUN rm -rf /opt/v",
        ),
    ],
)
def test_an_installation_that_may_be_removed_or_elsewhere_is_not_certain(lines: tuple[str, ...]) -> None:
    assert build_history.scan([HistoryStep(line, 0) for line in lines]).torch == ""


@pytest.mark.parametrize(
    "line",
    [
        "RUN git clone /x && rsync -a /a/ /b/",
        "RUN userdel app",
        "RUN zip -r x.zip /x",
        "RUN poetry install --only main",
        "RUN conda remove -y pandas",
        "RUN --mount=type=cache,target=/root/.cache rm -rf /src",
    ],
)
def test_a_removal_that_does_not_affect_torch_leaves_it(line: str) -> None:
    lines = ("RUN pip install torch", line)
    assert build_history.scan([HistoryStep(line, 0) for line in lines]).torch == "pip install torch"
