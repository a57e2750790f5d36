"""Documents in a form that can be compared across sites: types count, field order does not."""


def canonical(value):
    if isinstance(value, dict):
        return ("document", tuple(sorted((name, canonical(item)) for name, item in value.items())))
    if isinstance(value, list):
        return ("array", tuple(canonical(item) for item in value))
    # repr() and not ==, which takes 1, 1.0 and True for the same, and NaN for different.
    return (type(value).__name__, repr(value))


def dump(client, databases):
    """{namespace: {canonical _id: canonical document}} of all collections with documents."""
    result = {}
    for database in databases:
        for info in client[database].list_collections(filter={"type": "collection"}):
            name = info["name"]
            if name.startswith("system."):
                continue
            documents = {canonical(d["_id"]): canonical(d) for d in client[database][name].find()}
            if documents:
                result[f"{database}.{name}"] = documents
    return result


def difference(left, right, limit=5):
    """What two dumps do not share, for people; empty when they are equal."""
    lines = []
    for namespace in sorted(left.keys() | right.keys()):
        one, other = left.get(namespace, {}), right.get(namespace, {})
        ids = [key for key in one.keys() | other.keys() if one.get(key) != other.get(key)]
        if ids:
            lines.append(f"{namespace}: {len(ids)} documents differ ({len(one)} and {len(other)})")
        for key in sorted(ids)[:limit]:
            lines += [f"  {one.get(key)}", f"  {other.get(key)}"]
    return "\n".join(lines)
