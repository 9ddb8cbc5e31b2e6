"""Join flights with weather and planes, clean, aggregate, and write Parquet and CSV."""

from __future__ import annotations

import tomllib
from pathlib import Path

import cleaning
import pandas as pd


def main() -> None:
    """Run the job in the current folder."""
    config = tomllib.loads(Path("config.toml").read_text(encoding="utf-8"))
    data, out = Path(config["data"]), Path(config["out"])
    out.mkdir(exist_ok=True)

    flights = cleaning.usable_flights(pd.read_csv(data / "flights.csv"))
    weather = cleaning.weather(pd.read_csv(data / "weather.csv"))
    planes = cleaning.planes(pd.read_csv(data / "planes.csv"))
    joined = flights.merge(weather, on=["origin", "hour_of_departure"], how="left").merge(
        planes, on="tailnum", how="left"
    )
    joined["late"] = joined["arr_delay"] > config["late_minutes"]
    joined.to_parquet(out / "flights.parquet", index=False)

    delays = (
        joined.groupby(["origin", "carrier", "month"])
        .agg(
            flights=("flight", "size"),
            mean_departure_delay=("dep_delay", "mean"),
            share_late=("late", "mean"),
            mean_wind_speed=("wind_speed", "mean"),
            mean_seats=("seats", "mean"),
        )
        .round(3)
        .reset_index()
    )
    delays.to_csv(out / "delays.csv", index=False)
    print(f"{len(joined):,} flights, {len(delays):,} groups")


if __name__ == "__main__":
    main()
