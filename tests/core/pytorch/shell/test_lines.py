"""RUN lines as shell programs: which certainly installed torch, which may have, and which did not."""

import pytest

from agent.core.model import HistoryStep
from agent.core.pytorch import build_history
from agent.core.pytorch.build_history import TorchInstalls


def scan(*lines: str, env: dict[str, str] | None = None) -> TorchInstalls:
    return build_history.scan([HistoryStep(line, 0) for line in lines], env)


def buildkit(program: str, **arguments: str) -> str:
    written = (
        f"|{len(arguments)} {' '.join(f'{name}={value}' for name, value in arguments.items())} " if arguments else ""
    )
    return f"RUN {written}/bin/sh -c {program} # buildkit"


def classic(program: str, **arguments: str) -> str:
    return buildkit(program, **arguments).removeprefix("RUN ").removesuffix(" # buildkit")


def sign(found: TorchInstalls) -> str:
    """How strong a sign of torch is: `sure`, `perhaps` or `none`."""
    return "sure" if found.torch else "perhaps" if any("torch" in doubt for doubt in found.doubts) else "none"


# With the build argument WITH=yes, as both builders write it
SURE = [
    'if [ "$WITH" = yes ]; then pip install torch; fi',
    "[ -n $WITH ] && pip install torch",
    '[ -z "$WITH" ] || pip install torch',
    "if test $WITH != no; then (pip install torch); else echo none; fi",
    "case $WITH in n*) ;; y*|1) pip install torch ;; esac",
    'if [ "$WITH" = no ]; then pip install jax; elif [ "$WITH" = yes ]; then pip install torch; fi',
    'for name in numpy torch; do pip install "$name"; done',
    "setup() { pip install $1; }; setup torch",
    "bash -c 'pip install torch'",
    "bash -c 'if [[ $WITH == y* && -n $WITH ]]; then pip install torch; fi'",
    'eval "pip install torch"',
    "sh <<EOF\npip install torch\nEOF",
    "bash <<'EOF'\npip install torch\nEOF",
    "set -e; python -c 'import ssl'; pip install torch",
    "python -c 'import ssl' && pip install torch",
    "pip install torch || exit 1",
    "pip install torch==2.4 || pip install torch==2.3",
    "until pip install torch; do sleep 1; done",
    "sudo -H env A=1 pip install torch",
    "python3 -m pip install torch",
    "timeout 600 pip install torch",
    "pip install torch && rm -rf /root/.cache /tmp/* /var/lib/apt/lists/*",
    "pip install torch && find / -name '*.pyc' -delete",
    "uv pip install --system torch --torch-backend=cu128",
    "if [ -f /x ]; then pip install torch==2.4; else pip install torch==2.3; fi",
    "pip install torch # the last command",
    ": ${EXTRA:=torch}; pip install $EXTRA",
    "result=$(pip install torch) && echo ready",
    "result=`pip install torch`",
    "pip install torch & wait $!",
    "bash -c 'if [[ $WITH =~ ^(y|yes)$ ]]; then pip install torch; fi'",
    "pip install Torch",
    'retry() { for n in 1 2 3; do "$@" && return 0; done; return 1; }; retry pip install torch',
    'last() { shift; pip install "$1"; }; last numpy torch',
    'set -- numpy; set -- "$@" torch; pip install "$@"',
    "conda install -y pytorch && conda clean -afy",
]

PERHAPS = [
    "if [ -f /etc/debian_version ]; then pip install torch; fi",
    "nvidia-smi && pip install torch; true",
    "python -c 'import torch' || pip install torch",
    "pip install torch || true",
    "pip install torch || echo failed",
    'if [[ "$WITH" = yes ]]; then pip install torch; fi',  # dash, which many systems call sh, has no [[
    "for n in 1 2 3; do pip install torch && break || sleep 1; done",
    "echo pip install torch | sh",
    "pip() { :; }; pip install torch",
    "./retry.sh pip install torch",
    "set +e; pip install torch; true",
    "pip install torch & true",
    "pip install --target /t --platform win_amd64 --only-binary=:all: torch",
    "python -m venv /v && /v/bin/pip install torch && ./x && rm -rf /v; true",
    ". /settings; pip install torch",
    "pip install torch && (",
    "echo $(pip install torch)",
    "name=${OTHER:-$(pip install torch)}",
    "name=$(pip install torch || echo none)",
    "pip install torch & wait",
    "bash -c 'if [[ $WITH =~ ^y.*$ ]]; then pip install torch; fi'",
    'retry() { for n in 1 2 3; do "$@" && return 0; sleep 1; done; }; retry pip install torch',
    "conda create -y -n x pytorch && conda create -y -n x python",
    "uv venv && uv pip install torch && uv venv",
    "poetry add -G torch numpy",
    "conda create -y --clone pytorch -n x",
]

