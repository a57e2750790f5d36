"""The checks behind tools/tidy. Standard library only."""

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cpp_text
import mutants

ROOT = Path(__file__).resolve().parent.parent
LINE_COLUMNS_MAX = 100
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
CLASS_LINES_MAX = 400  # its body and its members, over all files
TOP_LEVEL = {"CMakeLists.txt", "README.md", "LICENSE", "config", "integration", "proxy",
             "replication", "tools", "build"}

# Folders in the order of who may know whom: a file may include from its own and from those before
# it in its list, all of replication/ from config/, all of proxy/ from both. Some know
# less than that. Tests may use what stands in replication/testing/.
CONFIG = ["config/"]
REPLICATION = ["bson/", "series/", "causality/", "record/", "merge/types/", "merge/holding/",
               "merge/", "merge/claims/",
               "outbox/", "outbox/rocks/", "outbox/memory/", "store/", "store/memory/",
               "store/mongo/connection/", "store/mongo/keys/", "store/mongo/series/",
               "store/mongo/", "site/state/", "site/corrections/", "site/kept/",
               "site/ledger/", "site/rules/", "site/", "renames/", "link/", "kept/",
               "apply/locks/", "apply/", "recovery/", "merge/worlds/", "testing/"]
PROXY = ["net/", "net/uv/", "net/memory/", "mongo/wire/", "mongo/", "client/",
         "capture/ids/", "capture/shape/", "capture/", "transactions/", "writes/", "catalog/",
         "outputs/", "session/", "expiry/", "peer/", "admin/", "app/"]
KNOWS_LESS = {
    "replication/merge/types/": ["bson/", "causality/", "record/"],
    "replication/merge/holding/": ["causality/", "record/"],
    "replication/merge/": ["bson/", "causality/", "record/", "merge/types/", "merge/holding/"],
    "replication/merge/worlds/": ["bson/", "causality/", "record/", "merge/types/",
                                  "merge/holding/", "merge/"],
    "replication/store/": ["bson/", "series/", "record/"],
    "replication/store/memory/": ["bson/", "record/", "store/"],
    "replication/store/mongo/connection/": ["bson/", "record/", "store/"],
    "replication/store/mongo/keys/": ["bson/", "record/"],
    "replication/store/mongo/series/": ["bson/", "series/", "record/", "store/",
                                        "store/mongo/connection/"],
    "replication/store/mongo/": ["bson/", "series/", "record/", "store/", "store/mongo/connection/",
                                 "store/mongo/keys/", "store/mongo/series/"],
    "replication/link/": ["bson/", "causality/", "record/", "site/site_hello.h"],
    "proxy/net/": [],
    "proxy/net/uv/": ["net/"],
    "proxy/net/memory/": ["net/"],
    "proxy/mongo/wire/": [],
    "proxy/mongo/": ["net/", "mongo/wire/"],
    "proxy/client/": ["net/", "mongo/wire/", "mongo/"],
    "proxy/capture/ids/": [],
    "proxy/capture/shape/": [],
    "proxy/capture/": ["mongo/wire/", "mongo/", "capture/ids/", "capture/shape/"],
    "proxy/transactions/": ["mongo/wire/", "mongo/", "capture/"],
    "proxy/writes/": ["net/", "mongo/wire/", "mongo/", "capture/", "transactions/"],
    "proxy/outputs/": ["net/", "mongo/wire/", "mongo/", "capture/", "writes/"],
    "proxy/catalog/": ["net/", "mongo/wire/", "mongo/", "capture/", "transactions/", "writes/"],
    "proxy/session/": ["net/", "mongo/wire/", "mongo/", "client/", "capture/", "transactions/",
                       "writes/", "catalog/", "outputs/"],
    "proxy/expiry/": ["net/", "mongo/wire/", "mongo/", "capture/", "writes/"],
    "proxy/peer/": ["net/", "net/memory/"],
    "proxy/admin/": ["net/", "net/uv/", "expiry/", "peer/"],
}
FILES_OF_A_FOLDER_MAX = 25  # without tests
PRODUCT = ["config/", "replication/", "proxy/"]
PORTS = ["config/clock.cc", "config/random.cc", "config/threads.cc", "config/threads.h",
         "replication/store/store_contract.cc"]  # the last one: tests that run as a library
