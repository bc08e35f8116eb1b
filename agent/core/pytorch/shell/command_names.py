"""Groups of commands: shells, commands that only print, commands whose failure people notice, wrappers of others."""

import re
from collections.abc import Callable, Mapping, Sequence

ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,80}+)(\+?)=")

SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh", "ksh"})
PRINTERS = frozenset({"echo", "printf"})  # `echo pip install torch` installs nothing
# Files that are often sourced and do not set variables on which a build's branches depend.
HARMLESS_FILES = frozenset(
    {
        *("conda.sh", "mamba.sh", "micromamba.sh", "os-release", "lsb-release", ".bashrc", ".profile", ".bash_profile"),
        *("env", "nvm.sh", "setvars.sh", "environment", "profile", "bashrc", "enable", "intel64"),
    }
)
# People would have noticed and fixed a failure of these commands, so they are assumed to succeed:
# `apt update && pip install x; y`.
WORKERS = frozenset(
    {
        *("apt", "apt-get", "apk", "yum", "dnf", "microdnf", "zypper", "pacman", "conda"),
        *("mamba", "micromamba", "pip", "pip3", "uv", "poetry", "pdm", "pipenv", "npm"),
        *("yarn", "pnpm", "cargo", "go", "gem", "cp", "mv", "rm", "mkdir"),
        *("rmdir", "ln", "chmod", "chown", "touch", "install", "tar", "unzip", "gunzip"),
        *("gzip", "xz", "bzip2", "7z", "zip", "wget", "curl", "aria2c", "git"),
        *("svn", "rsync", "sed", "make", "cmake", "ninja", "meson", "dpkg", "ldconfig"),
        *("update-alternatives", "locale-gen", "adduser", "useradd", "groupadd", "usermod", "addgroup", "tee", "gpg"),
        *("apt-key", "add-apt-repository", "ulimit", "umask", "sleep", "sync", "hash", "dpkg-reconfigure"),
        *("update-ca-certificates", "ln", "pyenv", "virtualenv"),
    }
)

_Rest = tuple[list[str], Mapping[str, str | None]]


def unwrapped(words: Sequence[str]) -> _Rest | None:
    """The words of the command that a wrapper runs, and the variables that it sets for it; None if it is not one."""
    reader = _WRAPPERS.get(words[0].rpartition("/")[2])
    return reader(words) if reader is not None else None


def _past_options(words: Sequence[str], with_value: frozenset[str], at: int = 1) -> int:
    while at < len(words) and words[at].startswith("-"):
        if words[at] == "--":
            return at + 1
        at += 2 if words[at] in with_value else 1
    return at


def _with_assignments(words: Sequence[str], at: int) -> _Rest:
    values: dict[str, str | None] = {}
    while at < len(words) and (match := ASSIGNMENT.match(words[at])):
        values[match[1]] = words[at][match.end() :]
        at += 1
    return list(words[at:]), values


def _sudo(words: Sequence[str]) -> _Rest:
    return _with_assignments(words, _past_options(words, frozenset({"-u", "-g", "-h", "-p", "-C", "-D", "-R", "-T"})))


def _env(words: Sequence[str]) -> _Rest | None:
    at = _past_options(words, frozenset({"-u", "-C", "--unset", "--chdir"}))
    options = words[1:at]
    if any(word.startswith(("-S", "--split-string", "-i", "--ignore")) or word == "-" for word in options):
        return None
    rest, values = _with_assignments(words, at)
    unset = [options[place + 1] for place in range(len(options) - 1) if options[place] in ("-u", "--unset")]
    return rest, {**dict.fromkeys(unset), **values}


def _plain(words: Sequence[str]) -> _Rest:
    return list(words[_past_options(words, frozenset({"-n", "-a", "-o", "-c", "-p", "-f"})) :]), {}


def _bare(words: Sequence[str]) -> _Rest:
    return list(words[_past_options(words, frozenset()) :]), {}


def _command(words: Sequence[str]) -> _Rest | None:
    return None if any(word in ("-v", "-V") for word in words[1:3]) else _bare(words)


def _timeout(words: Sequence[str]) -> _Rest:
    return list(words[_past_options(words, frozenset({"-s", "-k", "--signal", "--kill-after"})) + 1 :]), {}


def _gosu(words: Sequence[str]) -> _Rest:
    return list(words[2:]), {}


def _conda(words: Sequence[str]) -> _Rest | None:
    """`conda run -n NAME command`. `conda activate` is handled elsewhere."""
    if len(words) < 3 or words[1] != "run":
        return None
    at = _past_options(words, frozenset({"-n", "--name", "-p", "--prefix", "--cwd"}), 2)
    options = list(words[2:at])
    named = [options[place + 1] for place in range(len(options) - 1) if options[place] in ("-n", "--name")]
    folders = [options[place + 1] for place in range(len(options) - 1) if options[place] in ("-p", "--prefix")]
    root = words[0].rpartition("/bin/")[0]
    if named and root and named[-1] != "base":
        folders = [f"{root}/envs/{named[-1]}"]
    if folders:
        return list(words[at:]), {"VIRTUAL_ENV": folders[-1]}
    return list(words[at:]), {"CONDA_DEFAULT_ENV": named[-1]} if named else {}


def _project(words: Sequence[str]) -> _Rest | None:
    """`uv run command` runs the command in the project's environment."""
    if len(words) < 3 or words[1] != "run" or any(word.startswith(("--with", "--isolated")) for word in words[2:8]):
        return None
    return list(words[_past_options(words, frozenset({"--with", "--python", "-p"}), 2) :]), {"VIRTUAL_ENV": ".venv"}


_WRAPPERS: dict[str, Callable[[Sequence[str]], _Rest | None]] = {
    "sudo": _sudo,
    "env": _env,
    "nice": _plain,
    "ionice": _plain,
    "exec": _plain,
    "time": _bare,
    "nohup": _bare,
    "builtin": _bare,
    "stdbuf": _plain,
    "xvfb-run": _plain,
    "setsid": _bare,
    "command": _command,
    "timeout": _timeout,
    "busybox": _bare,
    "toybox": _bare,
    "gosu": _gosu,
    "su-exec": _gosu,
    "conda": _conda,
    "mamba": _conda,
    "micromamba": _conda,
    "uv": _project,
    "poetry": _project,
    "pdm": _project,
    "pipenv": _project,
}
