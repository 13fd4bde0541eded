/* What the C code of a compiled step stands on: products with a packed weight, a barrier, functions of one number.
 *
 * C11 with GNU vector extensions (gcc, clang), put before each generated source. Everything is static and begins
 * with rt_ or RT_.
 *
 * Products. A weight (K, N) is packed once into panels of RT_NR columns, each [K][RT_NR]. Every element of a product
 * is the sum over k in order of a[k] * w[k], one fused multiply-add each, whatever the number of rows and threads:
 * results are the same bits for any of them.
 *
 * Functions. No calls, no branches, so that loops over them become vector code. A NaN gives a NaN, limits at the
 * infinities are right, errors are below 2.5 units in the last place (tests/model/test_native_runtime.py).
 * Polynomials: minimax, by Remez's exchange in 40 digits.
 */

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

/* A product is made in tiles of RT_MR rows by RT_VECTORS vectors, whose sums fill most of the 16 or 32 registers. */
#if defined(__AVX512F__)
#define RT_LANES 16
#define RT_VECTORS 2
#define RT_MR 12
#elif defined(__AVX__)
#define RT_LANES 8
#define RT_VECTORS 2
#define RT_MR 6
#elif defined(__ARM_NEON)
#define RT_LANES 4
#define RT_VECTORS 4
#define RT_MR 6
#else
#define RT_LANES 4
#define RT_VECTORS 2
#define RT_MR 6
#endif

#define RT_NR (RT_LANES * RT_VECTORS) /* columns of a panel */
#define RT_INLINE static inline __attribute__((always_inline, unused))
#define RT_STATIC static __attribute__((unused))

typedef float rt_vector __attribute__((vector_size(4 * RT_LANES)));
typedef float rt_anywhere __attribute__((vector_size(4 * RT_LANES), aligned(4), may_alias));

/* ---- threads ---- */

RT_STATIC int rt_thread(void) {
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

RT_STATIC int rt_threads(void) {
#ifdef _OPENMP
    return omp_get_num_threads();
#else
    return 1;
#endif
}

typedef struct {
    atomic_int arrived;
    char apart[60]; /* the line that all write is not the line that all watch */
    atomic_int phase;
    int threads;
    char end[56];
} rt_team;

RT_STATIC void rt_team_init(rt_team *team, int threads) {
    atomic_init(&team->arrived, 0);
    atomic_init(&team->phase, 0);
    team->threads = threads;
}

/* Wait for all threads of a team; `phase` is the thread's own and begins at 0. */
RT_STATIC void rt_barrier(rt_team *team, int *phase) {
    if (team->threads == 1) return;
    int before = *phase;
    *phase = !before;
    if (atomic_fetch_add_explicit(&team->arrived, 1, memory_order_acq_rel) == team->threads - 1) {
        atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&team->phase, !before, memory_order_release);
        return;
    }
    for (int spins = 0; atomic_load_explicit(&team->phase, memory_order_acquire) == before; spins++) {
        if (spins >= 1000) {
            sched_yield(); /* the one we wait for may need this very core */
            continue;
        }
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#endif
    }
}

/* ---- products ---- */

RT_STATIC long rt_panels(long N) { return (N + RT_NR - 1) / RT_NR; }

/* Pack panels [p0, p1) of w[k * stride_k + n * stride_n], (K, N); `packed` holds rt_panels(N) * RT_NR * K floats.
 * Of a transposed view, whole cache lines at a time: by single elements it took as long as three products. */
RT_STATIC void rt_pack(const float *w, long stride_k, long stride_n, long K, long N, float *packed, long p0, long p1) {
    for (long p = p0; p < p1; p++) {
        long first = p * RT_NR, columns = N - first < RT_NR ? N - first : RT_NR;
        for (long begin = 0; begin < K; begin += 16) {
            long rows = K - begin < 16 ? K - begin : 16;
            const float *from = w + begin * stride_k + first * stride_n;
            float *to = packed + first * K + begin * RT_NR;
            if (stride_k == 1)
                for (long n = 0; n < columns; n++)
                    for (long k = 0; k < rows; k++) to[k * RT_NR + n] = from[k + n * stride_n];
            else
                for (long k = 0; k < rows; k++)
                    for (long n = 0; n < columns; n++) to[k * RT_NR + n] = from[k * stride_k + n * stride_n];
            for (long k = 0; k < rows; k++)
                for (long n = columns; n < RT_NR; n++) to[k * RT_NR + n] = 0;
        }
    }
}

/* Hold a vector in a register: gcc otherwise reads it again for each of a few rows (84 for 115 GFLOP/s). */
#if defined(__x86_64__) && defined(__AVX512F__)
#define RT_HOLD(vector) __asm__("" : "+v"(vector))
#elif defined(__x86_64__)
#define RT_HOLD(vector) __asm__("" : "+x"(vector))
#elif defined(__aarch64__)
#define RT_HOLD(vector) __asm__("" : "+w"(vector))
#else
#define RT_HOLD(vector) (void)(vector)
#endif

