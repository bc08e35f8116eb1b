"""How small teams choose what an image has: slim and full variants, lists of packages, machines and versions.

Written from Dockerfiles of the field, by someone who had not read how the history is read.
"""

from tests.built_images.case import BUILDKIT, CLASSIC, Case, Shows, build, each_value, run

_BASH = 'SHELL ["/bin/bash", "-o", "pipefail", "-c"]'
_LIST = "COPY script.sh /requirements.txt"
_NEW = (BUILDKIT,)
_SWITCHES = {  # with the values true and false
    "a value that is the command": "if $WITH; then pip install torch; fi",
    "a value in braces that is the command": "if ${WITH}; then pip install torch; fi",
    "a value that is the command, unless": "if ! $WITH; then echo slim; else pip install torch; fi",
    "a value that is the command, and exit": "$WITH || exit 0; pip install torch",
    "a word that is never empty": 'if [ "$WITH" ]; then pip install torch; fi',
    "a word of bash that is never empty": "bash -c 'if [[ $WITH ]]; then pip install torch; fi'",
    "! before =": 'if [ ! "$WITH" = "true" ]; then echo slim; else pip install torch; fi',
    "not one of three": "bash -c 'if [[ ! $WITH =~ ^(0|no|false)$ ]]; then pip install torch; fi'",
    "an asking function": (
        'on() { case "${1:-}" in 1|true|yes) return 0 ;; *) return 1 ;; esac; }; '
        'if on "$WITH"; then pip install torch; fi'
    ),
    "an asking function that ends with its test": 'on() { [ "$1" = true ]; }; on "$WITH" && pip install torch; exit 0',
    "a function that asks by a name": (
        'on() { eval "[ \\"\\$$1\\" = true ]"; }; if on WITH; then pip install torch; fi'
    ),
    "a list that grows": 'P="numpy pandas"; if [ "$WITH" = true ]; then P="$P torch"; fi; pip install $P',
    "a list that shrinks": 'P="numpy torch"; if [ "$WITH" = false ]; then P="${P%torch}"; fi; pip install $P',
    "a list of bash that grows": "bash -c 'p=(numpy); [[ $WITH == true ]] && p+=(torch); pip install \"${p[@]}\"'",
    "a list of bash that is replaced": "bash -c 'p=(torch); [[ $WITH == true ]] || p=(numpy); pip install ${p[*]}'",
    "words that grow": 'set -- numpy; if [ "$WITH" = true ]; then set -- "$@" torch; fi; pip install "$@"',
    "words of which one is dropped": 'set -- torch numpy; if [ "$WITH" = false ]; then shift; fi; pip install "$@"',
    "a substitution with a test": 'pip install numpy $([ "$WITH" = true ] && echo torch)',
    "a substitution with a choice": 'pip install $(if [ "$WITH" = true ]; then echo torch; else echo numpy; fi)',
    "a loop that leaves one out": (
        'for p in numpy torch; do if [ "$p" = torch ] && [ "$WITH" != true ]; then continue; fi; pip install $p; done'
    ),
    "a loop that leaves one out by case": (
        'for p in numpy torch; do case "$p:$WITH" in torch:false) continue ;; esac; pip install "$p"; done'
    ),
    "a loop that ends before": 'for p in numpy torch; do [ "$WITH" = true ] || break; pip install $p; done',
    "a dry run by option": 'O=; if [ "$WITH" = false ]; then O=--dry-run; fi; pip install $O torch',
    "another verb": 'V=install; [ "$WITH" = true ] || V=download; pip $V torch',
    "a runner that only prints": (
        'run() { if [ "$WITH" = true ]; then "$@"; else echo "+ $*"; fi; }; '
        "run pip install numpy; run pip install torch"
    ),
    "two flags in one word": 'case "$WITH-${GPU:-cpu}" in true-cpu|true-gpu) pip install torch ;; *) echo slim ;; esac',
    "the first letter": "bash -c 'if [[ ${WITH:0:1} == t ]]; then pip install torch; fi'",
    "in capitals by bash": "bash -c 'if [[ ${WITH^^} == TRUE ]]; then pip install torch; fi'",
    "a name in a name": "bash -c 'N=WITH; if [[ ${!N} == true ]]; then pip install torch; fi'",
    "a table of bash": "bash -c 'declare -A t=([true]=torch [false]=numpy); pip install ${t[$WITH]}'",
    "a table by a function": (
        'wants() { case $1 in true) echo torch ;; *) echo numpy ;; esac; }; pip install "$(wants "$WITH")"'
    ),
    "test within a test": 'if [ "$([ "$WITH" = true ] && echo 1 || echo 0)" = 1 ]; then pip install torch; fi',
    "a status that is kept": '[ "$WITH" = true ]; no=$?; if [ $no -eq 0 ]; then pip install torch; fi',
    "a status that is kept by !": 'slim=0; test "$WITH" = true || slim=1; [ $slim = 1 ] || pip install torch',
    "grep of a value": 'if echo "$WITH" | grep -q true; then pip install torch; fi',
    "expr of a value": 'if expr "$WITH" : "t.*" > /dev/null; then pip install torch; fi',
}
_EXTRAS = {  # with lists of extras
    "an extra between commas": 'case ",$WITH," in *,torch,*) pip install torch ;; esac',
    "an extra between spaces of bash": 'bash -c \'if [[ " $WITH " == *" torch "* ]]; then pip install torch; fi\'',
    "an extra that can be cut off": 'if [ "${WITH#*torch}" != "$WITH" ]; then pip install torch; fi',
    "extras that commas split": 'IFS=,; for e in $WITH; do pip install "$e"; done',
    "extras that commas split for a command": "IFS=,; pip install $WITH",
    "extras that tr splits": 'pip install $(echo "$WITH" | tr "," " ")',
    "extras that bash splits": 'bash -c \'IFS=, read -ra e <<< "$WITH"; pip install "${e[@]}"\'',
    "extras that bash replaces": "bash -c 'pip install ${WITH//,/ }'",
}
_MACHINE = 'case "$TARGETARCH" in amd64) pip install torch ;; arm64|riscv64) echo slim ;; esac'
_PERHAPS = {"grep of a value", "expr of a value", "an asking function that ends with its test"}


