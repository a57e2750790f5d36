"""Adds up what tools/test left: one .code file a step, and JUnit XML where a step has cases.

A step without cases counts as one. A step that failed although all its cases passed (a crash, a
sanitizer's report at exit) counts as one failure more, so that nothing that went wrong adds up
to "0 failed".
"""

import sys
import xml.etree.ElementTree
from pathlib import Path


def count_cases(path):
    """(passed, names of failed, skipped)"""
    passed, failed, skipped = 0, [], 0
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        if case.find("skipped") is not None or case.get("status") == "notrun":
            skipped += 1
        elif case.find("failure") is not None or case.find("error") is not None:
            failed.append(f"{case.get('classname')}.{case.get('name')}")
        else:
            passed += 1
    return passed, failed, skipped


def case_files(results, step):
    if step.startswith("unit-"):
        return sorted((results / step.removeprefix("unit-")).glob("*.xml"))
    return [results / f"{step}{part}.xml" for part in ("", "-1", "-2")]


def main(results):
    passed, skipped, failed = 0, 0, []
    for code_file in sorted(results.glob("*.code")):
        step = code_file.stem
        step_failed = []
        files = [path for path in case_files(results, step) if path.exists()]
        for path in files:
            try:
                case_passed, case_failed, case_skipped = count_cases(path)
            except xml.etree.ElementTree.ParseError:
                case_passed, case_failed, case_skipped = 0, [f"{path.stem} left half a report"], 0
            passed += case_passed
            skipped += case_skipped
            step_failed += case_failed
        if code_file.read_text().strip() != "0":
            step_failed = step_failed or ["the step as a whole"]
        elif not files:
            passed += 1
        failed += [f"{step}: {name}" for name in step_failed]
    for name in failed:
        print(f"FAILED {name}")
    if skipped:
        print(f"{skipped} skipped")
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed or not passed else 0


sys.exit(main(Path(sys.argv[1])))
