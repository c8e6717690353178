"""What a film took goes back to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from tests.server import ROOT

_FREE = """
import sys, threading
import psutil
from app.allocator import settle

def resident():
    return psutil.Process().memory_info().rss

if sys.argv[1] == "settled":
    assert settle(2)

def work():
    for _ in range(3):
        # Films that go at once, and something small that stays behind them.
        films = [bytearray(size) for size in (24 << 20, 9 << 20)]
        kept.append(bytearray(5000))
        del films

kept = []
before = resident()
for _ in range(8):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
print(resident() - before)
"""


def test_what_large_films_took_is_given_back() -> None:
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("needs glibc")
    done = subprocess.run(
        [sys.executable, "-c", _FREE, "settled"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 8 << 20
