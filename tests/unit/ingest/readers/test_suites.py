"""What test runners say at their end, behind the pipes that people use: both outcomes of each, or none."""

# ruff: noqa: E501, ISC004 (what runners print stands as they print it)

from __future__ import annotations

import pytest

from detektor_pipelines.ingest.readers.derived import SuiteRun, suite_run
from detektor_pipelines.ingest.readers.suites import SUITES

RUNS = {
    "pytest -q": (
        "........                                  [100%]\n8 passed, 1 skipped in 2.10s\n",
        "FAILED tests/test_x.py::test_y - KeyError: 'a'\n1 failed, 6 passed, 1 error in 2.10s\n",
        (8, 0),
        (6, 2),
    ),
    "python -m pytest": (
        "======================= 12 passed, 3 warnings in 61.20s (0:01:01) =======================\n",
        "=========================== short test summary info ===========================\n"
        "ERROR tests/test_x.py\n!!!!!!!! Interrupted: 1 error during collection !!!!!!!!\n========= 1 error in 0.20s =========\n",
        (12, 0),
        (0, 1),
    ),
    "python -m unittest": (
        "Ran 9 tests in 0.010s\n\nOK (skipped=2)\n",
        "Ran 9 tests in 0.010s\n\nFAILED (failures=1, errors=2)\n",
        (7, 0),
        (6, 3),
    ),
    "python manage.py test": ("Ran 3 tests in 0.010s\n\nOK\n", "Ran 3 tests in 0.010s\n\nFAILED (errors=1)\n", (3, 0), (2, 1)),
    "go test ./...": (
        "?   \trover/cmd\t[no test files]\nok  \trover/arm\t1.250s\nok  \trover/leg\t(cached)\n",
        "ok  \trover/arm\t1.250s\n# rover/leg\nleg/a.go:3:2: undefined: b\nFAIL\trover/leg [build failed]\nFAIL\n",
        (None, None),
        (None, None),
    ),
    "cargo test": (
        "running 2 tests\ntest result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n",
        "failures:\n    arm::bends\n\ntest result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\n"
        "error: test failed, to rerun pass `--lib`\n",
        (2, 0),
        (1, 1),
    ),
    "npx jest": (
        "Test Suites: 3 passed, 3 total\nTests:       1 skipped, 20 passed, 21 total\nSnapshots:   0 total\nTime:        3.1 s\nRan all test suites.\n",
        "Test Suites: 1 failed, 2 passed, 3 total\nTests:       2 failed, 18 passed, 20 total\nSnapshots:   0 total\nTime:        3.1 s\n"
        "Ran all test suites.\n",
        (20, 0),
        (18, 2),
    ),
    "npx vitest run": (
        " Test Files  2 passed (2)\n      Tests  \x1b[32m11 passed\x1b[39m (11)\n   Start at  09:00:00\n   Duration  410ms\n",
        " Test Files  1 failed | 1 passed (2)\n      Tests  2 failed | 9 passed (11)\n   Start at  09:00:00\n   Duration  410ms\n",
        (11, 0),
        (9, 2),
    ),
    "npx mocha": (
        "  7 passing (30ms)\n  1 pending\n",
        "  6 passing (30ms)\n  1 failing\n\n  1) arm\n       bends:\n     Error: no\n",
        (7, 0),
        (6, 1),
    ),
    "node --test": (
        "\u2139 tests 5\n\u2139 pass 5\n\u2139 fail 0\n\u2139 cancelled 0\n",
        "# tests 5\n# pass 4\n# fail 1\n# cancelled 0\n",
        (5, 0),
        (4, 1),
    ),
    "mvn -q test": (
        "[INFO] Tests run: 4, Failures: 0, Errors: 0, Skipped: 0, Time elapsed: 0.1 s -- in ArmTest\n[INFO] \n[INFO] Results:\n[INFO] \n"
        "[INFO] Tests run: 9, Failures: 0, Errors: 0, Skipped: 1\n[INFO] \n[INFO] BUILD SUCCESS\n",
        "[ERROR] Tests run: 9, Failures: 1, Errors: 1, Skipped: 0\n[INFO] \n[INFO] BUILD FAILURE\n",
        (8, 0),
        (7, 2),
    ),
    "./gradlew test": (
        "> Task :test\n\nBUILD SUCCESSFUL in 4s\n",
        "9 tests completed, 2 failed\n\n> Task :test FAILED\n\nBUILD FAILED in 4s\n",
        (None, None),
        (7, 2),
    ),
    "dotnet test": (
        "Passed!  - Failed:     0, Passed:    21, Skipped:     1, Total:    22, Duration: 30 ms - Rover.dll (net9.0)\n",
        "Failed!  - Failed:     3, Passed:    18, Skipped:     0, Total:    21\n",
        (21, 0),
        (18, 3),
    ),
    "bundle exec rspec": (
        "Finished in 0.2 seconds\n14 examples, 0 failures, 1 pending\n",
        "14 examples, 2 failures\n\nFailed examples:\n\nrspec ./spec/arm_spec.rb:4\n",
        (13, 0),
        (12, 2),
    ),
    "vendor/bin/phpunit": ("OK (6 tests, 9 assertions)\n", "FAILURES!\nTests: 6, Assertions: 9, Failures: 1.\n", (6, 0), (5, 1)),
    "ctest --output-on-failure": (
        "100% tests passed, 0 tests failed out of 3\n\nTotal Test time (real) =   0.02 sec\n",
        "67% tests passed, 1 tests failed out of 3\n\nThe following tests FAILED:\n\t  2 - arm (Failed)\nErrors while running CTest\n",
        (3, 0),
        (2, 1),
    ),
    "bun test": (" 31 pass\n 0 fail\n 40 expect() calls\n", " 29 pass\n 2 fail\n 40 expect() calls\n", (31, 0), (29, 2)),
    "deno test": ("ok | 5 passed | 0 failed (12ms)\n", "FAILED | 4 passed | 1 failed (12ms)\n\nerror: Test failed\n", (5, 0), (4, 1)),
    "npx playwright test": (
        "Running 5 tests using 2 workers\n  5 passed (3.4s)\n",
        "  2 failed\n    [chromium] \u203a arm.spec.ts:3:5 \u203a bends\n    [chromium] \u203a leg.spec.ts:3:5 \u203a walks\n  3 passed (3.4s)\n",
        (5, 0),
        (3, 2),
    ),
    "tox": (
        "  py312: OK (4.10=setup[1.00]+cmd[3.10] seconds)\n  congratulations :) (4.20 seconds)\n",
        "  py312: FAIL code 1 (4.10 seconds)\n  evaluation failed :( (4.20 seconds)\n",
        (None, None),
        (None, None),
    ),
    "nox": ("nox > Session tests-3.12 was successful.\n", "nox > Session tests-3.12 failed.\n", (None, None), (None, None)),
    "swift test": (
        "Test Suite 'All tests' passed at 2026-02-02 09:00:00.000.\n\t Executed 3 tests, with 0 failures (0 unexpected) in 0.01 seconds\n",
        "Test Suite 'All tests' failed at 2026-02-02 09:00:00.000.\n\t Executed 3 tests, with 2 failures (0 unexpected) in 0.01 seconds\n",
        (None, None),
        (None, None),
    ),
    "mix test": (
        "Finished in 0.1 seconds\n3 doctests, 8 tests, 0 failures\n",
        "Finished in 0.1 seconds\n8 tests, 1 failure\n",
        (None, None),
        (7, 1),
    ),
    "flutter test": ("00:03 +9: All tests passed!\n", "00:03 +8 -1: Some tests failed.\n", (None, None), (None, None)),
    "sbt test": (
        "[info] All tests passed.\n",
        "[info] *** 2 TESTS FAILED ***\n[error] Failed: Total 5, Failed 2\n",
        (None, None),
        (None, None),
    ),
    "bazel test //...": (
        "Executed 2 out of 2 tests: 2 tests pass.\n",
        "Executed 2 out of 2 tests: 1 test passes and 1 fails locally.\n",
        (None, None),
        (None, None),
    ),
    "prove -l t": ("All tests successful.\nResult: PASS\n", "Failed 1/3 subtests\nResult: FAIL\n", (None, None), (None, None)),
    "vendor/bin/pest": ("  Tests:    7 passed (9 assertions)\n", "  Tests:    1 failed, 6 passed (9 assertions)\n", (7, 0), (6, 1)),
}
GO_OK = "ok  \trover/arm\t0.1s\n"
GO_RED = "--- FAIL: TestArm (0.00s)\nFAIL\nFAIL\trover/arm\t0.1s\nFAIL\n"


