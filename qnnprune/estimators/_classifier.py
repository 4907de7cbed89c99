"""The classifier, and its labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context, clone
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from ..integer._outcome import log_probabilities
from ..training.spec import Mode
from ._base import BaseNeuralNet
from ._float_twin import Float
from ._labels import AnyOf, OneOf, is_matrix
from ._pruned import Pruned
from ._targets import plain_target, scoring_weight

__all__ = ["BaseClassifier", "FloatTwinClassifier", "PrunedNeuralNetClassifier"]


class BaseClassifier(ClassifierMixin, BaseNeuralNet):
    """What a classifier knows of labels, pruned or not."""

    _parameter_constraints: dict = {
        **BaseNeuralNet._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }
    _plain_target = staticmethod(plain_target)
    _label_kind = OneOf

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
        class_weight=None,
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
        self.class_weight = class_weight

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train one epoch on a batch, then prune to the limits.

        What a `fit` has pruned stays pruned.  Without one, pruned weights may come back.
        The integer network is compiled and verified when it is first needed.

        Parameters
        ----------
        X : {array-like, DataFrame, sparse matrix} of shape (n_samples, n_features)
            The first batch also fixes the input encoding: take a representative one.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Any of the labels, or a column of 0 and 1 for each.
        classes : array-like of shape (n_classes,), optional
            All labels; needed at the first call, unless y has a column for each.
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `early_stopping` is True: a single epoch cannot stop early.
        """
        going_on = hasattr(self, "_trained")
        if classes is not None:
            labels = np.unique(plain_target(classes, "classes"))
        elif going_on:
            labels = self.classes_
        elif is_matrix(y):
            labels = np.arange(np.shape(y)[1])
        else:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if not len(labels):
            raise ValueError("classes is empty: pass all labels.")
        if going_on and not np.array_equal(labels, self.classes_):
            raise ValueError(
                f"classes={classes!r} differ from those of earlier calls: {self.classes_!r}."
            )
        return self._fit(X, y, sample_weight, Mode.PARTIAL_FIT, labels)

    def score(self, X, y, sample_weight=None):
        """Accuracy of the predictions.

        Parameters
        ----------
        X : {array-like, DataFrame, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float
            Share of the weight of the rows whose label is right, or all of whose labels are.
        """
        return super().score(X, plain_target(y), sample_weight=scoring_weight(sample_weight))

    @property
    def _labels(self) -> OneOf | AnyOf:
        return self._label_kind(self.classes_)

    def _encode_target(self, y, weight, previous, classes):
        kind = AnyOf if is_matrix(y) else OneOf
        if previous is None:
            self._label_kind = kind
            self.classes_ = kind.found(y).classes if classes is None else classes
        elif kind is not self._label_kind:
            raise ValueError(
                f"y has shape {y.shape}, but earlier calls had {self._label_kind.shape}: training "
                "goes on with targets of the same kind, or use a new estimator."
            )
        codes = self._labels.encoded(y)
        if previous is not None and classes is None:
            self._labels.refuse_lack(codes, previous.output_scale > 0)
        return codes

    def _weigh(self, y, weight):
        weight = weight * self._labels.factors(self.class_weight, y, weight)
        if not weight.any():
            raise ValueError(f"class_weight={self.class_weight!r} leaves every row without weight.")
        return weight

    def _with_output_map(self, rows, previous, mode):
        mean, scale = self._labels.output_map(rows.y, may_follow=mode is Mode.PARTIAL_FIT)
        return replace(rows, output_mean=mean, output_scale=scale)

    def _n_outputs(self) -> int:
        return self._labels.n_outputs

    def _loss(self) -> str:
        return self._labels.loss

    @property
    def n_outputs_(self) -> int:
        """Number of logits: 1 for two classes, else one a class or label."""
        check_is_fitted(self)
        return self._n_outputs()

    def decision_function(self, X):
        """Logits of the integer network.

        Parameters
        ----------
        X : {array-like, DataFrame, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        float64 array of shape (n_samples,) for one or two classes, else (n_samples, n_classes)
            Of several labels, one that is positive is predicted.
        """
        decision = self._decision(X)
        return decision[:, 0] if decision.shape[1] == 1 else decision

    def predict_proba(self, X):
        """Probabilities of the classes, or of each label, in the order of ``classes_``.

        Parameters
        ----------
        X : {array-like, DataFrame, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        float64 array of shape (n_samples, n_classes)
        """
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X):
        """Logarithms of what `predict_proba` returns.

        Parameters
        ----------
        X : {array-like, DataFrame, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        float64 array of shape (n_samples, n_classes)
        """
        return log_probabilities(self._decision(X), len(self.classes_), self._trained.spec.outcome)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class PrunedNeuralNetClassifier(Pruned, BaseClassifier):
    """Multilayer perceptron classifier with proven narrow accumulators.

    Trains with quantization-aware training, prunes every neuron until its sum provably
    fits `n_accum_bits`, and predicts in integer arithmetic.

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
    class_weight : dict, "balanced" or None, default=None
        What the weights of the rows of each label are multiplied by.  A dict has labels as
        keys, and a label that it lacks counts 1; "balanced" gives all labels the same weight.
        Of rows with several labels, "balanced" multiplies the weights that each label would give
        by itself, and a dict is refused.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        Labels; where y has a column for each, their numbers from 0 on.
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
    PrunedNeuralNetRegressor : The same for real targets.

    Notes
    -----
    Rows with equal codes and targets are merged into one row with the sum of their weights,
    and the order of rows does not matter: a fit depends on the weighted set of rows alone.
    Of weights, only the ratios count.

    Where all rows that have a weight bear one label, the network always predicts it, with
    probability 1.  A warm start and `prune` need rows of every label of the last training.

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
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> net = PrunedNeuralNetClassifier((16,), n_accum_bits=6, random_state=0).fit(X, y)
    >>> net.score(X, y) > 0.9
    True
    >>> all(layer.accumulator_bits.max() <= 6 for layer in net.integer_network_.layers)
    True
    """

    def float_twin(self) -> FloatTwinClassifier:
        """Make the same estimator in floats, unfitted: the score to compare with.

        Architecture, encoding and training stay; nothing is quantized or pruned, and inputs
        keep 256 levels a segment.

        Returns
        -------
        FloatTwinClassifier
        """
        return FloatTwinClassifier(**clone(self).get_params(deep=False))


class FloatTwinClassifier(Float, BaseClassifier):
    """`PrunedNeuralNetClassifier` in floats, unpruned; made by its ``float_twin()``.

    Parameters and attributes are the same, without `integer_network_`.
    """
