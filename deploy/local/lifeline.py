"""Becomes another program that the kernel ends with its supervisor, also when that one is killed with kill -9.

    python -I -S lifeline.py SUPERVISOR_PID SIGNAL COMMAND...

A program of its own, not a `preexec_fn`: that would run Python between fork and exec of a supervisor with threads.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    supervisor, signal, *command = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(signal), 0, 0, 0) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    # The supervisor may have died before the kernel knew of the wish.
    if os.getppid() != int(supervisor):
        sys.exit("the supervisor is gone")
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is the point
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