/* Loops over a tile's rows and vectors must go, or its sums live in memory: clang's own limit is too low. */
#if defined(__clang__)
#define RT_UNROLL _Pragma("clang loop unroll(full)")
#else
#define RT_UNROLL _Pragma("GCC unroll 32")
#endif

/* `rows` rows times `panels` panels, both constants where it is inlined; the last panel has `columns` columns. */
RT_INLINE void rt_tile(const float *a, long lda, const float *panel, long K, float *out, long ldo, long columns,
                       const int rows, const int panels) {
    rt_vector sum[RT_MR * RT_VECTORS];
    RT_UNROLL for (int i = 0; i < rows * panels * RT_VECTORS; i++) sum[i] = (rt_vector){0};
    for (long k = 0; k < K; k++) {
        RT_UNROLL for (int p = 0; p < panels; p++) {
            rt_vector w[RT_VECTORS];
            RT_UNROLL for (int v = 0; v < RT_VECTORS; v++) {
                w[v] = *(const rt_anywhere *)(panel + (p * K + k) * RT_NR + v * RT_LANES);
                if (rows > 1) RT_HOLD(w[v]);
            }
            RT_UNROLL for (int i = 0; i < rows; i++) {
                rt_vector *to = sum + (i * panels + p) * RT_VECTORS;
                RT_UNROLL for (int v = 0; v < RT_VECTORS; v++) to[v] += a[i * lda + k] * w[v];
            }
        }
    }
    RT_UNROLL for (int i = 0; i < rows; i++) {
        RT_UNROLL for (int p = 0; p < panels; p++) {
            rt_vector line[RT_VECTORS], *from = sum + (i * panels + p) * RT_VECTORS;
            float *to = out + i * ldo + p * RT_NR;
            if (p < panels - 1 || columns == RT_NR) {
                RT_UNROLL for (int v = 0; v < RT_VECTORS; v++) *(rt_anywhere *)(to + v * RT_LANES) = from[v];
            } else { /* not from the sums themselves: to be copied, they would have to live in memory */
                RT_UNROLL for (int v = 0; v < RT_VECTORS; v++) line[v] = from[v];
                memcpy(to, line, sizeof(float) * (size_t)columns);
            }
        }
    }
}

#define RT_CASE(rows, panels) \
    case 8 * (rows) + (panels): \
        rt_tile(a, lda, panel, K, out, ldo, columns, rows, panels); \
        break;

RT_STATIC void rt_block(const float *a, long lda, const float *panel, long K, float *out, long ldo, long columns,
                        long rows, long panels) {
    switch (8 * rows + panels) {
        RT_CASE(1, 4) RT_CASE(2, 2)
        RT_CASE(1, 1) RT_CASE(2, 1) RT_CASE(3, 1) RT_CASE(4, 1) RT_CASE(5, 1) RT_CASE(6, 1)
#if RT_MR > 6
        RT_CASE(7, 1) RT_CASE(8, 1) RT_CASE(9, 1) RT_CASE(10, 1) RT_CASE(11, 1) RT_CASE(12, 1)
#endif
    }
}

/* out[rows][N] = a[rows][K] @ weight: the share of thread `part` of `parts`. */
RT_STATIC void rt_product(const float *a, long lda, const float *packed, long K, long N, float *out, long ldo,
                          long rows, long part, long parts) {
    long blocks = (rows + RT_MR - 1) / RT_MR, tiles = rt_panels(N) * blocks, end = tiles * (part + 1) / parts;
    long group = rows == 1 ? 4 : rows == 2 ? 2 : 1; /* panels at once, for enough sums that do not wait for another */
    for (long tile = tiles * part / parts, panels; tile < end; tile += panels) {
        panels = end - tile < group ? 1 : group;
        long block = tile % blocks, row = rows * block / blocks, column = tile / blocks * RT_NR;
        long last = N - column - (panels - 1) * RT_NR;
        rt_block(a + row * lda, lda, packed + column * K, K, out + row * ldo + column, ldo,
                 last < RT_NR ? last : RT_NR, rows * (block + 1) / blocks - row, panels);
    }
}

/* ---- functions of one number ---- */

