/* An integer network, written by qnnprune 0.1.0: C99, stdint.h alone, no malloc.
 *
 * layer  inputs outputs  weights  sums, proven
 *     0      62      15      451  -56..70 in int8_t
 *     1      15       3       30  -17..16 in int8_t
 *
 * 481 weights are left of 975; only these are stored and added.
 * Flash: 447 bytes of tables, besides code, labels, and scale and bias where used.
 * RAM: 80 bytes of buffers on the stack of flower_predict; nothing is static.
 *
 * Input: a row as a struct flower_row, each column in the units of training.
 * Its comments say what each column holds, and what stands for a gap.
 */
#ifndef FLOWER_H
#define FLOWER_H

#include <stdint.h>

#define FLOWER_VERSION "0.1.0"
#define FLOWER_MODEL_ID "79e9744aca92f4b0"
#define FLOWER_N_FEATURES 4
#define FLOWER_N_SUMS 3
#define FLOWER_N_VALUES 3
#define FLOWER_N_CLASSES 3

typedef int8_t flower_sum_t;

#define FLOWER_SEPAL_LENGTH_MISSING (58)
#define FLOWER_SEPAL_WIDTH_MISSING (30)
#define FLOWER_PETAL_LENGTH_MISSING (43)
#define FLOWER_PETAL_WIDTH_MISSING (13)

/* A row, in the units of training. */
typedef struct {
    uint8_t sepal_length; /* "sepal_length": compared with 43.6667 to 77.8333; a gap is FLOWER_SEPAL_LENGTH_MISSING */
    uint8_t sepal_width; /* "sepal_width": compared with 20.5 to 43; a gap is FLOWER_SEPAL_WIDTH_MISSING */
    uint8_t petal_length; /* "petal_length": compared with 10.5 to 67.6667; a gap is FLOWER_PETAL_LENGTH_MISSING */
    uint8_t petal_width; /* "petal_width": compared with 1.25 to 24.6667; a gap is FLOWER_PETAL_WIDTH_MISSING */
} flower_row;

#ifdef __AVR__ /* Flash has addresses and instructions of its own; tables would fill the RAM. */
#include <avr/pgmspace.h>
#define FLOWER_FLASH PROGMEM
#define FLOWER_COPY(target, place) memcpy_P(target, place, sizeof *(target))
#define FLOWER_READ(type, place) \
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
#define FLOWER_FLASH
#define FLOWER_COPY(target, place) (*(target) = *(place))
#define FLOWER_READ(type, place) (*(place))
#endif

static const uint8_t flower_threshold0[48] FLOWER_FLASH = {
    44, 45, 47, 48, 48, 49, 50, 50, 50, 51, 51, 51, 52, 53, 54, 55, 55, 55, 56, 56, 57, 58, 58, 58,
    59, 59, 60, 61, 61, 61, 62, 62, 63, 64, 64, 64, 65, 65, 66, 67, 67, 68, 69, 70, 72, 74, 76, 78
};

/* How many of n ascending thresholds a feature reaches, by bisection.  half is a power of 2, and
 * 2 half is more than n. */
static inline int flower_reached_u8_u8(
    uint8_t value, const uint8_t *threshold, int n, int half)
{
    int level = 0;
    for (; half > 0; half /= 2) {
        const int next = level + half;
        if (next <= n && value >= FLOWER_READ(uint8_t, threshold + (next - 1))) level = next;
    }
    return level;
}

/* Share a level out between codes, in order, n_steps at most to each.  Returns the place after. */
static inline int8_t *flower_share(int level, int n_codes, int n_steps, int8_t *code)
{
    for (; n_codes > 0; n_codes--) {
        *code++ = (int8_t)((level < n_steps ? level : n_steps) - (n_steps + 1) / 2);
        level = level > n_steps ? level - n_steps : 0;
    }
    return code;
}

static const uint8_t flower_threshold1[45] FLOWER_FLASH = {
    21, 22, 23, 24, 24, 25, 26, 26, 26, 27, 27, 27, 28, 28, 28, 29, 29, 29, 30, 30, 30, 31, 31, 31,
    32, 32, 32, 33, 33, 33, 34, 34, 34, 35, 35, 35, 36, 36, 36, 37, 37, 38, 39, 41, 43
};

