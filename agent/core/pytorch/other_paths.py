"""Folders that a removal may reach by another path: through a link, or as the home of a user."""

import re
from collections.abc import Iterator

from agent.core.pytorch.shell.unknown import Lookup

_LINKS = re.compile(r"(?<![\w./-])(?:ln|cp)\s+((?:-[\w-]{1,30}\s+)*-(?:[a-z]*s[a-z]*|-symbolic)\s[^;&|<>#\n]{1,400})")
_HOMES = re.compile(
    r"(?<![\w./-])(?:useradd|adduser|usermod)\s[^;&|\n]{0,300}?(?:-[a-zA-Z]{0,4}[dh]|--home(?:-dir)?)(?:\s+|=)"
    r"[\"']?([^\s;&|\"']{1,200})"
)
_PASSWORD_FILE = re.compile(r":(/[^:\s]{1,200}):[^:]{0,100}/etc/passwd")
_NAME = re.compile(r"[\w.-]+")
_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w{0,60})")
_NAMED_PART = re.compile(r"[\w.-]+|\$\{?[A-Za-z_]\w{0,60}")
_REMOVALS = re.compile(r"(?<![\w-])(?:rm|rmdir|mv|unlink|find)\s[^;&|\n]*+")
_LIBRARY = re.compile(r"\.(?:so|a|h|hpp)\b")  # a link to a file is no way into a folder
# Where a Python is that is chosen by a variable, by a shim or by a script that is sourced.
_ROOTS = re.compile(
    r"()(/(?!opt/conda/)[^\s\"':;&|]{1,200})/etc/profile\.d/(?:conda|mamba|micromamba)\.sh"
    r"|()(/[^\s\"':;&|=]{1,200})/shims(?!\w)|(PYENV_ROOT|UV_PYTHON|PIP_PYTHON)=[\"']?(/[^\s\"':;&|]{1,200})"
    r"|()envs_dirs\s+(/[^\s\"':;&|]{1,200})"
)
_ROOTED = ("profile.d/", "/shims", "PYENV_ROOT=", "_PYTHON=", "envs_dirs")
# Folders that every image has: a removal that names one of them says nothing of what is below another.
_COMMON = frozenset(
    {
        *("", ".", "..", "usr", "bin", "sbin", "lib", "lib64", "local", "share", "etc", "var"),
        *("opt", "home", "root", "tmp", "src", "include", "cache", "log", "run", "dev", "null"),
    }
)
ANY = "*"  # a name that is not known


def names(line: str) -> frozenset[str]:
    """The parts of the paths that a line links, or makes a home, but for those that every image has."""
    found: set[str] = set()
    if "ln " in line or "cp " in line:
        for match in _LINKS.finditer(line):
            if not _LIBRARY.search(match[1]):
                for word in (word for word in match[1].split() if not word.startswith("-")):
                    found.update(_parts(word))
    if "/etc/passwd" in line or "useradd" in line or "adduser" in line or "usermod" in line:
        homes = [match[1] for match in (*_HOMES.finditer(line), *_PASSWORD_FILE.finditer(line))]
        for home in homes:
            if not home.startswith(("/home/", "/root", "/nonexistent")):
                found.update(_parts(home))
    if any(word in line for word in _ROOTED):
        for match in _ROOTS.finditer(line):
            variable, root = (part for part in match.groups() if part is not None)
            found.update(_parts(root.removesuffix("/python").removesuffix("/bin")))
            found.update({f"${variable}"} if variable else ())
    if "uv python install" in line:
        found.add("uv")
    for name in [name for name in found if name.startswith("$")]:
        for value in re.findall(rf"(?<!\w){name[1:]}=[\"']?([^\s;&|\"']{{1,200}})", line):
            found.update(_parts(value))
    return frozenset(found)


def resolved(found: frozenset[str], look_up: Lookup) -> frozenset[str]:
    """The names, with the values of variables that ENV lines have set."""
    values = (look_up(name[1:]) for name in found if name.startswith("$"))
    return found.union(*(_parts(value) for value in values if value))


def _parts(path: str) -> Iterator[str]:
    parts = path.strip("\"'").split("/")
    if "bin" in parts[:-1]:  # a program
        return
    named = [part for part in parts if part not in _COMMON and not part.isdecimal()]
    found = [match for match in map(_NAMED_PART.match, named) if match is not None]
    yield from (match[0].replace("{", "") for match in found)
    if named and not found:
        yield ANY


def is_named(found: frozenset[str], program: str) -> bool:
    """Whether a program names one of these, so that what it removes may be below another path."""
    if not found:
        return False
    removals = " ".join(_REMOVALS.findall(program))
    removed = program if "$" in removals or not removals else removals  # a value may stand anywhere
    return ANY in found or not found.isdisjoint(_names_in(removed))


def _names_in(program: str) -> Iterator[str]:
    yield from _NAME.findall(program)
    yield from (f"${name}" for name in _VARIABLE.findall(program))
