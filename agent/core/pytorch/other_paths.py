"""Folders that a removal may reach under another name: through a link, or as a user's home."""

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
_LIBRARY = re.compile(r"\.(?:so|a|h|hpp)\b")  # a link to a library or header does not lead into a folder
# The folder of a Python that a variable, a shim or a sourced script selects.
_ROOTS = re.compile(
    r"()(/(?!opt/conda/)[^\s\"':;&|]{1,200})/etc/profile\.d/(?:conda|mamba|micromamba)\.sh"
    r"|()(/[^\s\"':;&|=]{1,200})/shims(?!\w)|(PYENV_ROOT|UV_PYTHON|PIP_PYTHON)=[\"']?(/[^\s\"':;&|]{1,200})"
    r"|()envs_dirs\s+(/[^\s\"':;&|]{1,200})"
)
_ROOTED = ("profile.d/", "/shims", "PYENV_ROOT=", "_PYTHON=", "envs_dirs")
# Folders that every image has. If a removal names one of them, that does not connect it to the linked folder.
_COMMON = frozenset(
    {
        *("", ".", "..", "usr", "bin", "sbin", "lib", "lib64", "local", "share", "etc", "var"),
        *("opt", "home", "root", "tmp", "src", "include", "cache", "log", "run", "dev", "null"),
    }
)
ANY = "*"  # an unknown name


def names(line: str) -> frozenset[str]:
    """The parts of each path that a line links, makes a home or selects, without the folders that every image has."""
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
    """The names, and the parts of the values of the variables among them."""
    values = (look_up(name[1:]) for name in found if name.startswith("$"))
    return found.union(*(_parts(value) for value in values if value))


def _parts(path: str) -> Iterator[str]:
    parts = path.strip("\"'").split("/")
    if "bin" in parts[:-1]:  # a program
        return
    own = [part for part in parts if part not in _COMMON and not part.isdecimal()]
    matches = [match for match in map(_NAMED_PART.match, own) if match is not None]
    yield from (match[0].replace("{", "") for match in matches)
    if own and not matches:
        yield ANY


def is_named(found: frozenset[str], program: str) -> bool:
    """Whether a program names one of these, so that it may remove a folder under another path."""
    if not found:
        return False
    removals = " ".join(_REMOVALS.findall(program))
    text = program if "$" in removals or not removals else removals  # the program may set a variable anywhere
    return ANY in found or not found.isdisjoint(_names_in(text))


def _names_in(program: str) -> Iterator[str]:
    yield from _NAME.findall(program)
    yield from (f"${name}" for name in _VARIABLE.findall(program))
