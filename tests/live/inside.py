"""Python text that runs ahead of what a test looks at in a box. It cannot import the tests: nothing of them is shown there."""

PRELUDE = r"""
import ctypes, errno, json, os, resource, signal, socket, stat, sys, time

libc = ctypes.CDLL(None, use_errno=True)
seen = {}


def attempt(call, *arguments):
    '''"ok", or the name of the errno.'''
    try:
        call(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))
    return "ok"


def raw(number, *arguments):
    '''A system call by its number: the result, or the name of the errno.'''
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_ulong(argument & (1 << 64) - 1) for argument in arguments))
    return errno.errorcode.get(ctypes.get_errno(), str(ctypes.get_errno())) if result == -1 else result


def read(path):
    with open(path) as file:
        return file.read()


def write(path, text="x"):
    with open(path, "w") as file:
        file.write(text)


def execute(path):
    child = os.posix_spawn(path, [path], {})
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def status(name, pid="self"):
    '''One row of /proc/PID/status.'''
    return next(line.split(":", 1)[1].split() for line in read(f"/proc/{pid}/status").splitlines() if line.startswith(name + ":"))


def mounts():
    '''Mount point -> (its options, kind of file system).'''
    found = {}
    for line in read("/proc/self/mountinfo").splitlines():
        words, _, rest = line.partition(" - ")
        fields = words.split()
        found[fields[4]] = (sorted(set(fields[5].split(",")) & {"ro", "rw", "nosuid", "nodev", "noexec"}), rest.split()[0])
    return found


def ended(call):
    '''How a child that makes a call ends: its exit status, or minus the signal.'''
    child = os.fork()
    if child == 0:
        try:
            call()
        except BaseException:
            os._exit(99)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""
