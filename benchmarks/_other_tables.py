"""Tables of the other benchmarks: by functions, or by a template for each column."""

from __future__ import annotations

import numpy as np
import pandas as pd
from _device_picture import front
from _summary import TASKS, over_seeds, summarise_rounds, summarise_searches, summarise_tuning
from _tables import markdown, table, texts

__all__ = ["COLUMNS", "TABLES"]

# Benchmarks whose table has a row for each row of the CSV.
COLUMNS = {
    "fit_times": {
        "set": "{set}",
        "rows": "{rows:.0f}",
        "columns": "{columns:.0f}",
        "fit, s": "{fit:.1f}",
        "epochs": "{epochs:.0f}",
        "early stopping, s": "{stopping_fit:.1f}",
        "early stopping, epochs": "{stopping_epochs:.0f}",
        "MLP (64, 64), s": "{mlp_fit:.1f}",
        "MLP (64, 64), epochs": "{mlp_epochs:.0f}",
    },
    "audit": {
        "model": "{model}",
        "sums": "{layers:.0f}",
        "unknown": "{unknown:.0f}",
        "bits needed": "{bits:.0f}",
        "int16": "{int16}",
        "maddubs": "{maddubs}",
        "int32": "{int32}",
        "layers over int16": "{over:.0f}",
        "with an input found": "{found:.0f}",
        "seconds": "{seconds:.1f}",
    },
    "custom": {
        "module": "{case}",
        "method": "{method}",
        "limit, bits": "{bits:.0f}",
        "score": "{score:.3f}",
        "proven bits": "{proven_bits:.0f}",
        "nonzero weights": "{nonzeros:.0f}",
        "compression": "{compression:.1f}",
        "theoretical speedup": "{speedup:.1f}",
    },
    "export_onnx": {
        "set": "{set}",
        "codes": "{codes:.0f}",
        "rows checked": "{rows:,.0f}",
        "different": "{different:.0f}",
        "largest logit difference": "{largest_difference:.2g}",
        "pipeline rows": "{pipeline_rows:,.0f}",
        "pipeline, different": "{pipeline_different:.0f}",
        "ONNX Runtime, ms": "{runtime_ms:.0f}",
        "`predict`, ms": "{predict_ms:.0f}",
        "kB": "{file_kb:.0f}",
    },
}
SPEED = {
    "net": "{net}",
    "tool": "{tool}",
    "fit, s": "{fit:.2f} ({fit_min:.2f}–{fit_max:.2f})",
    "fit × MLP": "{fit_ratio:.2f}",
    "epoch, s": "{epoch:.3f}",
    "predict 100,000 rows, s": "{predict:.3f} ({predict_min:.3f}–{predict_max:.3f})",
    "predict × MLP": "{predict_ratio:.2f}",
    "simulate, s": "{simulate:.3f}",
    "one row, ms": "{one_row_ms:.3f}",
    "memory, MB": "{memory_mb:.0f}",
    "rounds": "{n_rounds:.0f}",
}
SEARCH = {
    "search": "{tool}",
    "first, s": "{first:.2f}",
    "later, s": "{seconds:.2f} ({seconds_min:.2f}–{seconds_max:.2f})",
    "× MLP": "{seconds_ratio:.2f}",
    "best score": "{score:.3f}",
    "rounds": "{n_rounds:.0f}",
}
AS_ONE = {
    "networks": "{tool}",
    "s a network": "{seconds:.3f} ({seconds_min:.3f}–{seconds_max:.3f})",
    "× MLP": "{seconds_ratio:.2f}",
    "rounds": "{n_rounds:.0f}",
}
IMPORTS = {
    "estimator": "{tool}",
    "import, s": "{import_s:.2f}",
    "first fit beyond a later one, s": "{beyond_s:.2f} ({beyond_s_min:.2f}–{beyond_s_max:.2f})",
    "CPU s": "{beyond_cpu_s:.2f} ({beyond_cpu_s_min:.2f}–{beyond_cpu_s_max:.2f})",
    "a later fit, s": "{fit_s:.2f}",
    "rounds": "{n_rounds:.0f}",
}
PROGRAMS = {"bytes": "bytes", "instructions": "instructions", "thumb2": "Thumb-2"}
DEVICES = {
    "set": "{set}",
    "model": "{model}",
    "score": "{score:.3f}",
    "flash, bytes": "{flash:,.0f}",
    "RAM, bytes": "{ram:,.0f}",
    "Cortex-M3, instructions": "{instructions:,.0f}",
    "AVR, cycles": "{avr_cycles:,.0f}",
}
LOAD = {
    "clients": "{clients:.0f}",
    "rows per second": "{rows_s:.2f}",
    "latency, s: p50": "{p50_s:.2f}",
    "p99": "{p99_s:.2f}",
    "memory per client, MB": "{memory_mb:.0f}",
    "equal to predict": "{right:.0f}",
    "wrong": "{wrong:.0f}",
    "errors": "{errors:.0f}",
}
FAULTS = {
    "fault": "{case}",
    "what it gives": "{outcome}",
    "another client: equal to predict": "{right:.0f}",
    "wrong": "{wrong:.0f}",
    "errors": "{errors:.0f}",
}
ENCRYPTED = {
    "score": "{score:.3f} ± {score_sd:.3f}",
    "score, this network": "{network_score:.3f}",
    "threads": "{threads:.0f}",
    "compile, s": "{compile_s:.3g}",
    "neurons": "{neurons}",
    "bits": "{max_bits:.0f} ({proven_bits:.0f})",
    "table bits": "{table_bits:.0f}",
    "lookups": "{lookups:.0f}",
    "simulated equal to predict": "{simulated_equal:.0f} of {simulated_rows:.0f}",
    "key generation, s": "{keygen_s:.3g}",
    "keys, MB": "{keys_mb:.3g}",
    "encryption, ms per row": "{encrypt_ms:.3g}",
    "evaluation of a row, s: median": "{row_s:.3g}",
    "fastest": "{row_min_s:.3g}",
    "CPU seconds": "{row_cpu_s:.3g}",
    "request, kB": "{request_kb:.3g}",
    "response, kB": "{response_kb:.3g}",
    "encrypted equal to predict": "{encrypted_equal:.0f} of {encrypted_rows:.0f}",
}
ENCRYPTED_NETWORK = {
    "set": "{set}",
    "hidden": "{hidden}",
    "bits (rounded)": "{n_accum_bits:.0f} ({n_rounding_bits:.0f})",
}
ENCRYPTED_FRONT = ENCRYPTED_NETWORK | {
    "codes": "{codes}",
    "sums": "{n_output_sums:.0f}",
    "score": "{score:.3f} ± {score_sd:.3f}",
    "lookups x bits": "{lookups_by_bits}",
    "row, core s": "{row_cpu_s:.3g}",
    "of the reference": "{share:.2f}",
    "row, s on 2 cores": "{row_wall_s:.3g}",
    "keys, MB": "{keys_mb:.3g}",
    "request, kB": "{request_kb:.3g}",
    "response, kB": "{response_kb:.3g}",
    "equal to predict": "{encrypted_equal:.0f} of {encrypted_rows:.0f}",
}
ENCRYPTED_ESTIMATES = ENCRYPTED_NETWORK | {
    "row, core s": "{row_cpu_s:.3g}",
    "estimated": "{estimated_core_s:.3g}",
    "error": "{row_error:+.0%}",
    "key generation, core s": "{keygen_s:.2g}",
    "estimated ": "{estimated_keygen_s:.2g}",
    "keys, MB": "{keys_mb:.3g}",
    "estimated  ": "{estimated_keys_mb:.3g}",
}
ENCRYPTED_ERRORS = {
    "networks": "{networks}",
    "error of core s, mean": "{mean:.0%}",
    "largest": "{max:.0%}",
}
# Published by others: what, data, score, seconds, cores (None: not stated), and where.
PUBLISHED = [
    ("Concrete ML, 20 layers", "MNIST", ".958", "1.92", 128, "its white paper"),
    ("Concrete ML, fully connected", "MNIST", ".94", "3.5", None, ""),
    ("Concrete ML, CNN", "digits", ".97 to .99", "2.6", None, 'on "a large server"'),
    ("FHE-DiNN-100", "MNIST", ".9635", "1.64", None, "2018, at 80 bits of security"),
    ("EI-DDLGN", "MNIST", ".972", "34", 10, "2026"),
    ("FHE-Neuron", "MNIST", ".9652", "0.0045", None, 'PoPETs 2025, "on average", batch unknown'),
]


