/* What exported networks run: sums over the weights that pruning left, thresholds, classes.
 *
 * An exported header holds the functions that it needs, once for each combination of types in its
 * tables, under names of its own.  By itself, this file compiles as C99 and as C++11, with the
 * types below or, where QNN_TYPES is defined, with types that were defined before.
 *
 * The network proves that every sum, and every part of one, fits its type.  Where a value has
 * several sums, they are added up at the end, in the wider qnn_total_t.  There is no heap and
 * nothing static, and qnn_affine alone computes with floating-point numbers.
 */
#ifndef QNN_RUNTIME_H
#define QNN_RUNTIME_H

#include <stdint.h>

#ifndef QNN_TYPES
typedef float qnn_value_t;     /* a feature */
typedef float qnn_threshold_t; /* what a feature or a sum is compared with */
typedef int16_t qnn_acc_t;     /* a sum of a layer */
typedef uint8_t qnn_count_t;   /* length of a list of weights */
typedef int16_t qnn_sum_t;     /* a sum of the output layer */
typedef int32_t qnn_total_t;   /* the sums of one value, added up */
typedef int32_t qnn_score_t;   /* what orders the classes */
typedef int16_t qnn_start_t;   /* a place in a table of scores */
#endif

#ifndef QNN_UNROLL
#define QNN_UNROLL 1 /* whether to add four codes at a time: fewer steps, more code */
#endif

#ifdef __AVR__ /* Flash has addresses and instructions of its own; tables would fill the RAM. */
#include <avr/pgmspace.h>
#define QNN_FLASH PROGMEM
#define QNN_COPY(target, place) memcpy_P(target, place, sizeof *(target))
#define QNN_READ(type, place) \
    (__extension__({ \
        const uint8_t *const at_ = (const uint8_t *)(place); \
        type value_; \
        if (sizeof value_ == 1) \
            value_ = (type)pgm_read_byte(at_); \
        else if (sizeof value_ == 2) \
            value_ = (type)pgm_read_word(at_); \
        else \
            memcpy_P(&value_, at_, sizeof value_); \
        value_; \
    }))
#else
#define QNN_FLASH
#define QNN_COPY(target, place) (*(target) = *(place))
#define QNN_READ(type, place) (*(place))
#endif

/* How many of n ascending thresholds a feature reaches, by bisection.  half is a power of 2, and
 * 2 half is more than n. */
static inline int qnn_reached(
    qnn_value_t value, const qnn_threshold_t *threshold, int n, int half)
{
    int level = 0;
    for (; half > 0; half /= 2) {
        const int next = level + half;
        if (next <= n && value >= QNN_READ(qnn_threshold_t, threshold + (next - 1))) level = next;
    }
    return level;
}

/* How many of n ascending thresholds a feature exceeds, by bisection.  half is a power of 2, and
 * 2 half is more than n. */
static inline int qnn_exceeded(
    qnn_value_t value, const qnn_threshold_t *threshold, int n, int half)
{
    int level = 0;
    for (; half > 0; half /= 2) {
        const int next = level + half;
        if (next <= n && value > QNN_READ(qnn_threshold_t, threshold + (next - 1))) level = next;
    }
    return level;
}

/* Whether a feature is a NaN, which stands for a gap. */
static inline int qnn_is_nan(qnn_value_t value)
{
    return !(value < 1 || value > 0);
}

/* Level of a category: n for those that are not known.  n + 1 stands for a gap. */
static inline int qnn_category(unsigned category, unsigned n, int missing)
{
    return category == n + 1 ? missing : (int)(category < n ? category : n);
}

/* Codes of which one, at a place, is high; none at place n_codes.  Returns the place after. */
static inline int8_t *qnn_one_of(int place, int n_codes, int low, int high, int8_t *code)
{
    for (int at = 0; at < n_codes; at++) *code++ = (int8_t)(at == place ? high : low);
    return code;
}

/* Codes from a table.  Returns the place after. */
static inline int8_t *qnn_copy(const int8_t *row, int n_codes, int8_t *code)
{
    for (; n_codes > 0; n_codes--, row++) *code++ = QNN_READ(int8_t, row);
    return code;
}

/* Share a level out between codes, in order, n_steps at most to each.  Returns the place after. */
static inline int8_t *qnn_share(int level, int n_codes, int n_steps, int8_t *code)
{
    for (; n_codes > 0; n_codes--) {
        *code++ = (int8_t)((level < n_steps ? level : n_steps) - (n_steps + 1) / 2);
        level = level > n_steps ? level - n_steps : 0;
    }
    return code;
}

/* Move codes apart, in place if need be: a 0 ahead of every 14, where steps can rest. */
static inline void qnn_space(const int8_t *code, int n, int8_t *spaced)
{
    int at = n + (n + 13) / 14;
    while (at-- > 0) spaced[at] = (int8_t)(at % 15 ? code[--n] : 0);
}