@pytest.mark.parametrize(
    "pipe", ["2>&1 | tail -30", "2>&1 | tail -n 40 | tee log.txt", "2>&1 | head -200", "|| true", "; git status", "2>&1 | cat"]
)
@pytest.mark.parametrize("command", RUNS)
def test_each_runner_is_understood_both_ways_behind_a_pipe(command: str, pipe: str) -> None:
    green, red, in_green, in_red = RUNS[command]
    assert suite_run(f"cd app && {command} {pipe}", green, failed=False) == SuiteRun("success", *in_green)
    assert suite_run(f"cd app && {command} {pipe}", red, failed=False) == SuiteRun("failure", *in_red)


@pytest.mark.parametrize("command", ["make test", "npm test", "just test", "pnpm run test:unit", "task test"])
@pytest.mark.parametrize("runner", RUNS)
def test_a_projects_own_target_may_run_any_of_them(command: str, runner: str) -> None:
    green, red, *_ = RUNS[runner]
    outcomes = [suite_run(f"{command} 2>&1 | tail -30", output, failed=False) for output in (green, red)]
    assert [run.outcome if run else "no run" for run in outcomes] == ["success", "failure"]


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
def test_the_samples_that_pipes_are_tried_on_are_understood(suite: object) -> None:
    name = next(name for name, each in SUITES.items() if each is suite)
    told = SUITES[name].tells(SUITES[name].green), SUITES[name].tells(SUITES[name].red)
    assert [each.outcome if each else None for each in told] == ["success", "failure"]


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("go test ./... 2>&1 | grep FAIL", GO_RED),
        ("go test ./... 2>&1 | grep -c ok", "1"),
        ("go test ./... 2>&1 | grep -A 20 'FAIL\\|panic'", GO_RED),
        ("go test ./... 2>&1 | head -5", GO_RED),
        ("go test ./... > log 2>&1; grep FAIL log", GO_RED),
        ("go test ./... > log 2>&1 || true", ""),
        ("go test ./... 2>&1 | awk '/FAIL/'", GO_RED),
        ("pytest | tail -3", "…[+900 chars]"),
        ("pytest -q 2>&1 | tail -3", "1 failed, 2 passed in 0.10s\n…[+900 chars]"),
        ("npx playwright test | tail -1", "  3 passed (1.2s)"),
        ("bundle exec rspec | tail -1", "4 examples, 0 failures"),
        ("make lint && make test", "ruff found 3 errors"),
        ("make test || true", "nothing that anybody knows"),
        ("go test ./... | tail -3; echo $?", "0"),
    ],
)
def test_where_only_one_outcome_would_be_seen_none_is_claimed(command: str, output: str) -> None:
    run = suite_run(command, output, failed=False)
    assert run == SuiteRun(None, None, None)


