"""What a program may ask of the kernel, and the numbers of these calls. Standard library only.

The rule is an allow list: everything else is refused with EPERM, which the program sees as a PermissionError. What is
allowed serves the standard library within one process: memory, files, pipes, threads, signals to itself, clocks. What
is left out, and why: programs and processes (execve, fork, ptrace, pidfd), sockets of any family (a vsock reaches the
host through network namespaces), memory outside RLIMIT_AS (memfd, System V shared memory), other users and namespaces,
changing what Landlock does not look at (mode, owner, times and attributes of files that can be read), and the parts of
the kernel that had most of its errors (io_uring, bpf, keyctl, userfaultfd, splice).
"""

import platform
from typing import NamedTuple


class Machine(NamedTuple):
    """An architecture: its index in the tables below and its AUDIT_ARCH number."""

    column: int
    audit: int


MACHINES = {"x86_64": Machine(0, 0xC000003E), "aarch64": Machine(1, 0xC00000B7)}
X32_BIT = 0x40000000
"""On x86_64, calls from this number on are those of another, 32-bit interface to the same kernel."""
FIRST_UNKNOWN = 450
"""Calls from this number on answer ENOSYS, so that a libc newer than this list falls back to what it knows."""

# name: (x86_64, aarch64); None where the architecture has no such call
ALLOWED: dict[str, tuple[int | None, int | None]] = {
    # memory
    "brk": (12, 214),
    "madvise": (28, 233),
    "mincore": (27, 232),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "msync": (26, 227),
    "munmap": (11, 215),
    # files that are open
    "close": (3, 57),
    "close_range": (436, 436),
    "copy_file_range": (326, 285),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "fadvise64": (221, 223),
    "fallocate": (285, 47),
    "fchdir": (81, 50),
    "fdatasync": (75, 83),
    "fgetxattr": (193, 10),
    "flistxattr": (196, 13),
    "flock": (73, 32),
    "fstat": (5, 80),
    "fstatfs": (138, 44),
    "fsync": (74, 82),
    "ftruncate": (77, 46),
    "getdents": (78, None),
    "getdents64": (217, 61),
    "lseek": (8, 62),
    "pread64": (17, 67),
    "preadv": (295, 69),
    "preadv2": (327, 286),
    "pwrite64": (18, 68),
    "pwritev": (296, 70),
    "pwritev2": (328, 287),
    "read": (0, 63),
    "readv": (19, 65),
    "sendfile": (40, 71),
    "sync_file_range": (277, 84),
    "write": (1, 64),
    "writev": (20, 66),
    # files by their path: Landlock, mounts or the user id decide which
    "access": (21, None),
    "chdir": (80, 49),
    "creat": (85, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "getcwd": (79, 17),
    "getxattr": (191, 8),
    "lgetxattr": (192, 9),
    "link": (86, None),
    "linkat": (265, 37),
    "listxattr": (194, 11),
    "llistxattr": (195, 12),
    "lstat": (6, None),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "newfstatat": (262, 79),
    "open": (2, None),
    "openat": (257, 56),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "rmdir": (84, None),
    "stat": (4, None),
    "statfs": (137, 43),
    "statx": (332, 291),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "truncate": (76, 45),
    "umask": (95, 166),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    # pipes, pairs of sockets (asyncio needs one), waiting
    "epoll_create": (213, None),
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21),
    "epoll_pwait": (281, 22),
    "epoll_pwait2": (441, 441),
    "epoll_wait": (232, None),
    "eventfd": (284, None),
    "eventfd2": (290, 19),
    "getpeername": (52, 205),
    "getsockname": (51, 204),
    "getsockopt": (55, 209),
    "pipe": (22, None),
    "pipe2": (293, 59),
    "poll": (7, None),
    "ppoll": (271, 73),
    "pselect6": (270, 72),
    "recvfrom": (45, 207),
    "select": (23, None),
    "shutdown": (48, 210),
    # the process itself
    "arch_prctl": (158, None),
    "capget": (125, 90),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "getcpu": (309, 168),
    "getegid": (108, 177),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getgroups": (115, 158),
    "getpgid": (121, 155),
    "getpgrp": (111, None),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "getpriority": (140, 141),
    "getrandom": (318, 278),
    "getresgid": (120, 150),
    "getresuid": (118, 148),
    "getrlimit": (97, 163),
    "getrusage": (98, 165),
    "getsid": (124, 156),
    "gettid": (186, 178),
    "getuid": (102, 174),
    "sched_get_priority_max": (146, 125),
    "sched_get_priority_min": (147, 126),
    "sched_getaffinity": (204, 123),
    "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120),
    "sched_rr_get_interval": (148, 127),
    "setrlimit": (160, 164),
    "sysinfo": (99, 179),
    "times": (100, 153),
    "uname": (63, 160),
    "wait4": (61, 260),
    "waitid": (247, 95),
    # threads
    "futex": (202, 98),
    "membarrier": (324, 283),
    "rseq": (334, 293),
    "sched_yield": (24, 124),
    "set_robust_list": (273, 99),
    "set_tid_address": (218, 96),
    # signals and clocks
    "alarm": (37, None),
    "clock_getres": (229, 114),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "getitimer": (36, 102),
    "gettimeofday": (96, 169),
    "nanosleep": (35, 101),
    "pause": (34, None),
    "restart_syscall": (219, 128),
    "rt_sigaction": (13, 134),
    "rt_sigpending": (127, 136),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "rt_sigsuspend": (130, 133),
    "rt_sigtimedwait": (128, 137),
    "setitimer": (38, 103),
    "sigaltstack": (131, 132),
    "signalfd4": (289, 74),
    "time": (201, None),
    "timer_create": (222, 107),
    "timer_delete": (226, 111),
    "timer_getoverrun": (225, 109),
    "timer_gettime": (224, 108),
    "timer_settime": (223, 110),
    "timerfd_create": (283, 85),
    "timerfd_gettime": (287, 87),
    "timerfd_settime": (286, 86),
}
CHECKED: dict[str, tuple[int | None, int | None]] = {
    "clone": (56, 220),
    "fcntl": (72, 25),
    "ioctl": (16, 29),
    "kill": (62, 129),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "sendto": (44, 206),
    "socketpair": (53, 199),
    "tgkill": (234, 131),
    "tkill": (200, 130),
}
"""Calls that are allowed with certain arguments only; `seccomp.py` knows which."""
MISSING: dict[str, tuple[int | None, int | None]] = {"clone3": (435, 435), "openat2": (437, 437)}
"""Calls that answer ENOSYS, since their arguments lie in memory where a filter cannot read them."""


def machine() -> Machine:
    """This machine's architecture. Raises OSError where the tables do not cover it."""
    name = platform.machine()
    if name not in MACHINES:
        raise OSError(f"there is no list of system calls for {name}; {' and '.join(MACHINES)} have one")
    return MACHINES[name]