/* One neuron of weights -1, 0 and 1.  For each page of 256 codes there are two lists of places:
 * what is added, and what is subtracted. */
static inline qnn_acc_t qnn_signs(
    qnn_acc_t sum, const int8_t *code, int n_pages, const qnn_count_t **count,
    const uint8_t **index)
{
    const qnn_count_t *length = *count;
    const uint8_t *at = *index;
    for (int page = 0; page < n_pages; page++) {
        const int8_t *c = code + 256 * page;
        unsigned n = QNN_READ(qnn_count_t, length++);
#if QNN_UNROLL
        for (; n >= 4; n -= 4, at += 4)
            sum = (qnn_acc_t)(
                sum + c[QNN_READ(uint8_t, at)] + c[QNN_READ(uint8_t, at + 1)]
                + c[QNN_READ(uint8_t, at + 2)] + c[QNN_READ(uint8_t, at + 3)]);
#endif
        for (; n > 0; n--, at++) sum = (qnn_acc_t)(sum + c[QNN_READ(uint8_t, at)]);
        n = QNN_READ(qnn_count_t, length++);
#if QNN_UNROLL
        for (; n >= 4; n -= 4, at += 4)
            sum = (qnn_acc_t)(
                sum - c[QNN_READ(uint8_t, at)] - c[QNN_READ(uint8_t, at + 1)]
                - c[QNN_READ(uint8_t, at + 2)] - c[QNN_READ(uint8_t, at + 3)]);
#endif
        for (; n > 0; n--, at++) sum = (qnn_acc_t)(sum - c[QNN_READ(uint8_t, at)]);
    }
    *count = length;
    *index = at;
    return sum;
}

/* One neuron whose weights have few magnitudes: signs for each, times the magnitude. */
static inline qnn_acc_t qnn_magnitudes(
    qnn_acc_t sum, const int8_t *code, int n_pages, int n_magnitudes, const qnn_count_t **count,
    const uint8_t **index)
{
    for (int magnitude = 1; magnitude <= n_magnitudes; magnitude++) {
        const qnn_acc_t part = qnn_signs(0, code, n_pages, count, index);
        sum = (qnn_acc_t)(sum + magnitude * part);
    }
    return sum;
}

/* One neuron whose weights have many magnitudes: for each page of 256 codes, a list of places and
 * one of weights. */
static inline qnn_acc_t qnn_products(
    qnn_acc_t sum, const int8_t *code, int n_pages, const qnn_count_t **count,
    const uint8_t **index, const int8_t **weight)
{
    const uint8_t *at = *index;
    const int8_t *w = *weight;
    for (int page = 0; page < n_pages; page++) {
        const int8_t *c = code + 256 * page;
        for (unsigned n = QNN_READ(qnn_count_t, (*count)++); n > 0; n--, w++, at++)
            sum = (qnn_acc_t)(sum + QNN_READ(int8_t, w) * c[QNN_READ(uint8_t, at)]);
    }
    *index = at;
    *weight = w;
    return sum;
}

/* One neuron of weights -1, 0 and 1, whose codes lie apart.  Steps of half a byte lead to all that
 * is added; others, from the start again, to all that is subtracted. */
static inline qnn_acc_t qnn_walk(
    qnn_acc_t sum, const int8_t *spaced, const qnn_count_t **count, const uint8_t **step)
{
    const uint8_t *steps = *step;
    const int8_t *at = spaced;
    for (unsigned n = QNN_READ(qnn_count_t, (*count)++); n > 0; n--) {
        const uint8_t two = QNN_READ(uint8_t, steps++);
        const int8_t *first = at + (two & 15);
        at = first + (two >> 4);
        sum = (qnn_acc_t)(sum + *first + *at);
    }
    at = spaced;
    for (unsigned n = QNN_READ(qnn_count_t, (*count)++); n > 0; n--) {
        const uint8_t two = QNN_READ(uint8_t, steps++);
        const int8_t *first = at + (two & 15);
        at = first + (two >> 4);
        sum = (qnn_acc_t)(sum - *first - *at);
    }
    *step = steps;
    return sum;
}

/* One neuron whose weights have few magnitudes, and whose codes lie apart. */
static inline qnn_acc_t qnn_walks(
    qnn_acc_t sum, const int8_t *spaced, int n_magnitudes, const qnn_count_t **count,
    const uint8_t **step)
{
    for (int magnitude = 1; magnitude <= n_magnitudes; magnitude++) {
        const qnn_acc_t part = qnn_walk(0, spaced, count, step);
        sum = (qnn_acc_t)(sum + magnitude * part);
    }
    return sum;
}

