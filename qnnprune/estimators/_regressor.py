"""The regressor, and its targets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.base import RegressorMixin, _fit_context, clone
from sklearn.metrics import r2_score
from sklearn.utils._param_validation import StrOptions

from ..training.spec import Mode
from ._base import BaseNeuralNet
from ._float_twin import Float
from ._magnitudes import exponents
from ._pruned import Pruned
from ._target_scale import (
    LOSSES,
    centre_and_scale,
    check_centre,
    check_loss,
    check_targets,
    levels_of,
    standardised,
)
from ._targets import real_target, scoring_weight

__all__ = ["BaseRegressor", "FloatTwinRegressor", "PrunedNeuralNetRegressor"]


class BaseRegressor(RegressorMixin, BaseNeuralNet):
    """What a regressor knows of targets, pruned or not."""

    _parameter_constraints: dict = {
        **BaseNeuralNet._parameter_constraints,
        "loss": [StrOptions(set(LOSSES))],
        "quantile": "no_validation",
    }
    _plain_target = staticmethod(real_target)

    def __init__(
        self,
        hidden_layer_sizes="auto",
        *,
        activation="auto",
        n_w_bits=2,
        n_a_bits="auto",
        n_in_bits="auto",
        n_accum_bits=8,
        n_rounding_bits=0,
        n_output_sums="auto",
        n_members="auto",
        skip_connection=False,
        n_input_segments="auto",
        categorical_features="from_dtype",
        n_hidden_neurons_multiplier=None,
        accumulator_guarantee=True,
        pruning_schedule="auto",
        pruning_criterion="l1",
        neuron_sparsity=0.5,
        accumulator_mode="exact",
        max_epochs="auto",
        batch_size="auto",
        lr=1e-2,
        optimizer="adamw",
        alpha=1e-3,
        dropout="auto",
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-4,
        scoring=None,
        warm_start=False,
        callbacks=None,
        device="cpu",
        verbose=0,
        n_jobs=None,
        random_state=None,
        loss="squared_error",
        quantile=None,
    ):
        super().__init__(
            hidden_layer_sizes,
            activation=activation,
            n_w_bits=n_w_bits,
            n_a_bits=n_a_bits,
            n_in_bits=n_in_bits,
            n_accum_bits=n_accum_bits,
            n_rounding_bits=n_rounding_bits,
            n_output_sums=n_output_sums,
            n_members=n_members,
            skip_connection=skip_connection,
            n_input_segments=n_input_segments,
            categorical_features=categorical_features,
            n_hidden_neurons_multiplier=n_hidden_neurons_multiplier,
            accumulator_guarantee=accumulator_guarantee,
            pruning_schedule=pruning_schedule,
            pruning_criterion=pruning_criterion,
            neuron_sparsity=neuron_sparsity,
            accumulator_mode=accumulator_mode,
            max_epochs=max_epochs,
            batch_size=batch_size,
            lr=lr,
            optimizer=optimizer,
            alpha=alpha,
            dropout=dropout,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            scoring=scoring,
            warm_start=warm_start,
            callbacks=callbacks,
            device=device,
            verbose=verbose,
            n_jobs=n_jobs,
            random_state=random_state,
        )
        self.loss = loss
        self.quantile = quantile

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None):
        """Train one epoch on a batch, then prune to the limits.

        What a `fit` has pruned stays pruned.  Without one, pruned weights may come back.
        The integer network is compiled and verified when it is first needed.

        Parameters
        ----------
        X : {array-like, DataFrame, sparse matrix} of shape (n_samples, n_features)
            The first batch also fixes the input encoding and the scale of the target:
            take a representative one.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `early_stopping` is True: a single epoch cannot stop early.
        """
        return self._fit(X, y, sample_weight, Mode.PARTIAL_FIT)

    def score(self, X, y, sample_weight=None):
        """Coefficient of determination R² of the predictions, whatever the loss.

        Parameters
        ----------
        X : {array-like, DataFrame, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float
            1 at best.  The mean over the outputs, or the quantiles, where there are several.
        """
        y, predicted = real_target(y).astype(np.float64), self.predict(X)
        if self._trained.spec.outcome == "quantiles":
            y = np.broadcast_to(y.reshape(len(y), -1), predicted.shape)
        exponent = np.maximum(exponents(y), exponents(predicted))
        return r2_score(
            np.ldexp(y, -exponent), np.ldexp(predicted, -exponent),
            sample_weight=scoring_weight(sample_weight),
        )  # fmt: skip

    def _encode_target(self, y, weight, previous, classes):
        check_loss(self.loss, self.quantile)
        y = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        check_targets(y, self.loss)
        n_outputs = self._count_outputs(y.shape[1])
        if previous is not None and n_outputs != self.n_outputs_:
            raise ValueError(f"y has {n_outputs} outputs, but earlier calls had {self.n_outputs_}.")
        self.n_outputs_ = n_outputs
        return y

    def _count_outputs(self, n_targets: int) -> int:
        n_levels = len(self._levels or (None,))
        if n_levels > 1 and n_targets > 1:
            raise ValueError(
                f"quantile={self.quantile!r} has several levels, and y has {n_targets} outputs: "
                "pass one level, or one target."
            )
        return max(n_levels, n_targets)

    def _with_known_output_map(self, table, rows):
        y = standardised(table.y, rows.output_mean, rows.output_scale, self.loss)
        return replace(super()._with_known_output_map(table, rows), y=y)

    def _with_output_map(self, rows, previous, mode):
        """Targets in the units of the network's outputs; one that does not vary is exact.

        In `partial_fit` others may follow.
        """
        y, (centre, scale) = rows.y, centre_and_scale(rows.y, rows.weight, self.loss, self._levels)
        mean = centre
        if previous is not None:  # a target that was constant so far has no scale yet
            known = previous.output_scale > 0
            mean = np.where(known, previous.output_mean, mean)
            scale = np.where(known, previous.output_scale, scale)
        constant = (y == y[0]).all(axis=0) & (mode is not Mode.PARTIAL_FIT)
        output_mean = np.where(constant, centre, mean)
        check_centre(output_mean, self.loss)
        return replace(
            rows,
            y=standardised(y, mean, scale, self.loss),
            output_mean=output_mean,
            output_scale=np.where(constant, 0.0, scale),
        )

    def _n_outputs(self) -> int:
        return self.n_outputs_

    def _loss(self) -> str:
        return self.loss

    @property
    def _levels(self) -> tuple | None:
        return levels_of(self.loss, self.quantile)

    def _spec(self):
        return replace(super()._spec(), quantile=self._levels)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class PrunedNeuralNetRegressor(Pruned, BaseRegressor):
    """Multilayer perceptron regressor with proven narrow accumulators.

    Trains with quantization-aware training, prunes every neuron until its sum provably
    fits `n_accum_bits`, and predicts in integer arithmetic.  Targets are standardised
    inside; the output layer's scale and bias lead back to their units, or to their logarithms.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, int or "auto", default="auto"
        Neurons of each hidden layer.  "auto" is (256, 256), below 8 guaranteed bits (512, 512), or
        () where `fit` finds hidden layers no better.
        Without any, (), logits are sums of the input codes: an additive model of the features.
    activation : str or callable, default="auto"
        "relu", "sigmoid", "tanh", "hardtanh", "identity", "leaky_relu", "elu", "selu", "softplus",
        "hardsigmoid", or a torch function, module or class of modules that never falls: then a
        neuron is exactly a set of integer thresholds.  "auto" is "tanh" for activations of
        1 bit, else "relu".
    n_w_bits : int, default=2
        Width of the weights, 2 to 8 bits (symmetric: 2 bits are -1, 0, 1).
    n_a_bits : int or "auto", default="auto"
        Width of the hidden activations, 1 to 8 bits; "auto" is 2, and below 8 guaranteed bits
        1 or 2, which `fit` chooses (see `max_epochs`).
    n_in_bits : int, "auto" or None, default="auto"
        Width of the input codes, 1 to 8 bits; "auto" and None are that of the activations.
    n_accum_bits : int, default=8
        Width of every accumulator, in bits.
    n_rounding_bits : int, default=0
        Low bits of every hidden sum that the network does not look at: its thresholds
        are multiples of ``2**n_rounding_bits``.  `predict` and the proof stay exact.
        Makes encrypted prediction several times faster (`qnnprune.export.compile_fhe`),
        best at ``n_accum_bits - 4``.  Smaller values lose less of the score.
    n_output_sums : int or "auto", default="auto"
        Proven sums that are added to one logit, or target value, 1 to 64.  Each respects
        `n_accum_bits` by itself.  They are added where scale and bias are applied: by the client
        after decryption, by the host of an FPGA, in a wider register on a controller.  "auto"
        is 4, and 1 where one sum has room for the last hidden layer 4 times over; where sizes are
        "auto", too, 16 below 8 guaranteed bits.
    n_members : int or "auto", default="auto"
        Networks beside each other that the neurons make up, 1 to 64.  Each has a part of the
        neurons of every layer and of the sums, reads no other's, and learns for itself; the network
        predicts the mean of theirs.  Costs no more neurons, and `n_output_sums` must be a multiple.
        "auto" is 4 where `hidden_layer_sizes` is "auto", too, else 1.
    skip_connection : bool, default=False
        Let the output layer read the input codes, too, beside the last hidden layer: a linear
        model of the codes, which the hidden neurons correct.  Worth it where they are few: 16
        neurons at 7 bits, 3 of them rounded, score .976 on digits with it and .958 without (4
        splits), 34 score .977 and .983.  In the integer network more hidden neurons, of a single
        weight each, hand the input codes on.  Encrypted, they cost no lookup.  Needs
        `n_in_bits` of at most `n_a_bits`; without hidden layers it changes nothing.
    n_input_segments : int or "auto", default="auto"
        Every feature is encoded in that many piecewise-linear quantile segments, each
        an input of the network; 1 is plain uniform quantization.  "auto" is
        coarse or fine, which `fit` chooses (see `max_epochs`): 192 or 768 segments shared out
        among the features that have more than two values, 1 to 16 or 1 to 48 each.
    categorical_features : {"from_dtype"}, array-like or None, default="from_dtype"
        Which columns hold categories: "from_dtype" for the columns of a DataFrame that hold text
        or have a categorical type; else names, indices or a boolean mask.  The 128 most frequent
        categories of a column have codes of their own; rare and unknown ones share one.
    n_hidden_neurons_multiplier : float or None, default=None
        A neuron keeps at most ``floor(n_hidden_neurons_multiplier * Ω)`` nonzero weights,
        Ω being the number of full-scale weights that cannot overflow `n_accum_bits`.
        None lifts the count, and the guarantee alone decides.
    accumulator_guarantee : bool, default=True
        Prune every neuron until the exact worst-case range of its sum fits
        `n_accum_bits`, for every input.  False leaves only the count, and above a
        multiplier of 1 an overflow becomes possible; the report says so.
    pruning_schedule : str, default="auto"
        When weights go.  The limits hold after 60 % of the epochs; fine-tuning follows.

        - "auto": "set" below 8 guaranteed bits, where few weights are left and do not make up for
          many that go late; else, where a criterion removes whole neurons, and in further
          training "gradual".
        - "gradual": along a cubic curve from 10 % of the epochs on [1]_.
        - "one_shot": dense training, then one cut.
        - "after_training": the same, but either part has a learning-rate schedule of
          its own [2]_.
        - "before_training": only the highest-ranked initial weights are trained [3]_.
        - "in_training": the same, and after each epoch every neuron swaps its
          lowest-ranked 30 % for others at random [3]_.
        - "set": sparse evolutionary training, from an Erdős–Rényi graph with ε = 20; after
          each epoch a layer swaps its lowest-ranked 30 % for others at random [4]_.
    pruning_criterion : str, default="l1"
        What goes.  The first three rank the weights of a neuron, the others remove whole
        hidden neurons first and then rank weights by "l1".

        - "l1": magnitude of the weight [2]_.
        - "random": none, as a control [5]_.
        - "activation": magnitude of the weight times the mean absolute deviation of its
          input on training rows [6]_.
        - "neuron_l2": L2 norm of a neuron's weights [7]_.
        - "neuron_activation": mean absolute deviation of its output on training rows [6]_.
        - "neuron_redundancy": of the two neurons whose outputs correlate most, the one
          that varies less, and so on [8]_.
    neuron_sparsity : float, default=0.5
        Share of every hidden layer's neurons that the "neuron" criteria remove, between
        0 and 1; at least one stays.
    accumulator_mode : {"exact", "wrap", "saturate", "raise"}, default="exact"
        What `predict` and `score` do with sums beyond `n_accum_bits`: hold them all the
        same, wrap around, clip once after the whole sum, or raise.  Can be set after `fit`;
        makes no difference under the guarantee.  `simulate` also clips after each addition.
    max_epochs : int or "auto", default="auto"
        Passes over the data.  "auto" makes 2,000 steps, but 20 to 40 epochs, and lets `fit`
        choose among recipes: with 200 or more rows that differ in their codes or targets, each
        is tried on 80 % of them, or of 10,000 that are drawn.  The recipe with the smallest error
        on the other rows is taken.  Recipes are coarse inputs with dropout, and fine ones without;
        below 8 guaranteed bits also fine ones of 1 bit with dropout, below 6 without, too.
        A given number saves the trials, and the first recipe is taken.  `n_iter_`, `dropout_`,
        `n_input_segments_`, `n_in_bits_`, `n_a_bits_`, `activation_`, `pruning_schedule_`,
        `n_members_` and `n_output_sums_` tell the outcome; further training keeps to it.
    batch_size : int or "auto", default="auto"
        Rows in a batch; "auto" is a tenth of the rows, from 32 to 256 (512 in trials).  Below 8
        guaranteed bits, and in `partial_fit`, it is a twentieth, from 32 to 256.
    lr : float, default=1e-2
        Largest learning rate; it warms up, then falls along half a cosine.  A skorch
        ``LRScheduler`` in `callbacks` replaces that schedule.
    optimizer : {"adamw", "adam", "sgd"} or callable, default="adamw"
        Or a torch optimizer class, or a `functools.partial` of one that sets further arguments.
    alpha : float, default=1e-3
        Weight decay of the weight matrices.
    dropout : float or "auto", default="auto"
        Share of the input codes that each training step leaves out.  More of it helps where
        targets are noisy; 0 is best where they are exact.  The usual is 0.3, or 0.1 of more
        than 10,000 rows, and less of fewer than 64 input codes; "auto" may choose, see
        `max_epochs`.
    early_stopping : bool, default=False
        Hold back `validation_fraction` of the rows, or take X_val of `fit`; stop when their
        score has not risen by more than `tol` for `n_iter_no_change` epochs, and restore the best
        epoch.  Only epochs at the final limits count.  Where the score stops rising before,
        pruning begins at once and the rest of the schedule is shortened, so a large `max_epochs`
        is no more than an upper bound.
    validation_fraction : float, default=0.1
    n_iter_no_change : int or infinity, default=10
    tol : float, default=1e-4
    scoring : str, callable or None, default=None
        What `early_stopping` goes by: accuracy or R² for None, minus the loss for "loss", a
        scorer that scikit-learn knows by that name, or ``scoring(estimator, X, y)``.
    warm_start : bool, default=False
        Whether `fit` goes on from the last weights; what is pruned stays pruned.
    callbacks : list of skorch callbacks or None, default=None
        Instances, classes or pairs of a name and one of these.  They see the rows, labels and
        predictions of `fit`.  One that stops before the limits hold shortens the rest of the
        schedule.  During the trials of `max_epochs` "auto" only ``GradientNormClipping`` and
        ``LRScheduler`` run; one of ``ReduceLROnPlateau`` does not, because trials record no score.
    device : str or torch.device, default="cpu"
        Where training runs; prediction is always numpy.
    verbose : int, default=0
        1 shows a progress bar with loss, score and share of weights left, and one per trial.
    n_jobs : int or None, default=None
        Trials of recipes that run beside each other, in processes of joblib; None is 1, and -1 as
        many as there are cores.  The network does not depend on it.  Other processes take a few
        seconds to start, so it pays where a fit takes longer.
    random_state : int, RandomState or None, default=None
        The same int gives the same integer network, bit for bit, on one machine.
    loss : str, default="squared_error"
        What training minimises, by its name in scikit-learn.

        - "squared_error": predicts means.
        - "absolute_error": predicts medians.
        - "huber": squared for the three quarters of each batch with the smallest errors, absolute
          for the others, as in `sklearn.ensemble.GradientBoostingRegressor`.
        - "quantile": pinball loss; predicts quantiles.
        - "poisson", "gamma": half the deviance; predicts means of targets that are never
          negative, or always positive.  The network puts out their logarithms, so predictions
          are positive.
    quantile : float or array-like of float, default=None
        Levels between 0 and 1, of ``loss="quantile"`` alone.  Several, in ascending order, give
        one output each for a single target.  `predict` sorts these for each row, so they never
        cross; their pinball losses only become smaller by that.

    Attributes
    ----------
    integer_network_ : IntegerNetwork
        What predicts: integer arrays and their proof.
    module_ : torch.nn.Module
        The trained Brevitas module in eval mode.  Takes levels, which
        ``integer_network_.encoding.levels(X)`` computes.
    history_ : list of dict
        One record an epoch: losses, duration, share of weights left, how far the pruning phase
        has come (0 to 1), validation score.  `prune`, `partial_fit` and warm starts add theirs to
        those of the training that they go on from.
    n_iter_ : int
        Epochs trained, all of `history_`.
    loss_curve_ : list of float
        Training loss of each epoch.
    validation_scores_ : list of float, or None without `early_stopping`
        Score of the held-back rows, or of X_val, after each epoch.
    best_epoch_ : int
        The epoch, counted from 1, whose weights the network has: with `early_stopping` the best
        one at the final limits, else the last one.
    best_validation_score_ : float, or None without `early_stopping`
        Its score.
    dropout_ : float
        Share of the input codes that each training step left out.
    n_input_segments_, n_in_bits_, n_a_bits_, n_output_sums_, n_members_ : int
        What was given, or chosen.
    hidden_layer_sizes_ : tuple of int
        What was given, or chosen.
    activation_ : str or callable
        What was given, or follows from `n_a_bits_`.
    pruning_schedule_ : str
        What was given, or chosen.
    n_features_in_ : int
    feature_names_in_ : array of str
        Where X had column names.
    n_outputs_ : int
        Outputs of the network: logits of a classifier, 1 for two classes and else one per class or
        label; columns of y, or quantiles, of a regressor.

    See Also
    --------
    PrunedNeuralNetClassifier : The same for labels.

    Notes
    -----
    Rows with equal codes and targets are merged into one row with the sum of their weights,
    and the order of rows does not matter: a fit depends on the weighted set of rows alone.
    Of weights, only the ratios count.

    References
    ----------
    .. [1] M. Zhu and S. Gupta, "To prune, or not to prune", 2017.
    .. [2] S. Han et al., "Learning both weights and connections for efficient neural
       networks", NeurIPS 2015.
    .. [3] "A comparative study of neural network pruning strategies for industrial
       applications", Frontiers in Computer Science 2025.
    .. [4] D. C. Mocanu et al., "Scalable training of artificial neural networks with
       adaptive sparse connectivity inspired by network science", Nat. Commun. 2018.
    .. [5] D. Blalock et al., "What is the state of neural network pruning?", MLSys 2020.
    .. [6] H. Hu et al., "Network trimming: a data-driven neuron pruning approach towards
       efficient deep architectures", 2016.
    .. [7] H. Li et al., "Pruning filters for efficient ConvNets", ICLR 2017.
    .. [8] M. Babaeizadeh et al., "NoiseOut: a simple way to prune neural networks", 2016.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> X, y = make_regression(200, 4, random_state=0)
    >>> net = PrunedNeuralNetRegressor((32,), random_state=0).fit(X, y)
    >>> net.score(X, y) > 0.8
    True
    """

    def float_twin(self) -> FloatTwinRegressor:
        """Make the same estimator in floats, unfitted: the score to compare with.

        Architecture, encoding and training stay; nothing is quantized or pruned, and inputs
        keep 256 levels a segment.

        Returns
        -------
        FloatTwinRegressor
        """
        return FloatTwinRegressor(**clone(self).get_params(deep=False))


class FloatTwinRegressor(Float, BaseRegressor):
    """`PrunedNeuralNetRegressor` in floats, unpruned; made by its ``float_twin()``.

    Parameters and attributes are the same, without `integer_network_`.
    """
