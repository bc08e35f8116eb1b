"""What one command that ran says of torch: what it installs, and what it takes away."""

from agent.core.pytorch.facts import Facts
from agent.core.pytorch.shell import installers, installing, removing
from agent.core.pytorch.shell.installers import PYTHON, Ran, is_installer

_QUESTIONS = frozenset({"show", "check", "list", "freeze", "search", "info", "index", "help", "debug"})
_DPKG_REMOVALS = frozenset({"-r", "-P", "--remove", "--purge", "remove", "purge"})


def matters(word: str) -> bool:
    """Whether a command of this name may install or remove anything."""
    name = word.rpartition("/")[2]
    if is_installer(word) or PYTHON.fullmatch(name) is not None:
        return True
    return name in removing.REMOVERS or name in ("xargs", "virtualenv", "dpkg", "aptitude")


def after(ran: Ran, facts: Facts) -> tuple[Facts, bool]:
    """What is known once the command has ended well; and whether it is work whose failing would have been seen."""
    name = ran.words[0].rpartition("/")[2]
    if name in removing.REMOVERS:
        return removing.after_removal(name, ran, facts), True
    if name in ("dpkg", "aptitude"):
        removes = any(word in _DPKG_REMOVALS for word in ran.words)
        return removing.without_apts(ran.words[1:], facts) if removes else facts, True
    if name == "xargs":
        return removing.after_xargs(ran, facts), False
    facts = removing.without_cleared(ran, facts)
    found = installers.installer_of(ran)
    if found is None:
        return facts, False
    if found.verb in installers.REMOVALS:
        return removing.after_uninstall(found, facts), True
    facts = removing.before_install(found, facts)
    if found.verb in installers.VERBS:
        return installing.after_install(found, ran, facts), True
    return facts, found.verb not in _QUESTIONS
