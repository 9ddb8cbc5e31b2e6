"""W2's job: one CSV file in, a grouped CSV file and a Parquet file out. Words: the input, the folder for the outputs."""

import sys

import pandas as pd

source, target = sys.argv[1:]
orders = pd.read_csv(source, parse_dates=["ts"])
orders["day"] = orders["ts"].dt.strftime("%Y-%m-%d")
orders["words"] = orders["text"].str.count(" ") + 1
daily = orders.groupby(["day", "category"]).agg(n=("id", "size"), amount=("amount", "sum"), words=("words", "mean"))
daily.round(4).to_csv(f"{target}/daily.csv")
orders[["id", "ts", "category", "amount"]].to_parquet(f"{target}/clean.parquet", index=False)
