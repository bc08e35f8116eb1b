"""The fuzz targets on their own seeds, without a fuzzer, so that none of them rots; and what the runner says."""

import sys
from pathlib import Path

import pytest

from tests.fuzz import __main__ as runner
from tests.fuzz.targets import TARGETS

CASES = [(name, number) for name, target in TARGETS.items() for number in range(len(target.seeds))]


@pytest.mark.parametrize(("name", "number"), CASES)
def test_a_target_takes_its_seeds(name: str, number: int) -> None:
    TARGETS[name].enter(TARGETS[name].seeds[number])


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("data", [b"", b"\0", b"\xff\xfe", b"{}", b"[]", b"\n" * 100, b"torch" * 1000], ids=repr)
def test_a_target_takes_what_is_not_meant_for_it(name: str, data: bytes) -> None:
    TARGETS[name].enter(data)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["fuzz", *arguments])
    return runner.main()


def test_without_a_fuzzer_that_is_said_aloud(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "has_fuzzer", lambda: False)
    assert run(monkeypatch) == 0
    assert capsys.readouterr().err.startswith("fuzz: NOTHING WAS FUZZED: atheris is not installed here")


def test_a_find_names_the_file_that_has_the_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A stand-in for the fuzzer says what libFuzzer says: for one target that all is well, for the other a find."""
    script = (
        "import sys; name = sys.argv[1]; print('#7 pulse')\n"
        "if name == 'size': print('Test unit written to .cache/size-crash-1'); sys.exit(77)\n"
        "print('Done 9 runs in 1 second(s)')"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "WORKER", ("-c", script))
    monkeypatch.setattr(runner, "has_fuzzer", lambda: True)
    assert run(monkeypatch, "duration", "size") == 1
    assert capsys.readouterr().out.splitlines() == [
        "fuzz: duration: 9 inputs, nothing found",
        "#7 pulse",
        "Test unit written to .cache/size-crash-1",
        "fuzz: size: FOUND SOMETHING after 7 inputs; the input is in .cache/size-crash-1",
        "fuzz: found something in size",
    ]


def test_a_target_that_is_not_there_is_wrong_use(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit) as raised:
        run(monkeypatch, "durations")
    assert raised.value.code == 2
