"""A child process with a log file that can be stopped, killed, frozen and started again."""

import signal
import subprocess


class Process:
    def __init__(self, arguments, log_path, environment=None):
        self.arguments = [str(argument) for argument in arguments]
        self.log_path = log_path
        self.environment = environment
        self.child = None
        self.disturbed = False  # stopped, killed or frozen before now

    def start(self):
        assert not self.is_running(), f"already running: {self.arguments[0]}"
        with open(self.log_path, "ab") as log:
            self.child = subprocess.Popen(
                self.arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.environment)

    def is_running(self):
        return self.child is not None and self.child.poll() is None

    @property
    def pid(self):
        return self.child.pid

    def stop(self, timeout_s=60):
        """Asks it to end and returns its exit code; kills it when it does not listen."""
        self.disturbed = True
        if self.child is None:
            return None
        if self.is_running():
            self.child.send_signal(signal.SIGCONT)
            self.child.send_signal(signal.SIGTERM)
        try:
            return self.child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise TimeoutError(
                f"{self.arguments[0]} did not end {timeout_s} s after SIGTERM\n{self.log_tail()}")

    def kill(self):
        """kill -9"""
        self.disturbed = True
        if self.is_running():
            self.child.kill()
        if self.child is not None:
            self.child.wait()

    def freeze(self):
        self.disturbed = True
        self.child.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.child.send_signal(signal.SIGCONT)

    def wait_exit(self, timeout_s=30):
        return self.child.wait(timeout_s)

    def log_text(self):
        try:
            return self.log_path.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def log_tail(self, lines=40):
        return "\n".join([f"--- {self.log_path}", *self.log_text().splitlines()[-lines:]])
