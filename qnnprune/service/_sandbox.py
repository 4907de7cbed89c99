"""A process that can neither use the network nor start programs, from now on.

A seccomp filter refuses the system calls that make, join or use sockets, io_uring, which can do
the same, and those that start programs or look into other processes.  It needs no rights, holds
for all threads, and cannot be taken back.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import struct
import sys

__all__ = ["shut_in"]

# Number of each call on each machine: arch/x86/entry/syscalls/syscall_64.tbl of Linux, and
# include/uapi/asm-generic/unistd.h.
_MACHINES = {
    "x86_64": (
        0xC000003E,
        {
            "socket": 41, "connect": 42, "accept": 43, "sendto": 44, "sendmsg": 46, "bind": 49,
            "listen": 50, "socketpair": 53, "accept4": 288, "sendmmsg": 307,
            "execve": 59, "execveat": 322, "ptrace": 101, "process_vm_readv": 310,
            "process_vm_writev": 311, "io_uring_setup": 425, "pidfd_getfd": 438,
            "seccomp": 317,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "socket": 198, "socketpair": 199, "bind": 200, "listen": 201, "accept": 202,
            "connect": 203, "sendto": 206, "sendmsg": 211, "accept4": 242, "sendmmsg": 269,
            "execve": 221, "execveat": 281, "ptrace": 117, "process_vm_readv": 270,
            "process_vm_writev": 271, "io_uring_setup": 425, "pidfd_getfd": 438,
            "seccomp": 277,
        },
    ),
}  # fmt: skip
_NO_NEW_PRIVS, _SET_FILTER, _ALL_THREADS = 38, 1, 1
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCH = 0, 4  # offsets in struct seccomp_data
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_X32 = 0x40000000  # calls of another table, on the same machine


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def shut_in() -> None:
    """Give up network and programs, and leave no dump of memory behind.

    Raises
    ------
    OSError
        If this system cannot do it.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        raise OSError(errno.ENOSYS, "only Linux on x86_64 and aarch64 can shut a process in")
    arch, calls = _MACHINES[platform.machine()]
    code = _filter(arch, sorted(calls.values()))
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl refused")
    if libc.syscall(calls["seccomp"], _SET_FILTER, _ALL_THREADS, ctypes.byref(program)):
        code = ctypes.get_errno()
        raise OSError(code, f"seccomp refused: {os.strerror(code)}")


def _filter(arch: int, numbers: list[int]) -> bytes:
    """A BPF program: another table of calls, or one of `numbers`, is refused."""
    n = len(numbers)
    lines = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 0, n + 3, arch),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, n + 1, 0, _X32),
        *((_EQUAL, n - index, 0, number) for index, number in enumerate(numbers)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("HBBI", *line) for line in lines)
