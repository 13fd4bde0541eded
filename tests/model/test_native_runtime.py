"""The C that compiled steps stand on: products, the barrier, functions of one number."""

import ctypes
import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnn_tui.model.recurrence.native.toolchain import compile_library, runtime_source

COMPILER = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler here")

FUNCTIONS = ["exp", "expm1", "sigmoid", "tanh", "log", "log1p", "erf"]
WRAPPED = """
long panels(long N) { return rt_panels(N); }
long panel_columns(void) { return RT_NR; }
void pack(const float *w, long sk, long sn, long K, long N, float *to, long p0, long p1) {
    rt_pack(w, sk, sn, K, N, to, p0, p1);
}
void product(const float *a, long lda, const float *w, long K, long N, float *out, long ldo, long rows, long part,
             long parts) {
    rt_product(a, lda, w, K, N, out, ldo, rows, part, parts);
}
/* How often a thread saw another one behind, over that many rounds with a barrier. */
long late(int threads, long rounds) {
    rt_team team;
    volatile long reached[64] = {0};
    long found = 0;
    #pragma omp parallel num_threads(threads) reduction(+ : found)
    {
        int phase = 0;
        #pragma omp single
        rt_team_init(&team, rt_threads());
        for (long r = 1; r <= rounds; r++) {
            reached[rt_thread()] = r;
            rt_barrier(&team, &phase);
            for (int other = 0; other < rt_threads(); other++) found += reached[other] != r;
            rt_barrier(&team, &phase);
        }
    }
    return found;
}
""" + "".join(
    f"void many_{name}(const float *x, float *y, long n) {{ for (long i = 0; i < n; i++) y[i] = rt_{name}(x[i]); }}\n"
    for name in FUNCTIONS
)


@pytest.fixture
def library() -> ctypes.CDLL:
    return compile_library(runtime_source() + WRAPPED)


def call(function, *arguments: torch.Tensor | int) -> int:
    """Call a C function with tensors as pointers and integers as long."""
    function.restype = ctypes.c_long
    return function(
        *(
            ctypes.c_void_p(a.data_ptr()) if isinstance(a, torch.Tensor) else ctypes.c_long(a)
            for a in arguments
        )
    )


# ---- products ----


def pack(library: ctypes.CDLL, weight: torch.Tensor) -> torch.Tensor:
    K, N = weight.shape
    panels = call(library.panels, N)
    packed = torch.full((panels * call(library.panel_columns) * K,), float("nan"))
    half = panels // 2  # as two threads would
    call(library.pack, weight, *weight.stride(), K, N, packed, half, panels)
    call(library.pack, weight, *weight.stride(), K, N, packed, 0, half)
    assert not packed.isnan().any()
    return packed


def multiply(
    library, a: torch.Tensor, packed: torch.Tensor, N: int, parts: int = 1, gap: int = 0
) -> torch.Tensor:
    """a @ weight by all parts, last part first; nothing around the result may be written."""
    rows, K = a.shape
    around = torch.full((rows + 2, N + gap), -7.5)
    for part in reversed(range(parts)):
        call(library.product, a, a.stride(0), packed, K, N, around[1:], N + gap, rows, part, parts)
    assert (around[0] == -7.5).all()
    assert (around[-1] == -7.5).all()
    assert (around[1:-1, N:] == -7.5).all()
    return around[1:-1, :N].clone()


@needs_compiler
@settings(max_examples=60, deadline=None)
@given(
    rows=st.one_of(st.integers(1, 14), st.integers(15, 70)),
    K=st.integers(1, 40),
    N=st.integers(1, 150),
    transposed=st.booleans(),
    gap=st.integers(0, 5),
    seed=st.integers(0, 2**31),
)
def test_a_product_is_the_sum_of_products(rows, K, N, transposed, gap, seed):
    library = compile_library(runtime_source() + WRAPPED)
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(rows, K + gap, generator=generator)[:, :K]
    weight = torch.randn(N, K + gap, generator=generator)[:, :K].t()
    if not transposed:
        weight = weight.contiguous()
    packed = pack(library, weight)
    whole = multiply(library, a, packed, N, gap=gap)
    torch.testing.assert_close(whole.double(), a.double() @ weight.double(), rtol=1e-5, atol=1e-5)
    for parts in range(2, 6):
        assert torch.equal(multiply(library, a, packed, N, parts, gap), whole)
    alone = torch.cat([multiply(library, a[i : i + 1], packed, N) for i in range(rows)])
    assert torch.equal(alone, whole)


@needs_compiler
def test_a_long_product_of_many_rows(library):
    a, weight = torch.randn(1000, 70), torch.randn(70, 90)
    whole = multiply(library, a, pack(library, weight), 90, parts=3)
    torch.testing.assert_close(whole.double(), a.double() @ weight.double(), rtol=1e-5, atol=1e-4)


@needs_compiler
def test_infinities_and_nan_stay_in_their_own_row_and_column(library):
    a, weight = torch.ones(13, 4), torch.ones(4, 40)
    a[2, 1], a[12, 0], weight[3, 39] = float("inf"), float("nan"), float("-inf")
    found = multiply(library, a, pack(library, weight), 40)
    expected = torch.full((13, 40), 4.0)
    expected[:, 39] = float("-inf")
    expected[2], expected[2, 39], expected[12] = float("inf"), float("nan"), float("nan")
    torch.testing.assert_close(found, expected, equal_nan=True)


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_nobody_passes_a_barrier_before_all_have_come(library, threads):
    library.late.restype = ctypes.c_long
    assert library.late(threads, ctypes.c_long(300)) == 0


# ---- functions ----


def grid() -> torch.Tensor:
    """Floats of all sizes (each 10,007th, so denormal ones, infinities and NaN too), and densely where it bends."""
    everywhere = torch.arange(-(2**31), 2**31, 10_007).to(torch.int32).view(torch.float32)
    special = torch.tensor([0.0, -0.0, float("inf"), float("-inf"), float("nan"), -1.0, 1.0])
    return torch.cat(
        [everywhere, torch.linspace(-110, 110, 300_001), torch.linspace(-2, 2, 200_001), special]
    )


@needs_compiler
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_right_everywhere(library, name):
    x = grid()
    y = torch.empty_like(x)
    call(getattr(library, f"many_{name}"), x, y, len(x))
    exact = getattr(torch, name)(x.double())
    rounded = exact.float()
    finite = rounded.isfinite()
    assert torch.equal(y.isnan(), rounded.isnan())
    assert torch.equal(y[rounded.isinf()], rounded[rounded.isinf()])
    smallest = 2.0**-149
    unit = (2.0 ** (exact.abs().clamp(min=smallest).log2().floor() - 23)).clamp(min=smallest)
    assert ((y.double() - exact).abs() / unit)[finite].max() < 2.5
    zeros = x == 0
    assert torch.equal(y[zeros].signbit(), rounded[zeros].signbit())
