/* Functions of runtime.h against plain loops, with types that are given as macros. */
#include <stdint.h>
#include <stdio.h>

#define QNN_TYPES
typedef VALUE qnn_value_t;
typedef THRESHOLD qnn_threshold_t;
typedef ACC qnn_acc_t;
typedef COUNT qnn_count_t;
typedef ACC qnn_sum_t;
typedef TOTAL qnn_total_t;
typedef SCORE qnn_score_t;
typedef START qnn_start_t;

#include "runtime.h"

static int failures = 0;

static void check(int is_right, const char *name)
{
    if (!is_right) {
        failures++;
        puts(name);
    }
}

static uint32_t state = 1;

static unsigned draw(unsigned n)
{
    state = state * 1664525u + 1013904223u;
    return (unsigned)(state >> 16) % n;
}

static void check_thresholds(void)
{
    static const qnn_threshold_t threshold[7] = {3, 5, 5, 6, 8, 8, 11};
    for (int value = 1; value <= 12; value++) {
        for (int n = 0; n <= 7; n++) {
            int reached = 0, exceeded = 0;
            for (int i = 0; i < n; i++) {
                reached += value >= (int)threshold[i];
                exceeded += value > (int)threshold[i];
            }
            check(qnn_reached((qnn_value_t)value, threshold, n, 4) == reached, "reached");
            check(qnn_exceeded((qnn_value_t)value, threshold, n, 8) == exceeded, "exceeded");
            if (n == 1 || n == 3 || n == 7) {
                const qnn_acc_t sum = (qnn_acc_t)value;
                check(qnn_sum_reached(sum, threshold, (n + 1) / 2) == reached, "sum_reached");
                check(qnn_sum_exceeded(sum, threshold, (n + 1) / 2) == exceeded, "sum_exceeded");
            }
        }
    }
}

static void check_share(void)
{
    for (int level = 0; level <= 9; level++) {
        int8_t code[4] = {99, 99, 99, 99};
        check(qnn_share(level, 3, 3, code) == code + 3, "share returns the place after");
        check(code[0] + code[1] + code[2] + 3 * 2 == level, "share adds up");
        check(code[0] >= code[1] && code[1] >= code[2] && code[0] <= 1 && code[2] >= -2, "share");
        check(code[1] == -2 || code[0] == 1, "share in order");
        check(code[3] == 99, "share stays within");
    }
}

#define N_CODES 600 /* in three pages */

static int8_t code[N_CODES];
static uint8_t index[100];
static qnn_count_t count[18];

/* Places in a page, added to a table. */
static uint8_t *draw_places(qnn_count_t n, int page, uint8_t *place)
{
    for (unsigned i = 0; i < (unsigned)n; i++) *place++ = (uint8_t)draw(page < 2 ? 256 : N_CODES - 512);
    return place;
}

/* Two lists in each page, for each of three magnitudes. */
static void check_signs(void)
{
    uint8_t *place = index;
    int signs = 0, magnitudes = 0;
    for (int list = 0; list < 18; list++) {
        const int page = list / 2 % 3;
        const uint8_t *first = place;
        count[list] = (qnn_count_t)draw(6);
        place = draw_places(count[list], page, place);
        for (; first < place; first++) {
            const int term = list % 2 ? -code[256 * page + *first] : code[256 * page + *first];
            signs += list < 6 ? term : 0;
            magnitudes += (list / 6 + 1) * term;
        }
    }
    const qnn_count_t *counts = count;
    const uint8_t *at = index;
    check(qnn_signs(2, code, 3, &counts, &at) == signs + 2, "signs");
    check(counts == count + 6, "signs go on");
    counts = count;
    at = index;
    check(qnn_magnitudes(2, code, 3, 3, &counts, &at) == magnitudes + 2, "magnitudes");
    check(counts == count + 18 && at == place, "magnitudes go on");
}

static void check_products(void)
{
    int8_t weight[30];
    uint8_t *place = index;
    int products = 0, n_weights = 0;
    for (int page = 0; page < 3; page++) {
        const uint8_t *first = place;
        count[page] = (qnn_count_t)draw(10);
        place = draw_places(count[page], page, place);
        for (; first < place; first++) {
            weight[n_weights] = (int8_t)((int)draw(7) - 3);
            products += weight[n_weights++] * code[256 * page + *first];
        }
    }
    const qnn_count_t *counts = count;
    const uint8_t *at = index;
    const int8_t *weights = weight;
    check(qnn_products(1, code, 3, &counts, &at, &weights) == products + 1, "products");
    check(weights == weight + n_weights && at == place, "products go on");
}

/* What is added: place 15, a zero, and 18; what is subtracted: place 1 twice; then, twice as much:
 * places 2 and 4; less those of 15 and 30, zeros. */
