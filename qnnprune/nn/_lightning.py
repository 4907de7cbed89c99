"""Pruning as a callback of Lightning."""

from __future__ import annotations

try:
    from lightning.pytorch.callbacks import Callback
except ImportError:  # the package has two names
    from pytorch_lightning.callbacks import Callback

from ._pruner import AccumulatorPruner

__all__ = ["LightningPruning"]


class LightningPruning(Callback):
    """Prunes a LightningModule of Brevitas layers while it trains.

    Parameters
    ----------
    n_accum_bits : int
        Width of every register, in bits.
    module : str, optional
        Attribute of the LightningModule that holds the network; by default it is itself that.
    **options
        As in `AccumulatorPruner`.

    Attributes
    ----------
    pruner : AccumulatorPruner
        Since training began.
    """

    def __init__(self, n_accum_bits: int, module: str | None = None, **options):
        self.n_accum_bits, self.module, self.options = n_accum_bits, module, options

    def on_fit_start(self, trainer, pl_module):
        """Look at the module."""
        network = pl_module if self.module is None else getattr(pl_module, self.module)
        self.pruner = AccumulatorPruner(network, self.n_accum_bits, **self.options)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        """Keep pruned weights at 0, and prune before validation sees the module."""
        self.pruner.keep_zeros()
        if trainer.is_last_batch:
            self.pruner.step((trainer.current_epoch + 1) / trainer.max_epochs)

    def on_train_end(self, trainer, pl_module):
        """Prove all sums."""
        self.pruner.step(1.0)
