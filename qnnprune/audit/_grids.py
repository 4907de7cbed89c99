"""Codes behind the results of elementwise operators on scaled codes."""

from __future__ import annotations

import numpy as np

from ._graph import Node
from ._values import Grid, uniform

__all__ = ["grid_of"]


def grid_of(node: Node, args) -> Grid | None:
    """Codes behind a result, where they are codes of the same kind as those of its input."""
    rule = _GRIDS.get(node.op)
    grids = [None if arg is None else arg.grid for arg in args]
    return rule(args, grids) if rule and any(grids) else None


def _scaled(args, grids):
    """Codes times a positive constant are the same codes, of another scale."""
    which = 0 if grids[0] is not None else 1
    other = args[1 - which]
    if not other.known or (which == 1 and grids[0] is None and not args[0].known):
        return None
    return _with_factor(grids[which], other.low.astype(np.float64))


def _with_factor(grid: Grid, factor) -> Grid | None:
    if not (np.isfinite(factor).all() and (factor > 0).all()):
        return None
    shape = np.broadcast_shapes(grid.low.shape, factor.shape)
    scale = uniform(grid.scale * factor)
    low = np.broadcast_to(grid.low, shape)
    high = low if grid.low is grid.high else np.broadcast_to(grid.high, shape)
    scale = np.broadcast_to(scale, shape) if scale.ndim else scale
    return Grid(low, high, scale, grid.zero_point)


def _divided(args, grids):
    if grids[0] is None or not args[1].known:
        return None
    with np.errstate(divide="ignore"):
        return _with_factor(grids[0], 1 / args[1].low.astype(np.float64))


def _added(args, grids, sign=1):
    """Codes of one scale add up to codes of that scale."""
    first, second = (
        _on_grid(arg, grid, other)
        for arg, grid, other in zip(args, grids, grids[::-1], strict=True)
    )
    if first is None or second is None or first.scale.ndim or first.scale != second.scale:
        return None
    ends = (second.low, second.high) if sign > 0 else (-second.high, -second.low)
    return Grid(first.low + ends[0], first.high + ends[1], first.scale)


def _on_grid(arg, grid, other):
    if grid is not None or not arg.known or other is None or other.scale.ndim:
        return grid
    codes = arg.low.astype(np.float64) / other.scale
    return Grid(codes, codes, other.scale) if (codes == np.rint(codes)).all() else None


def _clipped(args, grids):
    """Codes cut at codes are codes."""
    sides = zip(args[1:], (-1, 1), strict=False)
    grid, bounds = grids[0], [(arg, side) for arg, side in sides if arg is not None]
    if grid is None or grid.scale.ndim or not all(a.known and a.low.size == 1 for a, _ in bounds):
        return None
    ends = [-np.inf, np.inf]
    for arg, side in bounds:
        code = float(arg.low.reshape(())) / float(grid.scale)
        if np.isfinite(code) and abs(code - round(code)) > 1e-6:
            return None
        ends[side > 0] = round(code) if np.isfinite(code) else code
    return grid.clipped(*ends)


_GRIDS = {
    "Mul": _scaled,
    "Div": _divided,
    "Add": _added,
    "Sub": lambda args, grids: _added(args, grids, -1),
    "Clip": _clipped,
}
