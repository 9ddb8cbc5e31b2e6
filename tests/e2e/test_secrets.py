"""A secret given to a job reaches the job and nothing we keep."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from reenact.digests import from_raw
from reenact.store.opening import open_store
from reenact.store.packs import PackIndex, index_key, pack_names
from tests.e2e.desk import Desk

# Made up for this test, by kind of place; none is the form of a real provider's key.
IN_A_VARIABLE = "zq7-variable-Wn4tXk"
IN_A_URL = "zq7-url-Lr9bVd"
IN_AN_OPTION = "zq7-option-Hc2sYp"
IN_A_HEADER = "zq7-header-Fm5jGu"
IN_A_PARAMETER = "zq7-parameter-Bk8eTz"
SECRETS = (IN_A_VARIABLE, IN_A_URL, IN_AN_OPTION, IN_A_HEADER, IN_A_PARAMETER)
PRINTS_ITS_SECRETS = 'echo "connected with $DB_PASSWORD via $DATABASE_URL and $*" ; echo "$WAREHOUSE_TOKEN" >&2; printf %s "$DB_PASSWORD" | wc -c > length.txt'


def kept_bytes(desk: Desk) -> Iterator[tuple[str, bytes]]:
    """Give all that is kept, as it lies on disk and as it reads: files, signed records, objects whatever their form."""
    for path in sorted(desk.store.rglob("*")):
        if path.is_file():
            yield str(path), path.read_bytes()
    store = open_store(str(desk.store), create=False)
    for run_id in store.runs.ids():
        yield f"bundle {run_id}", base64.b64decode(json.loads(store.runs.envelope(run_id))["payload"])
    packs = pack_names(key.partition("/")[2] for key in store.backend.list("packs/"))
    in_packs = [raw for name in packs for raw in PackIndex(name, store.backend.get(index_key(name))).digests()]
    alone = [bytes.fromhex(key.removeprefix("objects/").replace("/", "")) for key in store.backend.list("objects/")]
    for raw in (*in_packs, *alone):
        digest = from_raw(raw)
        yield digest, store.objects.read(digest)
    store.close()


@pytest.fixture
def with_secrets(desk: Desk) -> Desk:
    """Record a job that is given secrets in every way, prints them and works with them."""
    variables = {
        "DB_PASSWORD": IN_A_VARIABLE,
        "WAREHOUSE_TOKEN": IN_A_VARIABLE[::-1],
        "DATABASE_URL": f"postgresql://etl:{IN_A_URL}@db.example/mart",
    }
    options = ("--job", "secretive", "-p", f"api_key={IN_A_PARAMETER}", "-p", "day=2024-01-01", "--label", "team=mart")
    words = (
        "sh",
        "-c",
        PRINTS_ITS_SECRETS,
        "sh",
        "--password",
        IN_AN_OPTION,
        "-H",
        f"Authorization: Bearer {IN_A_HEADER}",
    )
    done = desk.record(*words, options=options, variables=variables)
    assert done.exit_code == 0, done.stderr.decode()
    desk.variables |= variables
    for secret in (IN_A_VARIABLE, IN_A_URL, IN_AN_OPTION, IN_A_HEADER):
        assert secret.encode() in done.stdout, "the job and its caller see the real values"
    return desk


def test_no_secret_is_anywhere_in_the_store(with_secrets: Desk) -> None:
    secrets = [secret.encode() for secret in (*SECRETS, IN_A_VARIABLE[::-1])]
    looked_at = 0
    for name, data in kept_bytes(with_secrets):
        looked_at += len(data)
        assert not [secret for secret in secrets if secret in data], name
    assert looked_at > 100_000, "the walker must really see what is kept"


def test_no_secret_is_anywhere_in_the_home_of_the_user(with_secrets: Desk) -> None:
    for parent, _, files in os.walk(with_secrets.home):
        for name in files:
            data = Path(parent, name).read_bytes()
            assert not [secret for secret in SECRETS if secret.encode() in data], name


def test_the_bundle_says_that_there_was_a_secret_and_keeps_what_is_none(with_secrets: Desk) -> None:
    bundle = with_secrets.show()
    assert set(bundle["environment"]["redacted"]) >= {"DB_PASSWORD", "WAREHOUSE_TOKEN"}
    assert bundle["parameters"]["day"] == "2024-01-01"
    assert "db.example/mart" in json.dumps(bundle)
    assert "--password" in bundle["launch"]["argv"]


def test_a_replay_with_the_same_secrets_at_hand_is_reproduced(with_secrets: Desk) -> None:
    done, answer = with_secrets.replay()
    outputs = {output["name"]: output["verdict"] for output in answer["outputs"]}
    assert outputs["length.txt"] == "identical", answer
    assert done.exit_code in {0, 1}


def test_no_secret_is_in_the_journal_while_the_job_still_runs(desk: Desk) -> None:
    with desk.start(
        [
            desk.person.reenact,
            "run",
            "--",
            "sh",
            "-c",
            "echo $DB_PASSWORD; echo x > out.txt; cat > late.txt",
            "sh",
            "--password",
            IN_AN_OPTION,
        ],
        variables={"DB_PASSWORD": IN_A_VARIABLE},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().decode().strip() == IN_A_VARIABLE
        live = [path.read_bytes() for path in desk.store.rglob("*") if path.is_file()]
        process.communicate()
    assert process.returncode == 0
    assert live
    assert not [data for data in live for secret in SECRETS if secret.encode() in data]


def test_two_stores_give_different_fingerprints_of_one_secret(my_desk: Desk) -> None:
    found = set()
    for store in ("one", "two"):
        my_desk.variables["REENACT_STORE"] = str(my_desk.base / store)
        assert my_desk.record("true", variables={"DB_PASSWORD": IN_A_VARIABLE}).exit_code == 0
        found.add(my_desk.show()["environment"]["redacted"]["DB_PASSWORD"])
    assert len(found) == 2
