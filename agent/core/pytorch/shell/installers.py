"""Recognise commands that install or remove packages, and find the place of the packages."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from agent.core.pytorch.shell import places
from agent.core.pytorch.shell.unknown import Lookup

PIP = re.compile(r"pip[23]?(?:\.[0-9]{1,2})?")
PYTHON = re.compile(r"(?:python|pypy)[23]?(?:\.[0-9]{1,2})?")
CONDAS = frozenset({"conda", "mamba", "micromamba"})
INSTALLERS = frozenset({*CONDAS, "uv", "uvx", "poetry", "pdm", "pipenv", "pipx", "apt", "apt-get"})
_GROUPS = {"uv": ("pip", "tool"), **dict.fromkeys(CONDAS, ("env",))}
VERBS = frozenset({"install", "add", "create", "inject"})
REMOVALS = frozenset({"uninstall", "remove", "purge", "autoremove"})

# Options whose next word is their value: `conda install -c pytorch faiss` does not install pytorch.
_TAKES_VALUE = re.compile(
    r"-[A-Za-z]{0,6}[cnprtfied]"
    r"|--(?:channel|name|prefix|requirement|constraint|target|find-links|index|index-url|extra-index-url|default-index"
    r"|root|src|python|python-version|python-platform|platform|abi|implementation|only-binary|no-binary|extra|extras|group"
    r"|torch-backend|editable|log|report|cache-dir|upgrade-strategy|trusted-host|proxy|timeout|retries|override|file"
    r"|upgrade-package|no-(?:build|binary|emit|sources)-package|reinstall-package|no-build-isolation-package|suffix|with|package|optional|root-user-action"
    r"|progress-bar|config-settings?|global-option|build-constraint|spec|pip-args|target-release|option)"
)
# Options without a value. The word after any other option may be its value: `poetry add -G torch numpy`.
_FLAG = re.compile(
    r"-[yqvUIVmHSsuf]{1,6}|-y[a-z]{1,3}|--no-[a-z-]+"
    r"|--(?:yes|assume-yes|quiet|verbose|upgrade|update|user|pre|system|force|force-reinstall|ignore-installed|isolated"
    r"|compile|use-pep517|require-hashes|break-system-packages|prefer-binary|ignore-requires-python|exact|reinstall"
    r"|only-deps|deps-only|dev|lock|frozen|offline|refresh|allow-unauthenticated|allow-downgrades|fix-missing|fix-broken"
    r"|install-recommends|download-only|dry-run|strict|native-tls|compile-bytecode|copy|override-channels"
    r"|strict-channel-priority|freeze-installed|insecure|debug|json|always-copy|all-extras|inexact|locked|active)"
)
_NO_VALUE = re.compile(r"-(?:f|e|i|d|c)")  # apt's options without a value: `apt-get install -f python3-torch`

# With these options nothing is installed, or only into an environment that cannot be found from the history.
ONLY_SHOWN = frozenset(
    {
        *(
            "--dry-run",
            "--dry",
            "--help",
            "-h",
            "--no-install",
            "--download",
            "--download-only",
            "--print-uris",
            "--simulate",
        ),
        *(
            "--just-print",
            "--no-act",
            "--recon",
            "--only-deps",
            "--deps-only",
            "--lock",
            "--frozen",
            "--no-sync",
            "--script",
            "--version",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class RanCommand:
    """One command that ran: its words with their values, its variables and its working folder."""

    words: Sequence[str]
    look_up: Lookup
    folder: str


@dataclass(frozen=True, slots=True)
class Installer:
    """One command of an installer: `pip install torch` has the tool `pip` and the verb `install`."""

    tool: str
    verb: str
    arguments: tuple[str, ...]
    place: str  # see `places.of`
    doubtful: frozenset[str] = frozenset()  # words that may be the value of an unknown option
    is_path_known: bool = False  # whether PATH is known; the place "" is then not a named folder


def is_installer(word: str) -> bool:
    """Whether a word is the name of an installer, like `pip3.11` or `/opt/conda/bin/conda`."""
    name = word.rpartition("/")[2]
    return name in INSTALLERS or PIP.fullmatch(name) is not None


def installer_of(command: RanCommand) -> Installer | None:
    """The installer's command, also behind `python -m`; None for any other command."""
    words = tuple(command.words)
    tool = words[0].rpartition("/")[2]
    interpreter = words[0]
    if PYTHON.fullmatch(tool):
        at = next((at for at in range(1, min(len(words), 8)) if not words[at].startswith("-")), len(words))
        if at >= len(words) or words[at - 1] not in ("-m", "-Im", "-sm", "-Em") or not is_installer(words[at]):
            return None
        words, tool = words[at:], words[at]
    if not (tool in INSTALLERS or PIP.fullmatch(tool)):
        return None
    at = _first_argument(words, 1)
    group = ""
    if at < len(words) and words[at] in _GROUPS.get(tool, ()):
        group, words = words[at], (*words[:at], *words[at + 1 :])
        at = _first_argument(words, at)
    if at >= len(words):
        return None
    arguments = (*words[1:at], *words[at + 1 :])
    place = places.of(tool, group, interpreter, arguments, command.look_up, command.folder)
    return Installer(tool, words[at], arguments, place, _after_unknown(arguments), command.look_up("PATH") is not None)


def _first_argument(words: Sequence[str], at: int) -> int:
    skip = False
    while at < len(words):
        if not skip and not words[at].startswith("-"):
            return at
        skip = not skip and _TAKES_VALUE.fullmatch(words[at]) is not None
        at += 1
    return at


def _after_unknown(words: Sequence[str]) -> frozenset[str]:
    """The words after options that may or may not take a value."""
    pairs = pairwise(words)
    return frozenset(
        word
        for option, word in pairs
        if option[:1] == "-" and "=" not in option and not (_FLAG.fullmatch(option) or _TAKES_VALUE.fullmatch(option))
    )


def packages(installer: Installer) -> Iterator[str]:
    """The words that may name a package."""
    skip = False
    is_apt = installer.tool in ("apt", "apt-get")
    for word in installer.arguments:
        is_option = word.startswith("-")
        if not skip and not is_option:
            yield word
        takes_value = is_option and _TAKES_VALUE.fullmatch(word) is not None
        skip = not skip and takes_value and not (is_apt and _NO_VALUE.fullmatch(word))
