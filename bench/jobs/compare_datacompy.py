"""W9 with datacompy: two Parquet files, the key column id, an absolute tolerance for score; prints the counts as JSON."""

import json
import sys

import datacompy
import polars as pl

first, second = sys.argv[1:]
left, right = pl.read_parquet(first), pl.read_parquet(second)
columns = [name for name in left.columns if name != "id"]
found = datacompy.PolarsCompare(
    left, right, ["id"], abs_tol={**dict.fromkeys(columns, 0.0), "score": 1e-9}, rel_tol=0.0
)
counts = {
    "changed": found.intersect_rows.height - found.count_matching_rows(),
    "added": found.df2_unq_rows.height,
    "removed": found.df1_unq_rows.height,
}
counts["columns"] = {c["column"]: c["unequal_cnt"] for c in found.column_stats if c["unequal_cnt"]}
print(json.dumps(counts))
