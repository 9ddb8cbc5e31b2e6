"""W9 with diffly: two Parquet files, the key column id, an absolute tolerance for score; prints the counts as JSON."""

import json
import sys

import polars as pl
from diffly import compare_frames

first, second = sys.argv[1:]
left, right = pl.scan_parquet(first), pl.scan_parquet(second)
columns = [name for name in left.collect_schema().names() if name != "id"]
found = compare_frames(
    left, right, primary_key="id", abs_tol={c: 1e-9 if c == "score" else 0.0 for c in columns}, rel_tol=0.0
)
counts = {
    "changed": found.num_rows_joined_unequal(),
    "added": found.num_rows_right_only(),
    "removed": found.num_rows_left_only(),
}
joined = found.num_rows_joined()
shares = found.fraction_same()
counts["columns"] = {c: n for c, share in shares.items() if (n := round((1 - share) * joined))} if joined else {}
print(json.dumps(counts))
