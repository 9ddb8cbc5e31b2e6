"""`reenact show`: one run in full."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from reenact.cli.text import aligned, count, duration, printable, short_digest, size
from reenact.cli.verb import json_option, print_json, run_argument, settings_for, store_option, verb
from reenact.model.summary import data_inputs, ending

if TYPE_CHECKING:
    from reenact.actions.find import ShownRun
    from reenact.model.artifact import Artifact
    from reenact.model.bundle import Bundle, Gap, Hazard
    from reenact.model.verdict import Verdict

__all__ = ["command"]

_SHOWN = 40
"""Lines of a list for people before the rest is only counted; --json has them all."""
_COLUMNS = 8
"""Columns of a table, the same."""


@verb(
    "show",
    examples=("reenact show latest", "reenact show etl~1 --json", "reenact show 9f3a5b7c1d2e"),
    exits=(0, 2, 4),
)
@run_argument
@json_option
@store_option
def command(*, reference: str, as_json: bool, store: str | None) -> int:
    """Show what is known of a run: steps, inputs, outputs, code, environment, hazards, replays."""
    from reenact.actions.find import show_run  # noqa: PLC0415 - help needs no action

    shown = show_run(settings_for(store), reference)
    if as_json:
        print_json(shown)
    else:
        print("\n".join(_lines(shown)))
    return 0 if shown.signature.valid else 4


def _lines(shown: ShownRun) -> Iterator[str]:
    bundle = shown.bundle
    yield from aligned([(label, printable(text)) for label, text in _facts(shown)])
    yield from _section("steps", len(bundle.transformation_map), _steps(bundle))
    for title, artifacts in (
        ("inputs", data_inputs(bundle)),
        ("code", [a for a in bundle.inputs if a.kind == "code"]),
        ("outputs", [*bundle.outputs]),
    ):
        yield from _section(title, len(artifacts), [_artifact(a) for a in artifacts])
    tables = [a for a in bundle.outputs if a.table is not None]
    yield from _section("tables", len(tables), [_table(a) for a in tables])
    if looked := [a for a in bundle.inputs if a.kind == "data" and a.entry.need != "content"]:
        yield ""
        yield f"also listed or asked about: {count(len(looked), 'path')}; --json has them"
    hazards = bundle.determinism.hazards
    for title, exact in (("hazards", False), ("worth knowing", True)):
        remarks = [_remark(hazard) for hazard in hazards if hazard.exact is exact]
        yield from _section(title, len(remarks), remarks)
    yield from _section("gaps", len(bundle.capture.gaps), [_remark(g) for g in bundle.capture.gaps])
    yield from _section(
        "replays",
        len(shown.verdicts),
        [(v.verdict, v.judged_at[:19].replace("T", " "), v.replay_run_id, _way(v)) for v in shown.verdicts],
    )


def _way(verdict: Verdict) -> str:
    if not verdict.variations:
        return verdict.rung
    return f"{verdict.rung}, with another {', '.join(sorted(verdict.variations))}"


def _facts(shown: ShownRun) -> Iterator[tuple[str, str]]:
    bundle = shown.bundle
    launch, environment, code = bundle.launch, bundle.environment, bundle.code
    took = "" if shown.seconds is None else f", took {duration(shown.seconds)}"
    yield "run", bundle.run_id
    yield "job", bundle.job
    yield "status", bundle.status if not bundle.exit_code else f"{bundle.status} ({ending(bundle.exit_code)})"
    yield "started", f"{bundle.timestamp[:19].replace('T', ' ')} UTC{took}"
    yield "command", " ".join(launch.argv)
    yield "in", launch.cwd
    yield "by", f"{bundle.user} on {launch.hostname}"
    if bundle.replay_of:
        yield "replay of", bundle.replay_of
    for label, pairs in (("parameters", bundle.parameters), ("labels", bundle.labels)):
        if pairs:
            yield label, ", ".join(f"{key}={value}" for key, value in sorted(pairs.items()))
    if code.commit:
        yield "code", " ".join(filter(None, (shown.code, code.branch, code.repository)))
    yield "system", f"{environment.system.name}, Linux {environment.system.kernel}, {environment.system.machine}"
    yield "runtimes", ", ".join(f"{i.name} {i.version or '?'}" for i in environment.interpreters) or "-"
    yield "packages", count(len(environment.distributions), "package")
    yield (
        "environment",
        f"{environment.mode} {short_digest(environment.manifest) if environment.manifest else ''}".rstrip(),
    )
    yield "observed", f"{bundle.capture.method}, {count(len(bundle.capture.gaps), 'gap')}"
    yield "signature", shown.signature.message
    yield "replayable", shown.replayable
    if shown.stays:
        yield "stays", shown.stays


def _section(title: str, number: int, rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    if not number:
        return
    yield ""
    yield f"{title} ({number:,})"
    kept = [tuple(printable(cell) for cell in row) for row, _ in zip(rows, range(_SHOWN), strict=False)]
    yield from aligned(kept, indent="  ")
    if number > _SHOWN:
        yield f"  … and {number - _SHOWN:,} more; --json has all"


def _steps(bundle: Bundle) -> Iterator[tuple[str, ...]]:
    for step in bundle.transformation_map:
        status = "-" if step.exit_code is None else ending(step.exit_code)
        yield step.id, step.name, status, f"{len(step.inputs)} in, {len(step.outputs)} out"


def _artifact(artifact: Artifact) -> tuple[str, ...]:
    access = "+".join(artifact.access)
    note = " (temporary)" if artifact.temporary else ""
    if artifact.pointer is None:
        return access, f"{artifact.name}{note}", artifact.entry.type, "-"
    return access, f"{artifact.name}{note}", size(artifact.pointer.size_bytes), short_digest(artifact.pointer.digest)


def _table(artifact: Artifact) -> tuple[str, ...]:
    facts = artifact.table
    if facts is None:
        return artifact.name, "-", "-", "-"
    columns = ", ".join(f"{name} {kind}" for name, kind in facts.columns[:_COLUMNS])
    more = f", … and {len(facts.columns) - _COLUMNS} more" if len(facts.columns) > _COLUMNS else ""
    rows = "-" if facts.rows is None else count(facts.rows, "row")
    return artifact.name, rows, f"{columns}{more}", short_digest(facts.logical_digest)


def _remark(remark: Hazard | Gap) -> tuple[str, ...]:
    return remark.code, remark.subject or "-", remark.message
