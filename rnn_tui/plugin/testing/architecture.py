"""All laws of an architecture, Cell or Core."""

from rnn_tui.plugin.testing.agreement_laws import AgreementLaws
from rnn_tui.plugin.testing.conduct_laws import ConductLaws
from rnn_tui.plugin.testing.form_laws import FormLaws
from rnn_tui.plugin.testing.gradient_laws import GradientLaws
from rnn_tui.plugin.testing.part_laws import PartLaws
from rnn_tui.plugin.testing.time_laws import TimeLaws


class ArchitectureLaws(AgreementLaws, PartLaws, GradientLaws, ConductLaws, TimeLaws, FormLaws):
    """Subclass, set `architecture`, and let pytest collect it.

    Attributes:
        architecture: The class under test.
        options: Its options, where they are not the defaults.
        input_size: Of the layers that are built.
        hidden_size: Of the layers that are built; one that needs a multiple of something sets it.
        dtype: Of the arithmetic; float64, so that a difference means something. A kernel that has only float32
            sets it, and `tolerance` with it.
        tolerance: Largest difference between two ways to the same numbers, as a part of the largest where that is
            above 1.
        numpy_step: Its step in NumPy, where there is one.
    """
