"""The effect on torch of an installation that ran."""

import re
from collections.abc import Sequence
from dataclasses import replace

from agent.core.images import tags
from agent.core.images.versions import plain_version
from agent.core.pytorch.shell import places, torch_words
from agent.core.pytorch.shell.facts import INDEX, PLACED, Facts, join
from agent.core.pytorch.shell.installers import CONDAS, ONLY_SHOWN, VERBS, Installer, RanCommand, is_installer, packages
from agent.core.pytorch.shell.unknown import is_known, shown

_WHEELS = re.compile(r"download\.pytorch\.org/whl/(?:nightly/|test/)?([a-z0-9.]{1,20})")
_AZURE_ENVIRONMENT = re.compile(r"(?<![A-Za-z0-9])ptca(?![A-Za-z0-9])")
_INDEX_VARIABLES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "UV_INDEX", "UV_INDEX_URL")

_APT_ONLY_SHOWN = re.compile(
    r"-[a-zA-Z]{0,6}[sd][a-zA-Z]{0,6}|--assume-no|\w{0,20}::\S{0,40}(?:Simulate|Download-Only)\S{0,20}|-o.{0,20}Simulate.{0,20}|-o.{0,20}Download-Only.{0,20}"
)
_OTHER_MACHINE = frozenset({"--platform", "--python-platform", "--only-binary", "--abi", "--implementation"})
_NOT_KEPT = ("/dev/", "/proc/", "/sys/")  # folders that exist only during a build
_DRY_RUN = ("PIP_DRY_RUN", "CONDA_DRY_RUN", "MAMBA_DRY_RUN")
_OWN_INDEX = re.compile(r"https?://download\.pytorch\.org(?=/|\Z)")
# Other sources of packages.
_OTHER_SOURCES = frozenset({"--extra-index-url", "--index", "--find-links", "-f", "--no-index", "--index-strategy"})
_SOURCES = (
    *("PIP_NO_DEPS", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"),
    *("UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX"),
)
_MEANS_NO = frozenset({"", "0", "false", "no", "off", "n", "f"})


def may_install(words: Sequence[str]) -> str:
    """The installation of torch in the arguments of an unknown command (`retry pip install torch`); "" if none."""
    for at, word in enumerate(words[1:30], start=1):
        if is_installer(word):
            rest = words[at + 1 :]
            if any(part in VERBS for part in rest[:3]) and any(torch_words.TORCH.match(part) for part in rest):
                return shown(" ".join(words[at : at + 12]))
    return ""


def after_install(installer: Installer, command: RanCommand, facts: Facts) -> Facts:
    """The facts after an installation."""
    if _is_only_shown(installer, command):
        return facts
    facts = facts.with_hints(_hints(installer))
    index = _accelerator(installer, command)
    if installer.place.startswith(_NOT_KEPT):
        return facts
    is_doubtful = _is_doubtful(installer, command)
    if not is_doubtful and (files := _from_pytorchs_index(installer, command)):
        facts = facts.with_hints({f"{PLACED}{installer.place}": files})
    result = facts
    without = "--no-deps" in installer.arguments or _is_on(command.look_up("PIP_NO_DEPS"))
    for word in packages(installer):
        name = word.rpartition("/")[2]
        if torch := torch_words.read(word, name):
            text, pinned, accelerator, is_clear = torch
            command_text = shown(f"{installer.tool} {installer.verb} {text}")
            version = plain_version(pinned)
            result = result.with_install(command_text, installer.place, version, accelerator or index)
            is_doubtful = is_doubtful or not is_clear or word in installer.doubtful
        elif not without and torch_words.needs_torch(installer.tool, word, name):
            result = result.with_hints(
                {"package": shown(f"{installer.tool} {installer.verb} {name.partition('@')[0]}")}
            )
    if index and index != result.accelerator:
        result = replace(result, accelerator=index)
    return join(facts, result) if is_doubtful else result


def _from_pytorchs_index(installer: Installer, command: RanCommand) -> str:
    """A description of an installation from PyTorch's index alone; "" for any other installation.

    It installs the packages that a file lists, or wheels.
    """
    options = {word.partition("=")[0] for word in installer.arguments if word.startswith("-")}
    addresses = [places.option(installer.arguments, name) for name in ("--index-url", "-i", "--default-index")]
    if not any(_OWN_INDEX.match(address) for address in addresses):
        return ""
    if options & _OTHER_SOURCES or "--no-deps" in options or any(_is_on(command.look_up(name)) for name in _SOURCES):
        return ""
    file = places.option(installer.arguments, "-r", "--requirement", "--requirements")
    named = list(packages(installer))
    if not (file or named) or not all(name.endswith("*.whl") for name in named):
        return ""
    what = f"-r {shown(file.rpartition('/')[2])}" if file else "of wheels"
    return f"{installer.tool} install {what} from PyTorch's index alone"


def _is_only_shown(installer: Installer, command: RanCommand) -> bool:
    """Whether the command shows or downloads packages without installing them."""
    if not ONLY_SHOWN.isdisjoint(installer.arguments) or any(_is_on(command.look_up(name)) for name in _DRY_RUN):
        return True
    if installer.tool in ("apt", "apt-get"):
        return any(_APT_ONLY_SHOWN.fullmatch(word) for word in installer.arguments)
    return installer.tool in CONDAS and "-d" in installer.arguments


def _is_doubtful(installer: Installer, command: RanCommand) -> bool:
    """Whether it may have installed packages for another platform, or nothing."""
    options = {word.partition("=")[0] for word in installer.arguments}
    is_foreign = not _OTHER_MACHINE.isdisjoint(options) and not options.isdisjoint({"--target", "-t"})
    dry = command.look_up("PIP_DRY_RUN")
    return is_foreign or (dry is not None and not is_known(dry))


def _is_on(value: str | None) -> bool:
    return value is not None and is_known(value) and value.strip().lower() not in _MEANS_NO


def _hints(installer: Installer) -> dict[str, str]:
    hints = {}
    if any(INDEX in word for word in installer.arguments):
        hints["index"] = INDEX
    backend = places.option(installer.arguments, "--torch-backend")
    if backend:
        hints["index"] = shown(f"--torch-backend={backend}")
    if installer.tool in CONDAS and any(_AZURE_ENVIRONMENT.search(word) for word in installer.arguments):
        hints["environment"] = "conda environment ptca"
    return hints


def _accelerator(installer: Installer, command: RanCommand) -> str | None:
    """The accelerator in the address of the wheel index that the command uses; the last one if there are several."""
    addresses = [command.look_up(name) or "" for name in _INDEX_VARIABLES]
    accelerator = None
    for word in (*addresses, *installer.arguments):
        for index in _WHEELS.finditer(word):
            accelerator = tags.accelerator(index[1]) or accelerator
    backend = places.option(installer.arguments, "--torch-backend") or command.look_up("UV_TORCH_BACKEND") or ""
    return (tags.accelerator(backend) if is_known(backend) and installer.tool == "uv" else None) or accelerator
