"""An installation that fails, or whose failure cannot be excluded; lists, pipelines, and what runs beside."""

from tests.built_images.case import Shows, build, run

_FAILS = "pip install torch==99.0"  # there is no such version
_WITH_ANOTHER = "pip install torch no-such-package"  # pip installs all or none
_PIPEFAIL = 'SHELL ["/bin/bash", "-o", "pipefail", "-c"]'
CASES = {
    "|| true": run(f"{_FAILS} || true"),
    "|| true, and it works": run("pip install torch || true", shows=Shows.PERHAPS),
    "|| echo": run(f"{_WITH_ANOTHER} || echo slim"),
    "|| another one": run(f"{_WITH_ANOTHER} || pip install numpy"),
    "|| the same": run(f"{_FAILS} || pip install torch"),
    "as a condition": run(f"if {_FAILS}; then echo ready; fi"),
    "as a condition, and it works": run("if pip install torch; then echo ready; else exit 1; fi"),
    "negated": run(f"! {_FAILS}"),
    "in a group before || true": run(f"{{ {_WITH_ANOTHER} && echo ready; }} || true"),
    "in a subshell before || true": run(f"(set -e; {_FAILS}; echo ready) || true"),
    "before || true, some commands later": run(f"apt-get update && {_FAILS} && echo ready || true"),
    "a command before it, before || true": run("false && pip install torch || true"),
    "a chain that works": run("apt-get update && pip install torch && python -c 'import torch'"),
    "set -e": run("set -e; apt-get update; pip install torch; echo ready"),
    "set -eux": run("set -eux; pip install numpy; pip install torch; rm -rf /root/.cache"),
    "set +e": run(f"set +e; {_FAILS}; true", shows=Shows.PERHAPS),
    "set -n": run("set -n; pip install torch"),
    "only if the import fails, and it does": run(
        "python -c 'import torch' || pip install torch", shows=Shows.PERHAPS
    ),
    "only if the import fails, and it works": run("python -c 'import sys' || pip install torch"),
    "true ||": run("true || pip install torch"),
    ": ||": run(": || pip install torch"),
    "false ||": run("false || pip install torch"),
    "true &&": run("true && pip install torch"),
    "false &&": run("false && pip install torch; true"),
    "! true &&": run("! true && pip install torch; true"),
    "! false &&": run("! false && pip install torch"),
    "a || b && c": run("true || false && pip install torch"),
    "false || true || it": run("false || true || pip install torch"),
    "exit 0": run("exit 0; pip install torch"),
    "exit 0 &&": run("echo ready && exit 0 && pip install torch"),
    "exit in a subshell": run("(exit 0); pip install torch"),
    "exit of a group": run("{ exit 0; }; pip install torch"),
    "exec before": run("exec true; pip install torch"),
    "exec": run("exec pip install torch"),
    "exit of a function": run("leave() { exit 0; }; leave; pip install torch"),
    "killed before": run("kill -TERM $$; pip install torch || true", shows=Shows.PERHAPS),
    "in a subshell": run("(cd /tmp && pip install torch)"),
    "in a pipeline": run("pip install torch | cat", shows=Shows.PERHAPS),
    "in a pipeline, failing": run(f"{_FAILS} 2>&1 | cat; true || exit 1"),
    "in a pipeline with pipefail": build(_PIPEFAIL, "RUN pip install torch | tee /log"),
    "pipefail set in the line": run("bash -c 'set -o pipefail; pip install torch | tee /log'"),
    "beside, never finished": run("(sleep 30; pip install torch) & true"),
    "beside, and waited for": run("pip install torch & wait $!"),
    "beside, failing": run(f"{_FAILS} & wait"),
    "tried three times": run("for n in 1 2 3; do pip install torch && break || sleep 1; done", shows=Shows.PERHAPS),
    "tried three times in vain": run(f"for n in 1 2 3; do {_FAILS} && break; done || true"),
    "at the end by a trap": run("trap 'pip install torch' EXIT; echo ready", shows=Shows.PERHAPS),
}
