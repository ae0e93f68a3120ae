"""Closes system calls to the candidate from inside, since gVisor does not apply the container's own profile. Standard
library only."""

import ctypes
import os
import platform
import struct

DENIED = {
    "x86_64": (
        101, 155, 161, 163, 165, 166, 167, 168, 169, 170, 171, 172, 173, 175, 176, 179, 246, 248, 249, 250, 272, 298,
        300, 303, 304, 308, 310, 311, 313, 320, 321, 323, 425, 426, 427, 428, 429, 430, 431, 432, 433, 442,
    ),
    "aarch64": (
        39, 40, 41, 51, 89, 97, 104, 105, 106, 117, 142, 161, 162, 217, 218, 219, 224, 225, 241, 262, 264, 265, 268,
        270, 271, 273, 280, 282, 294, 425, 426, 427, 428, 429, 430, 431, 432, 433, 442,
    ),
}  # fmt: skip
"""ptrace, mounts, namespaces, modules, keys, bpf, perf, io_uring and their like, by their numbers."""
ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
CLONE = {"x86_64": 56, "aarch64": 220}
CLONE3 = 435
MAKES_NODES = {"x86_64": ((133, 1), (259, 2)), "aarch64": ((33, 2),)}
"""mknod and mknodat, with the place of the mode among their arguments."""
NAMESPACES = 0x7E020000
DEVICE = 0o020000
"""The bit of a mode that character and block devices have, and pipes, files and sockets have not."""
X32 = 0x40000000
ALLOW, REFUSE = 0x7FFF0000, 0x00050000
EPERM, ENOSYS = 1, 38
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER_AT, ARCHITECTURE_AT, ARGUMENTS_AT = 0, 4, 16
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, MODE_FILTER = 38, 22, 2
EMULATED = ("/dev/fuse", "/dev/net/tun")
"""Devices that gVisor offers to everybody."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def close_devices() -> None:
    """Take away what only process 1 may take away."""
    for path in EMULATED:
        try:
            os.unlink(path)  # noqa: PTH108  (the pathlib of a candidate's process is not loaded for this)
        except OSError:
            continue


def close_calls() -> None:
    """Refuse them to this process and to all that it starts, for good; OSError when that can't be done."""
    machine = platform.machine()
    if machine not in DENIED:
        return
    program = instructions(machine)
    libc = ctypes.CDLL(None, use_errno=True)
    held = _Program(len(program) // 8, program)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, MODE_FILTER, ctypes.byref(held)):
        raise OSError(ctypes.get_errno(), "system calls can't be closed")


def instructions(machine: str) -> bytes:
    """The filter, as the kernel takes it."""
    found = [
        *_step(LOAD, ARCHITECTURE_AT), *_step(EQUAL, ARCHITECTURE[machine], 1, 0), *_step(RETURN, REFUSE | EPERM),
        *_step(LOAD, NUMBER_AT), *_step(AT_LEAST, X32, 0, 1), *_step(RETURN, REFUSE | EPERM),
        *_step(EQUAL, CLONE3, 0, 1), *_step(RETURN, REFUSE | ENOSYS),
    ]  # fmt: skip
    for number, place, bits in ((CLONE[machine], 0, NAMESPACES), *((n, p, DEVICE) for n, p in MAKES_NODES[machine])):
        found += _step(EQUAL, number, 0, 4) + _step(LOAD, ARGUMENTS_AT + 8 * place) + _step(ANY_BIT, bits, 0, 1)
        found += _step(RETURN, REFUSE | EPERM) + _step(RETURN, ALLOW)
    for number in DENIED[machine]:
        found += _step(EQUAL, number, 0, 1) + _step(RETURN, REFUSE | EPERM)
    return b"".join([*found, *_step(RETURN, ALLOW)])


def _step(code: int, value: int, if_so: int = 0, if_not: int = 0) -> list[bytes]:
    return [struct.pack("=HBBI", code, if_so, if_not, value)]
