"""Find where an installer installs packages, and whether removing a folder removes them. No path is ever opened."""

import posixpath
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from agent.core.pytorch.shell.unknown import BEGIN, Lookup, is_known, unknown

CONDA = "conda:"  # the place of a named conda environment begins with this
_STANDARD = frozenset({"/usr/bin", "/usr/local/bin", "/bin", "/usr/sbin", "/usr/local/sbin", "/sbin", ""})
_CONDAS = frozenset({"conda", "mamba", "micromamba"})
_OWN = frozenset({"pipx", "poetry", "pdm", "pipenv"})
# The usual folders of torch, if no place is known: the system's own, and those of conda.
_USUAL = (
    "/usr/local/lib/python3/site-packages/torch",
    "/usr/local/lib/python3/dist-packages/torch",
    "/usr/lib/python3/dist-packages/torch",
    "/usr/lib/python3/site-packages/torch",
    "/opt/conda/lib/python3/site-packages/torch",
    "/root/.local/lib/python3/site-packages/torch",
    "/home/*/.local/lib/python3/site-packages/torch",
)
_PYTHON = re.compile(r"python3(?:\.[0-9?*\[\]-]{1,8})?\*?(?=/|\Z)")
_USERS_HOME = re.compile(r"\A~([a-z_][a-z0-9_-]{0,31})(?=/|\Z)")
_HOME = re.compile(r"\A(?:~|\$HOME)(?=/|\Z)")


def option(words: Sequence[str], *names: str) -> str:
    """The value of the first of these options: `-t DIR`, `--target DIR` or `--target=DIR`; "" if there is none."""
    letters = "".join(name[1] for name in names if len(name) == 2)
    for at, word in enumerate(words):
        if letters and (attached := re.match(rf"-[yqv]*[{letters}](?:(?=[/.])|\Z)", word)):  # `-t/deps`, `-yn NAME`
            return word[attached.end() :] or (words[at + 1] if at + 1 < len(words) else "")
        name, equals, text = word.partition("=")
        if name in names:
            return text if equals else words[at + 1] if at + 1 < len(words) else ""
    return ""


def absolute(path: str, folder: str, home: str = "/root") -> str:
    """The absolute path, without `..`. If the working folder is unknown, the path begins with an unknown part."""
    path = _HOME.sub(home.replace("\\", ""), path)
    path = _USERS_HOME.sub(r"/home/\1", path) if path.startswith("~") else path
    if BEGIN in path and "/.." in path:  # `..` after an unknown part: the result is unknown
        return unknown("$(...)")
    if not path.startswith(("/", BEGIN)):
        path = f"{folder}/{path}"
    normal = posixpath.normpath(path)
    return "/" + normal.lstrip("/") if path.startswith("/") else normal


def home(look_up: Lookup) -> str:
    """The home of the user who runs the program."""
    return look_up("HOME") or look_up("~") or "/root"


def of(tool: str, group: str, program: str, arguments: Sequence[str], look_up: Lookup, folder: str) -> str:
    """The environment or folder into which an installer installs; "" for the Python that is first in PATH."""
    target = option(arguments, "--target", "-t", "--prefix", "--root", *(("-p",) if tool in _CONDAS else ()))
    target = target or look_up("PIP_TARGET") or look_up("PIP_PREFIX") or look_up("PIP_ROOT") or ""
    if target and tool not in ("apt", "apt-get"):
        return absolute(target, folder)
    if tool in _CONDAS:
        return _of_conda(program, arguments, look_up, folder)
    python = option(arguments, "--python", *(("-p",) if tool == "uv" else ()))
    if "/" in program or "/" in python:
        return _prefix(absolute(python if "/" in python else program, folder))
    if "--user" in arguments or (look_up("PIP_USER") or "0").lower() not in ("0", "false", "no", "off"):
        return absolute(look_up("PYTHONUSERBASE") or f"{home(look_up)}/.local", folder)
    if tool == "uv" and group == "pip" and not {"--system", "VIRTUAL_ENV"} & {*arguments}:
        is_system = look_up("UV_SYSTEM_PYTHON") or look_up("VIRTUAL_ENV")
        return _first_found(look_up, folder) if is_system else absolute(".venv", folder)
    if tool == "uv" and not group:
        return absolute(look_up("UV_PROJECT_ENVIRONMENT") or ".venv", folder)
    return "" if tool in _OWN or group == "tool" or tool.startswith("apt") else _first_found(look_up, folder)