def speed_tables(rows: pd.DataFrame) -> dict[str, str]:
    """One table for each number of threads."""
    rows = summarise_rounds(rows, ["threads", "net", "tool"], ["fit", "predict"])
    return {f"threads: {n}": table(group, SPEED) for n, group in rows.groupby("threads")}


def search_tables(rows: pd.DataFrame) -> dict[str, str]:
    """One row per search, and per number of networks that train as one."""
    rows = summarise_searches(rows)
    return {
        "rows": table(rows[rows["jobs"] > 1], SEARCH),
        "as one": table(rows[rows["jobs"] == 1], AS_ONE),
    }


def imports_tables(rows: pd.DataFrame) -> dict[str, str]:
    """One row per estimator."""
    times = ["beyond_s", "beyond_cpu_s"]
    rows = summarise_rounds(rows.assign(threads=1), ["threads", "tool"], times)
    return {"rows": table(rows, IMPORTS)}


def scaling_tables(rows: pd.DataFrame) -> dict[str, str]:
    """Points of every curve, their exponents, and the largest table."""
    titles = {"what grows": "{grows}", "to": "{to:,.0f}"}
    memory = {"fit, MB": "{memory_mb:.0f}", "predict, MB": "{predict_mb:.0f}"}
    points = titles | {"fit, s": "{fit:.2f}", "predict, s": "{predict:.4f}"} | memory
    memory = {"fit, s": "{fit:.1f}", "predict, s": "{predict:.2f}"} | memory
    largest = rows["grows"] == "largest"
    slopes = [
        # Between the last two points, both axes logarithmic.
        {"grows": name}
        | np.log(curve[["to", "fit", "predict"]].iloc[-2:]).diff().iloc[-1].to_dict()
        for name, curve in rows[~largest].groupby("grows", sort=False)
    ]
    slopes = pd.DataFrame(slopes)
    slopes[["fit", "predict"]] = slopes[["fit", "predict"]].div(slopes["to"], axis=0)
    exponents = {"what grows": "{grows}", "fit": "{fit:.2f}", "predict": "{predict:.2f}"}
    return {
        "points": table(rows[~largest], points),
        "exponents": table(slopes, exponents),
        "largest": table(rows[largest], memory),
    }