RT_INLINE float rt_from_bits(int32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

RT_INLINE int32_t rt_to_bits(float value) {
    int32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

#define RT_ROUND 12582912.0f /* 1.5 * 2^23: added, the nearest integer stands in the low bits */
#define RT_LOG2E 1.44269504f
#define RT_LN2_HIGH 0.693359375f
#define RT_LN2_LOW -2.12194440e-4f

/* exp(r) = 1 + r + r^2 q(r) for |r| <= ln(2) / 2 */
RT_INLINE float rt_exp_tail(float r) {
    float q = 1.990890633e-4f;
    q = q * r + 1.393084501e-3f;
    q = q * r + 8.333284103e-3f;
    q = q * r + 4.166652899e-2f;
    q = q * r + 0.1666666676f;
    return q * r + 0.4999999981f;
}

RT_INLINE float rt_exp(float x) {
    x = x < -104.0f ? -104.0f : x;
    x = x > 89.0f ? 89.0f : x;
    float shifted = x * RT_LOG2E + RT_ROUND, n = shifted - RT_ROUND;
    float r = x - n * RT_LN2_HIGH;
    r = r - n * RT_LN2_LOW;
    float y = rt_exp_tail(r) * (r * r) + r + 1.0f;
    int32_t exponent = rt_to_bits(shifted) - rt_to_bits(RT_ROUND), half = exponent >> 1; /* 2^n in two factors: */
    return y * rt_from_bits((half + 127) << 23) * rt_from_bits((exponent - half + 127) << 23); /* denormals, 2^128 */
}

/* exp(x) - 1 for -30 <= x <= 89; without the sign of a zero */
RT_INLINE float rt_expm1_within(float x) {
    float shifted = x * RT_LOG2E + RT_ROUND, n = shifted - RT_ROUND;
    float r = x - n * RT_LN2_HIGH;
    r = r - n * RT_LN2_LOW;
    float y = rt_exp_tail(r) * (r * r) + r;
    float half = rt_from_bits((rt_to_bits(shifted) - rt_to_bits(RT_ROUND) + 126) << 23); /* 2^(n - 1): n may be 128 */
    return 2.0f * (half * y + (half - 0.5f));
}

RT_INLINE float rt_expm1(float x) {
    float z = x < -30.0f ? -30.0f : x;
    z = z > 89.0f ? 89.0f : z;
    float y = rt_expm1_within(z);
    return x == 0.0f ? x : y;
}

RT_INLINE float rt_sigmoid(float x) {
    float e = rt_exp(-__builtin_fabsf(x)); /* at most 1: nothing overflows, and small results keep their digits */
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

RT_INLINE float rt_tanh(float x) {
    float t = __builtin_fabsf(x);
    t = t > 10.0f ? 10.0f : t;
    float m = rt_expm1_within(2.0f * t); /* tanh(t) = m / (m + 2) = 1 - 2 / (m + 2) */
    float y = (t < 0.5f ? 0.0f : 1.0f) + (t < 0.5f ? m : -2.0f) / (m + 2.0f);
    return __builtin_copysignf(y, x);
}

RT_INLINE float rt_log(float x) {
    float scale = x < 1.17549435e-38f ? 8388608.0f : 1.0f, offset = x < 1.17549435e-38f ? -23.0f : 0.0f;
    int32_t bits = rt_to_bits(x * scale), shift = (bits - 0x3f3504f3) & ~0x7fffff; /* x = (1 + f) 2^e */
    float f = rt_from_bits(bits - shift) - 1.0f, e = (float)(shift >> 23) + offset, s = f * f; /* sqrt(0.5) <= 1 + f */
    float q = 6.91718464e-2f;
    q = q * f - 0.118114262f;
    q = q * f + 0.1188327752f;
    q = q * f - 0.1238154627f;
    q = q * f + 0.1421701696f;
    q = q * f - 0.166693513f;
    q = q * f + 0.2000230429f;
    q = q * f - 0.2499998571f;
    q = q * f + 0.3333330941f;
    float y = (f * s) * q + e * RT_LN2_LOW - 0.5f * s;
    y = y + f + e * RT_LN2_HIGH;
    y = x > 3.40282347e38f ? x : y;
    y = x == 0.0f ? -__builtin_inff() : y;
    return x >= 0.0f ? y : __builtin_nanf("");
}

RT_INLINE float rt_log1p(float x) {
    float u = 1.0f + x, lost = x - (u - 1.0f);
    float y = rt_log(u) + (u > 0.0f && u < 3.4e38f ? lost / u : 0.0f);
    return x == 0.0f ? x : y; /* keeps the sign of zero */
}

RT_INLINE float rt_erf(float x) {
    float t = __builtin_fabsf(x), s = x * x;
    float near = 8.31679196e-5f;
    near = near * s - 8.130016538e-4f;
    near = near * s + 5.199906991e-3f;
    near = near * s - 2.685894162e-2f;
    near = near * s + 0.1128368719f;
    near = near * s - 0.3761263319f;
    near = near * s + 0.1283791666f;
    near = near * x + x; /* x + x q(x^2) for |x| < 0.93 */
    t = t > 4.0f ? 4.0f : t;
    float far = -2.136432647e-4f;
    far = far * t + 3.212131024e-3f;
    far = far * t - 2.288087679e-2f;
    far = far * t + 0.1052476151f;
    far = far * t + 0.6357291622f;
    far = far * t + 1.128511137f;
    far = __builtin_copysignf(1.0f - rt_exp(-t * far), x); /* 1 - erf(t) = exp(-t p(t)) */
    return t < 0.93f ? near : far;
}

