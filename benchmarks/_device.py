"""One prediction on a simulated microcontroller: flash, RAM, instructions and cycles."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np

__all__ = ["Program", "measure"]

BOARDS = Path(__file__).with_name("boards")
LINKER = BOARDS.parents[1] / "examples" / "microcontroller" / "boards" / "cortex_m3.ld"
M3 = ["arm-none-eabi-gcc", "-mcpu=cortex-m3", "-mthumb", "-Os", "-w", "-ffunction-sections"]
M3 += ["-fdata-sections", "-Wl,--gc-sections", "-nostartfiles", "-T", LINKER]
AVR = ["avr-gcc", "-mmcu=atmega328p", "-Os", "-w", "-ffunction-sections", "-fdata-sections"]
AVR += ["-Wl,--gc-sections"]
AVR_FLASH, AVR_RAM = 32_768, 2_048
INSTRUCTIONS_OF_TICK = 40
COUNTED_ROWS = 8

HOST = """
#include <stdio.h>
#include "rows.h"
int row(const input_t *x);
int main(void)
{
    static input_t x[N_FEATURES];
    while (fread(x, sizeof x, 1, stdin) == 1) printf("%d\\n", row(x));
    return 0;
}
"""


class Program:
    """C of a model in a folder: ``row.c``, which maps a row to the index of a class.

    Parameters
    ----------
    folder : Path
        With ``net.h``.
    call : str
        C expression of the class, given ``x``.
    X : array of shape (n_samples, n_features)
        Rows as C takes them, int16 or float32.
    include : str, optional
        A folder with more headers.
    """

    def __init__(self, folder: Path, call: str, X: np.ndarray, include: str | None = None):
        self.folder, self.X = folder, np.ascontiguousarray(X)
        self.flags = ["-std=gnu99", f"-I{folder}", *([f"-I{include}"] if include else [])]
        kind = {"int16": "int16_t", "float32": "float"}[X.dtype.name]
        head = '#include <stdint.h>\n#include "net.h"\n'
        (folder / "row.c").write_text(f"{head}int row(const {kind} *x) {{ return {call}; }}\n")
        (folder / "empty.c").write_text(
            f"#include <stdint.h>\nint row(const {kind} *x) {{ return x[0] > 0; }}\n"
        )
        lines = [f"    {{{', '.join(map(str, row))}}}" for row in X[:COUNTED_ROWS].tolist()]
        body = ",\n".join(lines)
        (folder / "rows.h").write_text(
            f"#include <stdint.h>\n#define N_ROWS {len(lines)}\n#define N_FEATURES {X.shape[1]}\n"
            f"typedef {kind} input_t;\n"
            f"static const input_t rows[N_ROWS][N_FEATURES] = {{\n{body}\n}};\n"
        )

    def predict(self) -> np.ndarray:
        """Indices of the classes of all rows, computed on this machine."""
        (self.folder / "host.c").write_text(HOST)
        target = self._linked(["gcc", "-O2", "-w"], "host", self.folder / "host.c", "row")
        done = subprocess.run([target], input=self.X.tobytes(), capture_output=True, check=True)
        return np.array(done.stdout.split(), dtype=int)

    def on_cortex_m3(self) -> dict:
        """Bytes of flash and RAM, and instructions of a prediction."""
        board = BOARDS / "cortex_m3.c"
        target = self._linked(M3, "m3", board, "row")
        full, empty = (
            _sizes("arm-none-eabi-size", target),
            _sizes("arm-none-eabi-size", self._linked(M3, "m3_empty", board, "empty")),
        )
        command = ["qemu-system-arm", "-M", "mps2-an385", "-display", "none", "-icount", "shift=0"]
        command += ["-semihosting-config", "enable=on,target=native", "-kernel", target]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        stack, ticks = map(int, (done.stdout + done.stderr).split())
        return {
            "flash": full[0] - empty[0],
            "ram": full[1] - empty[1] + stack,
            "instructions": ticks * INSTRUCTIONS_OF_TICK / min(COUNTED_ROWS, len(self.X)),
        }

    def cycles_on_avr(self) -> float | None:
        """Cycles of a prediction; None where the program does not fit."""
        try:
            target = self._linked(AVR, "avr", BOARDS / "avr.c", "row")
        except subprocess.CalledProcessError:
            return None
        flash, ram = _sizes("avr-size", target)
        if flash > AVR_FLASH or ram > AVR_RAM - 256:
            return None
        command = ["simavr", "-m", "atmega328p", "-f", "16000000", target]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        found = re.search(r"=(\d+)", done.stdout + done.stderr)
        return int(found[1]) / min(COUNTED_ROWS, len(self.X)) if found else None

    def _linked(self, command, name: str, board: Path, row: str) -> Path:
        target, source = self.folder / name, self.folder / f"{row}.c"
        line = [*command, *self.flags, board, source, "-o", target, "-lm"]
        subprocess.run(list(map(str, line)), check=True, capture_output=True)
        return target


def _sizes(tool: str, program: Path) -> tuple[int, int]:
    """Bytes in flash, and of static data."""
    done = subprocess.run([tool, program], capture_output=True, text=True, check=True)
    text, data, bss = map(int, done.stdout.splitlines()[1].split()[:3])
    return text + data, data + bss


def measure(program: Program) -> dict:
    """All figures of a program."""
    return program.on_cortex_m3() | {"avr_cycles": program.cycles_on_avr()}
