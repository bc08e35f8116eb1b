"""The cost of a hostile history line, and errors that no line may cause."""

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.model import HistoryStep
from agent.core.pytorch import build_history
from agent.core.pytorch.shell import packages
from agent.core.pytorch.shell import parse as shell_parse
from agent.core.pytorch.shell.words import UnreadableError

SCRAPS = (
    "(", "((", "$(", "$((", "{ ", "if ", "if a; then ", "case x in ", "case x in a) ", "<<A\n", "`", '"', '"$(', "[ ",
    "[[ ", "[[ ( ", "! ", "a|", "a&&", "a;", "a=(", "${a:-", "${", "$", "f() { ", "\\", "'", ";;", "& ", "\x01", "é",
    "<(",    "for i in ", "torch=", "$'", "[[ a =~ (", "esac )", "pip install torch;", "A=$A$A;", "f() { f; f; }; f;",
    "for i in 1 2 3 4 5 6 7 8 9; do ", "if x; then A=1; fi; ", "while x; do ", "(a) | ", "a${b%*?*?*}", "x||", "eval '",
    "case $A in *a*a*a*b) ;; esac;", "pip uninstall torch || ", "unset A; ", "A$A=1;",
)  # fmt: skip


def cost(text: str) -> float:
    lines = [HistoryStep("RUN /bin/sh -c pip install torch", 0), HistoryStep(f"RUN |1 A=b /bin/sh -c torch; {text}", 0)]
    begun = time.process_time()
    build_history.scan(lines)
    return time.process_time() - begun


@pytest.mark.parametrize("scrap", SCRAPS)
def test_a_hostile_line_costs_little(scrap: str) -> None:
    text = (scrap * (shell_parse.LONGEST // len(scrap)))[: shell_parse.LONGEST - 100]
    assert min(cost(text) for _ in range(3)) < 0.1  # seconds; about 0.03 alone


def test_a_hostile_history_costs_no_more_than_its_share() -> None:
    lines = [HistoryStep(f"RUN /bin/sh -c pip install torch; {scrap * 300}", 0) for scrap in SCRAPS * 4]
    begun = time.process_time()
    build_history.scan(lines)
    assert time.process_time() - begun < 0.5


FRAGMENTS = st.sampled_from(
    [*SCRAPS, "pip install torch", "fi", "done", "}", ")", "\n", " ", "$A", "&& ", "EOF", "<<EOF", "x=", "rm -rf /v"]
)


@settings(deadline=None, max_examples=300)
@given(st.lists(FRAGMENTS, max_size=30).map("".join) | st.text())
def test_any_text_is_parsed_or_raises_unreadable_error(text: str) -> None:
    with contextlib.suppress(UnreadableError):
        shell_parse.parse(text)
    build_history.scan([HistoryStep(f"RUN /bin/sh -c {text} torch", 0)])


def program(draw: st.DrawFn, inner: str) -> str:
    """A program with `inner` inside a few conditions, each of which is true or false."""
    forms = {
        True: ["if true; then {}; fi", "true && {{ {}; }}", "false || {{ {}; }}", "case $A in b) {};; esac", "( {} )",
               'if [ "$A" = b ]; then {}; fi', "for x in 1; do {}; done", "sh -c 'true'; {}"],
        False: ["if false; then {}; fi", "if [ $A != b ]; then {}; fi", "true || {{ {}; }}", "case $A in c) {};; esac",
                "f() {{ {}; }}", "while false; do {}; done"],
    }  # fmt: skip
    taken = draw(st.lists(st.booleans(), min_size=1, max_size=5))
    for is_taken in taken:
        inner = draw(st.sampled_from(forms[is_taken])).format(inner)
    return ("live:" if all(taken) else "dead:") + inner


@settings(deadline=None)
@given(st.data())
def test_only_an_installation_in_every_branch_is_certain(data: st.DataObject) -> None:
    kind, _, text = data.draw(st.composite(program)("pip install torch")).partition(":")
    found = build_history.scan([HistoryStep(f"RUN |1 A=b /bin/sh -c {text}; ls # buildkit", 0)])
    assert (bool(found.torch), found.doubts) == (kind == "live", ())


def test_every_package_that_needs_torch_has_a_plain_name_and_a_source() -> None:
    assert packages.needs_torch("Sentence_Transformers")
    assert all(packages.needs_torch(name) for name in packages._names())
    assert not packages.needs_torch("transformers")
