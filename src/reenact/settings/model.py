"""The settings as values. Each field says what it is for; the reference page is generated from here."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from reenact.settings.inputs import InputRule
from reenact.settings.outputs import OutputRule
from reenact.settings.section import Section
from reenact.settings.values import Setting, choice, count, flag, number_of_bytes, number_of_seconds, text, texts

__all__ = ["JOB", "Audit", "Capture", "Compare", "Declared", "OutputRule", "Redact", "Replay", "Settings", "Storage"]

JOB: Final[Setting] = text("The job's name; without it the name of the script, or of the program.")


class Capture(Section):
    """How runs are observed."""

    rung: Literal["auto", "kernel", "strace", "python", "declared"] = choice(
        "The way of observing. `auto` takes the first that works here, in this order.",
        "auto",
        "kernel",
        "strace",
        "python",
        "declared",
        default="auto",
    )
    environment: Literal["sealed", "described"] = choice(
        "`sealed` keeps the bytes of interpreters, libraries and packages the run read; `described` only says which they were,"
        " so that such a run cannot be replayed in a closed world.",
        "sealed",
        "described",
        default="sealed",
    )
    linger_seconds: float = number_of_seconds(
        "How long to wait, after the command ended, for processes it left behind (a log writer, a process substitution);"
        " no time passes when there are none.",
        default=0.25,
    )
    preimage_max_bytes: int = number_of_bytes(
        "The largest file whose old content is copied before the run overwrites it; a larger one is a recorded gap.",
        default=4 << 30,
    )
    stream_max_bytes: int = number_of_bytes(
        "How much of standard output and of standard error is kept; the job's own output is never cut.",
        default=64 << 20,
    )


class Compare(Section):
    """How outputs are read and compared; what counts as equal is said for each by `[outputs."PATTERN"]`, below."""

    facts_max_bytes: int = number_of_bytes(
        "How large the tables among a run's outputs may be, all together, for their rows, columns and logical digests to be"
        " written into its record; 0 means none are. The job has ended by then, but whoever waits for the run waits some 0.1 s"
        " where a table was written, and two seconds for each hundred MiB.",
        default=4 << 20,
    )
    memory_bytes: int = number_of_bytes(
        "How much memory pairing the rows of two large tables may use; what does not fit is put on disk.",
        default=768 << 20,
    )
    unpacked_max_bytes: int = number_of_bytes(
        "How large what is packed in an output (gzip, zstd, zip, tar) may be when it is unpacked to be compared; what is"
        " larger is compared by its bytes.",
        default=16 << 30,
    )
    examples: int = count("How many differing rows of a table, or lines of a text, are shown.", default=10, most=1000)


class Declared(Section):
    """What a run reads and writes, for the rung `declared`, which observes nothing by itself."""

    inputs: tuple[str, ...] = texts("Glob patterns of the files a run reads, relative to the job's root.", default=())
    outputs: tuple[str, ...] = texts("Glob patterns of the files a run writes, relative to the job's root.", default=())


class Redact(Section):
    """What is kept out of every record."""

    patterns: tuple[str, ...] = texts(
        "Glob patterns of further variable, parameter and option names whose values are secrets, beside the built-in ones.",
        default=(),
    )
    allow: tuple[str, ...] = texts("Names that are never taken for secrets, whatever they look like.", default=())


class Replay(Section):
    """How runs are replayed."""

    cache_max_bytes: int = number_of_bytes(
        "How much disk the cached environments of replays may use; the least recently used go first.", default=20 << 30
    )
    stat: Literal["auto", "never"] = choice(
        "Whether programs that compare inode numbers and change times are shown the recorded ones: `auto` where the record"
        " holds them, which it does when the run executed a program known to compare them, such as git, make or uv.",
        "auto",
        "never",
        default="auto",
    )
    timeout_seconds: float = number_of_seconds(
        "How long a replay may take before it is stopped; 0 means as long as it takes.", default=0.0
    )


class Signing(Section):
    """Who signs records."""

    signer: str = text(
        "`ed25519` or `p256`: this user's own key of that kind, made on first use; `file:PATH`: a key in a PEM file;"
        " `cmd:COMMAND`: a program that reads the bytes on its standard input and writes the signature.",
        default="ed25519",
    )
    also: tuple[str, ...] = texts("Further signers of every record, written likewise.", default=())
    public_keys: tuple[str, ...] = texts(
        "Files with the public keys of those signers that are commands, in their order.", default=()
    )
    timeout_seconds: float = number_of_seconds("How long a command may take for one signature.", default=30.0)


class Storage(Section):
    """How the store keeps bytes. Whatever these say, every object comes back byte for byte, and is checked when it is read."""

    deltas: Literal["auto", "never"] = choice(
        "`auto` keeps a file as its difference from what the job read or wrote under the same name in an earlier run, where that"
        " takes less room; `never` keeps every file by itself. What is stored already is read either way.",
        "auto",
        "never",
        default="auto",
    )
    delta_from_bytes: int = number_of_bytes("Shorter files are always kept by themselves.", default=1 << 20)
    delta_depth: int = count(
        "How many other objects may have to be read to read one. Each takes a little longer to restore; more of them save room.",
        default=10,
        most=60,
    )
    encryption: Literal["any", "required"] = choice(
        "`required` refuses a store that is not encrypted, so that nothing is ever recorded into one by mistake or by a trick;"
        " `reenact init --encrypt` makes one that is.",
        "any",
        "required",
        default="any",
    )
    read_only: bool = flag(
        "Nothing is written to the store: runs are listed, verified and restored, and a recording or a replay that would be kept"
        " is refused. `replay --dry-run` keeps nothing, and works.",
        default=False,
    )
    retry_seconds: float = number_of_seconds(
        "How long a store in a bucket that does not answer is asked again, with growing pauses; 0 for once.",
        default=60.0,
    )
    cache_max_bytes: int = number_of_bytes(
        "How much of what was read from a store in a bucket is kept on this host, for a day at most; 0 for nothing. `verify`"
        " never reads what is kept.",
        default=2 << 30,
    )
    max_rate: int = number_of_bytes(
        "Most bytes a second to and from a store in a bucket, such as `20 MiB`; 0 for as many as there can be.",
        default=0,
    )
    requests_at_once: int = count(
        "Most requests to a store in a bucket under way at a time; 0 for any number.", default=16, most=1000
    )


class Audit(Section):
    """How `reenact audit` looks, and whom it tells."""

    drift: Literal["local", "all", "never"] = choice(
        "What is held against each job's latest run: `local` the files, packages and interpreters of this host; `all` also reads"
        " inputs that are kept as pointers to buckets and web servers, whole; `never` nothing.",
        "local",
        "all",
        "never",
        default="local",
    )
    logged_within_seconds: float = number_of_seconds(
        "A run whose log entry is later than so long after its end is noted; 0 for none.", default=7 * 86400.0
    )
    on_finding: str | None = text(
        "A command that is given the report as JSON on its standard input when there are findings. It is split into words as by a shell, and no shell runs it.",
        default=None,
    )
    webhook: str | None = text("A URL to which the report is posted as JSON when there are findings.", default=None)
    timeout_seconds: float = number_of_seconds(
        "How long the command, and each attempt to post, may take.", default=10.0
    )
    metrics: str | None = text("A file for the text format of Prometheus, written anew after each audit.", default=None)


class Settings(NamedTuple):
    """Everything that can be chosen, and where it was found."""

    root: str
    """The job's root folder, absolute: that of `reenact.toml`, else of the git repository, else the current folder."""
    store: str
    """An absolute path, or a URL."""
    file: str | None = None
    """The settings file that was read."""
    job: str | None = None
    """See :data:`JOB`."""
    capture: Capture = Capture()
    compare: Compare = Compare()
    declared: Declared = Declared()
    redact: Redact = Redact()
    replay: Replay = Replay()
    signing: Signing = Signing()
    storage: Storage = Storage()
    audit: Audit = Audit()
    inputs: tuple[InputRule, ...] = ()
    """Which inputs are kept as pointers, in the order of the file."""
    outputs: tuple[OutputRule, ...] = ()
    """What counts as equal for which outputs, in the order of the file."""