NONE = [
    'if [ "$WITH" = no ]; then pip install torch; fi',
    '[ "$WITH" != yes ] && pip install torch; true',
    '[ "$WITH" = yes ] || pip install torch',
    "case $WITH in no) pip install torch ;; esac",
    "false && pip install torch; true",
    "true || pip install torch",
    "if ! true; then pip install torch; fi",
    "while false; do pip install torch; done",
    "for name in; do pip install torch; done",
    "exit 0; pip install torch",
    "setup() { pip install torch; }; echo defined",
    "cat <<EOF > /start.sh\npip install torch\nEOF",
    "echo 'pip install torch' > /start.sh",
    'printf "%s" "pip install torch"',
    "python -c 'import os; os.system(\"pip install torch\")'",
    "# pip install torch",
    "pip install --dry-run torch",
    "pip download torch",
    "pip show torch",
    "pip wheel torch",
    "PIP_DRY_RUN=1 pip install torch",
    "pip install numpy --no-deps",
    "pip install torchvision --no-deps",
    "pip install torch && pip uninstall -y torch",
    "pip install -t /t torch && cp /t/x /y && rm -rf /t",
    "cd /tmp && python -m venv v && v/bin/pip install torch && cd / && rm -rf /tmp/*",
    "python3 -m venv /v && . /v/bin/activate && pip install torch && rm -r /v",
    "pip install torch && rm -rf /usr/local/lib/python3*/site-packages/torch*",
    "conda create -y -n x pytorch && conda env remove -y -n x",
    "apt-get install -y python3-torch && apt-get purge -y python3-torch",
    "bash -n -c 'pip install torch'",
    "trap 'exit 0' EXIT; exit 0; pip install torch",
    "name='$(pip install torch)'",
    "true || name=$(pip install torch)",
    "bash -c 'if [[ $WITH =~ ^(n|no)$ ]]; then pip install torch; fi'",
    'last() { shift; pip install "$1"; }; last torch numpy',
    "conda install -y -c pytorch --only-deps pytorch",
    "apt-get install -ys python3-torch",
    "apt-get install -y -oAPT::Get::Simulate=1 python3-torch",
    "CONDA_DRY_RUN=true conda install -y pytorch",
    "PYTHONUSERBASE=/u pip install --user torch && rm -rf /u",
    "pip install -t/deps torch && rm -rf /deps",
    "pip --python /v/bin/python install torch && rm -rf /v",
    "/mc/bin/conda create -y -n x pytorch && rm -rf /mc/envs/x",
    "/mc/bin/conda run -n x pip install torch && rm -rf /mc",
    "conda create -yn x pytorch && conda env remove -yn x",
    "conda create -y -n x pytorch && conda env remove -y -p /opt/conda/envs/x",
    "pip install torch && bash -c 'rm -rf /usr/local/lib/python3.{10,11}/site-packages/torch{,vision}'",
]


@pytest.mark.parametrize("write", [buildkit, classic])
@pytest.mark.parametrize("program", SURE)
def test_an_installation_that_ran_is_a_certain_sign(program: str, write: object) -> None:
    assert sign(scan(write(program, WITH="yes"))) == "sure"  # type: ignore[operator]


@pytest.mark.parametrize("write", [buildkit, classic])
@pytest.mark.parametrize("program", PERHAPS)
def test_an_installation_that_may_have_run_is_a_weak_sign(program: str, write: object) -> None:
    found = scan(write(program, WITH="yes"))  # type: ignore[operator]
    assert (sign(found), found.hints) == ("perhaps", ())


