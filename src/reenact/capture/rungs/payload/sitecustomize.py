"""Runs inside the observed job's Python, before its own code: reports what it opens, and is otherwise not noticed.

Found through PYTHONPATH by :mod:`site`. It takes itself out of everything the job can see (PYTHONPATH, ``sys.path``,
``sys.modules``), loads the job's own ``sitecustomize`` if there is one, and leaves an audit hook behind. It never prints, and when
the observer is gone, or anything at all fails here, it stays silent and the job goes on. Any Python may come by, also one too old
for audit hooks: the syntax is that of all versions, and nothing is imported that the job would not have loaded anyway, except
small modules written in C.

See: docs.python.org/3/library/audit_events.html; PEP 578.
"""
# mypy: ignore-errors
# ruff: noqa: ANN001, ANN002, ANN202, ANN204, ANN205, BLE001, INP001, PLC0415, RUF005, S110, SIM105, UP031

import os
import sys

_FOLDER = __file__.rpartition("/")[0]
_HIGH = 200
_MOST_WORDS = 256
_MOST_BYTES = 60000
_PATIENCE_SECONDS = 5.0
_CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def _arrive():
    """Undo what brought us here; give the observer's address."""
    words = os.environ["PYTHONPATH"].split(":")
    address, rest = words[1], words[2:]
    if rest:
        os.environ["PYTHONPATH"] = ":".join(rest)
    else:
        del os.environ["PYTHONPATH"]
    ours = (_FOLDER, address, os.path.abspath(address))
    sys.path[:] = [entry for entry in sys.path if entry not in ours]
    sys.path_importer_cache.pop(_FOLDER, None)
    return address


def _bytes(path):
    return os.fsencode(os.fspath(path))


def _absolute(path, folder=-1):
    """Give a path as absolute bytes; it may be a descriptor, or relative to one."""
    if isinstance(path, int):
        return _bytes(os.readlink("/proc/self/fd/%d" % path))
    name = _bytes(path)
    if name[:1] == b"/":
        return name
    base = os.getcwd() if folder in (-1, None) else os.readlink("/proc/self/fd/%d" % folder)
    return _bytes(base) + b"/" + name


class _Line:
    """The connection of this process to the observer."""

    def __init__(self, address):
        import _socket
        import _thread
        import fcntl

        self.address, self.sockets, self.control = address, _socket, fcntl
        self.identify, self.make_lock = _thread.get_ident, _thread.RLock
        self.plug()

    def plug(self):
        """Connect. The descriptor is a high one, so that the job's own have the numbers they always have."""
        self.socket, self.busy, self.lock = None, 0, self.make_lock()
        first = self.sockets.socket(self.sockets.AF_UNIX, self.sockets.SOCK_SEQPACKET)
        first.connect("\0" + self.address)
        try:
            raised = self.control.fcntl(first.fileno(), self.control.F_DUPFD_CLOEXEC, _HIGH)
        except OSError:
            raised = self.control.fcntl(first.fileno(), self.control.F_DUPFD_CLOEXEC, 3)
        first.close()
        connected = self.sockets.socket(self.sockets.AF_UNIX, self.sockets.SOCK_SEQPACKET, 0, raised)
        connected.settimeout(_PATIENCE_SECONDS)
        self.inode = os.fstat(raised).st_ino
        self.socket = connected

    def plug_again(self):
        """Connect a process that was just forked."""
        try:
            self.plug()
        except Exception:
            pass

    def tell(self, wait, kind, *fields):
        """Send one event; when it is about to change something, wait until what is there has been kept."""
        wire = self.socket
        if wire is None or self.busy == self.identify():
            return
        data = b"\0".join((kind, b"1" if wait else b"0") + fields)[:_MOST_BYTES]
        with self.lock:
            self.busy = self.identify()
            try:
                # A job may close descriptors it did not open, and then have its own under our number.
                if os.fstat(wire.fileno()).st_ino != self.inode or not self.send(wire, data, wait):
                    self.unplug(wire)
            except OSError:
                self.unplug(wire)
            finally:
                self.busy = 0

    @staticmethod
    def send(wire, data, wait):
        """Send, and wait for the answer if asked to; tell whether the observer is there."""
        wire.send(data)
        return not wait or bool(wire.recv(1))

    def unplug(self, wire):
        """Stop for good. What has our number now may be the job's, so it is not closed."""
        self.socket = None
        wire.detach()


