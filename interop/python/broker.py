"""Runs a real stompbox for a test, on ports of its own."""

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

BINARY = os.path.join(os.path.dirname(__file__), "..", "..", "bin", "stompbox")


def free_port():
    """Below those that the system gives to outgoing connections."""
    while True:
        port = random.randint(10000, 19999)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Broker:
    def __init__(self):
        self.http, self.tcp = free_port(), free_port()
        self.dir = tempfile.mkdtemp(prefix="stompbox-interop-")
        self.process = subprocess.Popen(
            [BINARY, "serve", "--dev", "--http", f"127.0.0.1:{self.http}", "--stomp", f"127.0.0.1:{self.tcp}", "--data-dir", self.dir],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                if self.get("/readyz").strip() == "ready":
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("the broker did not start")

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=5) as answer:
            return answer.read().decode()

    def token(self, user):
        """A token that may do all."""
        return self.get(f"/dev/token?user={user}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        shutil.rmtree(self.dir, ignore_errors=True)
        return code

    def ask(self, destination, body, *flags):
        """What the command ask prints."""
        done = subprocess.run([BINARY, "ask", "--url", f"tcp://127.0.0.1:{self.tcp}", *flags, destination, body], capture_output=True, text=True, timeout=90)
        return done.stdout + done.stderr
