"""The app. Torch never enters this process: training and prompting are processes of their own.

Textual reads its switches when it is imported, so they are set here, before any module of this package can do so.
"""

import os


def _prepare_environment() -> None:
    """Choose calm defaults for a slow line; what the user has set stays."""
    if os.environ.get("SSH_CONNECTION"):
        os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
        os.environ.setdefault("TEXTUAL_FPS", "15")
    if os.environ.get("TMUX") or os.environ.get("STY"):
        # Smooth scrolling turns on pixel mouse reports, which a multiplexer can leave wrong after a resize.
        os.environ.setdefault("TEXTUAL_SMOOTH_SCROLL", "0")


_prepare_environment()
