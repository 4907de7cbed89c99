"""Which short list of candidates is best, and whether other sets would have said so, too."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from _tables import markdown

__all__ = ["choice_tables"]

_IN_USE = {
    8: ["coarse, 4 members", "fine, 4 members", "no hidden layers"],
    6: ["fine, 4 members", "fine, 1 bit, 4 members", "coarse, 4 members", "no hidden layers"],
}
_CLIP = {"classification": 0.05, "regression": 0.1}
_POINTS = {"classification": 100.0, "regression": 50.0}  # .02 of R2 weigh as a point


def choice_tables(rows: pd.DataFrame) -> dict[str, str]:
    """For each width: gaps of the candidates, and the best lists with sets left out."""
    found = {}
    for bits, part in rows.groupby("bits"):
        gaps, errors, kind = _gaps(part)
        found[f"candidates at {bits} bits"] = _candidates(gaps, kind)
        found[f"lists at {bits} bits"] = _lists(gaps, errors, kind, _IN_USE[bits])
    return found


def _gaps(part):
    """Gaps to the MLP in points, clipped; errors on held-back rows; one row a set."""
    score = part.pivot(index="set", columns="candidate", values="score")
    errors = part.pivot(index="set", columns="candidate", values="error").drop(columns="mlp")
    about = part.drop_duplicates("set").set_index("set").loc[score.index]
    limit = about["task"].map(_CLIP).to_numpy()[:, None]
    gaps = score.drop(columns="mlp").sub(score["mlp"], axis=0).clip(-limit, limit)
    whole = gaps.notna().all(axis=1)
    gaps = gaps.mul(about["task"].map(_POINTS), axis=0)
    return gaps[whole], errors[whole], about["kind"][whole]


def _candidates(gaps, kind) -> str:
    means = {group: gaps[kind == group].mean() for group in ("real", "synthetic")}
    frame = pd.DataFrame({name: column.map("{:+.2f}".format) for name, column in means.items()})
    return markdown(frame.rename_axis("candidate").reset_index())


def _lists(gaps, errors, kind, in_use) -> str:
    lists = [list(names) for names in combinations(gaps.columns, len(in_use))]
    lists = [in_use, *(names for names in lists if set(names) != set(in_use))]
    worth = pd.DataFrame({" / ".join(names): _chosen(gaps, errors, names) for names in lists})
    best = worth.mean().idxmax()
    others = [worth.drop(index=name).mean().idxmax() for name in worth.index]
    lines = [
        ("in use", " / ".join(in_use), worth[" / ".join(in_use)].mean()),
        *(
            ("one of these less", " / ".join(less), _chosen(gaps, errors, less).mean())
            for less in ([n for n in in_use if n != name] for name in in_use)
        ),
        ("the first alone", in_use[0], gaps[in_use[0]].mean()),
        ("all sets", best, worth[best].mean()),
        *(
            (f"{group} sets alone, on the others", name, worth.loc[kind != group, name].mean())
            for group in ("real", "synthetic")
            for name in [worth[kind == group].mean().idxmax()]
        ),
    ]
    frame = pd.DataFrame(
        [(text, name, f"{value:+.2f}") for text, name, value in lines],
        columns=["chosen on", "list", "gap, points"],
    )
    same = sum(name == best for name in others)
    left_out = np.mean([worth.loc[s, name] for s, name in zip(worth.index, others, strict=True)])
    note = f"With one set left out, {same} of {len(others)} times the list is the same; "
    return f"{markdown(frame)}\n\n{note}on the sets left out the gap is {left_out:+.2f} points."


def _chosen(gaps, errors, names) -> pd.Series:
    """Gap of each set, with the candidate of a list that errs least on held-back rows."""
    best = errors[names].to_numpy().argmin(axis=1)
    return pd.Series(gaps[names].to_numpy()[np.arange(len(gaps)), best], gaps.index)