BEHIND_PORTS = (r"std::(jthread|thread|async|future|promise|condition_variable)\b"
                r"|sleep_(for|until)\b|random_device"
                r"|(system|steady|high_resolution)_clock::now|\bgetentropy\b")


def may_include():
    """folder: the folders its files may include from."""
    out = {"config/": CONFIG}
    for area, folders, before in (("replication/", REPLICATION, CONFIG),
                                  ("proxy/", PROXY, [*CONFIG, "replication/"])):
        for at, folder in enumerate(folders):
            known = KNOWS_LESS.get(area + folder, folders[:at])
            out[area + folder] = [*before, *(area + one for one in known), area + folder]
    out["replication/bson/"] = ["config/", "replication/bson/"]
    out["proxy/mongo/wire/"] = ["config/", "replication/bson/", "proxy/mongo/wire/"]
    out["proxy/net/"] = ["config/", "proxy/net/"]
    out["proxy/main.cc"] = ["config/", "replication/", "proxy/"]
    out["integration/"] = ["config/", "replication/", "proxy/", "integration/"]
    out["tools/"] = [*out["integration/"], "tools/"]
    return out


INCLUDES = may_include()
# A header of a library or the system, and the only places that may include it.
LIBRARIES = {
    r"<(uv\.h|uv/)": ["proxy/net/uv/", "tools/"],
    r"<(mongoc|bson)/": ["replication/store/mongo/", "integration/", "tools/"],
    r"<rocksdb/": ["replication/outbox/rocks/", "tools/"],
    r"<(sys/socket|netinet/in|arpa/inet|netdb)\.h>": ["proxy/", "integration/", "tools/"],
    r"<openssl/": ["proxy/", "replication/bson/", "tools/"],
    r"<iostream>": ["integration/", "tools/"],
    r"<ranges>": [],
}
# Patterns looked for outside comments and literals.
FORBIDDEN = [
    (r"\bstd::(ranges|views)::", "std::ranges does not build with clang 14", ""),
    (r"\busing namespace std\b", "name what is used", ""),
    (r"(?<![\w_])assert\(", "OUTRIGGER_ASSERT stays on in release builds", ""),
    (r"\bsleep_for\(|\busleep\(", "wait for a condition, or turn a ManualClock", "_test.cc"),
]

errors = []


def wrong(path, line, text):
    errors.append(f"{path.relative_to(ROOT)}:{line}: {text}")


def all_files():
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        if path.is_file() and parts[0] not in (".git", "build") and "__pycache__" not in parts \
                and ".pytest_cache" not in parts:
            yield path


def name_of(path):
    return str(path.relative_to(ROOT))


def starts_with_any(name, prefixes):
    return any(name.startswith(prefix) for prefix in prefixes)


def check_top_level():
    for path in ROOT.iterdir():
        if path.name not in TOP_LEVEL and not path.name.startswith("."):
            wrong(path, 1, f"not a top level entry; those are {', '.join(sorted(TOP_LEVEL))}")


