r"""How the usual test runners say that a run was green or red, and how many tests passed and failed.

One `Suite` a runner. `green` and `red` are what it prints at its end: a pipe (`| tail -3`, `| grep FAIL`) is believed only where the
runner's word would come through it either way, which is tried on these two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, NamedTuple

Outcome = Literal["success", "failure"]

_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Told(NamedTuple):
    """What the output of a run says; counts are None where it holds no summary of its own, or several."""

    outcome: Outcome
    passed: int | None
    failed: int | None


@dataclass(frozen=True, slots=True)
class Suite:
    """A test runner's last words.

    Attributes:
        name: The runner.
        passes: A line of a green run.
        fails: A line of a red run, whatever else is there.
        counts: Its summary; `p` is what passed, `f` and `e` what failed and broke, `s` what was skipped, `t` all of them.
        green: What it prints last when all is well.
        red: What it prints last when a test fails.

    """

    name: str
    passes: str
    fails: str
    counts: str | None
    green: str
    red: str

    def tells(self, output: str) -> Told | None:
        """Read a run's output; None where the runner's last words are not in it."""
        text = plain(output)
        outcome: Outcome | None = "failure" if _compiled(self.fails).search(text) else None
        if outcome is None and _compiled(self.passes).search(text):
            outcome = "success"
        return None if outcome is None else Told(outcome, *self._counted(text))

    def _counted(self, text: str) -> tuple[int | None, int | None]:
        found = list(_compiled(self.counts).finditer(text)) if self.counts else []
        if len(found) != 1:
            return None, None
        of = {name: int(value) for name, value in found[0].groupdict().items() if value is not None}
        broken = of.get("f", 0) + of.get("e", 0)
        passed = of.get("p", of["t"] - broken - of.get("s", 0) if "t" in of else 0)
        return max(passed, 0), broken


def plain(output: str) -> str:
    """Remove colours and carriage returns."""
    if "\x1b" in output:
        output = _COLOUR.sub("", output)
    return output.replace("\r\n", "\n").replace("\r", "\n") if "\r" in output else output


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile when it is first needed: nobody meets the runners of all languages in one reading."""
    return re.compile(pattern, re.MULTILINE)


def _suite(name: str, *, passes: str, fails: str, counts: str | None = None, green: str, red: str) -> tuple[str, Suite]:
    return name, Suite(name, passes, fails, counts, green, red)


_PYTEST: Final = r"^[= ]*(?=\d+ \w+[^\n]* in [\d.]+s)"
_AND: Final = r"(?=(?:[^\n]*?\b(?P<{0}>\d+) {1})?)"