def export_c_tables(rows: pd.DataFrame) -> dict[str, str]:
    """One row per set, and how much more emlearn takes."""
    columns = {"set": "{set}", "score": "{score:.3f}", "MLP's": "{mlp_score:.3f}"}
    columns |= {"rows": "{rows:,.0f}", "different": "{different:.0f}"}
    ratios = {}
    for kind, title in PROGRAMS.items():
        for own in ("emlearn", "size", "speed"):
            columns[f"{title}, {own}"] = f"{{{kind}_{own}:,.0f}}"
            if own != "emlearn" and f"{kind}_emlearn" in rows:
                ratios[f"{title}, {own}"] = rows[f"{kind}_emlearn"] / rows[f"{kind}_{own}"]
    found = {"rows": table(rows, columns)}
    if ratios:
        ratios = pd.DataFrame(ratios).agg(["mean", "min", "max"]).T.reset_index()
        columns = {"emlearn over": "{index}", "mean": "{mean:.1f}"}
        columns |= {"from": "{min:.1f}", "to": "{max:.1f}"}
        found["ratios"] = table(ratios, columns)
    return found


def device_tables(rows: pd.DataFrame) -> dict[str, str]:
    """Who is on the Pareto front of each set, then every model, by rising flash."""
    rows = pd.concat([group.sort_values("flash") for _, group in rows.groupby("set", sort=False)])
    lists = {
        name: ", ".join(front(group)["model"]) for name, group in rows.groupby("set", sort=False)
    }
    fronts = pd.DataFrame({"set": list(lists), "by rising flash, the best scores": lists.values()})
    return {"fronts": markdown(fronts), "rows": table(rows, DEVICES)}