def _of_conda(program: str, arguments: Sequence[str], look_up: Lookup, folder: str) -> str:
    name = option(arguments, "-n", "--name") or look_up("CONDA_DEFAULT_ENV") or "base"
    root = option(arguments, "-r", "--root-prefix") or look_up("MAMBA_ROOT_PREFIX") or ""
    folders = look_up("CONDA_ENVS_PATH") or look_up("CONDA_ENVS_DIRS") or (f"{root}/envs" if root else "")
    if not folders and "/" in program and (prefix := _prefix(absolute(program, folder))):
        folders = f"{prefix}/envs"
    if name != "base":
        return absolute(f"{folders.partition(':')[0]}/{name}", folder) if folders else f"{CONDA}{name}"
    if root:
        return absolute(root, folder)
    return _prefix(absolute(program, folder)) if "/" in program else _first_found_folder(look_up)


def _prefix(program: str) -> str:
    folder = posixpath.dirname(program)
    if folder in _STANDARD or not folder:
        return ""
    return posixpath.dirname(folder) if posixpath.basename(folder) == "bin" else program


def _first_found(look_up: Lookup, folder: str) -> str:
    if environment := look_up("VIRTUAL_ENV"):
        return absolute(environment, folder)
    if (environment := look_up("CONDA_DEFAULT_ENV")) and environment != "base":
        return f"{CONDA}{environment}"
    return _first_found_folder(look_up)


def _first_found_folder(look_up: Lookup) -> str:
    first = (look_up("PATH") or "").partition(":")[0]
    if first in _STANDARD or not first.startswith(("/", BEGIN)) or posixpath.basename(first) != "bin":
        return ""
    return posixpath.dirname(first)


def is_environment(place: str, name: str) -> bool | None:
    """Whether a place is this conda environment, given by name or by folder; None if it is unknown."""
    if place in (f"{CONDA}{name}", name):
        return True
    if not is_known(name) or not is_known(place):
        return None
    last = posixpath.basename(name.rstrip("/"))
    return place == f"{CONDA}{last}" or (place.startswith("/") and posixpath.basename(place) == last)


def covers(removed: str, place: str) -> bool | None:
    """Whether removing this path removes the packages at the place; None if it is unknown."""
    targets = _targets(place)
    answers = [_covers(_normal(removed), target) for target in targets]
    return True if True in answers else None if None in answers else False


def _targets(place: str) -> tuple[str, ...]:
    if not place:
        return _USUAL
    if place.startswith(CONDA):
        name = place.removeprefix(CONDA)
        roots = ("/opt/conda", "/root/miniconda3", "/opt/miniconda3", "/root/anaconda3", "/usr/local", "/miniconda")
        return tuple(f"{root}/envs/{name}/lib/python3/site-packages/torch" for root in roots)
    path = _normal(place)
    return (
        f"{path}/torch",
        f"{path}/lib/python3/site-packages/torch",
        f"{path}/lib64/python3/site-packages/torch",
        f"{path}/local/lib/python3/dist-packages/torch",
        f"{path}/lib/python3/dist-packages/torch",
    )


def _normal(path: str) -> str:
    return _PYTHON.sub("python3", path)


def _covers(removed: str, target: str) -> bool | None:
    parts, wanted = removed.split("/"), target.split("/")
    if len(parts) > len(wanted) or len(parts) > 40 or len(removed) > 1000:
        return False
    if all(one == other or _matches(one, other) for one, other in zip(parts, wanted, strict=False)):
        return True
    if is_known(removed) and is_known(target):
        return False
    return _may_cover(removed, target)


def _may_cover(removed: str, target: str) -> bool | None:
    """As `_covers`, for two paths of which one has an unknown part: compares the last folder."""
    last = removed.rpartition("/")[2]
    if "$(...)" in removed:
        return None
    if not is_known(last):
        return None if is_known(target) and not target.startswith(_USUAL) else False if is_known(target) else None
    return None if any(_matches(part, last) or _matches(last, part) for part in target.split("/")[-4:]) else False


def _matches(pattern_part: str, part: str) -> bool:
    if part in (pattern_part, "*"):
        return True
    return any(char in pattern_part for char in "*?[") and len(pattern_part) < 100 and fnmatchcase(part, pattern_part)


def names_torch(pattern: str, place: str) -> bool:
    """Whether a pattern of `find` may match torch's folder, or a folder above it."""
    if not is_known(pattern):
        return True
    last = pattern.rstrip("/").rpartition("/")[2] or pattern
    names = ("torch", "site-packages", "dist-packages", "python3", "python3.11", "lib", *place.split("/")[-20:])
    return len(last) >= 200 or any(_matches(last, name) for name in names)


def braces(word: str) -> list[str]:
    """The words that bash makes of `a{b,c}`; any other word is returned unchanged."""
    words = [word]
    for _ in range(3):
        if len(words) < 50:
            words = [part for one in words for part in _first_brace(one)]
    return words


def _first_brace(word: str) -> list[str]:
    match = re.fullmatch(r"([^{}]*)\{([^{}]*,[^{}]*)\}(.*)", word, re.DOTALL)
    return [word] if match is None else [f"{match[1]}{part}{match[3]}" for part in match[2].split(",")[:50]]
