"""Where small teams put their Python: another root of conda, a configured folder; most of them go again."""

from tests.built_images.case import Case, Shows, build, run

_MINICONDA = "COPY script.sh /Miniconda3.sh"
_SETUP = "mkdir -p $2/bin && cp /usr/local/bin/conda $2/bin/conda\n"  # sh Miniconda3.sh -b /mc
_LIST = "COPY script.sh /list.txt"


def _conda(*lines: str, shows: Shows = Shows.SURELY) -> Case:
    return build(_MINICONDA, *lines, script=_SETUP, shows=shows)


CASES = {
    "a conda of one's own": _conda("RUN sh /Miniconda3.sh -b /mc && /mc/bin/conda install -y pytorch"),
    "a conda of one's own, removed in the line": _conda(
        "RUN sh /Miniconda3.sh -b /mc && /mc/bin/conda install -y pytorch && rm -rf /mc"
    ),
    "a conda of one's own, removed": _conda(
        "RUN sh /Miniconda3.sh -b /mc", "RUN /mc/bin/conda install -y pytorch", "RUN rm -rf /mc"
    ),
    "a conda of one's own, by PATH": _conda(
        "RUN sh /Miniconda3.sh -b /mc", "ENV PATH=/mc/bin:$PATH", "RUN conda install -y pytorch", "RUN rm -rf /mc"
    ),
    "a conda of one's own, by PATH, kept": _conda(
        "RUN sh /Miniconda3.sh -b /mc", "ENV PATH=/mc/bin:$PATH", "RUN conda install -y pytorch", "RUN rm -rf /mc/pkgs"
    ),
    "a conda of one's own, by export": _conda(
        "RUN sh /Miniconda3.sh -b /tmp/mc && export PATH=/tmp/mc/bin:$PATH "
        "&& conda install -y pytorch && rm -rf /tmp/mc"
    ),
    "a conda of one's own, at home": _conda(
        "RUN sh /Miniconda3.sh -b $HOME/mc && $HOME/mc/bin/conda create -y -n x pytorch", 'RUN rm -rf "$HOME/mc"'
    ),
    "a conda of one's own, its environment": _conda(
        "RUN sh /Miniconda3.sh -b /mc && /mc/bin/conda create -y -n x pytorch", "RUN rm -rf /mc/envs/x"
    ),
    "a conda of one's own, its pip": _conda(
        "RUN sh /Miniconda3.sh -b /mc && /mc/bin/conda install -y python && /mc/bin/pip install torch", "RUN rm -rf /mc"
    ),
    "a conda of one's own, run": _conda(
        "RUN sh /Miniconda3.sh -b /mc && /mc/bin/conda create -y -n x python "
        "&& /mc/bin/conda run -n x pip install torch",
        "RUN rm -rf /mc",
    ),
    "another conda is removed": _conda(
        "RUN sh /Miniconda3.sh -b /mc && conda install -y pytorch", "RUN rm -rf /mc", shows=Shows.PERHAPS
    ),
    "micromamba's root by ENV": build(
        "ENV MAMBA_ROOT_PREFIX=/mm", "RUN micromamba create -y -n x pytorch", "RUN rm -rf /mm"
    ),
    "micromamba's root by ENV, kept": build("ENV MAMBA_ROOT_PREFIX=/mm", "RUN micromamba create -y -n x pytorch"),
    "micromamba's root by option": run("micromamba create -y -r /mm -n x pytorch", "rm -rf /mm"),
    "micromamba's root by export": run(
        "export MAMBA_ROOT_PREFIX=/tmp/mm && micromamba create -y -n x pytorch && rm -rf /tmp/mm"
    ),
    "conda's environments by ENV": build("ENV CONDA_ENVS_PATH=/e", "RUN conda create -y -n x pytorch", "RUN rm -rf /e"),
    "conda's environments by ENV, one of them": build(
        "ENV CONDA_ENVS_PATH=/e", "RUN conda create -y -n x pytorch && rm -rf /e/x"
    ),
    "pip's folder by its settings": run("pip config set global.target /tmp/t && pip install torch && rm -rf /tmp/t"),
    "pip's folder by its settings, kept": run("pip config set global.target /t && pip install torch"),
    "pip's folder by a file": run(
        "printf '[install]\\ntarget=/t\\n' > /etc/pip.conf", "pip install torch", "rm -rf /t"
    ),
    "pip's folder by a file that is copied": build(
        "COPY script.sh /etc/pip.conf", "RUN pip install torch", "RUN rm -rf /t", script="[global]\ntarget = /t\n"
    ),
    # What git takes away depends on the repository, which no history shows.
    "git cleans": build("WORKDIR /src", "RUN pip install -t vendor torch", "RUN git clean -fdxq", shows=Shows.PERHAPS),
    "git cleans another folder": build(
        "WORKDIR /src", "RUN pip install torch", "RUN git clean -fdxq", shows=Shows.PERHAPS
    ),
    "a list of folders": build(
        _LIST, "RUN pip install torch", "RUN xargs rm -rf < /list.txt", script="/usr/local/lib\n"
    ),
    "a list of folders by a loop": build(
        _LIST, "RUN pip install torch", "RUN while read f; do rm -rf $f; done < /list.txt", script="/usr/local/lib\n"
    ),
    "a list of folders by cat": build(
        _LIST, "RUN pip install torch", "RUN for f in $(cat /list.txt); do rm -rf $f; done", script="/usr/local/lib\n"
    ),
    "a list of folders by -a": build(
        _LIST, "RUN pip install torch", "RUN cat /list.txt | xargs -r rm -rf", script="/usr/local/lib\n"
    ),
    "from where python stands": run("pip install torch", 'rm -rf -- "$(dirname "$(which python)")"/../lib'),
    "from where python stands, by a variable": run(
        "pip install torch", 'P=$(dirname $(command -v pip)); rm -rf "${P%/bin}/lib"'
    ),
    "by realpath": run("pip install torch", 'rm -rf "$(realpath /usr/local/bin/../lib)"'),
    "by readlink and a variable": run("pip install torch", "L=$(readlink -f /usr/local/lib); rm -rf $L/python3.11"),
    "by python's pathlib": run(
        "python -m venv /opt/venv && /opt/venv/bin/pip install torch",
        "python -c \"import shutil as s; s.rmtree('/opt/venv')\"",
    ),
}
