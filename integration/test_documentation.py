"""What the documentation shows of settings is what `outrigger --check` takes."""

import re
import subprocess

import pytest

from sidecar import ROOT, program

DOCUMENTS = ("README.md", "config/README.md")
SITES = ("oslo", "paris", "app")


def examples():
    """Each whole file of settings that is shown."""
    for name in DOCUMENTS:
        blocks = re.findall(r"^ *```yaml\n(.*?)^ *```$", (ROOT / name).read_text(), re.M | re.S)
        whole = [block for block in blocks if re.search(r"^ *site: ", block, re.M)]
        assert whole, f"{name} shows no settings"
        yield from (pytest.param(block, id=f"{name}-{number}")
                    for number, block in enumerate(whole, 1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the certificates are that the examples name."""
    folder = tmp_path_factory.mktemp("documentation")
    subprocess.run([ROOT / "tools" / "certs", folder, *SITES], check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("example", examples())
def test_settings_as_shown_are_accepted(folder, example):
    indent = re.match(" *", example).group()
    text = re.sub(f"^{indent}", "", example, flags=re.M)
    text = text.replace("/var/lib/outrigger", str(folder / "data"))
    text = re.sub(r"\b(\w+\.(?:crt|key))\b", lambda file: str(folder / file.group()), text)
    path = folder / "settings.yaml"
    path.write_text(text)
    seen = subprocess.run([program(), "--config", path, "--check"], text=True, capture_output=True)
    assert seen.returncode == 0, seen.stdout + seen.stderr
