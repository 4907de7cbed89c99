"""Independent oracles: the proof and the integer network, in Python's own integers.

Nothing here is computed by `qnnprune` or by numpy.  Networks are read by their documented
attributes; the last of the layers is the output layer.
"""

from itertools import count, product

# ---------------------------------------------------------------- the proof


def omega(n_w_bits, n_in_bits, n_accum_bits):
    """Full-scale weights that `n_accum_bits` hold in the worst case."""
    return (2**n_accum_bits - 1) // ((2**n_w_bits - 1) * (2**n_in_bits - 1))


def accumulator_range(weights, input_range):
    """Smallest and largest sum of one neuron, whatever codes come in."""
    ends = [
        (int(w) * int(low), int(w) * int(high))
        for w, (low, high) in zip(weights, input_range, strict=True)
    ]
    return sum(map(min, ends)), sum(map(max, ends))


def accumulator_ranges(layer):
    """Smallest and largest sum of every neuron of a layer."""
    input_range = layer.input_range.tolist()
    return [accumulator_range(row, input_range) for row in layer.weight.tolist()]


def register(n_bits, signed):
    """First and last integer that a register holds."""
    first = -(2 ** (n_bits - 1)) if signed else 0
    return first, first + 2**n_bits - 1


def fits(low, high, n_bits, always_signed=False):
    """Whether a register holds low..high; it is unsigned where nothing is negative."""
    first, last = register(n_bits, signed=always_signed or low < 0)
    return first <= low and high <= last


def width(low, high, always_signed=False):
    """Bits of the narrowest register that holds low..high."""
    return next(n for n in count(1) if fits(low, high, n, always_signed))


def widest(network, always_signed=False):
    """Bits of the widest sum of a network."""
    ranges = [pair for layer in network.layers for pair in accumulator_ranges(layer)]
    return max(width(low, high, always_signed) for low, high in ranges)


# ------------------------------------------------------ the integer network


def every_code(input_range):
    """Every row of codes that can come in."""
    return list(product(*(range(int(low), int(high) + 1) for low, high in input_range)))


def reached(thresholds, value):
    """How many thresholds a value reaches."""
    return sum(value >= t for t in thresholds)


def encode(encoding, x):
    """Codes of one row of numbers: a row of a table, or the steps that each segment has risen."""
    codes, steps, lowest = [], 2**encoding.n_bits - 1, -(2 ** (encoding.n_bits - 1))
    for feature, value in enumerate(map(float, x)):
        level = reached(encoding.thresholds[feature].tolist(), value)
        if value != value:
            level = encoding.missing_level[feature]
        if encoding.tables[feature] is not None:
            codes += encoding.tables[feature][level].tolist()
            continue
        n_segments = int(encoding.n_segments[feature])
        risen = [min(max(level - segment * steps, 0), steps) for segment in range(n_segments)]
        codes += [lowest + n for n in risen] or [0]
    return codes


def added_up(sums, n_logits):
    """The total of each logit, of which every `n_logits`-th sum is a part."""
    return [sum(sums[logit::n_logits]) for logit in range(n_logits)]


def walk(
    layers,
    codes,
    store=lambda layer, neuron, total: total,
    add=lambda layer, neuron, products: sum(products),
):
    """One row of codes through a network, layer by layer.

    Parameters
    ----------
    layers : sequence of integer layers
    codes : sequence of int
    store : callable
        What an accumulator keeps of a sum: ``store(layer, neuron, sum)``, both counted from 0.
    add : callable
        The sum of all products, in the order of the inputs: ``add(layer, neuron, products)``.

    Yields
    ------
    sums, outputs : list of int, list
        Outputs of the last layer are logits (float), of all others codes.
    """
    codes = [int(code) for code in codes]
    for index, layer in enumerate(layers):
        sums = [
            store(
                index, neuron, add(index, neuron, [w * x for w, x in zip(row, codes, strict=True)])
            )
            for neuron, row in enumerate(layer.weight.tolist())
        ]
        if index == len(layers) - 1:
            totals = added_up(sums, len(layer.scale))
            affine = zip(totals, layer.scale.tolist(), layer.bias.tolist(), strict=True)
            yield sums, [total * scale + bias for total, scale, bias in affine]
        else:
            rows = zip(layer.thresholds.tolist(), sums, strict=True)
            codes = [layer.output_low + reached(thresholds, total) for thresholds, total in rows]
            yield sums, codes


def logits(layers, codes, **options):
    """What a network puts out for one row of codes."""
    *_, (_, outputs) = walk(layers, codes, **options)
    return outputs


def decision(network, x, **options):
    """What a network puts out for one row of features."""
    return logits(network.layers, encode(network.encoding, x), **options)


class Registers:
    """Accumulators of `n_bits` for `walk`, with an account of all that came in.

    Attributes
    ----------
    sums : list of list of list of int
        By layer and neuron.
    overflows : list of list of int
        How many of the sums did not fit.
    """

    def __init__(self, layers, n_bits, mode):
        self.n_bits, self.mode = n_bits, mode
        self.lowest = [[low for low, _ in accumulator_ranges(layer)] for layer in layers]
        self.sums = [[[] for _ in layer.weight] for layer in layers]
        self.overflows = [[0] * len(layer.weight) for layer in layers]

    def __call__(self, layer, neuron, total):
        self.sums[layer][neuron].append(total)
        first, last = register(self.n_bits, signed=self.lowest[layer][neuron] < 0)
        if first <= total <= last:
            return total
        self.overflows[layer][neuron] += 1
        if self.mode == "saturate":
            return min(max(total, first), last)
        return first + (total - first) % 2**self.n_bits


class ClippedOnTheWay:
    """Addition of `per` products at a time for `walk`, each sum clipped to its register.

    Attributes
    ----------
    clipped : list of list of int
        How many sums were clipped at least once, by layer and neuron.
    """

    def __init__(self, layers, n_bits, per, orders):
        self.n_bits, self.per, self.orders = n_bits, per, orders
        self.signed = [[low < 0 for low, _ in accumulator_ranges(layer)] for layer in layers]
        self.clipped = [[0] * len(layer.weight) for layer in layers]

    def __call__(self, layer, neuron, products):
        first, last = register(self.n_bits, self.signed[layer][neuron])
        products = [products[i] for i in self.orders[layer]]
        total, leaves = 0, False
        for start in range(0, len(products), self.per):
            total += sum(products[start : start + self.per])
            leaves |= not first <= total <= last
            total = min(max(total, first), last)
        self.clipped[layer][neuron] += leaves
        return total
