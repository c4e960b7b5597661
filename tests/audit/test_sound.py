"""Sound loops give no alarm, and their losses are those without an audit, bit for bit."""

from __future__ import annotations

from collections.abc import Callable

import faulty_steps  # noqa: F401 - they register
import pytest
import sound_loops  # noqa: F401
import torch
from nets import SOUND

import zoo


@pytest.mark.parametrize("loop", SOUND, ids=lambda loop: loop.__name__)
def test_a_sound_loop_gives_no_alarm_and_keeps_its_losses(loop: Callable[[], list[float]]) -> None:
    torch.manual_seed(0)
    alone = loop()
    torch.manual_seed(0)
    with zoo.audit() as found:
        watched = loop()
    assert watched == alone
    assert not found.problems, found.text()
    assert found.losses or "functional" in loop.__name__
