"""Make a table and changed copies of it, each as CSV and as Parquet; needs numpy and pyarrow. See README.md.

python changes.py FOLDER ROWS
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

ROW_GROUP = 128 * 1024
PARQUET = {
    "parquet-none": {"compression": "none"},
    "parquet-plain": {"compression": "none", "use_dictionary": False},
    "parquet-snappy": {"compression": "snappy"},
    "parquet-zstd": {"compression": "zstd"},
}


class Maker:
    """Makes rows from one seed."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(11)
        letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
        lengths = self.random.integers(3, 9, 4000)
        self.words = pa.array(["".join(self.random.choice(letters, length)) for length in lengths])

    def rows(self, count: int, first: int = 0) -> pa.Table:
        numbers = np.arange(first, first + count)
        weight = (4000 * self.random.random((9, count)) ** 2.5).astype(int)
        text = pc.binary_join_element_wise(*[self.words.take(pa.array(column)) for column in weight], " ")
        return pa.table(
            {
                "id": numbers,
                "ts": np.datetime64("2024-01-01T00:00:00") + (numbers * 7).astype("timedelta64[s]"),
                "category": pa.array([f"cat_{n:02d}" for n in self.random.integers(0, 40, count)]),
                "amount": np.round(self.random.gamma(2.0, 40.0, count), 2),
                "text": text,
            }
        )

    def rewritten(self, table: pa.Table, places: np.ndarray) -> pa.Table:
        """Give other values to some rows; their id and time stay."""
        hit = np.zeros(table.num_rows, bool)
        hit[places] = True
        new = self.rows(int(hit.sum()))
        columns = {name: table[name] for name in table.column_names}
        for name in ("category", "amount", "text"):
            columns[name] = pc.replace_with_mask(
                table[name].combine_chunks(), pa.array(hit), new[name].combine_chunks()
            )
        return pa.table(columns)

    def changes(self, base: pa.Table) -> dict[str, pa.Table]:
        count, random = base.num_rows, self.random
        keep = np.ones(count, bool)
        keep[random.choice(count, count // 200, replace=False)] = False
        few = count // 200
        order = np.argsort(np.concatenate([np.arange(count) * 1.0, np.sort(random.random(few) * count)]), kind="stable")
        starts = random.choice(count // 1000, 10, replace=False) * 1000
        return {
            "1 % of rows rewritten": self.rewritten(base, random.choice(count, count // 100, replace=False)),
            "10 clusters of 1000 rows": self.rewritten(base, np.concatenate([np.arange(s, s + 1000) for s in starts])),
            "0.5 % of rows inserted": pa.concat_tables([base, self.rows(few, count)]).combine_chunks().take(order),
            "0.5 % of rows deleted": base.filter(pa.array(keep)),
            "a day (0.5 %) appended": pa.concat_tables([base, self.rows(few, count)]).combine_chunks(),
            "sorted by another column": base.sort_by("category"),
            "a float column recomputed": base.set_column(3, "amount", pc.multiply(base["amount"], 1.0000001)),
        }


def write(table: pa.Table, folder: Path, name: str) -> None:
    pa.csv.write_csv(table, folder / f"{name}.csv")
    for kind, options in PARQUET.items():
        pa.parquet.write_table(table, folder / f"{name}.{kind}", row_group_size=ROW_GROUP, **options)


def main() -> None:
    folder, rows = Path(sys.argv[1]), int(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    maker = Maker()
    base = maker.rows(rows)
    write(base, folder, "base")
    for name, table in maker.changes(base).items():
        write(table, folder, name.replace(" ", "_"))
    (folder / "done").touch()


if __name__ == "__main__":
    main()
