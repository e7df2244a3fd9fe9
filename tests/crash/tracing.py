"""Killing a process when it begins its n-th change of a file, by ptrace(2).

Between two system calls a kill changes nothing that a file could show. So every state that a kill can leave behind is one
before some system call, and these can be gone through one by one. (What is left are long writes that a kill cuts short:
those are for kills at random moments.)
"""

import ctypes
import os
import platform
import signal

# Numbers for the machine, from its asm/unistd.h: calls that fill, shorten, rename, remove or sync files or make folders. The
# core fills journals by splice(2), which is left out since most calls are that.
_NUMBERS = {
    "x86_64": {
        "pwrite64": 18, "writev": 20, "pwritev": 296, "fallocate": 285, "ftruncate": 77, "fsync": 74, "fdatasync": 75,
        "sync_file_range": 277, "rename": 82, "renameat": 264, "renameat2": 316, "unlink": 87, "unlinkat": 263,
        "mkdir": 83, "mkdirat": 258,
    },
    "aarch64": {
        "pwrite64": 68, "writev": 66, "pwritev": 70, "fallocate": 47, "ftruncate": 46, "fsync": 82, "fdatasync": 83,
        "sync_file_range": 84, "renameat": 38, "renameat2": 276, "unlinkat": 35, "mkdirat": 34,
    },
}  # fmt: skip

CHANGES = frozenset(_NUMBERS.get(platform.machine(), {}).values())
"""Empty where the numbers are not known."""

# linux/ptrace.h
_TRACEME = 0
_SYSCALL = 24
_SETOPTIONS = 0x4200
_GET_SYSCALL_INFO = 0x420E
_OPTION_SYSGOOD = 0x1
_OPTION_CLONE = 0x8
_OPTION_EXITKILL = 0x100000
_INFO_ENTRY = 1
_WALL = 0x40000000

_EVENT_STOPS = 0xFF

_library = ctypes.CDLL(None, use_errno=True)
_library.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_library.ptrace.restype = ctypes.c_long


class _SyscallInfo(ctypes.Structure):
    _fields_ = (
        ("op", ctypes.c_uint8),
        ("padding", ctypes.c_uint8 * 3),
        ("arch", ctypes.c_uint32),
        ("instruction", ctypes.c_uint64),
        ("stack", ctypes.c_uint64),
        ("number", ctypes.c_uint64),
        ("arguments", ctypes.c_uint64 * 7),
    )


def _ptrace(request: int, pid: int, address: int = 0, data: object = 0) -> int:
    result: int = _library.ptrace(request, pid, address, data)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def stop_to_be_traced() -> None:
    """In the process that is to be traced."""
    _ptrace(_TRACEME, 0)
    os.kill(os.getpid(), signal.SIGSTOP)


def _is_change(thread: int) -> bool:
    info = _SyscallInfo()
    _ptrace(_GET_SYSCALL_INFO, thread, ctypes.sizeof(info), ctypes.byref(info))
    return info.op == _INFO_ENTRY and info.number in CHANGES


def kill_at_change(pid: int, number: int) -> bool:
    """Run a child that has called ``stop_to_be_traced`` up to its ``number``-th change of a file, and kill it there.

    Returns:
        ``False`` when it ended by itself before.
    """
    os.waitpid(pid, _WALL)
    _ptrace(_SETOPTIONS, pid, 0, _OPTION_SYSGOOD | _OPTION_CLONE | _OPTION_EXITKILL)
    _ptrace(_SYSCALL, pid)
    count = 0
    is_killed = False
    while True:
        try:
            thread, status = os.waitpid(-1, _WALL)
        except ChildProcessError:
            return is_killed
        if not os.WIFSTOPPED(status):
            continue
        stop = os.WSTOPSIG(status)
        if stop == signal.SIGTRAP | 0x80 and _is_change(thread):
            count += 1
            if count == number:
                os.kill(pid, signal.SIGKILL)
                is_killed = True
        # Stops of ptrace itself, and the stop with which a thread begins, are no signals for the program.
        is_own = stop in (signal.SIGTRAP | 0x80, signal.SIGTRAP, signal.SIGSTOP)
        try:
            _ptrace(_SYSCALL, thread, 0, 0 if is_own else stop)
        except ProcessLookupError:
            continue