class _Reporter:
    """What to report of each audit event; arguments as the table of audit events names them."""

    def __init__(self, line):
        self.line, self.tell = line, line.tell
        self.handlers = {
            "open": self.opened,
            "os.listdir": self.listed,
            "os.scandir": self.listed,
            "os.rename": lambda old, new, first=-1, second=-1: self.two(b"rename", old, new, first, second),
            "os.link": lambda old, new, first=-1, second=-1: self.two(b"link", old, new, first, second),
            "os.symlink": lambda _, path, folder=-1: self.one(b"make", path, folder),
            "os.mkdir": lambda path, _, folder=-1: self.one(b"make", path, folder),
            "os.remove": lambda path, folder=-1: self.one(b"remove", path, folder),
            "os.rmdir": lambda path, folder=-1: self.one(b"remove", path, folder),
            "os.truncate": lambda path, *_: self.one(b"truncate", path),
            "os.chmod": lambda path, _, folder=-1: self.one(b"meta", path, folder),
            "os.chown": lambda path, _, __, folder=-1: self.one(b"meta", path, folder),
            "os.utime": lambda path, _, __, folder=-1: self.one(b"meta", path, folder),
            "os.setxattr": lambda path, *_: self.one(b"meta", path),
            "os.removexattr": lambda path, *_: self.one(b"meta", path),
            "subprocess.Popen": self.program,
            "os.posix_spawn": self.program,
            "os.exec": self.program,
            "os.system": lambda command: self.program("/bin/sh", ["sh", "-c", command]),
            "import": lambda _, filename, *__: self.loaded(filename),
            "ctypes.dlopen": self.loaded,
            "socket.connect": self.contacted,
            "socket.sendto": self.contacted,
        }

    def hook(self, event, arguments):
        """Be called by the interpreter, for every audit event of the process."""
        handler = self.handlers.get(event)
        if handler is not None and self.line.socket is not None:
            try:
                handler(*arguments)
            except Exception:
                pass

    def opened(self, path, _, flags):
        if path is not None and not isinstance(path, int):
            self.tell(bool(flags & _CHANGES), b"open", _absolute(path), str(flags).encode())

    def one(self, kind, path, folder=-1):
        self.tell(True, kind, _absolute(path, folder))

    def two(self, kind, old, new, first, second):
        self.tell(True, kind, _absolute(old, first), _absolute(new, second))

    def listed(self, path=None):
        self.tell(False, b"list", _absolute("." if path is None else path))

    def program(self, path, argv, *_):
        words = [argv] if isinstance(argv, (str, bytes)) else list(argv)[:_MOST_WORDS]
        self.tell(False, b"program", _bytes(path or words[0]))

    def loaded(self, filename):
        if isinstance(filename, str) and "/" in filename:
            self.tell(False, b"open", _absolute(filename), b"0")

    def contacted(self, _, where):
        if isinstance(where, tuple) and len(where) > 1:
            self.tell(False, b"ip", str(where[0]).encode(), str(where[1]).encode())
        elif isinstance(where, (str, bytes)):
            self.tell(False, b"unix", _bytes(where))

    def leave(self):
        """Let the observer look at what is loaded by now."""
        self.tell(True, b"leave")


def _report(address):
    """Tell what was loaded before us, and report from now on."""
    import atexit

    line = _Line(address)
    reporter = _Reporter(line)
    line.tell(True, b"begin")
    for module in list(sys.modules.values()):
        for name in (getattr(module, "__file__", None), getattr(module, "__cached__", None)):
            if isinstance(name, str) and not name.startswith(_FOLDER):
                reporter.loaded(name)
    os.register_at_fork(after_in_child=line.plug_again)
    atexit.register(reporter.leave)  # the first to be registered is the last to be called
    sys.addaudithook(reporter.hook)


def _load_the_jobs_own():
    """Load the sitecustomize that would have been found without us; without one, fail as if none had been found."""
    del sys.modules["sitecustomize"]
    import sitecustomize  # noqa: F401


try:
    _its_address = _arrive()
    if hasattr(sys, "addaudithook"):
        _report(_its_address)
except Exception:
    pass
_load_the_jobs_own()