def _heredoc(*lines: str, shows: Shows = Shows.SURELY, arguments: dict[str, str] | None = None) -> Case:
    return build("ARG WITH=false", "\n".join(lines), shows=shows, arguments=arguments, builders=_NEW)


def _list(*commands: str, has: str, shows: Shows = Shows.PERHAPS) -> Case:
    """With a list of requirements from the context."""
    return build(_LIST, *(f"RUN {command}" for command in commands), script=f"numpy\n{has}\n", shows=shows)


_FUNCTIONS = (
    "RUN <<EOF",
    "set -eu",
    "full() {",
    "  pip install torch",
    "}",
    "slim() {",
    "  pip install numpy",
    "}",
    'if [ "$WITH" = true ]; then full; else slim; fi',
    "EOF",
)
CASES = {
    **each_value({n: c for n, c in _SWITCHES.items() if n not in _PERHAPS}, ("true", "false")),
    **each_value({n: c for n, c in _SWITCHES.items() if n in _PERHAPS}, ("true", "false"), Shows.PERHAPS),
    **each_value(_EXTRAS, ("numpy,torch", "numpy,torch-like"), Shows.PERHAPS),
    "the machine that is built for": build("ARG TARGETARCH", f"RUN {_MACHINE}"),
    "the machine that is built for, another": build(
        "ARG TARGETARCH", f"RUN {_MACHINE}", arguments={"TARGETARCH": "arm64"}
    ),
    "the machine that is built for, not named": build(f"RUN {_MACHINE}"),
    "the platform that is built for": build(
        "ARG TARGETPLATFORM", 'RUN if [ "$TARGETPLATFORM" = linux/arm64 ]; then pip install torch; fi'
    ),
    "dpkg tells the machine": run(
        'set -eux; arch="$(dpkg --print-architecture)"; case "$arch" in arm64) pip install torch ;; *) : ;; esac'
    ),
    "either of two indexes": run(
        "if command -v nvidia-smi; then pip install torch; "
        "else pip install torch --index-url https://download.pytorch.org/whl/cpu; fi"
    ),
    "either of two indexes, by case": run(
        "case $(uname -m) in x86_64) pip install torch==2.4.0+cpu ;; *) pip install torch==2.4.0 ;; esac"
    ),
    "an index that a program tells": run("pip install torch --index-url https://host.invalid/whl/$(uname -m)"),
    "a second try elsewhere": run("pip install -i https://mirror.invalid torch || pip install torch"),
    "a version that may be empty": build("ARG V", 'RUN pip install "torch${V:+==$V}"'),
    "a name that goes on": build("ARG KIND=-like", "RUN pip install torch$KIND"),
    "a name that could go on": build("ARG KIND=-like", "RUN pip install torch$KIND", arguments={"KIND": ""}),
    "the wrong name": run("pip install pytorch || true"),
    "programs that need none": run("pip install torchserve torch-model-archiver torchx"),
    "retried by a function": run(
        'retry() { for n in 1 2 3; do "$@" && return 0; sleep 1; done; return 1; }; retry pip install torch'
    ),
    "retried by a function that gives up in silence": run(
        'retry() { for n in 1 2; do "$@" && return 0; done; return 0; }; retry pip install torch==99.0'
    ),
    "a function that logs and runs": run('log() { echo "+ $*" >&2; "$@"; }; log pip install torch'),
    "a function that only logs": run('log() { echo "+ $*" >&2; }; log pip install torch'),
    "a shell with words": run("sh -c 'pip install \"$@\"' _ numpy torch"),
    "a shell with words that it prints": run("sh -c 'echo \"$@\"' _ pip install torch"),
    "a shell with a here-string": build(_BASH, "RUN bash <<< 'pip install torch'", shows=Shows.PERHAPS),
    "cat with a here-string": build(_BASH, "RUN cat <<< 'pip install torch' > /start.sh"),
    "an index only": run("pip install --index-url https://download.pytorch.org/whl/cpu --pre numpy"),
    "a list from a substitution of bash": build(_BASH, "RUN pip install -r <(echo torch)", shows=Shows.PERHAPS),
    "a list from a filter of bash": build(
        _BASH, "RUN pip install -r <(printf 'torch\\nnumpy\\n' | grep -v torch)", shows=Shows.PERHAPS
    ),
    "a list that names it": _list("grep -q torch /requirements.txt && pip install torch", has="torch"),
    "a list that does not name it": _list("grep -q torch /requirements.txt && pip install torch || true", has="x"),
    "unless a list names it": _list("if ! grep -q torch /requirements.txt; then pip install torch; fi", has="torch-x"),
    "a list without torch": _list("sed -i /torch/d /requirements.txt && pip install -r /requirements.txt", has="torch"),
    "a list that is filtered": _list(
        "grep -v torch /requirements.txt > /slim.txt", "pip install -r /slim.txt", has="torch==2.4.0"
    ),
    "a list by cat": _list("pip install $(cat /requirements.txt)", has="torch", shows=Shows.NOT),
    "a list by xargs": _list("xargs -n1 pip install < /requirements.txt", has="torch", shows=Shows.NOT),
    "a list by a loop": _list(
        "while read p; do pip install $p; done < /requirements.txt", has="torch", shows=Shows.NOT
    ),
    "a list by a loop with one more": _list(
        "for p in $(cat /requirements.txt) torch-like; do pip install $p; done", has="scipy"
    ),
    "a filter before xargs": run("printf '%s\\n' numpy torch | grep -v torch | xargs pip install"),
    "an assignment for another command": build("ENV P=numpy", "RUN P=torch true && pip install $P"),
    "a file of settings": run(
        "echo ID=debian > /etc/os-release", '. /etc/os-release; if [ "$ID" = alpine ]; then pip install torch; fi'
    ),
    "old ENV": build("ENV WITH yes", 'RUN if [ "$WITH" = yes ]; then pip install torch; fi'),
    "old ENV, two words": build("ENV WITH yes no", 'RUN if [ "$WITH" = yes ]; then pip install torch; fi'),
    "ENV of two": build("ENV A=1 WITH=no", 'RUN if [ "$WITH" != no ]; then pip install torch; fi'),
    "an argument with a space before another": build(
        "ARG A", "ARG WITH=no", 'RUN if [ "$WITH" = yes ]; then pip install torch; fi', arguments={"A": "x y"}
    ),
    "an argument with =": build(
        "ARG A", 'RUN if [ "$A" = "b=torch" ]; then echo slim; else pip install torch; fi', arguments={"A": "b=torch"}
    ),
    "another mark of going on": build(
        "RUN if [ 1 = 2 ]; then ` \n pip install torch; ` \n fi", head=("# escape=`",), builders=(CLASSIC, BUILDKIT)
    ),
    "heredoc with functions": _heredoc(*_FUNCTIONS),
    "heredoc with functions, full": _heredoc(*_FUNCTIONS, arguments={"WITH": "true"}),
    "heredoc for pip": _heredoc("RUN pip install -r /dev/stdin <<EOF", "numpy", "torch", "EOF", shows=Shows.PERHAPS),
    "heredoc for xargs": _heredoc("RUN xargs pip install <<EOF", "torch-like", "EOF"),
    "heredoc for a loop": _heredoc(
        "RUN <<EOF", "while read p; do pip install $p; done <<LIST", "numpy", "LIST", "# torch", "EOF"
    ),
    "heredoc with a list in several lines": _heredoc(
        "RUN <<EOF", "set -e", "pip install \\", "  numpy \\", "  torch", "EOF"
    ),
    "heredoc that goes on behind a comment": _heredoc(
        "RUN <<EOF", "pip install \\", "  numpy # \\", "echo torch", "EOF"
    ),
}
