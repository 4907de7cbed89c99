"""Where version 0.1.0 kept a part of every fitted estimator; what its pickles ask for first."""

raise ImportError(
    "Fitted estimators that were pickled by qnnprune 0.1.0 cannot be loaded by this version: fit "
    "them again.  To keep a network, load the pickle with qnnprune 0.1.0, write "
    "estimator.integer_network_.save(path) there, and read it here with IntegerNetwork.load(path)."
)
