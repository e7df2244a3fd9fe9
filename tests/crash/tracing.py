"""Killing a process when it begins its n-th change of a file, by ptrace(2).

Between two system calls a kill changes nothing that a file could show. So every state that a kill can leave behind is one
before some system call, and these can be gone through one by one. (What is left are long writes that a kill cuts short:
those are for kills at random moments.)
"""

import ctypes
import os
import platform
import signal

# Numbers for the machine, from its asm/unistd.h: calls that fill, shorten, rename, remove or sync files or make folders, by
# what they do. The core fills journals by splice(2), which is left out since most calls are that.
_NUMBERS = {
    "x86_64": {
        "write": (18, 20, 296), "reserve": (285,), "truncate": (77,), "sync": (74, 75, 277), "rename": (82, 264, 316),
        "remove": (87, 263), "make folder": (83, 258),
    },
    "aarch64": {
        "write": (68, 66, 70), "reserve": (47,), "truncate": (46,), "sync": (82, 83, 84), "rename": (38, 276),
        "remove": (35,), "make folder": (34,),
    },
}  # fmt: skip

CHANGES = {
    number: kind
    for kind, numbers in _NUMBERS.get(platform.machine(), {}).items()
    for number in numbers
}
"""Which system call is which kind of change; empty where the numbers are not known."""

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


def _change(thread: int) -> str | None:
    """What a thread that stands at a system call is about to change."""
    info = _SyscallInfo()
    _ptrace(_GET_SYSCALL_INFO, thread, ctypes.sizeof(info), ctypes.byref(info))
    return CHANGES.get(info.number) if info.op == _INFO_ENTRY else None


def kill_at_change(pid: int, number: int) -> tuple[list[str], int]:
    """Run a child that has called ``stop_to_be_traced`` up to its ``number``-th change of a file, and kill it there.

    Returns:
        The changes that it began, fewer when it ended by itself before, and how it ended, as ``os.waitstatus_to_exitcode``
        says.
    """
    os.waitpid(pid, _WALL)
    _ptrace(_SETOPTIONS, pid, 0, _OPTION_SYSGOOD | _OPTION_CLONE | _OPTION_EXITKILL)
    _ptrace(_SYSCALL, pid)
    begun: list[str] = []
    ended = 0
    while True:
        try:
            thread, status = os.waitpid(-1, _WALL)
        except ChildProcessError:
            return begun, ended
        if not os.WIFSTOPPED(status):
            if thread == pid:
                ended = os.waitstatus_to_exitcode(status)
            continue
        stop = os.WSTOPSIG(status)
        # Stops of ptrace itself, and the stop with which a thread begins, are no signals for the program.
        is_own = stop in (signal.SIGTRAP | 0x80, signal.SIGTRAP, signal.SIGSTOP)
        try:
            change = _change(thread) if stop == signal.SIGTRAP | 0x80 else None
            if change is not None and len(begun) < number:
                begun.append(change)
                if len(begun) == number:
                    os.kill(pid, signal.SIGKILL)
            _ptrace(_SYSCALL, thread, 0, 0 if is_own else stop)
        except ProcessLookupError:
            # A kill, or the process's end, takes threads away where they stand.
            continue
