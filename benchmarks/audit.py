"""The audit on models as other tools make them: widths, verdicts, inputs that overflow.

Each model is proven against three registers: int16, the pairs of maddubs, and int32.  For int16 an
input of the whole model is searched for, per layer that can overflow.
"""

from __future__ import annotations

import time

from _audited import INPUT_SHAPES, MODELS
from _runner import arguments, run

from qnnprune import prove

VERDICTS = {True: "holds", False: "overflows", None: "unknown"}


def measure(model: str) -> dict:
    """Verdicts on one model."""
    made, shape = MODELS[model](), INPUT_SHAPES.get(model)
    started = time.perf_counter()
    proof = prove(made, "int16", input_shape=shape, n_tries=2000)
    seconds = time.perf_counter() - started
    over = [layer for layer in proof.accumulators if layer.holds is False]
    others = {
        register: VERDICTS[prove(made, register, input_shape=shape, n_tries=0).holds]
        for register in ("maddubs", "int32")
    }
    return {
        "layers": len(proof.accumulators),
        "unknown": len(proof.unknown),
        "bits": proof.bits,
        "int16": VERDICTS[proof.holds],
        **others,
        "over": len(over),
        "found": sum(layer.witness.inputs is not None for layer in over),
        "seconds": seconds,
    }


def main() -> None:
    """Measure what is missing."""
    options = arguments(__doc__, "audit", data=False).parse_args()
    packages = ("onnx", "onnxruntime", "qonnx", "brevitas", "numpy")
    run(measure, [{"model": name} for name in MODELS], options.output, packages)


if __name__ == "__main__":
    main()
