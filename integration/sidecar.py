"""One `outrigger` process with its settings file, its logs and its admin port."""

import json
import os
import subprocess
import urllib.error
import urllib.request
import zlib
from pathlib import Path

import yaml

from process import Process
from waiting import free_port, wait_until

ROOT = Path(__file__).resolve().parent.parent


def program(name="outrigger"):
    """From build/<OUTRIGGER_BUILD>/, release by default."""
    path = ROOT / "build" / os.environ.get("OUTRIGGER_BUILD", "release") / name
    assert path.exists(), f"{path} is not there: run tools/build"
    return path


def workers_of(site):
    """How many event loops serve apps: OUTRIGGER_WORKERS; else in a scenario one to three, for each
    of its sites always the same; else what the sidecar takes by itself, which is None."""
    chosen = os.environ.get("OUTRIGGER_WORKERS")
    if chosen:
        return int(chosen)
    test = os.environ.get("PYTEST_CURRENT_TEST", "").split(" ")[0]
    return 1 + zlib.crc32(f"{test}/{site}".encode()) % 3 if test else None


def merged(base, changes):
    """base with changes laid over it, mapping by mapping; None removes a key."""
    result = dict(base)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


class Sidecar:
    """store_uri: text, or what gives it when the settings are first written."""

    def __init__(self, directory, site, store_uri, settings=None):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.site = site
        self.proxy_port = free_port()
        self.peer_port = free_port()
        self.admin_port = free_port()
        self.config_path = self.directory / "outrigger.yaml"
        self.settings = merged({
            "site": site,
            "data_dir": str(self.directory / "state"),
            "store": {} if callable(store_uri) else {"uri": store_uri},
            "proxy": {"listen": f"127.0.0.1:{self.proxy_port}"},
            "peers": {"listen": f"127.0.0.1:{self.peer_port}"},
            "admin": {"listen": f"127.0.0.1:{self.admin_port}"},
            "log": {"level": "debug"},
        }, {"proxy": {"workers": workers_of(site)}})
        self.settings = merged(self.settings, settings or {})
        self._store_uri = store_uri
        self.data_dir = Path(self.settings["data_dir"])
        self.process = Process([program(), "--config", self.config_path],
                               self.directory / "outrigger.log")

    def write_settings(self, changes=None):
        self.settings = merged(self.settings, changes or {})
        if "uri" not in self.settings["store"] and callable(self._store_uri):
            self.settings["store"]["uri"] = self._store_uri()
        self.config_path.write_text(yaml.safe_dump(self.settings, sort_keys=False))

    def check(self):
        """`outrigger --check`: (exit code, everything it printed)."""
        self.write_settings()
        result = subprocess.run([program(), "--config", self.config_path, "--check"], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30)
        return result.returncode, result.stdout

    def start(self, wait_ready=True, timeout_s=60):
        self.write_settings()
        self.process.start()
        if wait_ready:
            self.wait_ready(timeout_s)
        return self

    def start_refused(self):
        """Starts it and expects it to give up by itself: returns what it said."""
        before = len(self.process.log_text())
        self.start(wait_ready=False)
        code = self.process.wait_exit()
        said = self.process.log_text()[before:]
        assert code == 1, f"exit code {code}\n{said}"
        return said

    def wait_ready(self, timeout_s=60):
        def ready_or_dead():
            assert self.process.is_running(), "outrigger ended:\n" + self.process.log_tail()
            return self.is_ready()
        wait_until(ready_or_dead, lambda: "ready\n" + self.process.log_tail(), timeout_s)

    def is_ready(self):
        return self.get("/readyz")[0] == 200

    def get(self, path):
        """(HTTP status, body) from the admin port; (0, why) when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://{self.admin_address}{path}", timeout=10) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def get_json(self, path):
        status, body = self.get(path)
        assert status == 200, f"{path}: {status} {body}"
        return json.loads(body)

    def status(self):
        return self.get_json("/status")

    def conflicts(self, limit=100):
        """The latest, newest first: as many pages as that takes."""
        found, place = [], ""
        while len(found) < limit:
            page = self.get_json(f"/conflicts?limit={limit - len(found)}{place}")
            found += page["conflicts"]
            if not page["more"]:
                break
            place = f"&from={page['next']}"
        return found

    def metric(self, name, **labels):
        """The sum of all samples of `name` (without the prefix outrigger_) that carry `labels`."""
        status, body = self.get("/metrics")
        assert status == 200, body
        total = 0.0
        for line in body.splitlines():
            sample, _, value = line.rpartition(" ")
            if sample.split("{")[0] != "outrigger_" + name:
                continue
            if all(f'{label}="{wanted}"' in sample for label, wanted in labels.items()):
                total += float(value)
        return total

    @property
    def proxy_address(self):
        return f"127.0.0.1:{self.proxy_port}"

    @property
    def admin_address(self):
        return f"127.0.0.1:{self.admin_port}"

    def wait_log(self, text, timeout_s=30):
        wait_until(lambda: text in self.process.log_text(),
                   lambda: f"'{text}' in the log\n" + self.process.log_tail(), timeout_s)

    def stop(self):
        """SIGTERM; a clean end is exit code 0, which sanitizers turn into another one."""
        code = self.process.stop()
        assert code == 0, f"exit code {code}\n" + self.process.log_tail()

    def kill(self):
        self.process.kill()

    def restart(self):
        if self.process.is_running():
            self.stop()
        return self.start()

    def discard(self):
        self.process.kill()
