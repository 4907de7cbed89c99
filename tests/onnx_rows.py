"""Raw rows through ONNX Runtime, one typed column after another, by the documentation alone."""

import datetime

import numpy as np
import pandas as pd

from qnnprune.export import to_onnx

TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64}


def session_of(model, **options):
    """A session that also puts out decisions."""
    import onnxruntime as ort

    proto = to_onnx(model, decision=True, **options).SerializeToString()
    return ort.InferenceSession(proto, providers=["CPUExecutionProvider"])


def column_for(values, kind, gap=""):
    """A column of a frame as users hand it over, by the documentation alone."""
    if kind == "tensor(string)":
        filled = [gap if value is None or value != value else value for value in values]
        return np.array(filled, dtype=object)[:, None]
    if len(values) and any(isinstance(value, (datetime.date, pd.Timestamp)) for value in values):
        return ((pd.to_datetime(values) - pd.Timestamp(0)) / pd.Timedelta(days=1)).to_numpy()[
            :, None
        ]
    return values.astype(TYPES[kind]).to_numpy()[:, None]


def decision(session, rows, gap=""):
    """The last output, for a frame or an array."""
    inputs = session.get_inputs()
    if inputs[0].name != "X":
        feed = {i.name: column_for(rows[i.name], i.type, gap) for i in inputs}
    else:
        feed = {"X": np.asarray(rows).astype(TYPES[inputs[0].type])}
    return session.run(None, feed)[-1]
