"""Cleaning rules of the flights job: what a usable flight, weather report and plane is."""

from __future__ import annotations

import pandas as pd

__all__ = ["planes", "usable_flights", "weather"]


def usable_flights(raw: pd.DataFrame) -> pd.DataFrame:
    """Keep flights that took off and landed, once each, with their hour as a time."""
    flown = raw.dropna(subset=["dep_delay", "arr_delay", "tailnum"]).drop_duplicates()
    return flown.assign(hour_of_departure=pd.to_datetime(flown["time_hour"], utc=True))


def weather(raw: pd.DataFrame) -> pd.DataFrame:
    """Keep one report per airport and hour; gusts below the mean wind are measuring errors."""
    reports = raw.assign(hour_of_departure=pd.to_datetime(raw["time_hour"], utc=True))
    reports.loc[reports["wind_gust"] < reports["wind_speed"], "wind_gust"] = float("nan")
    columns = ["origin", "hour_of_departure", "temp", "wind_speed", "wind_gust", "visib", "precip"]
    return reports[columns].drop_duplicates(subset=["origin", "hour_of_departure"])


def planes(raw: pd.DataFrame) -> pd.DataFrame:
    """Name the columns that flights have too by what they mean."""
    return raw.rename(columns={"year": "built"})[["tailnum", "built", "manufacturer", "model", "seats"]]