/* One neuron of weights -1, 0 and 1, five to a byte.  As digits 0, 1 and 2 they are a number in
 * base 3, of which the byte has 256/243, rounded up: each product with 3 carries one digit out. */
static inline qnn_acc_t qnn_digits(
    qnn_acc_t sum, const int8_t *code, int n_codes, const uint8_t **packed)
{
    const uint8_t *at = *packed;
    for (; n_codes > 0; n_codes -= 5) {
        unsigned digits = QNN_READ(uint8_t, at++);
        for (int n = n_codes < 5 ? n_codes : 5; n > 0; n--, code++) {
            digits = (digits & 255) * 3;
            if (digits < 256) sum = (qnn_acc_t)(sum - *code);
            if (digits >= 512) sum = (qnn_acc_t)(sum + *code);
        }
    }
    *packed = at;
    return sum;
}

/* How many of 2 half - 1 ascending thresholds a sum reaches; half is a power of 2. */
static inline int qnn_sum_reached(qnn_acc_t sum, const qnn_threshold_t *threshold, int half)
{
    int level = 0;
    for (; half > 0; half /= 2) {
        if (sum >= QNN_READ(qnn_threshold_t, threshold + (level + half - 1))) level += half;
    }
    return level;
}

/* How many of 2 half - 1 ascending thresholds a sum exceeds; half is a power of 2. */
static inline int qnn_sum_exceeded(qnn_acc_t sum, const qnn_threshold_t *threshold, int half)
{
    int level = 0;
    for (; half > 0; half /= 2) {
        if (sum > QNN_READ(qnn_threshold_t, threshold + (level + half - 1))) level += half;
    }
    return level;
}

/* The sums of each of n values, added up: sum s of value k is number s * n + k. */
static inline void qnn_add_up(const qnn_sum_t *sum, int n_sums, int n, qnn_total_t *total)
{
    for (int output = 0; output < n; output++) {
        total[output] = 0;
        for (int part = 0; part < n_sums; part++)
            total[output] = (qnn_total_t)(total[output] + sum[part * n + output]);
    }
}

/* The score of a class, by an affine map in integers. */
static inline qnn_score_t qnn_score(
    qnn_total_t total, const qnn_score_t *multiplier, const qnn_score_t *offset)
{
    const qnn_score_t product =
        (qnn_score_t)((qnn_score_t)total * QNN_READ(qnn_score_t, multiplier));
    return (qnn_score_t)(product + QNN_READ(qnn_score_t, offset));
}

/* The class with the highest score, the first of equals. */
static inline int qnn_best(
    const qnn_total_t *total, int n, const qnn_score_t *multiplier, const qnn_score_t *offset)
{
    qnn_score_t highest = qnn_score(total[0], multiplier, offset);
    int best = 0;
    for (int output = 1; output < n; output++) {
        const qnn_score_t score = qnn_score(total[output], multiplier + output, offset + output);
        if (score > highest) {
            highest = score;
            best = output;
        }
    }
    return best;
}

/* The class whose total has the highest rank, the first of equals. */
static inline int qnn_best_rank(
    const qnn_total_t *total, int n, const qnn_start_t *start, const qnn_score_t *rank)
{
    qnn_score_t highest =
        QNN_READ(qnn_score_t, rank + (QNN_READ(qnn_start_t, start) + total[0]));
    int best = 0;
    for (int output = 1; output < n; output++) {
        const qnn_start_t zero = QNN_READ(qnn_start_t, start + output);
        const qnn_score_t score = QNN_READ(qnn_score_t, rank + (zero + total[output]));
        if (score > highest) {
            highest = score;
            best = output;
        }
    }
    return best;
}

/* Values of the output layer in fixed point, by an affine map in integers. */
static inline void qnn_fixed(
    const qnn_total_t *total, int n, const qnn_score_t *multiplier, const qnn_score_t *offset,
    qnn_score_t *value)
{
    for (int output = 0; output < n; output++)
        value[output] = qnn_score(total[output], multiplier + output, offset + output);
}

/* Values of the output layer, total * scale + bias. */
static inline void qnn_affine(
    const qnn_total_t *total, int n, const double *scale, const double *bias, double *value)
{
    for (int output = 0; output < n; output++) {
        /* rounded by itself */
        const volatile double product = (double)total[output] * QNN_READ(double, scale + output);
        value[output] = product + QNN_READ(double, bias + output);
    }
}

/* Values in ascending order. */
static inline void qnn_ascending(qnn_value_t *value, int n)
{
    for (int end = 1; end < n; end++) {
        const qnn_value_t moved = value[end];
        int place = end;
        for (; place > 0 && value[place - 1] > moved; place--)
            value[place] = value[place - 1];
        value[place] = moved;
    }
}

#endif /* QNN_RUNTIME_H */
