"""Every table of the pages, and the pictures, from the CSV files of the benchmarks.

    python benchmarks/report.py                   # the published pages, from results/
    python benchmarks/report.py benchmarks/new    # your own tables, beside your CSV files

The published pages are the Markdown files beside this one.  Their prose is written by hand.  What
stands between ``<!-- NAME -->`` and ``<!-- end -->`` is replaced by the table of that name.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from _accuracy_tables import accuracy_tables
from _choice_tables import choice_tables
from _device_picture import draw_devices
from _margin_tables import margin_tables
from _other_tables import COLUMNS, TABLES
from _picture import draw_gaps, draw_margins
from _tables import read, table

HERE = Path(__file__).parent
ACCURACY = ["accuracy", "accuracy_small", "pruning"]
# More columns of the same cells, measured by another benchmark.
BESIDE = {"encrypted_front": "encrypted_times"}


def tables(name: str, rows) -> dict[str, str]:
    """All tables of a page, by name."""
    if name in COLUMNS:
        return {"rows": table(rows, COLUMNS[name])}
    makers = (
        dict.fromkeys(ACCURACY, accuracy_tables)
        | {"defaults": margin_tables, "choices": choice_tables}
        | TABLES
    )
    return makers[name](rows)


def with_more_columns(rows, path: Path):
    """Rows of a CSV with the columns of the one beside it, if there is one."""
    other = path.with_name(f"{BESIDE.get(path.stem)}.csv")
    return rows.merge(read(other)[1], how="left") if other.exists() else rows


def fill(page: str, found: dict[str, str]) -> str:
    """A page with the text of each name in its place."""

    def replace(match):
        return f"<!-- {match[1]} -->\n\n{found[match[1]]}\n\n<!-- end -->"

    return re.sub(r"<!-- (.+?) -->.*?<!-- end -->", replace, page, flags=re.DOTALL)


def main() -> None:
    """Write the page of each CSV that is there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", nargs="?", type=Path, help="folder of your own CSV files")
    own = parser.parse_args().results
    for name in [*ACCURACY, "defaults", "choices", *COLUMNS, *TABLES]:
        path = (own or HERE / "results") / f"{name}.csv"
        if not path.exists():
            continue
        where, rows = read(path)
        link = path.relative_to(own or HERE).as_posix()
        found = {"where": f"Measured with {where}. All rows: [{path.name}]({link})."}
        found |= tables(name, with_more_columns(rows, path))
        page = (own or HERE) / f"{name}.md"
        if own:
            text = f"# {name}\n\n{found.pop('where')}\n"
            text += "".join(f"\n## {title}\n\n{shown}\n" for title, shown in found.items())
        else:
            text = fill(page.read_text(encoding="utf-8"), found)
        page.write_text(text, encoding="utf-8")
        if name == "accuracy" and "mlp" in set(rows["method"]):
            draw_gaps(rows, page.with_name("accuracy_gap.svg"))
        if name == "devices":
            draw_devices(rows, page.with_name("devices.svg"))
        if name == "defaults":
            draw_margins(rows, page.with_name("defaults.svg"))


if __name__ == "__main__":
    main()
