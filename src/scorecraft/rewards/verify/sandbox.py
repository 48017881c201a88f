"""Takes away from the present process what a foreign program must not have: network, processes, files to write to.

It is read by `program_runner.py`, which runs as a script, so it imports nothing of this package. Limits on memory,
time, open files and written bytes come from ``setrlimit``; system calls from a seccomp filter that names the ones
which are allowed, and answers all others with "not permitted". Files can be opened for reading only, and by a Landlock
rule set only Python's own, the system's libraries and what is in the working folder: neither data sets, nor ``/proc``
with the environments and open files of other processes. There is no socket, no other process and no signal to anyone.

Sources: Linux kernel documentation, Seccomp BPF (SECure COMPuting with filters); Landlock: unprivileged access control.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
import sys
import sysconfig

# Name: number on x86_64, number on aarch64 (None where it has no such call).
_CALLS: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "newfstatat": (262, 79), "lseek": (8, 62),
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "pread64": (17, 67), "readv": (19, 65), "writev": (20, 66),
    "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439), "sched_yield": (24, 124),
    "mremap": (25, 216), "madvise": (28, 233), "dup": (32, 23), "nanosleep": (35, 101), "clock_nanosleep": (230, 115),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "getpid": (39, 172), "getppid": (110, 173),
    "gettid": (186, 178), "exit": (60, 93), "exit_group": (231, 94), "uname": (63, 160),
    "getcwd": (79, 17), "readlink": (89, None), "readlinkat": (267, 78), "gettimeofday": (96, 169),
    "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177),
    "sigaltstack": (131, 132), "futex": (202, 98), "getdents64": (217, 61), "set_tid_address": (218, 96),
    "set_robust_list": (273, 99), "rseq": (334, 293), "getrandom": (318, 278), "statx": (332, 291), "stat": (4, None),
    "lstat": (6, None), "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72),
    "sysinfo": (99, 179), "sched_getaffinity": (204, 123), "getrusage": (98, 165), "times": (100, 153),
    "time": (201, None), "restart_syscall": (219, 128), "membarrier": (324, 283), "fadvise64": (221, 223),
    "getrlimit": (97, 163),
}  # fmt: skip
# Calls whose argument decides: where it is among the arguments.
_OPEN: tuple[tuple[tuple[int | None, int | None], int], ...] = (((2, None), 1), ((257, 56), 2))
_CLONE, _CLONE3 = (56, 220), (435, 435)
# Duplicating, and reading and setting flags; not who gets a signal when there is something to read.
_FCNTL, _FCNTL_COMMANDS = (72, 25), (0, 1, 2, 3, 4, 1030)

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NOT_PERMITTED, _NO_SUCH_CALL = _ERRNO | 1, _ERRNO | 38
_WRITING = 0o3 | 0o100 | 0o1000  # write access, create, truncate
_THREAD = 0x00010000
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2
_CREATE_RULE_SET, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same on both machines
_ALL_ACCESS, _READ_FILE, _READ_FOLDER, _PATH_BENEATH = 2**13 - 1, 1 << 2, 1 << 3, 1
_READABLE = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/etc/localtime",
             "/usr/share/zoneinfo", "/dev/null", "/dev/urandom")  # fmt: skip


class Refused(Exception):  # noqa: N818 - not an error of this program: the machine cannot do it
    """This machine cannot take the rights away."""


def limit_resources(memory_mb: int, seconds: float, output_bytes: int = 4 * 2**20) -> None:
    """Limit address space, processor time, open files and the size of what is written, for good."""
    memory, time = memory_mb * 2**20, int(seconds) + 3
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, time),
        (resource.RLIMIT_FSIZE, output_bytes),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        # Processor time gives a signal of its own first, one second before the process is killed.
        resource.setrlimit(kind, (most, most + 1) if kind == resource.RLIMIT_CPU else (most, most))


def give_up_rights() -> None:
    """Refuse all of it from now on, see the module; raises `Refused` where it cannot."""
    machine = platform.machine()
    if not sys.platform.startswith("linux") or machine not in _ARCHITECTURES:
        raise Refused(f"it needs Linux on x86_64 or aarch64, this is {sys.platform} on {machine}")
    column, architecture = _ARCHITECTURES[machine]
    program = _program(column, architecture)
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    held = ctypes.create_string_buffer(code)
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(held))
    system = ctypes.CDLL(None, use_errno=True)
    if system.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise Refused(f"the kernel keeps new privileges possible (errno {ctypes.get_errno()})")
    _leave_readable(system, [*_READABLE, *_of_python(), "."])
    if system.prctl(_SET_SECCOMP, _FILTER, header, 0, 0):
        raise Refused(f"the kernel does not take a seccomp filter (errno {ctypes.get_errno()})")


def _of_python() -> set[str]:
    """Return the folders of the interpreter's modules and libraries."""
    paths = sysconfig.get_paths()
    modules = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return {*modules, os.path.join(sys.base_prefix, "lib")}


def _leave_readable(system: ctypes.CDLL, paths: list[str]) -> None:
    """Make all other files unreadable, and all files unwritable."""
    handled = ctypes.c_uint64(_ALL_ACCESS)
    rules = system.syscall(_CREATE_RULE_SET, ctypes.byref(handled), ctypes.c_size_t(8), 0)
    if rules < 0:
        raise Refused(f"the kernel has no Landlock, which keeps files from programs (errno {ctypes.get_errno()})")
    for path in paths:
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        access = _READ_FILE | (_READ_FOLDER if os.path.isdir(path) else 0)
        rule = ctypes.create_string_buffer(struct.pack("=Qi", access, place))
        failed = system.syscall(_ADD_RULE, rules, _PATH_BENEATH, rule, 0)
        os.close(place)
        if failed:
            raise Refused(f"the kernel does not take a Landlock rule (errno {ctypes.get_errno()})")
    if system.syscall(_RESTRICT, rules, 0):
        raise Refused(f"the kernel does not take Landlock rules (errno {ctypes.get_errno()})")
    os.close(rules)


def _program(column: int, architecture: int) -> list[tuple[int, int, int, int]]:
    """Return the filter as (code, jump if true, jump if false, constant)."""
    program = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    for numbers in _CALLS.values():
        number = numbers[column]
        if number is not None:
            program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    for numbers, argument in _OPEN:
        number = numbers[column]
        if number is not None:
            program += _if_bits(number, argument, _WRITING, _NOT_PERMITTED, _ALLOW)
    program += _if_one_of(_FCNTL[column], 1, _FCNTL_COMMANDS)
    program += _if_bits(_CLONE[column], 0, _THREAD, _ALLOW, _NOT_PERMITTED)
    program += [(_EQUAL, 0, 1, _CLONE3[column]), (_RETURN, 0, 0, _NO_SUCH_CALL)]
    return [*program, (_RETURN, 0, 0, _NOT_PERMITTED)]


def _if_bits(number: int, argument: int, bits: int, then: int, otherwise: int) -> list[tuple[int, int, int, int]]:
    """Return the instructions for a call that one of the bits of an argument decides."""
    return [
        (_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, 16 + 8 * argument),
        (_ANY_BIT, 0, 1, bits),
        (_RETURN, 0, 0, then),
        (_RETURN, 0, 0, otherwise),
    ]


def _if_one_of(number: int, argument: int, values: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
    """Return the instructions for a call that is allowed where an argument has one of some values."""
    choices = [step for value in values for step in ((_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW))]
    inner = [(_LOAD, 0, 0, 16 + 8 * argument), *choices, (_RETURN, 0, 0, _NOT_PERMITTED)]
    return [(_EQUAL, 0, len(inner), number), *inner]