def tune_tables(rows: pd.DataFrame) -> dict[str, str]:
    """Gaps and changes at every width, then every set."""
    summary, found = summarise_tuning(rows), {}
    for bits, at in summary[summary["bits"].notna()].groupby("bits"):
        at = at.set_index("method")
        cells = at[at["n_seeds"].notna()]
        order = cells.index.unique()
        gaps = {
            name: texts(group, f"{{gap:+.{TASKS[group['task'].iloc[0]][1]}f}}")
            for name, group in cells.groupby("set")
        }
        for name, columns in {"candidates": _candidates(at), "sets": gaps}.items():
            frame = pd.DataFrame(columns).loc[order].rename_axis("candidate").reset_index()
            found[f"{name} at {bits:.0f} bits"] = markdown(frame)
    return found


def _candidates(rows) -> dict[str, pd.Series]:
    columns = {}
    for name in ("gap", "change"):
        for task, (unit, digits) in TASKS.items():
            found = rows[rows["set"] == task]
            template = f"{{{name}:+.{digits}f}} ± {{{name}_sd:.{digits}f}}"
            columns[f"{name}: {unit}"] = texts(found, template)
            if name == "change":
                columns[f"{unit.split(',')[0]}: sets better / worse"] = found["sets_change"]
    return columns | {"fit, s": texts(rows[rows["set"] == "all"], "{fit_seconds:.1f}")}


def encrypted_tables(rows: pd.DataFrame) -> dict[str, str]:
    """What was encrypted, and every number of rounding bits."""
    measured = rows[rows["encrypted_rows"].notna()].set_index("set")
    columns = {title: texts(measured, template) for title, template in ENCRYPTED.items()}
    scores = texts(rows, "{score:.3f} ± {score_sd:.3f} ({operations:.0%})")
    wide = rows.assign(text=scores).pivot(index="n_rounding_bits", columns="set", values="text")
    wide = wide[rows["set"].unique()].rename_axis("bits").reset_index()
    costs = pd.DataFrame(columns).T.rename_axis("").reset_index()
    return {"costs": markdown(costs), "rounding": markdown(wide)}


def encrypted_front_tables(rows: pd.DataFrame) -> dict[str, str]:
    """One row per network, beside the reference: the first one of digits."""
    reference = rows[rows["set"] == "digits"]["row_cpu_s"].iloc[0]
    skips = rows["skips"].map({True: " + inputs", False: ""})
    rows = rows.assign(
        hidden=rows["hidden_layer_sizes"] + skips,
        share=rows["row_cpu_s"] / reference,
        row_error=rows["estimated_core_s"] / rows["row_cpu_s"] - 1,
        lookups_by_bits=rows["lookups_by_bits"].fillna("none"),
        codes=rows["n_in_bits"].astype(str) + ", " + rows["n_a_bits"].astype(str),
    )
    return {
        "rows": table(rows, ENCRYPTED_FRONT),
        "estimates": table(rows, ENCRYPTED_ESTIMATES),
        "errors": table(_errors(rows), ENCRYPTED_ERRORS),
        "published": markdown(_published(rows)),
    }


def _errors(rows: pd.DataFrame) -> pd.DataFrame:
    """Relative errors of estimated times, of networks with lookups and of those without."""
    kind = rows["lookups"].gt(0).map({True: "with lookups", False: "without"}).rename("networks")
    errors = rows["row_error"].abs().groupby(kind)
    return errors.agg(["mean", "max"]).reset_index()


