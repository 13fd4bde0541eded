import math
import subprocess
import sys

import pytest

from rnn_tui.tasks.metrics import perplexity


def test_perplexity_never_raises():
    assert perplexity(0.0) == 1.0
    assert perplexity(math.log(28)) == pytest.approx(28)
    assert perplexity(1e6) == math.inf
    assert perplexity(math.inf) == math.inf
    assert math.isnan(perplexity(math.nan))


def test_the_faces_get_it_without_torch():
    code = "import sys, rnn_tui.tasks.metrics; print('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
    )