static const uint8_t flower_threshold2[48] FLOWER_FLASH = {
    11, 12, 13, 14, 14, 14, 15, 15, 15, 16, 16, 16, 19, 25, 31, 34, 36, 38, 40, 41, 42, 43, 43, 44,
    45, 45, 46, 47, 47, 48, 49, 49, 50, 51, 51, 51, 52, 53, 55, 56, 56, 57, 58, 59, 61, 63, 65, 68
};

static const uint8_t flower_threshold3[45] FLOWER_FLASH = {
    2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 6, 7, 9, 11, 12, 12, 13, 14, 14, 14, 15, 15, 15, 16, 16, 16,
    17, 17, 18, 19, 19, 19, 20, 20, 21, 22, 22, 22, 23, 23, 23, 24, 24, 25
};

/* Codes from a row. */
static inline void flower_encode(const flower_row *row, int8_t *code)
{
    code = flower_share(flower_reached_u8_u8(row->sepal_length, flower_threshold0, 48, 32), 16, 3, code);
    code = flower_share(flower_reached_u8_u8(row->sepal_width, flower_threshold1, 45, 32), 15, 3, code);
    code = flower_share(flower_reached_u8_u8(row->petal_length, flower_threshold2, 48, 32), 16, 3, code);
    code = flower_share(flower_reached_u8_u8(row->petal_width, flower_threshold3, 45, 32), 15, 3, code);
}

/* One neuron of weights -1, 0 and 1, five to a byte.  As digits 0, 1 and 2 they are a number in
 * base 3, of which the byte has 256/243, rounded up: each product with 3 carries one digit out. */
static inline int8_t flower_digits_i8(
    int8_t sum, const int8_t *code, int n_codes, const uint8_t **packed)
{
    const uint8_t *at = *packed;
    for (; n_codes > 0; n_codes -= 5) {
        unsigned digits = FLOWER_READ(uint8_t, at++);
        for (int n = n_codes < 5 ? n_codes : 5; n > 0; n--, code++) {
            digits = (digits & 255) * 3;
            if (digits < 256) sum = (int8_t)(sum - *code);
            if (digits >= 512) sum = (int8_t)(sum + *code);
        }
    }
    *packed = at;
    return sum;
}

/* How many of 2 half - 1 ascending thresholds a sum reaches; half is a power of 2. */
static inline int flower_sum_reached_i8_i8(int8_t sum, const int8_t *threshold, int half)
{
    int level = 0;
    for (; half > 0; half /= 2) {
        if (sum >= FLOWER_READ(int8_t, threshold + (level + half - 1))) level += half;
    }
    return level;
}

/* Layer 0: 62 codes to 15 codes, 451 of 930 weights.
 * Proven: every sum, and every part of one, lies within -56..70. */
static const uint8_t flower_layer0_packed[195] FLOWER_FLASH = {
    144, 129, 128, 121, 124, 128, 74, 167, 255, 128, 246, 254, 213, 129, 137, 128, 128, 131, 32,
    129, 239, 0, 132, 242, 5, 128, 141, 210, 169, 157, 131, 128, 100, 153, 2, 46, 212, 2, 128, 89,
    14, 127, 170, 254, 170, 115, 2, 43, 212, 2, 46, 128, 100, 98, 117, 128, 227, 212, 117, 4, 89,
    127, 5, 11, 43, 56, 250, 131, 226, 139, 90, 160, 250, 2, 46, 251, 2, 128, 100, 125, 127, 47,
    255, 156, 231, 2, 100, 127, 0, 43, 128, 147, 101, 101, 90, 96, 128, 100, 224, 254, 131, 170,
    254, 213, 98, 95, 13, 142, 255, 169, 114, 42, 33, 95, 5, 5, 128, 127, 95, 52, 75, 255, 255, 96,
    14, 39, 114, 10, 98, 128, 139, 159, 43, 124, 14, 96, 139, 251, 0, 129, 251, 5, 43, 128, 129,
    251, 127, 153, 128, 128, 212, 2, 128, 241, 11, 128, 98, 43, 127, 142, 255, 216, 210, 10, 128,
    124, 10, 42, 100, 10, 11, 4, 148, 243, 254, 184, 89, 13, 125, 10, 30, 14, 137, 14, 39, 36, 101,
    252, 212, 86, 11, 14, 0, 2, 100
};