def _published(rows: pd.DataFrame) -> pd.DataFrame:
    """What others published, and the networks here of two sets, in core-seconds."""
    titles = ["network", "data", "score", "a row, s", "cores", "core s", "source"]
    found = []
    for name, data, score, seconds, cores, source in PUBLISHED:
        core_seconds = f"{float(seconds) * cores:.3g}" if cores else "unknown"
        found.append([name, data, score, seconds, cores or "not stated", core_seconds, source])
    own = rows[rows["set"].isin(["digits", "mnist"]) & rows["row_cpu_s"].notna()]
    for row in own.to_dict("records"):
        name = f"qnnprune, {row['hidden']} at {row['n_accum_bits']} bits"
        numbers = [f"{row[key]:.3g}" for key in ("score", "row_wall_s", "row_cpu_s")]
        score, wall, core = numbers
        cores = f"{row['threads']:.0f}"
        found.append([name, row["set"], score, wall, cores, core, "measured here"])
    return pd.DataFrame(found, columns=titles)


def service_tables(rows: pd.DataFrame) -> dict[str, str]:
    """Numbers of clients, and faults."""
    load = rows["case"] == "load"
    faults = rows[~load].assign(case=rows["case"].str.replace("_", " "))
    return {"load": table(rows[load], LOAD), "faults": table(faults, FAULTS)}


def raw_rows_tables(rows: pd.DataFrame) -> dict[str, str]:
    """Every method on every set, beside the pipeline on the same seeds."""
    pipeline = rows[rows["method"] == "pipeline"].set_index(["set", "seed"])["score"]
    seen = pd.MultiIndex.from_frame(rows[["set", "seed"]])
    rows = rows.assign(change=rows["score"].to_numpy() - pipeline.reindex(seen).to_numpy())
    cells = over_seeds(rows, ["set", "task", "method"])
    columns = {
        "set": "{set}",
        "method": "{method}",
        "score": "{score:.3f} ± {score_sd:.3f}",
        "change": "{change:+.3f} ± {change_sd:.3f}",
        "codes": "{codes:.0f}",
        "fit, s": "{fit_seconds:.0f}",
        "predict, ms": "{predict_ms:.0f}",
    }
    cells["predict_ms"] = 1000 * cells["predict_seconds"]
    raw = rows[rows["method"] == "raw rows"].groupby(["task", "set"])["change"]
    sets = raw.agg(["mean", "sem", "count"]).reset_index()
    sets["sem"] **= 2
    means = sets.groupby("task").agg(
        mean=("mean", "mean"), sem=("sem", "sum"), sets=("set", "count"), count=("count", "sum")
    )
    means = means.reset_index().assign(
        sem=np.sqrt(means["sem"].to_numpy()) / means["sets"].to_numpy()
    )
    summary = {
        "task": "{task}",
        "change": "{mean:+.4f} ± {sem:.4f}",
        "sets": "{sets:.0f}",
        "pairs of fits": "{count:.0f}",
    }
    return {"rows": table(cells, columns), "means": table(means, summary)}


def partitions_tables(rows) -> dict[str, str]:
    """Score by set, order of the rows, and what the encoding comes from: mean ± sd over seeds."""
    keys = ["set", "order", "first"]
    means = over_seeds(rows, keys)
    shown = {
        "set": "{set}",
        "partitions": "{order}",
        "encoding from": "{first}",
        "score": "{score:.3f} ± {score_sd:.3f}",
    }
    return {"rows": table(means, shown)}


TABLES = {
    "partitions": partitions_tables,
    "raw_rows": raw_rows_tables,
    "speed": speed_tables,
    "search": search_tables,
    "imports": imports_tables,
    "scaling": scaling_tables,
    "devices": device_tables,
    "export_c": export_c_tables,
    "tune": tune_tables,
    "encrypted": encrypted_tables,
    "encrypted_front": encrypted_front_tables,
    "service": service_tables,
}
