"""Just enough reading of C++ for tools/tidy: text without comments and strings, functions, lambdas.

Works on brackets and line shapes, relying on clang-format's layout; it is no parser.
"""

import re
from collections import Counter

_SKIPPED = re.compile(
    r'R"(?P<d>[^(\s]*)\((?:.|\n)*?\)(?P=d)"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\''
    r"|//[^\n]*|/\*(?:.|\n)*?\*/")
_NO_FUNCTION = re.compile(
    r"^(if|for|while|switch|else|do|try|catch|namespace|class|struct|enum|union|extern|return"
    r"|co_return|case|default)\b")
_LAMBDA = re.compile(r"(?<![\w)\]])\[(?P<captures>[^\[\]]*)\]\s*(\(|\{|mutable\b|->)")
_PAIRS = {"(": ")", "{": "}", "[": "]"}


def blanked(text):
    """The same length and lines, with comments and the insides of literals turned into blanks."""
    def blank(match):
        kept = match.group(0)
        quote = kept[0] if kept[0] in "\"'" else " "
        inner = re.sub(r"[^\n]", " ", kept)
        return quote + inner[1:-1] + quote if len(kept) > 1 else kept
    return _SKIPPED.sub(blank, text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def closing(text, position):
    """Where the bracket at `position` closes; the end of the text when it does not."""
    stack = []
    for index in range(position, len(text)):
        char = text[index]
        if char in _PAIRS:
            stack.append(_PAIRS[char])
        elif stack and char == stack[-1]:
            stack.pop()
            if not stack:
                return index
    return len(text)


def functions(text):
    """(line, lines, text of the signature) of every function body, lambdas included."""
    return [(line, lines, head[:60]) for line, lines, head in _bodies(text)]


def lines_of_classes(text):
    """{class: lines}: its body, where it is not inside another, and its members' definitions."""
    found = Counter()
    for match in re.finditer(r"^(?:class|struct) (?:[A-Z_]+\([^)]*\) )?(\w+)[^;{}()]*\{", text,
                             re.MULTILINE):
        first, end = line_of(text, match.start()), closing(text, match.end() - 1)
        found[match.group(1)] += line_of(text, end) - first + 1
    for _, lines, head in _bodies(text):
        member = re.match(r"[^(]*?\b([A-Z]\w*)::(?:\w+::)*[~\w]+(?: ?[^\w\s(]+)?\(", head)
        if member:
            found[member.group(1)] += lines
    return found


def _bodies(text):
    """(line, lines, head) of every function body."""
    # Members initialised as member_{value} would look like the end of the statement before.
    text = re.sub(r"(?<=\w)\{[^{}\n]*\}", lambda match: " " * len(match.group(0)), text)
    for match in re.finditer(r"\{[ \t]*\n", text):
        start = max(text.rfind(mark, 0, match.start()) for mark in ";{}") + 1
        head = text[start:match.start()]
        start += len(head) - len(head.lstrip())
        head = re.sub(r"^(public|private|protected):\s*", "", head.strip())
        head = re.sub(r"^(#[^\n]*\n\s*)+", "", head)
        if "(" not in head or _NO_FUNCTION.match(head) or head.endswith("="):
            continue
        if head.count("(") != head.count(")") and not _LAMBDA.search(head + "{"):
            continue  # a braced list among arguments
        first = line_of(text, start)
        last = line_of(text, closing(text, match.start()))
        yield first, last - first + 1, " ".join(head.split())


def lambdas(text):
    """(position, captures, body) of every lambda."""
    for match in _LAMBDA.finditer(text):
        brace = text.find("{", match.end() - 1)
        if match.group(2) == "(":
            brace = text.find("{", closing(text, match.end() - 1))
        if brace >= 0:
            yield match.start(), match.group("captures"), text[brace:closing(text, brace) + 1]


def await_expressions(text):
    """(position, text) of every full expression that awaits: to its ';', or the ')' of its if."""
    for match in re.finditer(r"\bco_await\b", text):
        start = max(text.rfind(mark, 0, match.start()) for mark in ";{}") + 1
        index = match.end()
        while index < len(text) and text[index] not in ";)}":
            index = closing(text, index) + 1 if text[index] in _PAIRS else index + 1
        yield match.start(), text[start:index]