@pytest.mark.parametrize("write", [buildkit, classic])
@pytest.mark.parametrize("program", NONE)
def test_an_installation_that_did_not_run_is_not_a_sign(program: str, write: object) -> None:
    found = scan(write(program, WITH="yes"))  # type: ignore[operator]
    assert (sign(found), found.hints) == ("none", ())


SHELLS = [
    "RUN /bin/bash -o pipefail -c pip install torch # buildkit",
    "RUN /bin/bash -exc pip install torch # buildkit",
    "RUN sh -lc pip install torch # buildkit",
    "/bin/bash -euo pipefail -c pip install torch",
    "RUN conda run --no-capture-output -n x /bin/bash -c pip install torch # buildkit",
    "RUN /usr/local/bin/_dockerfile_shell.sh micromamba install pytorch # buildkit",
    "RUN |1 A=b bash -lc pip install torch # buildkit",
    "RUN /bin/sh -c <<EOF\npip install torch\nEOF # buildkit",
    "RUN /bin/sh -c \npip install numpy\npip install torch\n # buildkit",
    "RUN pip install torch # buildkit",
]


@pytest.mark.parametrize("line", SHELLS)
def test_the_shell_before_the_program_is_taken_off(line: str) -> None:
    assert sign(scan(line)) == "sure"


def test_the_exec_form_is_words_and_not_a_program() -> None:
    assert scan("RUN echo ready && pip install torch # buildkit") == TorchInstalls()


def test_a_value_that_looks_like_the_program_proves_nothing() -> None:
    evil = "RUN |1 A=x /bin/sh -c pip install torch /bin/sh -c true # buildkit"
    assert sign(scan(evil)) == "perhaps"
    assert sign(scan(buildkit('[ "$B" = yes ] && pip install torch; true', A="x B=yes", B="no"))) == "perhaps"


def test_variables_of_the_image_and_of_earlier_lines_count_when_they_are_set() -> None:
    line = buildkit('if [ "$WITH" = yes ]; then pip install torch; fi')
    assert sign(scan("ENV WITH=yes", line)) == "sure"
    assert sign(scan("ENV WITH=no", line)) == "none"
    assert sign(scan(line, env={"WITH": "yes"})) == "sure"
    assert sign(scan(line, env={})) == "none"
    assert sign(scan(line, "ENV WITH=no", env={"WITH": "no"})) == "perhaps"
    assert sign(scan("ARG WITH=yes", line)) == "perhaps"  # a stage that inherits an argument does not repeat it
    assert sign(scan("ENV WITH=no", line.replace("/bin/sh", "|1 WITH=yes /bin/sh"))) == "perhaps"


LATER = {
    "pip uninstall -y torch": "none",
    "pip uninstall -y numpy": "sure",
    "./x && pip uninstall -y torch; true": "perhaps",
    "pip freeze | xargs pip uninstall -y": "perhaps",
    "rm -rf /usr/local/lib/python3.11": "none",
    "rm -rf /usr/local/lib/python3.11/site-packages/torch/test": "sure",
    "find /usr -name torch -type d | xargs rm -rf": "perhaps",
    "rm -rf /var/lib/apt/lists/*": "sure",
    "apt-get purge -y curl": "sure",
    "pip uninstall -y Torch": "none",
    "name=$(pip uninstall -y torch)": "none",
    "echo $(pip uninstall -y torch)": "perhaps",
    "if [ -z `pip uninstall -y torch` ]; then true; fi": "perhaps",
    "for name in $(pip uninstall -y torch); do true; done": "perhaps",
    "cat <<EOF\n$(pip uninstall -y torch)\nEOF": "perhaps",
    "echo '$(pip uninstall -y torch)'": "sure",
    "./retry.sh pip uninstall -y torch": "perhaps",
    'run() { "$@"; }; run pip uninstall -y torch': "none",
    "python -c \"import shutil; shutil.rmtree('/usr/local/lib/python3')\"": "perhaps",
    "pip-autoremove -y torch": "perhaps",
    "pip-sync /list.txt": "perhaps",
    "/opt/slim.sh": "perhaps",
    "bash /opt/slim.sh": "perhaps",
    "xargs rm -rf < /list.txt": "perhaps",
    "while read f; do rm -rf $f; done < /list.txt": "perhaps",
    'rm -rf -- "$(dirname "$(which python)")"/../lib': "perhaps",
    "find / -iname 'TORCH*' -exec rm -rf {} +": "perhaps",
    "find /usr -regex '.*/torch/.*' -delete": "perhaps",
    "find / -name '*.pyc' | xargs rm": "sure",
    "echo /usr/local/lib | xargs -I{} sh -c 'rm -rf {}'": "perhaps",
    "find /usr/local -name lib -exec sh -c 'rm -rf $1' _ {} +": "perhaps",
    "bash --norc --noprofile -c 'rm -rf /usr/local/lib'": "none",
    "rm -rf /opt/venv": "perhaps",
    "apt-get purge -y python3-pip": "sure",
}


