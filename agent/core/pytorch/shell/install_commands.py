"""What one command that ran says of torch: what it installs, and what it takes away."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from agent.core import tags
from agent.core.pytorch import packages
from agent.core.pytorch.facts import Facts, Install, join
from agent.core.pytorch.shell import places
from agent.core.pytorch.shell.values import Lookup, is_known, shown

PIP = re.compile(r"pip[23]?(?:\.[0-9]{1,2})?")
PYTHON = re.compile(r"(?:python|pypy)[23]?(?:\.[0-9]{1,2})?")
CONDAS = frozenset({"conda", "mamba", "micromamba"})
INSTALLERS = frozenset({*CONDAS, "uv", "uvx", "poetry", "pdm", "pipenv", "pipx", "apt", "apt-get"})
_PYTHONS = frozenset({"uv", "poetry", "pdm", "pipenv", "pipx"})  # these install what is on PyPI, as pip does
_GROUPS = {"uv": ("pip", "tool"), **dict.fromkeys(CONDAS, ("env",))}
_VERBS = frozenset({"install", "add", "create", "inject"})
_REMOVALS = frozenset({"uninstall", "remove", "purge", "autoremove"})
_QUESTIONS = frozenset({"show", "check", "list", "freeze", "search", "info", "index", "help", "debug"})
_REMOVERS = frozenset({"rm", "rmdir", "unlink", "mv", "find"})

# An option whose next word is its value: `conda install -c pytorch faiss` does not install pytorch.
_TAKES_VALUE = re.compile(
    r"-[A-Za-z]{0,6}[cnprtfied]"
    r"|--(?:channel|name|prefix|requirement|constraint|target|find-links|index|index-url|extra-index-url|default-index"
    r"|root|src|python|python-version|python-platform|platform|abi|implementation|only-binary|no-binary|extra|extras|group"
    r"|torch-backend|editable|log|report|cache-dir|upgrade-strategy|trusted-host|proxy|timeout|retries|override|file"
    r"|upgrade-package|reinstall-package|no-build-isolation-package|suffix|with|package|optional|root-user-action"
    r"|progress-bar|config-settings?|global-option|build-constraint|spec|pip-args|target-release|option)"
)
_NO_VALUE = re.compile(r"-(?:f|e|i|d|c)")  # of apt: `apt-get install -f python3-torch`
_TORCH = re.compile(
    r"(?:[\w.-]{1,60}::)?(?:python3-torch(?:-cuda)?|(?:py)?torch(?:-[cg]pu)?)"
    r"(?:\[[\w,.-]{0,80}\])?(?![\w.*/:\[-])"
)
_WHEEL = re.compile(r"torch-([0-9][\w.]{0,40}).{0,200}\.whl", re.DOTALL)
_COMPANION = re.compile(r"(?:[\w.-]{1,60}::)?(?:torchvision|torchaudio|pytorch-cuda)(?![\w.*/-])")
_PIN = re.compile(r"={1,3}(.{1,60})")
_VERSION = re.compile(
    r"v?([0-9]{1,4}(?:\.[0-9]{1,9}){1,3}(?:(?:a|b|rc)[0-9]{1,9})?(?:\.post[0-9]{1,9})?(?:\.dev[0-9]{1,9})?)"
)
INDEX = re.compile(r"download\.pytorch\.org/whl/(?:nightly/|test/)?([a-z0-9.]{1,20})")
_LOCAL = re.compile(r"(?:\+|%2B)([a-z0-9.]{1,20})")
_AZURE_ENVIRONMENT = re.compile(r"(?<![A-Za-z0-9])ptca(?![A-Za-z0-9])")
_HERE = re.compile(r"""[^;]*;\s*(?:sys_platform\s*==\s*["']linux|platform_system\s*==\s*["']Linux)["']\s*""")
_PACKAGE = re.compile(r"[A-Za-z0-9][\w.-]{0,80}")
_INDEX_VARIABLES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "UV_INDEX", "UV_INDEX_URL")

# Options and variables with which nothing is installed, or only into an environment that nobody can see here.
_ONLY_SHOWN = frozenset(
    {
        *("--dry-run", "--help", "-h", "--no-install", "--download", "--download-only", "--print-uris", "--simulate"),
        *("--just-print", "--no-act", "--recon", "--lock", "--frozen", "--no-sync", "--script", "--version"),
    }
)
_APT_ONLY_SHOWN = frozenset({"-s", "-d"})
_OTHER_MACHINE = frozenset({"--platform", "--python-platform", "--only-binary", "--abi", "--implementation"})
_NOT_KEPT = ("/dev/", "/proc/", "/sys/")  # folders that a build has in memory only
_NO = frozenset({"", "0", "false", "no", "off", "n", "f"})


@dataclass(frozen=True, slots=True)
class Ran:
    """One command as it ran: its words with their values, and what it could see."""

    words: Sequence[str]
    look_up: Lookup
    folder: str


@dataclass(frozen=True, slots=True)
class _Installer:
    tool: str
    verb: str
    arguments: tuple[str, ...]
    place: str


def plain_version(text: str) -> str | None:
    """`v2.1.0`, `2.2.0a0+81ea7a4` and `2.6.0.*` as `2.1.0`, `2.2.0a0` and `2.6.0`; None for what is no version."""
    match = _VERSION.match(text.strip(" \"'"))
    return match[1] if match else None


def is_installer(word: str) -> bool:
    name = word.rpartition("/")[2]
    return name in INSTALLERS or PIP.fullmatch(name) is not None


def matters(word: str) -> bool:
    """Whether a command of this name may install or remove anything."""
    name = word.rpartition("/")[2]
    return (
        is_installer(word) or name in _REMOVERS or name in ("xargs", "virtualenv") or PYTHON.fullmatch(name) is not None
    )


def after(ran: Ran, facts: Facts) -> tuple[Facts, bool]:
    """What is known once the command has ended well; and whether it is work whose failing would have been seen."""
    name = ran.words[0].rpartition("/")[2]
    if name in _REMOVERS:
        return _after_removal(name, ran, facts), True
    if name == "xargs":
        return _after_xargs(ran, facts), False
    facts = _without_cleared(ran, facts)
    found = _installer(ran)
    if found is None:
        return facts, False
    if found.verb in _REMOVALS:
        return _after_uninstall(found, facts), True
    return _after_install(found, ran, facts) if found.verb in _VERBS else facts, found.verb not in _QUESTIONS


def may_install(words: Sequence[str]) -> str:
    """The installation of torch that an unknown command is told to run (`retry pip install torch`); "" for none."""
    for at, word in enumerate(words[1:30], start=1):
        if is_installer(word):
            rest = words[at + 1 :]
            if any(part in _VERBS for part in rest[:3]) and any(_TORCH.match(part) for part in rest):
                return shown(" ".join(words[at : at + 12]))
    return ""


# --- which installer, and where it puts things ---


def _installer(ran: Ran) -> _Installer | None:
    words = tuple(ran.words)
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
    return _Installer(
        tool, words[at], arguments, places.of(tool, group, interpreter, arguments, ran.look_up, ran.folder)
    )


def _first_argument(words: Sequence[str], at: int) -> int:
    skip = False
    while at < len(words):
        if not skip and not words[at].startswith("-"):
            return at
        skip = not skip and _TAKES_VALUE.fullmatch(words[at]) is not None
        at += 1
    return at


# --- installation ---


def _after_install(found: _Installer, ran: Ran, facts: Facts) -> Facts:
    if _is_only_shown(found, ran):
        return facts
    facts = facts.with_hints(_hints(found))
    index = _accelerator(found, ran)
    if found.place.startswith(_NOT_KEPT):
        return facts
    is_doubtful = _is_doubtful(found, ran)
    result = facts
    without = "--no-deps" in found.arguments or _is_on(ran.look_up("PIP_NO_DEPS"))
    for word in _packages(found):
        name = word.rpartition("/")[2]
        if torch := _torch(word, name):
            text, pinned, accelerator, is_clear = torch
            result = result.with_install(
                shown(f"{found.tool} {found.verb} {text}"), found.place, plain_version(pinned), accelerator or index
            )
            is_doubtful = is_doubtful or not is_clear
        elif not without and _needs_torch(found.tool, word, name):
            result = result.with_hints({"package": shown(f"{found.tool} {found.verb} {name.partition('@')[0]}")})
    if index and index != result.accelerator:
        result = replace(result, accelerator=index)
    return join(facts, result) if is_doubtful else result


def _torch(word: str, name: str) -> tuple[str, str, str | None, bool] | None:
    """Text, pinned version, accelerator, and whether it surely is torch; None where the word is another package."""
    if match := _WHEEL.match(name):
        local = _LOCAL.search(name)
        return name, match[1], tags.accelerator(local[1]) if local else None, is_known(name)
    if not (match := _TORCH.match(word)):
        return None
    rest = word[match.end() :]
    pin = _PIN.match(word, match.end())
    local = _LOCAL.search(rest) if pin else None
    # What follows `@` is an address, which may hold a password. A marker (`;`) may leave the package out.
    is_clear = (not rest or rest[0] in "=<>!~@ (,;") and (";" not in rest or _HERE.fullmatch(rest) is not None)
    text = word.partition("@")[0]
    return text, pin[1] if pin else "", tags.accelerator(local[1]) if local else None, is_clear


def _needs_torch(tool: str, word: str, name: str) -> bool:
    if _COMPANION.match(word) or "torch" in word.partition("[")[2]:
        return True
    if tool not in _PYTHONS and not PIP.fullmatch(tool):
        return False
    match = _PACKAGE.match(name)
    return match is not None and packages.needs_torch(match[0])


def _packages(found: _Installer) -> Iterator[str]:
    """The words that may name a package."""
    skip = False
    is_apt = found.tool in ("apt", "apt-get")
    for word in found.arguments:
        is_option = word.startswith("-")
        if not skip and not is_option:
            yield word
        takes_value = is_option and _TAKES_VALUE.fullmatch(word) is not None
        skip = not skip and takes_value and not (is_apt and _NO_VALUE.fullmatch(word))


def _is_only_shown(found: _Installer, ran: Ran) -> bool:
    if not _ONLY_SHOWN.isdisjoint(found.arguments) or _is_on(ran.look_up("PIP_DRY_RUN")):
        return True
    if found.tool in ("apt", "apt-get"):
        return any(word in _APT_ONLY_SHOWN for word in found.arguments)
    return found.tool in CONDAS and "-d" in found.arguments


def _is_doubtful(found: _Installer, ran: Ran) -> bool:
    """Whether it may have installed for another machine, or nothing at all."""
    options = {word.partition("=")[0] for word in found.arguments}
    is_foreign = not _OTHER_MACHINE.isdisjoint(options) and not options.isdisjoint({"--target", "-t"})
    dry = ran.look_up("PIP_DRY_RUN")
    return is_foreign or (dry is not None and not is_known(dry))


def _is_on(value: str | None) -> bool:
    return value is not None and is_known(value) and value.strip().lower() not in _NO


def _hints(found: _Installer) -> dict[str, str]:
    hints = {}
    if any("download.pytorch.org" in word for word in found.arguments):
        hints["index"] = "download.pytorch.org"
    backend = _option(found.arguments, "--torch-backend")
    if backend:
        hints["index"] = shown(f"--torch-backend={backend}")
    if found.tool in CONDAS and any(_AZURE_ENVIRONMENT.search(word) for word in found.arguments):
        hints["environment"] = "conda environment ptca"
    return hints


def _accelerator(found: _Installer, ran: Ran) -> str | None:
    """That of the wheel index that the command uses; of several ones the last one's."""
    told = [ran.look_up(name) or "" for name in _INDEX_VARIABLES]
    accelerator = None
    for word in (*told, *found.arguments):
        for index in INDEX.finditer(word):
            accelerator = tags.accelerator(index[1]) or accelerator
    backend = _option(found.arguments, "--torch-backend") or ran.look_up("UV_TORCH_BACKEND") or ""
    return (tags.accelerator(backend) if is_known(backend) and found.tool == "uv" else None) or accelerator


def _option(words: Sequence[str], *names: str) -> str:
    return places.option(words, *names)


# --- removal ---


def _after_uninstall(found: _Installer, facts: Facts) -> Facts:
    if not _ONLY_SHOWN.isdisjoint(found.arguments):
        return facts
    if found.tool in CONDAS and ("--all" in found.arguments or found.verb == "remove"):
        name = _option(found.arguments, "-n", "--name", "-p", "--prefix")
        if name and ("--all" in found.arguments or not list(_packages(found))):
            return facts.without(lambda one: places.is_environment(one.place, name))
    words = tuple(_packages(found))
    if any(_TORCH.match(word) for word in words):
        if not facts.installs:
            return _removed(facts)
        return facts.without(lambda one: _is_uninstalled(one, found))
    if any(not is_known(word) for word in words) or _option(found.arguments, "-r", "--requirement"):
        return facts.without(lambda _: None)
    return facts


def _is_uninstalled(one: Install, found: _Installer) -> bool | None:
    """Whether an installer takes away what another command installed; in doubt it may."""
    is_apts, was_apts = (tool.startswith("apt") for tool in (found.tool, one.text))
    if is_apts != was_apts:
        return False if is_apts else None
    was_condas = one.text.partition(" ")[0] in CONDAS
    return True if one.place == found.place and was_condas == (found.tool in CONDAS) else None


def _removed(facts: Facts) -> Facts:
    return Facts(hints={}, doubts=facts.doubts, is_removed=True)


def _after_xargs(ran: Ran, facts: Facts) -> Facts:
    words = list(ran.words)
    if any(word in _REMOVALS for word in words) and any(is_installer(word) for word in words):
        return facts.without(lambda _: None)
    if any(word.rpartition("/")[2] in ("rm", "mv") for word in words):
        return facts.without(lambda one: None if one.place else False)
    text = may_install(words)
    return join(facts, facts.with_install(text, "", None, None)) if text else facts


def _without_cleared(ran: Ran, facts: Facts) -> Facts:
    """`python -m venv --clear FOLDER` begins the folder anew."""
    if "--clear" not in ran.words or not any(
        word.rpartition("/")[2] in ("venv", "virtualenv") for word in ran.words[:4]
    ):
        return facts
    cleared = places.absolute(ran.words[-1], ran.folder)
    return facts.without(lambda one: one.place == cleared)


def _after_removal(name: str, ran: Ran, facts: Facts) -> Facts:
    if not facts.installs:
        return facts
    if name == "find":
        return _after_find(ran.words, facts)
    words = [word for word in ran.words[1:] if not word.startswith("-")]
    words = [part for word in words for part in places.braces(word)]
    gone = [
        places.absolute(word, ran.folder, places.home(ran.look_up)) for word in (words[:-1] if name == "mv" else words)
    ]

    def is_gone(one: Install) -> bool | None:
        answers = [places.covers(path, one.place) for path in gone]
        if name == "mv" and True in answers:  # it is still there, under another name
            return None
        return True if True in answers else None if None in answers else False

    return facts.without(is_gone)


def _after_find(words: Sequence[str], facts: Facts) -> Facts:
    deletes = "-delete" in words or any(word.rpartition("/")[2] in ("rm", "mv") for word in words)
    if not deletes:
        return facts
    named = [words[at + 1] for at in range(len(words) - 1) if words[at] in ("-name", "-iname", "-path", "-regex")]
    return facts.without(
        lambda one: None if not named or any(places.names_torch(pattern, one.place) for pattern in named) else False
    )
