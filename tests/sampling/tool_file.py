"""Tools for the tests: well-behaved ones, and every kind of trouble."""

import asyncio
import os
import signal
import subprocess
import sys
import time


def add(a: int, b: int = 10) -> int:
    """Add two integers."""
    return a + b


def echo(text: str) -> str:
    return text


def fail(text: str) -> str:
    raise ValueError(f"no {text}")


def process() -> int:
    return os.getpid()


def hang() -> None:
    time.sleep(3600)


def spin(path: str) -> None:
    """Start another process, ignore what could be ignored, and never end."""
    child = subprocess.Popen(["sleep", "3600"])
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{os.getpid()} {child.pid}")
    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    while True:
        pass


def alarm() -> str:
    """Set an alarm of its own and leave it behind."""
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.alarm(1)
    return "set"


def hungry() -> int:
    return len(bytearray(10**10))


def die() -> None:
    os._exit(1)


def leave() -> None:
    sys.exit(3)


def noisy(count: int) -> str:
    """Print, and read what there is to read."""
    print("x" * count)
    print("y" * count, file=sys.stderr)
    os.system("echo from another process")
    return f"read {sys.stdin.read()!r}"


def long(count: int) -> str:
    return "x" * count


async def later(number: int) -> int:
    await asyncio.sleep(0)
    return number


not_a_function = 3