@pytest.mark.parametrize("program", LATER)
def test_a_later_line_may_remove_torch(program: str) -> None:
    found = scan(buildkit("pip install torch"), buildkit(program))
    assert (sign(found), found.is_removed) == (LATER[program], LATER[program] != "sure")


def test_version_and_accelerator_are_those_of_the_branch_that_ran() -> None:
    program = (
        "case $CUDA in 12.8) T=2.8.0 I=cu128 ;; 13.0) T=2.9.0 I=cu130 ;; esac;"
        " pip install torch==$T --index-url https://download.pytorch.org/whl/$I"
    )
    found = scan(buildkit(program, CUDA="12.8"))
    assert (found.version, found.accelerator) == ("2.8.0", "cuda12.8")
    unclear = scan(buildkit("if [ -f /x ]; then pip install torch==2.4; else pip install torch==2.3; fi"))
    assert (unclear.torch != "", unclear.version) == (True, None)


def test_a_package_that_needs_torch_is_a_hint_unless_it_is_installed_without_dependencies() -> None:
    assert scan(buildkit("pip install sentence_transformers==2.0")).hints == ("pip install sentence_transformers==2.0",)
    assert scan(buildkit("pip install peft --no-deps")) == TorchInstalls()
    assert scan(buildkit("pip install transformers")) == TorchInstalls()


def test_an_argument_for_an_installation_that_did_not_run_is_not_a_hint() -> None:
    program = 'if [ "$WITH" = yes ]; then pip install torch==$TORCH_VERSION; fi'
    assert scan(buildkit(program, WITH="no", TORCH_VERSION="2.6.0")) == TorchInstalls()


OF_APT = {
    "apt-get install -y git python3-torch-": "none",
    "dpkg --purge --force-depends python3-torch": "none",
    "apt-get purge -y --auto-remove python3": "perhaps",
    "apt-get remove -y 'python3-*'": "perhaps",
    "apt-get remove -y curl": "sure",
}


@pytest.mark.parametrize("program", OF_APT)
def test_a_removal_by_apt_may_remove_apts_torch(program: str) -> None:
    found = scan(buildkit("apt-get install -y python3-torch"), buildkit(program))
    assert sign(found) == OF_APT[program]


def test_a_torch_in_a_folder_that_a_build_may_mount_may_be_lost() -> None:
    program = "python -m venv /tmp/v && /tmp/v/bin/pip install torch"
    assert (sign(scan(buildkit(program))), sign(scan(classic(program)))) == ("perhaps", "sure")


@pytest.mark.parametrize(
    "line", [buildkit("pip config set global.target /t"), "COPY pip.conf /etc/pip.conf # buildkit"]
)
def test_settings_of_pip_may_name_the_folder_that_is_removed(line: str) -> None:
    assert sign(scan(line, buildkit("pip install torch"), buildkit("rm -rf /t"))) == "perhaps"
    assert sign(scan(line, buildkit("pip install torch"))) == "sure"


def test_the_pip_of_a_venv_does_not_remove_the_systems_torch() -> None:
    program = "/opt/v/bin/pip install torch && /opt/v/bin/pip uninstall -y torch"
    path = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    assert sign(scan(buildkit("pip install torch"), buildkit(program), env=path)) == "sure"
    assert sign(scan(buildkit("pip install torch"), buildkit(program))) == "perhaps"
