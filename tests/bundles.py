"""Small bundles for tests: every field filled by something plain, to be changed with keywords or msgspec.structs.replace."""

from __future__ import annotations

from typing import Any

from msgspec.structs import fields, replace

from reenact.digests import Digest, of_bytes
from reenact.model.artifact import Access, Artifact, Entry, Pointer
from reenact.model.bundle import Bundle, Capture, Determinism, Launch, Retention, Stream
from reenact.model.code import Code
from reenact.model.environment import Cpu, Environment, System
from reenact.model.transformation import Transformation

__all__ = ["ROOT", "RUN_ID", "artifact", "bundle", "run_id"]

ROOT = "/work/job"


def run_id(number: int) -> str:
    """Make a run id; larger numbers are later runs."""
    return f"01990000-{number:04x}-7000-8000-{number * 2654435761 % (1 << 48):012x}"


RUN_ID = run_id(1)


def artifact(name: str, content: bytes | None = b"", *access: Access, **more: Any) -> Artifact:
    """Make an artifact of a file with some content; None for a folder."""
    path = name if name.startswith("/") else f"{ROOT}/{name}"
    digest = None if content is None else of_bytes(content)
    entry = Entry(
        path=path,
        type="directory" if content is None else "file",
        mode=0o755 if content is None else 0o644,
        mtime_ns="1700000000000000000",
        need="list" if content is None else "content",
        size_bytes=len(content or b""),
        digest=digest,
    )
    pointer = (
        None
        if content is None or digest is None
        else Pointer(digest=digest, size_bytes=len(content), media_type="application/octet-stream")
    )
    chosen = {f.name: more.pop(f.name) for f in fields(Entry) if f.name in more}
    return Artifact(name=name, access=access or ("read",), entry=replace(entry, **chosen), pointer=pointer, **more)


def bundle(**changes: Any) -> Bundle:
    """Make a bundle of a run that read one file and wrote another."""
    stream = Stream(kind="null")
    plain = Bundle(
        run_id=RUN_ID,
        timestamp="2026-01-31T06:00:00.000000Z",
        ended_at="2026-01-31T06:00:02.400000Z",
        source_version=Digest("sha256:" + "1" * 64),
        target_version=Digest("sha256:" + "2" * 64),
        input_checksums={"raw.csv": of_bytes(b"in")},
        transformation_map=(
            Transformation(
                id="1",
                name="etl.py",
                kind="process",
                argv=("python", "etl.py"),
                inputs=("raw.csv",),
                outputs=("out.csv",),
            ),
        ),
        schema_version="1.0",
        job="etl",
        status="succeeded",
        exit_code=0,
        user="alex",
        launch=Launch(
            argv=("python", "etl.py"),
            executable="/usr/bin/python",
            cwd=ROOT,
            root=ROOT,
            umask=0o022,
            uid=0,
            gid=0,
            groups=(),
            hostname="host",
            limits={},
            affinity=(0,),
            stdin=stream,
            stdout=stream,
            stderr=stream,
        ),
        inputs=(artifact("raw.csv", b"in", "read"), artifact("etl.py", b"print()", "read", kind="code")),
        outputs=(artifact("out.csv", b"out", "created"),),
        code=Code(),
        environment=Environment(
            mode="sealed",
            manifest=None,
            system=System(
                name="Linux", id="linux", version="1", kernel="6.1", machine="x86_64", libc="glibc", hostname="host"
            ),
            cpu=Cpu(model="cpu", flags=(), cores=2),
        ),
        determinism=Determinism(),
        externals=(),
        capture=Capture(method="kernel", tool="reenact", tool_version="0"),
        retention=Retention(),
    )
    return replace(plain, **changes)