SUITES: Final = dict(
    (
        _suite(
            "pytest",
            passes=_PYTEST + r"(?=[^\n]*\d+ passed)(?![^\n]*\d+ (?:failed|errors?)\b)",
            fails=_PYTEST + r"[^\n]*\b[1-9]\d* (?:failed|errors?)\b",
            counts=_PYTEST
            + _AND.format("p", "passed")
            + _AND.format("f", "failed")
            + _AND.format("e", r"errors?\b")
            + r"\d+ (?:passed|failed|error)",
            green="....                                [100%]\n4 passed in 0.10s",
            red="E   assert 1 == 2\nFAILED tests/test_a.py::test_b - assert 1 == 2\n1 failed, 3 passed in 0.10s",
        ),
        _suite(
            "unittest",
            passes=r"^OK(?: \([^()]*\))?$",
            fails=r"^FAILED \((?:failures|errors|unexpected successes)=|^FAILED \(",
            counts=r"^Ran (?P<t>\d+) tests? in [\d.]+s\s+(?:OK|FAILED)(?:(?= \()"
            + "".join(
                rf"(?=(?:[^\n]*\b{word}=(?P<{group}>\d+))?)" for word, group in (("failures", "f"), ("errors", "e"), ("skipped", "s"))
            )
            + r"|$)",
            green="....\n----\nRan 4 tests in 0.001s\n\nOK",
            red="AssertionError: 1 != 2\n\n----\nRan 4 tests in 0.001s\n\nFAILED (failures=1)",
        ),
        _suite(
            "go",
            passes=r"^ok\s+\S+\s+(?:\(cached\)|[\d.]+s)|^PASS$|^DONE \d+ tests? in",
            fails=r"^\s*--- FAIL|^FAIL\b|^panic: |\[(?:build|setup) failed\]|^DONE \d+ tests?, \d+ failures?",
            green="ok  \texample.org/a\t0.10s",
            red="--- FAIL: TestA (0.00s)\nFAIL\nFAIL\texample.org/a\t0.10s\nFAIL",
        ),
        _suite(
            "go -v",
            passes=r"^\s*--- PASS|^ok\s+\S+\s+(?:\(cached\)|[\d.]+s)|^PASS$",
            fails=r"^\s*--- FAIL|^FAIL\b|^panic: |\[(?:build|setup) failed\]",
            green="=== RUN   TestA\n--- PASS: TestA (0.00s)\nPASS\nok  \texample.org/a\t0.10s",
            red="=== RUN   TestA\n--- FAIL: TestA (0.00s)\nFAIL\nFAIL\texample.org/a\t0.10s\nFAIL",
        ),
        _suite(
            "cargo",
            passes=r"^test result: ok\.|^\s*Summary \[[^\]]*\] \d+ tests? run: \d+ passed(?!.*failed)",
            fails=r"^test result: FAILED|^error(?:\[E\d+\]: |: (?:could not compile|test failed|aborting|\d+ targets? failed))"
            r"|^\s*Summary \[[^\]]*\] \d+ tests? run:.*\d+ failed",
            counts=r"^test result: \w+\. (?P<p>\d+) passed; (?P<f>\d+) failed",
            green="test a ... ok\n\ntest result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            red="test a ... FAILED\n\ntest result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\n"
            "error: test failed, to rerun pass `--lib`",
        ),
        _suite(
            "jest",
            passes=r"^Tests:\s+(?![^\n]*\bfailed)[^\n]*\d+ passed",
            fails=r"^Tests:\s+[^\n]*\b[1-9]\d* failed|^Test Suites:\s+[^\n]*\b[1-9]\d* failed",
            counts=r"^Tests:\s+" + _AND.format("p", "passed") + _AND.format("f", "failed") + r"\d",
            green="PASS src/a.test.js\n\nTest Suites: 1 passed, 1 total\nTests:       4 passed, 4 total\nSnapshots:   0 total\n"
            "Time:        1.2 s\nRan all test suites.",
            red="FAIL src/a.test.js\n\nTest Suites: 1 failed, 1 total\nTests:       1 failed, 3 passed, 4 total\nSnapshots:   0 total\n"
            "Time:        1.2 s\nRan all test suites.",
        ),
        _suite(
            "vitest",
            passes=r"^\s*Tests\s{2,}(?![^\n]*\bfailed)[^\n]*\d+ passed",
            fails=r"^\s*Tests\s{2,}[^\n]*\b[1-9]\d* failed|^\s*Test Files\s{2,}[^\n]*\b[1-9]\d* failed",
            counts=r"^\s*Tests\s{2,}" + _AND.format("p", "passed") + _AND.format("f", "failed") + r"\d",
            green=" Test Files  1 passed (1)\n      Tests  4 passed (4)\n   Start at  10:00:00\n   Duration  300ms",
            red=" Test Files  1 failed (1)\n      Tests  1 failed | 3 passed (4)\n   Start at  10:00:00\n   Duration  300ms",
        ),
        _suite(
            "mocha",
            passes=r"^\s*\d+ passing\b",
            fails=r"^\s*[1-9]\d* failing\b",
            counts=r"^\s*(?P<p>\d+) passing\b[^\n]*(?:\n\s*\d+ pending)?(?:\n\s*(?P<f>\d+) failing)?",
            green="  4 passing (10ms)",
            red="  3 passing (10ms)\n  1 failing\n\n  1) a\n       b:\n     AssertionError: 1 != 2\n      at Context (a.js:3:1)",
        ),
        _suite(
            "node",
            passes=r"^(?:#|\u2139) fail 0$",
            fails=r"^(?:#|\u2139) fail [1-9]\d*$",
            counts=r"^(?:#|\u2139) pass (?P<p>\d+)\n(?:#|\u2139) fail (?P<f>\d+)$",
            green="# tests 4\n# suites 0\n# pass 4\n# fail 0\n# cancelled 0\n# skipped 0\n# todo 0\n# duration_ms 50",
            red="# tests 4\n# suites 0\n# pass 3\n# fail 1\n# cancelled 0\n# skipped 0\n# todo 0\n# duration_ms 50",
        ),
        _suite(
            "ava",
            passes=r"^\s*\d+ tests? passed$",
            fails=r"^\s*[1-9]\d* (?:tests?|uncaught exceptions?|hooks?) failed$",
            green="  4 tests passed",
            red="  1 test failed",
        ),
        _suite(
            "mvn",
            passes=r"^\[INFO\] BUILD SUCCESS",
            fails=r"^\[(?:INFO|ERROR)\] BUILD FAILURE|^\[ERROR\] .*(?:Failed to execute goal|There are test failures)",
            counts=r"^\[(?:INFO|ERROR|WARNING)\] Tests run: (?P<t>\d+), Failures: (?P<f>\d+), Errors: (?P<e>\d+), Skipped: (?P<s>\d+)\s*$",
            green="[INFO] Tests run: 4, Failures: 0, Errors: 0, Skipped: 0\n[INFO] \n[INFO] BUILD SUCCESS\n[INFO] Total time:  2 s",
            red="[ERROR] Tests run: 4, Failures: 1, Errors: 0, Skipped: 0\n[INFO] \n[INFO] BUILD FAILURE\n[INFO] Total time:  2 s",
        ),
        _suite(
            "gradle",
            passes=r"^BUILD SUCCESSFUL",
            fails=r"^BUILD FAILED|^\d+ tests? completed, [1-9]\d* failed",
            counts=r"^(?P<t>\d+) tests? completed, (?P<f>\d+) failed(?:, (?P<s>\d+) skipped)?",
            green="BUILD SUCCESSFUL in 2s\n3 actionable tasks: 3 executed",
            red="4 tests completed, 1 failed\n\nFAILURE: Build failed with an exception.\n\n"
            "BUILD FAILED in 2s\n3 actionable tasks: 3 executed",
        ),
        _suite(
            "dotnet",
            passes=r"^\s*Passed!\s+-|^Test Run Successful\.|^Test summary: total: \d+[;,] failed: 0\b",
            fails=r"^\s*Failed!\s+-|^Test Run Failed\.|: error (?:CS|MSB|NETSDK)\d+|^Test summary: total: \d+[;,] failed: [1-9]",
            counts=r"^\s*(?:Passed|Failed)!\s+-\s+Failed:\s+(?P<f>\d+), Passed:\s+(?P<p>\d+)",
            green="Passed!  - Failed:     0, Passed:     4, Skipped:     0, Total:     4, Duration: 9 ms - A.dll (net9.0)",
            red="Failed!  - Failed:     1, Passed:     3, Skipped:     0, Total:     4, Duration: 9 ms - A.dll (net9.0)",
        ),
        _suite(
            "rspec",
            passes=r"^\d+ examples?, 0 failures(?!.*error)",
            fails=r"^\d+ examples?, (?:[1-9]\d* failures?|0 failures.*\d+ errors?)",
            counts=r"^(?P<t>\d+) examples?, (?P<f>\d+) failures?(?:, (?P<s>\d+) pending)?",
            green="Finished in 0.01 seconds\n4 examples, 0 failures",
            red="Finished in 0.01 seconds\n4 examples, 1 failure\n\nFailed examples:\n\nrspec ./spec/a_spec.rb:3 # a",
        ),
        _suite(
            "minitest",
            passes=r"^\d+ (?:runs|tests), \d+ assertions, 0 failures, 0 errors",
            fails=r"^\d+ (?:runs|tests), \d+ assertions, (?:[1-9]\d* failures|\d+ failures, [1-9]\d* errors)",
            counts=r"^(?P<t>\d+) (?:runs|tests), \d+ assertions, (?P<f>\d+) failures, (?P<e>\d+) errors(?:, (?P<s>\d+) skips)?",
            green="4 runs, 4 assertions, 0 failures, 0 errors, 0 skips",
            red="4 runs, 4 assertions, 1 failures, 0 errors, 0 skips",
        ),
        _suite(
            "phpunit",
            passes=r"^OK \(\d+ tests?, |^OK, but ",
            fails=r"^FAILURES!|^ERRORS!|^Tests: \d+, Assertions: \d+.*(?:Failures|Errors): [1-9]",
            counts=r"^OK \((?P<p>\d+) tests?, |^Tests: (?P<t>\d+), Assertions: \d+"
            r"(?=(?:[^\n]*Errors: (?P<e>\d+))?)(?=(?:[^\n]*Failures: (?P<f>\d+))?)",
            green="OK (4 tests, 4 assertions)",
            red="FAILURES!\nTests: 4, Assertions: 4, Failures: 1.",
        ),
        _suite(
            "pest",
            passes=r"^\s*Tests:\s+(?![^\n]*\bfailed)\d+ passed \(\d+ assertions\)",
            fails=r"^\s*Tests:\s+[1-9]\d* failed",
            counts=r"^\s*Tests:\s+" + _AND.format("p", "passed") + _AND.format("f", "failed") + r"\d",
            green="  Tests:    4 passed (4 assertions)\n  Duration: 0.1s",
            red="  Tests:    1 failed, 3 passed (4 assertions)\n  Duration: 0.1s",
        ),
        _suite(
            "ctest",
            passes=r"^100% tests passed, 0 tests failed out of",
            fails=r"^\d+% tests passed, [1-9]\d* tests? failed out of|^Errors while running CTest",
            counts=r"^\d+% tests passed, (?P<f>\d+) tests? failed out of (?P<t>\d+)",
            green="100% tests passed, 0 tests failed out of 4\n\nTotal Test time (real) =   0.01 sec",
            red="75% tests passed, 1 tests failed out of 4\n\nTotal Test time (real) =   0.01 sec\n\n"
            "The following tests FAILED:\n\t  1 - a (Failed)\nErrors while running CTest",
        ),
        _suite(
            "bun",
            passes=r"^\s*0 fail$",
            fails=r"^\s*[1-9]\d* (?:fail|errors?)$",
            counts=r"^\s*(?P<p>\d+) pass\n(?:\s*\d+ (?:skip|todo)\n)*\s*(?P<f>\d+) fail$",
            green=" 4 pass\n 0 fail\n 4 expect() calls\nRan 4 tests across 1 file. [9.00ms]",
            red=" 3 pass\n 1 fail\n 4 expect() calls\nRan 4 tests across 1 file. [9.00ms]",
        ),
        _suite(
            "deno",
            passes=r"^ok \| \d+ passed",
            fails=r"^FAILED \| |^error: (?:Test failed|Type checking failed|Uncaught)",
            counts=r"^(?:ok|FAILED) \| (?P<p>\d+) passed(?: \([^()]*\))? \| (?P<f>\d+) failed",
            green="ok | 4 passed | 0 failed (9ms)",
            red="FAILED | 3 passed | 1 failed (9ms)\n\nerror: Test failed",
        ),
        _suite(
            "playwright",
            passes=r"^\s*\d+ passed \([\d.]+m?s\)|^\s*\d+ passed \([\d.]+m\)",
            fails=r"^\s*[1-9]\d* (?:failed|did not run)$",
            counts=r"^(?:\s*(?P<f>\d+) failed\n(?:(?!\s*\d+ passed)[^\n]*\n)*)?\s*(?P<p>\d+) passed \(",
            green="  4 passed (1.2s)",
            red="  1 failed\n    [chromium] a.spec.ts:3:1 a\n  3 passed (1.2s)",
        ),
        _suite(
            "cypress",
            passes=r"All specs passed!",
            fails=r"\d+ of \d+ failed \(\d+%\)",
            green="    \u2714  All specs passed!                        00:01        4        4        -        -        -",
            red="    \u2716  1 of 1 failed (100%)                     00:01        4        3        1        -        -",
        ),
        _suite(
            "tox",
            passes=r"^\s*congratulations :\)|^_+ summary _+\s[\s\S]*congratulations",
            fails=r"^\s*evaluation failed :\(|^ERROR: +\S+: (?:commands|could not)",
            green="  py311: OK (1.00 seconds)\n  congratulations :) (1.10 seconds)",
            red="  py311: FAIL code 1 (1.00 seconds)\n  evaluation failed :( (1.10 seconds)",
        ),
        _suite(
            "nox",
            passes=r"^nox > Session [^\n]* was successful",
            fails=r"^nox > Session [^\n]* (?:failed|aborted|was aborted)|^nox > Command .* failed with exit code",
            green="nox > Session tests was successful.",
            red="nox > Command pytest failed with exit code 1\nnox > Session tests failed.",
        ),
        _suite(
            "swift",
            passes=r"^\s*Executed \d+ tests?, with 0 failures|Test run with \d+ tests? .*passed|^\*\* TEST SUCCEEDED \*\*",
            fails=r"^\s*Executed \d+ tests?, with (?:\d+ tests? skipped and )?[1-9]\d* failures?|Test run with \d+ tests? .*failed"
            r"|\.swift:\d+:\d+: error: |^error: fatalError|^\*\* TEST FAILED \*\*",
            green="Test Suite 'All tests' passed at 2026-01-01 10:00:00.000.\n"
            "\t Executed 4 tests, with 0 failures (0 unexpected) in 0.010 (0.011) seconds",
            red="Test Suite 'All tests' failed at 2026-01-01 10:00:00.000.\n"
            "\t Executed 4 tests, with 1 failure (0 unexpected) in 0.010 (0.011) seconds",
        ),
        _suite(
            "mix",
            passes=r"^(?:\d+ doctests?, )?(?:\d+ propert(?:y|ies), )?\d+ tests?, 0 failures",
            fails=r"^(?:\d+ doctests?, )?(?:\d+ propert(?:y|ies), )?\d+ tests?, [1-9]\d* failures?",
            counts=r"^(?P<t>\d+) tests?, (?P<f>\d+) failures?(?:, (?P<s>\d+) (?:skipped|excluded))?",
            green="Finished in 0.01 seconds\n4 tests, 0 failures\n\nRandomized with seed 1",
            red="Finished in 0.01 seconds\n4 tests, 1 failure\n\nRandomized with seed 1",
        ),
        _suite(
            "flutter",
            passes=r"All tests passed!",
            fails=r"Some tests failed\.",
            green="00:01 +4: All tests passed!",
            red="00:01 +3 -1: Some tests failed.",
        ),
        _suite(
            "sbt",
            passes=r"^\[info\] (?:All tests passed\.|Passed: Total \d+)",
            fails=r"^\[error\] (?:Failed: Total|.*Tests unsuccessful)|^\[info\] \*\*\* \d+ TESTS? FAILED",
            green="[info] All tests passed.\n[success] Total time: 2 s",
            red="[info] *** 1 TEST FAILED ***\n[error] Failed: Total 4, Failed 1, Errors 0, Passed 3\n"
            "[error] (Test / test) sbt.TestsFailedException: Tests unsuccessful",
        ),
        _suite(
            "bazel",
            passes=r"^Executed \d+ out of \d+ tests?: (?:\d+ tests? pass(?:es)?\.|.*\d+ tests? pass(?:es)?(?!.*fail))",
            fails=r"^Executed \d+ out of \d+ tests?:.*\b(?:fails?|failed)\b|^ERROR: .*build failed",
            green="//a:test PASSED in 0.1s\n\nExecuted 1 out of 1 test: 1 test passes.",
            red="//a:test FAILED in 0.1s\n\nExecuted 1 out of 1 test: 1 fails locally.",
        ),
        _suite(
            "prove",
            passes=r"^Result: PASS",
            fails=r"^Result: FAIL",
            green="All tests successful.\nFiles=1, Tests=4,  0 wallclock secs\nResult: PASS",
            red="Failed 1/4 subtests\nFiles=1, Tests=4,  0 wallclock secs\nResult: FAIL",
        ),
    )
)
"""Runner → its last words."""
