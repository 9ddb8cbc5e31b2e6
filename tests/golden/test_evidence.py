"""A proof of the first format holds in every later version, with the key that was retired since. The files are never edited."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from reenact.actions.proving import verify_proof
from reenact.settings import Settings

HERE = Path(__file__).parent / "evidence-1"
KEY_ID = (HERE / "key_id.txt").read_text().strip()


def test_a_proof_of_format_1(tmp_path: Path) -> None:
    (tmp_path / "reenact.trust.toml").write_text(f'[[owner]]\nname = "team"\nkeys = ["{KEY_ID}"]\n')
    (tmp_path / "out.csv").write_bytes(b"out")
    settings = Settings(root=str(tmp_path), store=str(tmp_path / "none"))
    checked = verify_proof(settings, str(HERE / "proof.json"), [str(tmp_path / "out.csv")])
    assert checked.findings == ()
    assert (checked.trusted, checked.owners, checked.verdicts) == (True, ("team",), ("reproduced",))
    assert [file.output for file in checked.files] == ["out.csv"]
    (tmp_path / "reenact.trust.toml").write_text(
        f'threshold = 2\n[[owner]]\nname = "a"\nkeys = ["{KEY_ID}"]\n'
        '[[owner]]\nname = "b"\nkeys = ["' + "0" * 64 + '"]\n'
    )
    assert {finding.code for finding in verify_proof(settings, str(HERE / "proof.json"), []).findings} == {"threshold"}


def test_the_script_of_the_how_to_takes_it(tmp_path: Path) -> None:
    script = shutil.copy(Path(__file__).parents[2] / "docs/how-to/check_proof.py", tmp_path)
    command = [sys.executable, script, str(HERE / "proof.json"), KEY_ID]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].startswith("replayed ")
