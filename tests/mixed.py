"""Tables as strangers have them: columns of every kind, gaps of every kind, hard rows."""

import numpy as np
import pandas as pd

LONG = "a very long name " * 12
NUMBERS = ["age", "income (€)", "count", "tiny", "constant", "all gaps", LONG]
TEXTS = ['town "q\\', "code", "one", "many\nrare"]
TOWNS = ["Ulm", "Bonn", "Zürich", "q'\"\\", "new\nline", "", "%d", "*/", "nan", "None"]


def mixed_frame(n_rows=160, seed=0):
    """A frame and two targets: labels, and numbers."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 90, n_rows).astype(float),
            "income (€)": rng.lognormal(20, 4, n_rows),
            'town "q\\': rng.choice(TOWNS, n_rows).astype(object),
            "count": rng.integers(-3, 9, n_rows),
            "tiny": rng.normal(size=n_rows) * 1e-9,
            "code": pd.Categorical(rng.choice(["x", "y"], n_rows), ["unused", "y", "x", "too"]),
            "constant": np.full(n_rows, 7.5),
            "all gaps": np.full(n_rows, np.nan),
            "flag": rng.random(n_rows) < 0.5,
            "one": np.full(n_rows, "only", dtype=object),
            "many\nrare": [f"r{k}" for k in (rng.pareto(0.7, n_rows) * 3).astype(int) % 90],
            LONG: np.round(rng.normal(size=n_rows), 1),
        }
    )
    values = frame["age"] / 20 + (frame['town "q\\'] == "Ulm") * 2 - frame["count"] / 5
    labels = np.where(values > values.median(), "high", "low").astype(object)
    gaps = {"age": np.nan, 'town "q\\': None, "code": np.nan, "many\nrare": pd.NA}
    for name, gap in gaps.items():
        frame.loc[rng.random(n_rows) < 0.1, name] = gap
    frame.iloc[: n_rows // 8] = frame.iloc[n_rows // 8 : 2 * (n_rows // 8)].to_numpy()
    return frame, labels, values.to_numpy()


def with_dates(frame, seed=0):
    """The frame and a column of dates, which pipelines cannot fold."""
    rng = np.random.default_rng(seed)
    days = pd.to_timedelta(rng.integers(0, 9999, len(frame)), "D")
    when = pd.Series(pd.Timestamp("1995-03-05 06:00") + days)
    return frame.assign(when=when.where(rng.random(len(frame)) > 0.1))


def hard_rows(encoding, frame, dtype, *, unseen=True, gaps=True, seed=0, n_rows=600):
    """Rows on thresholds, on floats beside them, of unseen categories and with new gaps.

    Columns of numbers come in `dtype`, float32 or float64, so that other types get the same.
    """
    rng = np.random.default_rng(seed)
    rows = frame.sample(n_rows, replace=True, random_state=seed).reset_index(drop=True)
    columns = {}
    for place, name in enumerate(rows):
        known, missing = encoding.categories[place], encoding.missing_level[place] >= 0
        if encoding.is_ignored[place] and frame[name].dtype.kind not in "biuf":
            columns[name] = rows[name]
        elif known is not None:
            takes_others = unseen and encoding.takes_others[place]
            columns[name] = _categories(rows[name], known, takes_others, gaps and missing, rng)
        elif encoding.is_date[place]:
            columns[name] = _dates(encoding.thresholds[place], rng, n_rows)
        else:
            thresholds = encoding.thresholds_for(dtype)[place]
            columns[name] = _numbers(thresholds, gaps and missing, dtype, rng, n_rows)
    return pd.DataFrame(columns)


def _categories(column, known, takes_others, gaps, rng):
    values = column.astype(object).to_numpy(copy=True)
    values[pd.isna(values)] = known[0]
    if takes_others:
        other = {"U": "never seen", "b": 5}.get(known.dtype.kind, 12345.5)
        values[rng.random(len(values)) < 0.1] = other
    if gaps:
        values[rng.random(len(values)) < 0.1] = np.nan
    return values


def _numbers(thresholds, gaps, dtype, rng, n_rows):
    info = np.finfo(dtype)
    ends = [0, -0.0, 1, -1, 1e25, -1e25, info.tiny, -info.smallest_subnormal]
    places = np.append(thresholds[np.isfinite(thresholds)], ends).astype(dtype)
    on = rng.choice(places, n_rows)
    for _ in range(2):
        to = rng.choice(np.array([-np.inf, np.inf], dtype), n_rows)
        with np.errstate(over="ignore"):
            beside = np.where(rng.random(n_rows) < 0.5, on, np.nextafter(on, to))
        on = np.where(np.isfinite(beside), beside, on).astype(dtype)
    if gaps:
        on[rng.random(n_rows) < 0.1] = np.nan
    return on


def _dates(thresholds, rng, n_rows):
    days = rng.choice(thresholds[np.isfinite(thresholds)], n_rows)
    micros = np.rint(days * 86400e6).astype(np.int64) + rng.integers(-1, 2, n_rows)
    dates = pd.Series(micros.astype("M8[us]"))
    return dates.where(rng.random(n_rows) > 0.1)
