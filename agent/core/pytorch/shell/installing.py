"""What an installation that ran says of torch."""

import re
from collections.abc import Sequence
from dataclasses import replace

from agent.core.images import tags
from agent.core.pytorch.facts import INDEX, PLACED, Facts, join
from agent.core.pytorch.shell import places, torch_words
from agent.core.pytorch.shell.installers import CONDAS, ONLY_SHOWN, VERBS, Installer, Ran, is_installer, packages
from agent.core.pytorch.shell.unknown import is_known, shown
from agent.core.pytorch.versions import plain_version

_WHEELS = re.compile(r"download\.pytorch\.org/whl/(?:nightly/|test/)?([a-z0-9.]{1,20})")
_AZURE_ENVIRONMENT = re.compile(r"(?<![A-Za-z0-9])ptca(?![A-Za-z0-9])")
_INDEX_VARIABLES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "UV_INDEX", "UV_INDEX_URL")

_APT_ONLY_SHOWN = re.compile(
    r"-[a-zA-Z]{0,6}[sd][a-zA-Z]{0,6}|--assume-no|\w{0,20}::\S{0,40}(?:Simulate|Download-Only)\S{0,20}|-o.{0,20}Simulate.{0,20}|-o.{0,20}Download-Only.{0,20}"
)
_OTHER_MACHINE = frozenset({"--platform", "--python-platform", "--only-binary", "--abi", "--implementation"})
_NOT_KEPT = ("/dev/", "/proc/", "/sys/")  # folders that a build has in memory only
_DRY_RUN = ("PIP_DRY_RUN", "CONDA_DRY_RUN", "MAMBA_DRY_RUN")
_OWN_INDEX = re.compile(r"https?://download\.pytorch\.org(?=/|\Z)")
# Other places where packages may come from.
_OTHER_SOURCES = frozenset({"--extra-index-url", "--index", "--find-links", "-f", "--no-index", "--index-strategy"})
_SOURCES = (
    *("PIP_NO_DEPS", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"),
    *("UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX"),
)
_NO = frozenset({"", "0", "false", "no", "off", "n", "f"})


def may_install(words: Sequence[str]) -> str:
    """The installation of torch that an unknown command is told to run (`retry pip install torch`); "" for none."""
    for at, word in enumerate(words[1:30], start=1):
        if is_installer(word):
            rest = words[at + 1 :]
            if any(part in VERBS for part in rest[:3]) and any(torch_words.TORCH.match(part) for part in rest):
                return shown(" ".join(words[at : at + 12]))
    return ""


def after_install(found: Installer, ran: Ran, facts: Facts) -> Facts:
    if _is_only_shown(found, ran):
        return facts
    facts = facts.with_hints(_hints(found))
    index = _accelerator(found, ran)
    if found.place.startswith(_NOT_KEPT):
        return facts
    is_doubtful = _is_doubtful(found, ran)
    if not is_doubtful and (files := _from_pytorchs_index(found, ran)):
        facts = facts.with_hints({f"{PLACED}{found.place}": files})
    result = facts
    without = "--no-deps" in found.arguments or _is_on(ran.look_up("PIP_NO_DEPS"))
    for word in packages(found):
        name = word.rpartition("/")[2]
        if torch := torch_words.read(word, name):
            text, pinned, accelerator, is_clear = torch
            told = shown(f"{found.tool} {found.verb} {text}")
            version = plain_version(pinned)
            result = result.with_install(told, found.place, version, accelerator or index)
            is_doubtful = is_doubtful or not is_clear or word in found.doubtful
        elif not without and torch_words.needs_torch(found.tool, word, name):
            result = result.with_hints({"package": shown(f"{found.tool} {found.verb} {name.partition('@')[0]}")})
    if index and index != result.accelerator:
        result = replace(result, accelerator=index)
    return join(facts, result) if is_doubtful else result


def _from_pytorchs_index(found: Installer, ran: Ran) -> str:
    """An installation of a file's packages, or of wheels, from PyTorch's own index alone; "" for any other."""
    options = {word.partition("=")[0] for word in found.arguments if word.startswith("-")}
    addresses = [places.option(found.arguments, name) for name in ("--index-url", "-i", "--default-index")]
    if not any(_OWN_INDEX.match(address) for address in addresses):
        return ""
    if options & _OTHER_SOURCES or "--no-deps" in options or any(_is_on(ran.look_up(name)) for name in _SOURCES):
        return ""
    file = places.option(found.arguments, "-r", "--requirement", "--requirements")
    named = list(packages(found))
    if not (file or named) or not all(name.endswith("*.whl") for name in named):
        return ""
    what = f"-r {shown(file.rpartition('/')[2])}" if file else "of wheels"
    return f"{found.tool} install {what} from PyTorch's index alone"


def _is_only_shown(found: Installer, ran: Ran) -> bool:
    if not ONLY_SHOWN.isdisjoint(found.arguments) or any(_is_on(ran.look_up(name)) for name in _DRY_RUN):
        return True
    if found.tool in ("apt", "apt-get"):
        return any(_APT_ONLY_SHOWN.fullmatch(word) for word in found.arguments)
    return found.tool in CONDAS and "-d" in found.arguments


def _is_doubtful(found: Installer, ran: Ran) -> bool:
    """Whether it may have installed for another machine, or nothing at all."""
    options = {word.partition("=")[0] for word in found.arguments}
    is_foreign = not _OTHER_MACHINE.isdisjoint(options) and not options.isdisjoint({"--target", "-t"})
    dry = ran.look_up("PIP_DRY_RUN")
    return is_foreign or (dry is not None and not is_known(dry))


def _is_on(value: str | None) -> bool:
    return value is not None and is_known(value) and value.strip().lower() not in _NO


def _hints(found: Installer) -> dict[str, str]:
    hints = {}
    if any(INDEX in word for word in found.arguments):
        hints["index"] = INDEX
    backend = places.option(found.arguments, "--torch-backend")
    if backend:
        hints["index"] = shown(f"--torch-backend={backend}")
    if found.tool in CONDAS and any(_AZURE_ENVIRONMENT.search(word) for word in found.arguments):
        hints["environment"] = "conda environment ptca"
    return hints


def _accelerator(found: Installer, ran: Ran) -> str | None:
    """That of the wheel index that the command uses; of several ones the last one's."""
    told = [ran.look_up(name) or "" for name in _INDEX_VARIABLES]
    accelerator = None
    for word in (*told, *found.arguments):
        for index in _WHEELS.finditer(word):
            accelerator = tags.accelerator(index[1]) or accelerator
    backend = places.option(found.arguments, "--torch-backend") or ran.look_up("UV_TORCH_BACKEND") or ""
    return (tags.accelerator(backend) if is_known(backend) and found.tool == "uv" else None) or accelerator