def check_lines(path, text):
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_COLUMNS_MAX:
            wrong(path, number, f"{len(line)} columns; at most {LINE_COLUMNS_MAX}")
        if line != line.rstrip():
            wrong(path, number, "blanks at the end of the line")
        if re.search(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b", line):
            wrong(path, number, "do it now or write down elsewhere that it is missing")
        if re.search(r"(?<![\w.])/(home|root|Users)/\w", line):
            wrong(path, number, "a path of one machine")
    check_size(path, 1, len(lines), FILE_LINES_MAX, "file")


def check_size(path, line, lines, limit, what):
    if lines > limit:
        wrong(path, line, f"{what} of {lines} lines; at most {limit}: split it")


def check_functions(path, found):
    for line, lines, signature in found:
        check_size(path, line, lines, FUNCTION_LINES_MAX, f"function '{signature}'")


def check_classes(sources):
    """Of the product: tests may be as long as what they test."""
    lines, places = Counter(), {}
    for path, text in sources.items():
        if path.stem.endswith("_test") or not starts_with_any(name_of(path), PRODUCT):
            continue
        for name, count in cpp_text.lines_of_classes(cpp_text.blanked(text)).items():
            lines[name] += count
            if path.suffix == ".h":
                places[name] = path
    for name, path in places.items():
        check_size(path, 1, lines[name], CLASS_LINES_MAX, f"class {name}")


def may_know(target, known):
    """Of the areas with folders in an order, the very folder must be named."""
    for one in known:
        in_order = one.startswith(("replication/", "proxy/")) and one.count("/") > 1
        if target == one or (target.rpartition("/")[0] + "/" == one if in_order
                             else target.startswith(one)):
            return True
    return False


def check_includes(path, text):
    name = name_of(path)
    area = max((prefix for prefix in INCLUDES if name.startswith(prefix)), key=len, default=None)
    if area is None:
        return wrong(path, 1, "C++ outside of the five folders")
    known = INCLUDES[area]
    if name.endswith("_test.cc") and name.startswith("replication/"):
        known = [*known, "replication/"]
    if name.endswith("_test.cc") and name.startswith("proxy/"):
        known = [*known, "proxy/net/uv/", "proxy/net/memory/"]
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*(["<][^">]+[">])', line)
        if not match:
            continue
        target = match.group(1)
        if target[0] == '"' and not (ROOT / target[1:-1]).is_file():
            wrong(path, number, f"{target}: no such file; paths start at the top level")
        elif target[0] == '"' and not may_know(target[1:-1], known):
            wrong(path, number, f"{area} must not know {target}; it may include from: "
                                f"{' '.join(known)}")
        for pattern, places in LIBRARIES.items():
            # A test may compare with what the library does.
            if re.match(pattern, target) and not starts_with_any(name, places) \
                    and not (places and name.endswith("_test.cc")):
                wrong(path, number, f"{target} belongs in {' '.join(places) or 'no file'}")


def check_folders(files):
    """At most so many files, and a map that names them."""
    for area, folders in (("replication/", REPLICATION), ("proxy/", PROXY)):
        for folder in folders:
            inside = [path for path in files if name_of(path.parent) + "/" == area + folder
                      and path.suffix in (".cc", ".h") and not path.stem.endswith("_test")]
            if not (ROOT / area / folder).is_dir():
                wrong(ROOT / area, 1, f"in the order of folders, but not there: {folder}")
            if len(inside) > FILES_OF_A_FOLDER_MAX:
                wrong(ROOT / area / folder, 1, f"{len(inside)} files without its tests; at most "
                                           f"{FILES_OF_A_FOLDER_MAX}: split it")
        known = {name_of(path.parent) + "/" for path in files
                 if path.suffix in (".cc", ".h") and name_of(path).startswith(area)}
        for folder in sorted(known - {area} - {area + one for one in folders}):
            wrong(ROOT / folder, 1, "not in the order of folders in tools/tidy.py")
        map_file = ROOT / area / "README.md"
        named = set(re.findall(r"^\| `([\w/]+/)` \|", map_file.read_text(), re.MULTILINE))
        for folder in sorted(named ^ set(folders)):
            wrong(map_file, 1, f"the map and the folders differ: {folder}")


def check_header(path, text):
    if not text.startswith("//"):
        wrong(path, 1, "a header opens with a comment: the problem and the idea")
    if "\n#pragma once\n" not in text:
        wrong(path, 1, "#pragma once is missing")


def check_coroutines(path, code):
    for position, captures, body in cpp_text.lambdas(code):
        if re.search(r"\bco_(await|return|yield)\b", body):
            wrong(path, cpp_text.line_of(code, position),
                  "a lambda that is a coroutine: its captures die before it ends")
    for position, expression in cpp_text.await_expressions(code):
        line = cpp_text.line_of(code, position)
        if any(captures.strip() for _, captures, _ in cpp_text.lambdas(expression)):
            wrong(path, line, "capturing lambda in an awaiting expression: GCC 12 destroys it "
                              "twice; name it first, then std::move it in")
        if re.search(r"[(,\s](\w+::)*[A-Z]\w*\{\s*[^\s}]", expression):
            wrong(path, line, "aggregate temporary in an awaiting expression: GCC 12 destroys it "
                              "twice; name it first, then std::move it in")


def check_ports(path, code):
    """Of the product: threads, waits, time and chance come from ports."""
    name = name_of(path)
    is_test = name.endswith("_test.cc") or "test" in path.stem or "/testing/" in name
    if is_test or name in PORTS or not starts_with_any(name, PRODUCT):
        return
    for match in re.finditer(BEHIND_PORTS, code):
        wrong(path, cpp_text.line_of(code, match.start()),
              f"'{match.group(0)}': stands behind a port (config/threads.h, clock.h, random.h)")


def check_cpp(path, text):
    code = cpp_text.blanked(text)
    check_ports(path, code)
    check_includes(path, text)
    check_functions(path, cpp_text.functions(code))
    check_coroutines(path, code)
    if path.suffix == ".h":
        check_header(path, text)
    for pattern, why, only_in in FORBIDDEN:
        if not path.name.endswith(only_in):
            continue
        for match in re.finditer(pattern, code):
            wrong(path, cpp_text.line_of(code, match.start()), f"'{match.group(0)}': {why}")


def check_python(path, text):
    nodes = (n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef))
    check_functions(path, [(n.lineno, n.end_lineno - n.lineno + 1, n.name) for n in nodes])


def check_every_file_is_used(sources, cmake_texts):
    """Each .cc is named by a CMakeLists.txt at or above it, each header is included by a file."""
    included = {target for text in sources.values()
                for target in re.findall(r'#\s*include\s*"([^"]+)"', text)}
    for path in sources:
        if path.suffix == ".h":
            if name_of(path) not in included:
                wrong(path, 1, "included by no file")
            continue
        named = False
        for cmake, text in cmake_texts.items():
            if cmake.parent in path.parents:
                below = re.escape(str(path.relative_to(cmake.parent)))
                named = named or re.search(rf"(?<![\w/]){below}\b", text)
        if not named:
            wrong(path, 1, "in no CMake target")


def check_mutants(sources):
    """A fault whose text is not once in its file any more could not be planted."""
    for mutant in mutants.MUTANTS:
        path = ROOT / mutant.path
        found = sources.get(path, "").count(mutant.old)
        if found != 1:
            wrong(path, 1, f"mutant '{mutant.name}' finds its text {found} times")


def check_format(paths):
    result = subprocess.run(["clang-format", "--dry-run", *map(str, paths)], text=True,
                            capture_output=True)
    first_line = {}
    for line in result.stderr.splitlines():
        match = re.match(r"(.*):(\d+):\d+: warning", line)
        if match:
            first_line.setdefault(Path(match.group(1)), int(match.group(2)))
    for path, line in first_line.items():
        wrong(path, line, f"not formatted: clang-format -i {name_of(path)}")
    if result.returncode != 0:
        errors.append(f"clang-format: {result.stderr.strip()}")


def main():
    check_top_level()
    sources, cmake_texts = {}, {}
    for path in all_files():
        is_script = path.parent in (ROOT / "tools", ROOT / ".ci") and path.suffix == ""
        if path.suffix not in (".cc", ".h", ".py", ".js") and path.name != "CMakeLists.txt" \
                and not is_script:
            continue
        text = path.read_text()
        check_lines(path, text)
        if path.suffix in (".cc", ".h"):
            sources[path] = text
            check_cpp(path, text)
        elif path.suffix == ".py":
            check_python(path, text)
        elif path.name == "CMakeLists.txt":
            cmake_texts[path] = text
    check_every_file_is_used(sources, cmake_texts)
    check_classes(sources)
    check_mutants(sources)
    check_folders(list(sources))
    check_format(list(sources))
    for error in errors:
        print(error)
    print(f"tidy: {len(sources)} C++ files, {len(errors)} complaints")
    sys.exit(1 if errors else 0)


main()