static const int8_t flower_layer0_threshold[45] FLOWER_FLASH = {
    -12, -3, 7, 14, 19, 25, 11, 16, 21, 0, 12, 24, 13, 25, 37, 15, 22, 29, 7, 18, 28, -17, -8, 0,
    14, 28, 43, 10, 26, 41, 13, 20, 28, 6, 10, 15, 6, 17, 28, 15, 33, 51, 15, 29, 43
};

static inline void flower_layer0(const int8_t *code, int8_t *out)
{
    const uint8_t *packed = flower_layer0_packed;
    const int8_t *threshold = flower_layer0_threshold;
    for (int neuron = 0; neuron < 15; neuron++) {
        const int8_t sum = flower_digits_i8(0, code, 62, &packed);
        *out++ = (int8_t)(flower_sum_reached_i8_i8(sum, threshold, 2) - 2);
        threshold += 3;
    }
}

/* Layer 1: 15 codes to 3 sums, 30 of 45 weights.
 * Proven: every sum, and every part of one, lies within -17..16. */
static const uint8_t flower_layer1_packed[9] FLOWER_FLASH = {
    18, 150, 53, 77, 203, 233, 200, 137, 86
};

static inline void flower_layer1(const int8_t *code, int8_t *out)
{
    const uint8_t *packed = flower_layer1_packed;
    for (int neuron = 0; neuron < 3; neuron++) {
        const int8_t sum = flower_digits_i8(0, code, 15, &packed);
        *out++ = sum;
    }
}

/* The integer sums of the output layer, FLOWER_N_SUMS of them. */
static inline void flower_raw(const flower_row *row, flower_sum_t *sum)
{
    int8_t even[62];
    int8_t odd[15];
    flower_encode(row, even);
    flower_layer0(even, odd);
    flower_layer1(odd, sum);
}

/* Scores of the classes, checked for every two classes at any two sums: they compare
 * as the logits sum * scale + bias do in float64. */
typedef int16_t flower_score_t;

static const int16_t flower_multiplier[3] FLOWER_FLASH = {
    518, 396, 303
};

static const int16_t flower_offset[3] FLOWER_FLASH = {
    1636, 635, -2651
};

/* The score of a class, by an affine map in integers. */
static inline flower_score_t flower_score(
    flower_sum_t total, const flower_score_t *multiplier, const flower_score_t *offset)
{
    const flower_score_t product =
        (flower_score_t)((flower_score_t)total * FLOWER_READ(flower_score_t, multiplier));
    return (flower_score_t)(product + FLOWER_READ(flower_score_t, offset));
}

/* The class with the highest score, the first of equals. */
static inline int flower_best(
    const flower_sum_t *total, int n, const flower_score_t *multiplier, const flower_score_t *offset)
{
    flower_score_t highest = flower_score(total[0], multiplier, offset);
    int best = 0;
    for (int output = 1; output < n; output++) {
        const flower_score_t score = flower_score(total[output], multiplier + output, offset + output);
        if (score > highest) {
            highest = score;
            best = output;
        }
    }
    return best;
}

/* The predicted class: an index of flower_label. */
static inline int flower_predict(const flower_row *row)
{
    flower_sum_t sum[3];
    flower_raw(row, sum);
    return flower_best(sum, 3, flower_multiplier, flower_offset);
}

/* Labels by index; FLOWER_INTEGER_ONLY leaves out those in floats. */
static const char flower_label[3][11] = {
    "setosa",
    "versicolor",
    "virginica",
};

#ifndef FLOWER_INTEGER_ONLY

/* Values of the output layer, total * scale + bias. */
static inline void flower_affine(
    const flower_sum_t *total, int n, const double *scale, const double *bias, double *value)
{
    for (int output = 0; output < n; output++) {
        /* rounded by itself */
        const volatile double product = (double)total[output] * FLOWER_READ(double, scale + output);
        value[output] = product + FLOWER_READ(double, bias + output);
    }
}

static const double flower_scale[3] FLOWER_FLASH = {
    0.506167200956194, 0.38670665100849533, 0.2961237402071504
};

static const double flower_bias[3] FLOWER_FLASH = {
    1.5972217232125936, 0.620530636621254, -2.588513047804383
};

/* The output layer's values, sum * scale + bias. */
static inline void flower_decision(const flower_sum_t *sum, double *value)
{
    flower_affine(sum, 3, flower_scale, flower_bias, value);
}

#endif

#endif /* FLOWER_H */
