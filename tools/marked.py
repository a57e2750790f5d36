"""Parts of a text file that a program writes, between two lines that mark them."""


def _marks(name):
    return f"<!-- {name}:start -->", f"<!-- {name}:end -->"


def parts(path, name):
    """What stands before the part of that name, in it, and behind it; the marks are outside."""
    start, end = _marks(name)
    before, begun, rest = path.read_text().partition(start)
    inside, ended, after = rest.partition(end)
    if not begun or not ended:
        raise SystemExit(f"{name}: {path.name} has no lines {start} and {end}")
    return before + start, inside, end + after


def write(path, name, lines):
    before, _, after = parts(path, name)
    path.write_text("\n".join([before, *lines, after]))