@pytest.mark.parametrize(
    ("command", "green", "red"),
    [
        ("go test ./... 2>&1 | grep -E '^(ok|FAIL)'", GO_OK, "FAIL\trover/arm\t0.1s\nFAIL\n"),
        ("go test ./... 2>&1 | grep -v 'no test files' | tail -5", GO_OK, GO_RED),
        ("go test -v ./arm | grep -E '^--- '", "--- PASS: TestArm (0.00s)\n", "--- FAIL: TestArm (0.00s)\n"),
        ("pytest -q | grep -iE 'passed|failed'", "3 passed in 0.10s\n", "1 failed, 2 passed in 0.10s\n"),
        ("pytest -q | grep 'passed\\|failed'", "3 passed in 0.10s\n", "1 failed, 2 passed in 0.10s\n"),
        ("pytest -q > log 2>&1; tail -3 log", "3 passed in 0.10s\n", "1 failed, 2 passed in 0.10s\n"),
        ("make all-of-it; ./run.sh; tool/test.sh; npm test; echo $?", "0\n", "1\n"),
        ('make test > /dev/null 2>&1; echo "exit: $?"', "exit: 0\n", "exit: 2\n"),
        ("go test ./... | tail -1; echo ${PIPESTATUS[0]}", "x\n0\n", "x\n1\n"),
        ("set -o pipefail; make test | tail -3; echo code $?", "code 0\n", "code 1\n"),
        ("git add -A && go test ./... && git commit -m x", GO_OK, GO_RED),
    ],
)
def test_pipes_that_let_both_through_and_lines_that_print_the_code(command: str, green: str, red: str) -> None:
    outcomes = [suite_run(command, output, failed=False) for output in (green, red)]
    assert [run.outcome if run else "no run" for run in outcomes] == ["success", "failure"]


@pytest.mark.parametrize(
    ("command", "tells"),
    [
        ("make test", True),
        ("cd app && make test && echo done", True),
        ("npm run test:unit && npm run test:e2e", True),
        ("set -o pipefail; make test 2>&1 | tail -20", True),
        ("git pull; make test", True),
        ("make lint && make test", False),
        ("make test && git push", False),
        ("make test | tail -20", False),
        ("make test; ls", False),
        ("for i in 1 2; do make test; done", False),
    ],
)
def test_an_exit_code_counts_where_it_is_the_suites_own_both_ways(command: str, *, tells: bool) -> None:
    outcomes = [suite_run(command, "", failed=failed) for failed in (False, True)]
    assert [run.outcome if run else "no run" for run in outcomes] == (["success", "failure"] if tells else [None, None])
