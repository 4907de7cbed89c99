"""When weights go: one class a schedule.

Every schedule ends its pruning phase at 60 % of the epochs.  From then on each neuron
respects its two limits, and only what is kept learns: fine-tuning.  A row's target is the
number of weights that fit these limits.
"""

from __future__ import annotations

import numpy as np

from .limits import largest

__all__ = ["PRUNING_ENDS", "SCHEDULES", "Schedule", "SparseSchedule"]

# Share of the epochs after which the limits hold; fine-tuning of what is left follows.
PRUNING_ENDS = 0.6


class Schedule:
    """Dense training at first, then fewer and fewer weights.

    Pruned weights go on learning until the phase ends, so they can come back.

    Attributes
    ----------
    starts : float
        Share of the epochs after which the pruning phase starts; it ends at 0.6.
    restarts_lr : bool
        Whether the learning-rate schedule starts again once the limits hold.
    rewires : bool
        Whether weights are moved after each epoch.
    """

    starts = 0.1
    restarts_lr = False
    rewires = False

    def excess(self, progress: float) -> float:
        """Share of the surplus weights that are still kept: 1 keeps all, 0 only the target.

        Parameters
        ----------
        progress : float
            Of the pruning phase, from 0 to 1.
        """
        raise NotImplementedError


class Gradual(Schedule):
    """The number of weights falls to the target along a cubic curve.

    References
    ----------
    M. Zhu and S. Gupta, "To prune, or not to prune", 2017, equation 1.
    """

    def excess(self, progress):
        """Falls steeply at first, while there are many to choose from."""
        return (1.0 - progress) ** 3


class OneShot(Schedule):
    """All at once: dense until the phase ends, within one learning-rate schedule."""

    def excess(self, progress):
        """Keep everything, then only what fits."""
        return float(progress < 1)


class AfterTraining(OneShot):
    """A whole dense training, one cut, then fine-tuning with a second learning-rate schedule.

    References
    ----------
    S. Han et al., "Learning both weights and connections for efficient neural networks",
    NeurIPS 2015.
    """

    restarts_lr = True


class SparseSchedule(Schedule):
    """At the target from the first batch on; only kept weights learn.

    A weight that grows anew starts from its last value, which is the initial one
    if it was never kept.
    """

    starts = 0.0

    def excess(self, progress):
        """Nothing above the target stays."""
        return 0.0

    def start(self, rank, live, target, random) -> np.ndarray:
        """Weights to begin with.

        Parameters
        ----------
        rank : float array of shape (n_out, n_in)
            Larger is worth more.
        live : bool array of shape (n_out, n_in)
            Weights that may be kept.
        target : integer array of shape (n_out,)
            Most weights that a row may keep.
        random : numpy.random.Generator

        Returns
        -------
        bool array of shape (n_out, n_in)
        """
        return largest(rank, live, target)

    def rewire(self, mask, rank, live, target, random) -> np.ndarray:
        """Weights to go on with after an epoch with those of `mask`."""
        return mask


class BeforeTraining(SparseSchedule):
    """The highest-ranked initial weights stay: with "l1", those of largest magnitude.

    References
    ----------
    "A comparative study of neural network pruning strategies for industrial
    applications", Frontiers in Computer Science 2025; Concrete ML 1.9 does the same.
    """


class InTraining(SparseSchedule):
    """After each epoch every row swaps its lowest-ranked 30 % for as many others at random.

    References
    ----------
    "In-training" of the study named at `BeforeTraining`, after Mocanu et al. 2018.
    """

    rewires = True
    share = 0.3

    def rewire(self, mask, rank, live, target, random):
        """Cut and regrow within each row; what was just cut may grow again."""
        kept = mask & live
        n_cut = (self.share * kept.sum(axis=1)).astype(np.int64)
        kept = largest(rank, kept, kept.sum(axis=1) - n_cut)
        return kept | largest(random.random(rank.shape), live & ~kept, n_cut)


class SparseEvolution(SparseSchedule):
    """SET: a random sparse start, and rewiring across the whole layer after each epoch.

    A weight is there at first with probability ε (n_in + n_out) / (n_in n_out), ε = 20: an
    Erdős–Rényi graph.  After each epoch the layer's lowest-ranked 30 % go, and as many
    others grow at random.  Rows never have more weights than their target.

    References
    ----------
    D. C. Mocanu et al., "Scalable training of artificial neural networks with adaptive
    sparse connectivity inspired by network science", Nature Communications 2018.
    """

    rewires = True
    epsilon, share = 20, 0.3

    def start(self, rank, live, target, random):
        """Draw the graph; a row above its target loses edges at random."""
        # Where the layer falls into blocks, each is such a graph.
        n_in, n_out = (max(1, live.sum(axis=axis).max()) for axis in (1, 0))
        draws = random.random(rank.shape)
        present = draws < self.epsilon * (n_in + n_out) / (n_in * n_out)
        return largest(draws, live & present, target)

    def rewire(self, mask, rank, live, target, random):
        """Cut and regrow within the layer, where rows have room."""
        kept = mask & live
        n_cut = int(self.share * kept.sum())
        kept = _largest_of_all(rank, kept, kept.sum() - n_cut)
        draws = random.random(rank.shape)
        room = np.maximum(target - kept.sum(axis=1), 0)
        return kept | _largest_of_all(draws, largest(draws, live & ~kept, room), n_cut)


def _largest_of_all(rank, candidates, keep) -> np.ndarray:
    ranked = rank[candidates]
    if not 0 < keep < len(ranked):
        return candidates & (keep > 0)
    return candidates & (rank >= np.partition(ranked, -keep)[-keep])


SCHEDULES: dict[str, Schedule] = {
    "gradual": Gradual(),
    "one_shot": OneShot(),
    "before_training": BeforeTraining(),
    "in_training": InTraining(),
    "after_training": AfterTraining(),
    "set": SparseEvolution(),
}