static void check_walks(void)
{
    int8_t spaced[33], in_place[33];
    static const uint8_t step[4] = {15 | 3 << 4, 1 | 0 << 4, 2 | 2 << 4, 15 | 15 << 4};
    static const qnn_count_t ones[4] = {1, 1, 1, 1};
    qnn_space(code, 30, spaced);
    for (int at = 0, i = 0; at < 33; at++) {
        check(spaced[at] == (at % 15 ? code[i] : 0), "space");
        i += at % 15 != 0;
    }
    for (int i = 0; i < 30; i++) in_place[i] = code[i];
    qnn_space(in_place, 30, in_place);
    for (int at = 0; at < 33; at++) check(in_place[at] == spaced[at], "space in place");
    const int first = spaced[18] - 2 * spaced[1], second = spaced[2] + spaced[4];
    const uint8_t *steps = step;
    const qnn_count_t *counts = ones;
    check(qnn_walk(0, spaced, &counts, &steps) == first, "walk");
    check(steps == step + 2 && counts == ones + 2, "walk goes on");
    steps = step;
    counts = ones;
    check(qnn_walks(1, spaced, 2, &counts, &steps) == 1 + first + 2 * second, "walks");
    check(steps == step + 4 && counts == ones + 4, "walks go on");
}

/* All numbers of five digits, and the rest of a row that ends amid a byte. */
static void check_digits(void)
{
    static const int factor[5] = {81, 27, 9, 3, 1};
    for (int number = 0; number < 243; number++) {
        const uint8_t packed = (uint8_t)((number * 256 + 242) / 243);
        for (int n = 1; n <= 5; n++) {
            const uint8_t *at = &packed;
            int sum = 3;
            for (int i = 0; i < n; i++) sum += (number / factor[i] % 3 - 1) * code[i];
            check(qnn_digits(3, code, n, &at) == sum, "digits");
            check(at == &packed + 1, "digits go on");
        }
    }
}

static void check_totals(void)
{
    static const qnn_sum_t sum[6] = {127, -128, 5, 127, -128, -6};
    qnn_total_t total[3] = {1, 1, 1};
    qnn_add_up(sum, 2, 3, total);
    check(total[0] == 254 && total[1] == -256 && total[2] == -1, "add_up");
    qnn_add_up(sum, 6, 1, total);
    check(total[0] == -3 && total[1] == -256, "add_up of one value");
}

static void check_classes(void)
{
    static const qnn_score_t multiplier[3] = {2, 1, 3}, offset[3] = {0, 4, 1};
    static const qnn_start_t start[3] = {3, 10, 17};
    static qnn_score_t rank[21];
    static const double scale[3] = {0.1, 1e300, -2.0}, bias[3] = {0.2, -1e300, 0.5};
    for (int i = 0; i < 21; i++) rank[i] = (qnn_score_t)draw(6);
    for (int a = -3; a <= 3; a++) {
        for (int b = -3; b <= 3; b++) {
            for (int c = -3; c <= 3; c++) {
                const qnn_total_t total[3] = {(qnn_total_t)a, (qnn_total_t)b, (qnn_total_t)c};
                int best = 0, by_rank = 0, scores[3], ranks[3];
                double value[3];
                qnn_score_t fixed[3];
                for (int k = 0; k < 3; k++) {
                    scores[k] = (int)multiplier[k] * (int)total[k] + (int)offset[k];
                    ranks[k] = (int)rank[(int)start[k] + (int)total[k]];
                    check((int)qnn_score(total[k], multiplier + k, offset + k) == scores[k], "score");
                    best = scores[k] > scores[best] ? k : best;
                    by_rank = ranks[k] > ranks[by_rank] ? k : by_rank;
                }
                check(qnn_best(total, 3, multiplier, offset) == best, "best");
                check(qnn_best_rank(total, 3, start, rank) == by_rank, "best_rank");
                qnn_fixed(total, 3, multiplier, offset, fixed);
                for (int k = 0; k < 3; k++) check((int)fixed[k] == scores[k], "fixed");
                qnn_affine(total, 3, scale, bias, value);
                for (int k = 0; k < 3; k++) {
                    const volatile double product = (double)total[k] * scale[k];
                    const volatile double expected = product + bias[k];
                    check(!(value[k] < expected) && !(value[k] > expected), "affine");
                }
            }
        }
    }
}

int main(void)
{
    check_thresholds();
    check_share();
    for (int i = 0; i < N_CODES; i++) code[i] = (int8_t)((int)draw(4) - 2);
    for (int i = 0; i < 20; i++) {
        check_signs();
        check_products();
    }
    check_walks();
    check_digits();
    check_totals();
    check_classes();
    return failures > 0;
}
