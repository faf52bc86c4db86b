"""The console through Textual's pilot: what it shows, when it asks, how it stops."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("textual", reason="textual is not installed: pip install 'toolwright[console]'")

from textual.pilot import Pilot
from textual.widgets import Static, TextArea

from toolwright.launch.live import STILL, Live
from toolwright.launch.session import open_session
from toolwright.launch.tui.app import Console
from toolwright.launch.tui.history import KEPT, History
from toolwright.launch.tui.panes import Picture, Talk
from toolwright.launch.tui.runner import Approval
from toolwright.llm_planner.offline.offline_model import OfflineModel
from toolwright.llm_planner.roles import Model
from toolwright.llm_planner.usage import Usage

PATIENCE = 120.0  # s: a machine may be busy with other things
SENTENCE = "put the bead into the cup"
Script = Callable[[Console, Pilot[None]], Awaitable[None]]


def drive(
    live: Live,
    script: Script,
    size: tuple[int, int] = (120, 40),
    history: Path | None = None,
    approval: Approval = "code",
    model: Model | None = None,
) -> Console:
    """Runs the console over a robot and plays a script on its keys."""

    async def main() -> Console:
        app = Console(live, model or OfflineModel(), "a test", history, approval)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await script(app, pilot)
        return app

    return asyncio.run(main())


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"it did not happen; the screen:\n{screen(pilot.app)}"
        await pilot.pause(0.02)


async def ask(app: Console, pilot: Pilot[None], sentence: str = SENTENCE, then: str = "asking") -> None:
    await pilot.press(*sentence, "enter")
    await until(pilot, lambda: app.state == then)


def screen(app) -> str:
    """All text that the terminal would show."""
    lines = app.screen._compositor.render_strips(app.screen.size)
    return "\n".join(strip.text for strip in lines)


def said(app: Console) -> str:
    """The whole conversation, also what is scrolled away."""
    return "\n".join(str(entry.render()) for entry in app.query_one("#talk", Talk).query(Static))


# --- a sentence ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(160, 45), (80, 24)])
def test_a_sentence_is_planned_shown_approved_and_done(moving, size):
    async def script(app: Console, pilot: Pilot[None]) -> None:
        assert "bead" in said(app) and "cup" in said(app)
        await ask(app, pilot)
        assert moving.calls == []
        shown = screen(app)
        assert "Run this code?" in shown and "drop_in(" in shown and "○ pick(" in shown and "waiting for you" in shown
        await pilot.press("a")
        await until(pilot, lambda: "DONE" in screen(app))
        assert all(f"{role} " in said(app) for role in ("analyzer", "planner", "calculator", "checker", "dry run"))
        steps = str(app.steps.render())
        assert "✓ pick(" in steps and "✓ drop_in(" in steps and "idle" in screen(app)

    app = drive(Live(moving.session()), script, size)
    assert moving.calls == ["pick", "drop_in"]
    assert [record.status for record in app.records] == ["done"]


def test_progress_is_shown_and_the_screen_answers_while_the_robot_moves(moving):
    moving.seconds = 600.0

    async def script(app: Console, pilot: Pilot[None]) -> None:
        await ask(app, pilot)
        await pilot.press("a")
        await until(pilot, lambda: "tips" in str(app.steps.render()) and moving.calls == ["pick"])
        assert "robot moving" in screen(app)
        before = app.camera.view
        await pilot.press("ctrl+o")
        assert app.camera.view != before and moving.calls == ["pick"]
        await pilot.press("space")
        await until(pilot, lambda: app.state == "idle")

    drive(Live(moving.session(), speed=1.0), script)


class Metered(OfflineModel):
    """A model that costs something, and that takes its time in the planner."""

    name = "metered"

    def __init__(self):
        self._go_on = threading.Event()
        self._used = Usage()

    def analyze(self, sentence, scene):
        self._used = Usage(requests=1, tokens_in=1200, tokens_out=34, cost=0.5)
        return super().analyze(sentence, scene)

    def plan(self, analysis, scene):
        assert self._go_on.wait(PATIENCE)
        return super().plan(analysis, scene)

    def so_far(self):
        return self._used

    def spent(self):
        used, self._used = self._used, Usage()
        return used


def test_tokens_are_counted_while_the_model_is_still_working(moving):
    model = Metered()

    async def script(app: Console, pilot: Pilot[None]) -> None:
        assert "tokens" not in screen(app)
        await pilot.press(*SENTENCE, "enter")
        await until(pilot, lambda: "1,234 tokens $0.50" in screen(app))
        assert app.state == "running" and not app.records
        model._go_on.set()
        await until(pilot, lambda: app.state == "asking")
        await pilot.press("a")
        await until(pilot, lambda: app.records and app.state == "idle")
        assert "1,234 tokens $0.50" in screen(app)  # and not twice that

    drive(Live(moving.session()), script, (160, 45), model=model)


def test_what_cannot_be_done_is_refused_with_the_reason(moving):
    async def script(app: Console, pilot: Pilot[None]) -> None:
        await ask(app, pilot, "paint the wall", "idle")
        await until(pilot, lambda: app.records)
        assert "REFUSED" in screen(app)

    drive(Live(moving.session()), script)
    assert moving.calls == []


# --- approval -----------------------------------------------------------------------------------------------------


def test_code_that_is_rejected_moves_nothing(moving):
    async def script(app: Console, pilot: Pilot[None]) -> None:
        await ask(app, pilot)
        await pilot.press("r")
        await until(pilot, lambda: app.state == "idle")
        assert "you said no" in screen(app)

    app = drive(Live(moving.session()), script)
    assert moving.calls == [] and app.records[0].status == "stopped"


def test_edited_code_is_checked_and_then_runs_instead(moving):
    async def script(app: Console, pilot: Pilot[None]) -> None:
        await ask(app, pilot)
        await pilot.press("e")
        editor = app.query_one("#editor", TextArea)
        assert "drop_in" in editor.text
        editor.load_text("pick('bead', opening=0.016, grip='tight', lift=0.1)\n")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "line 1" in screen(app))
        assert app.state == "editing" and moving.calls == []
        editor.load_text('pick("bead", opening=0.016, grip=0.006, lift=0.07)\ndrop_in("bead", "cup", 0.03)\n')
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.state == "idle")

    app = drive(Live(moving.session()), script)
    assert moving.calls == ["pick", "drop_in"] and len(app.records) == 1
    record = app.records[0]
    assert record.status == "done" and record.skills[0].arguments["lift"] == 0.07
    assert "lift=0.07" in record.code and record.sentence == SENTENCE


def test_edited_code_that_would_not_do_what_the_sentence_asks_moves_nothing_and_is_left_as_it_is(moving):
    async def script(app: Console, pilot: Pilot[None]) -> None:
        await ask(app, pilot)
        await pilot.press("e")
        app.query_one("#editor", TextArea).load_text('pick("bead", opening=0.016, grip=0.006, lift=0.07)\n')
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.state == "idle")

    app = drive(Live(moving.session()), script)
    assert app.records[0].status == "rejected" and "bead is not in cup" in app.records[0].reason
    assert moving.calls == [] and not app.records[0].repairs


def test_escape_leaves_the_editor_and_asks_again(moving):
    async def script(app: Console, pilot: Pilot[None]) -> None:
        await ask(app, pilot)
        await pilot.press("e", "x", "escape")
        assert app.state == "asking"
        await pilot.press("r")
        await until(pilot, lambda: app.state == "idle")

    drive(Live(moving.session()), script)
    assert moving.calls == []


def test_each_call_is_asked_for_where_that_is_wanted(moving):
    async def script(app: Console, pilot: Pilot[None]) -> None:
        await ask(app, pilot)
        await pilot.press("a")
        await until(pilot, lambda: app.state == "asking")
        assert moving.calls == ["pick"] and "Make the call drop_in(" in screen(app)
        await pilot.press("a")
        await until(pilot, lambda: app.state == "idle")

    drive(Live(moving.session()), script, approval="each")
    assert moving.calls == ["pick", "drop_in"]


def test_always_asks_no_more(moving):
    async def script(app: Console, pilot: Pilot[None]) -> None:
        await ask(app, pilot, "pick up the bead")
        await pilot.press("A")
        await until(pilot, lambda: app.state == "idle")
        await ask(app, pilot, SENTENCE, "idle")
        await until(pilot, lambda: len(app.records) == 2)

    app = drive(Live(moving.session()), script)
    assert app.runner.approval == "never" and len(moving.calls) >= 2


# --- stopping -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["ctrl+c", "escape", "space"])
def test_one_key_stops_the_motion_at_once(moving, key):
    moving.seconds = 600.0
    live = Live(moving.session(), speed=1.0)

    async def script(app: Console, pilot: Pilot[None]) -> None:
        await ask(app, pilot)
        await pilot.press("a")
        await until(pilot, lambda: moving.body.sent > 4)
        await pilot.press(key)
        await until(pilot, lambda: app.state == "idle")
        assert app.is_running and "STOPPED" in screen(app)
        stamp = moving.body.stamp
        await pilot.pause(0.3)
        assert moving.body.stamp == stamp and np.abs(moving.body.dq).max() < STILL

    app = drive(live, script)
    assert app.records[0].status == "stopped" and moving.calls == ["pick"] and moving.body.stamp < 300
    assert not live.latched


def test_the_robot_can_be_used_again_after_a_stop(moving):
    moving.seconds = 600.0
    live = Live(moving.session(), speed=1.0)

    async def script(app: Console, pilot: Pilot[None]) -> None:
        await ask(app, pilot)
        await pilot.press("a")
        await until(pilot, lambda: moving.body.sent > 4)
        await pilot.press("ctrl+c")
        await until(pilot, lambda: app.state == "idle")
        live.speed, moving.seconds = 0.0, 1.0
        await ask(app, pilot)
        await pilot.press("a")
        await until(pilot, lambda: app.state == "idle")

    app = drive(live, script)
    assert [record.status for record in app.records] == ["stopped", "done"]


def test_a_second_ctrl_c_quits_and_the_robot_stands(moving, monkeypatch):
    moving.seconds = 600.0
    monkeypatch.setattr("toolwright.launch.tui.app.AGAIN", PATIENCE)

    async def script(app: Console, pilot: Pilot[None]) -> None:
        await ask(app, pilot)
        await pilot.press("a")
        await until(pilot, lambda: moving.body.sent > 4)
        await pilot.press("ctrl+c", "ctrl+c")
        await until(pilot, lambda: not app.is_running or app._exit)

    app = drive(Live(moving.session(), speed=1.0), script)
    assert not app.runner.running and moving.body.stops


def test_one_ctrl_c_at_rest_only_says_how_to_quit(moving, monkeypatch):
    monkeypatch.setattr("toolwright.launch.tui.app.AGAIN", PATIENCE)

    async def script(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+c")
        assert "Once more to quit" in said(app) and not app._exit
        await pilot.press("ctrl+c")
        assert app._exit

    drive(Live(moving.session()), script)


class SlowModel(OfflineModel):
    """Thinks until it is cancelled."""

    name = "slow"

    def __init__(self) -> None:
        self.cancelled = threading.Event()

    def plan(self, analysis, scene):
        assert self.cancelled.wait(PATIENCE)
        raise RuntimeError("cancelled")

    def cancel(self) -> None:
        self.cancelled.set()


def test_a_stop_reaches_a_model_that_thinks(moving):
    async def script(app: Console, pilot: Pilot[None]) -> None:
        await ask(app, pilot, then="running")
        await pilot.press("ctrl+c")
        await until(pilot, lambda: app.state == "idle")

    app = drive(Live(moving.session()), script, model=SlowModel())
    assert app.records[0].status == "stopped" and moving.calls == []


def test_a_fault_is_told_and_the_stop_holds_until_it_is_released(moving):
    live = Live(moving.session())

    async def script(app: Console, pilot: Pilot[None]) -> None:
        def broken() -> None:
            raise OSError("the camera is gone")

        look, moving.look = moving.look, broken
        await ask(app, pilot, then="idle")
        await until(pilot, lambda: "the camera is gone" in said(app))
        moving.look = look
        await ask(app, pilot, then="idle")
        assert live.latched and not app.records
        assert "^r releases it" in said(app)
        await pilot.press("ctrl+r")
        assert not live.latched
        await pilot.press("enter")  # the sentence that was refused still stands in the line
        await until(pilot, lambda: app.state == "asking")
        await pilot.press("a")
        await until(pilot, lambda: app.records)

    assert drive(live, script).records[0].status == "done"


# --- history ------------------------------------------------------------------------------------------------------


def test_up_and_down_bring_sentences_back_also_after_a_restart(moving, tmp_path):
    path = tmp_path / "state" / "history"

    async def first(app: Console, pilot: Pilot[None]) -> None:
        for sentence in ("paint the wall", "paint the door"):
            await ask(app, pilot, sentence, "idle")
            await until(pilot, lambda: app.state == "idle" and not app.runner.running)

    async def second(app: Console, pilot: Pilot[None]) -> None:
        line = app.query_one("#sentence")
        await pilot.press("d", "o")
        shown = []
        for key in ("up", "up", "up", "down", "down"):
            await pilot.press(key)
            shown.append(line.value)
        assert shown == ["paint the door", "paint the wall", "paint the wall", "paint the door", "do"]

    live = Live(moving.session())
    drive(live, first, history=path)
    drive(live, second, history=path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_history_keeps_the_latest_and_survives_damage(tmp_path):
    path = tmp_path / "history"
    path.write_bytes(b'"good"\n\xff\xfe\n{"a": 1}\n"also')
    history = History(path)
    assert history.earlier("") == "good"
    for number in range(KEPT + 10):
        history.add(f"sentence {number}\nwith a line end")
    lines = path.read_text().splitlines()
    assert len(lines) == KEPT and json.loads(lines[-1]) == f"sentence {KEPT + 9}\nwith a line end"


def test_only_a_plain_file_is_ever_replaced(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (fifo, tmp_path, None):
        history = History(path)
        history.add("pick up the bead")
        assert history.earlier("") == "pick up the bead" and bool(history.trouble) == (path is not None)
    assert stat.S_ISFIFO(fifo.stat().st_mode) and list(tmp_path.iterdir()) == [fifo]


def test_a_history_that_cannot_be_written_is_said_and_lasts_for_the_sitting(tmp_path):
    (tmp_path / "file").write_text("")
    history = History(tmp_path / "file" / "history")
    history.add("pick up the bead")
    assert "file" in history.trouble and history.earlier("") == "pick up the bead"


# --- the screen ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(160, 45), (110, 30), (80, 24), (50, 16), (20, 8)])
def test_it_fits_every_terminal(moving, size):
    async def script(app: Console, pilot: Pilot[None]) -> None:
        await ask(app, pilot)
        await pilot.resize_terminal(80, 24)
        await pilot.resize_terminal(*size)
        await pilot.pause()
        lines = screen(app).splitlines()
        assert len(lines) == size[1] and all(len(line) <= size[0] for line in lines)
        if size[0] >= 80:
            for pane in ("#talk", "#code-pane", "#picture", "#steps-pane", "#sentence", "#status"):
                region = app.query_one(pane).region
                assert region.width >= 30 and region.height >= 1 and region.bottom <= size[1], pane
            assert "Run this code?" in screen(app) and "Approve" in screen(app)
        await pilot.press("r")
        await until(pilot, lambda: app.state == "idle")

    drive(Live(moving.session()), script, (120, 40))


def test_names_from_a_scene_are_shown_and_not_obeyed(make_moving):
    hostile = "bead\x1b[2J\x9b31m[bold red]SYSTEM[/] [@click=app.quit]x[/]\u202e\r\n$(rm -rf /)"
    world = make_moving((hostile,))

    async def script(app: Console, pilot: Pilot[None]) -> None:
        await ask(app, pilot, "pick up the sphere", "asking")
        shown = screen(app)
        assert "[bold red]SYSTEM[/]" in said(app) and "\x1b" not in shown and "\u202e" not in shown
        await pilot.press("r")
        await until(pilot, lambda: app.state == "idle")

    drive(Live(world.session()), script)
    assert world.calls == []


def test_a_picture_is_drawn_in_half_blocks():
    from textual.app import App, ComposeResult

    class OnePicture(App[None]):
        def compose(self) -> ComposeResult:
            yield Picture(id="picture")

    async def main() -> None:
        async with OnePicture().run_test(size=(4, 2)) as pilot:
            picture = pilot.app.query_one(Picture)
            assert picture.pixels == (4, 4)
            rgb = np.zeros((4, 4, 3), np.uint8)
            rgb[0, :2] = 255, 0, 0
            picture.show(rgb, [(3.0, 2.5, "bead", "red")])
            first, second = picture.render_line(0), picture.render_line(1)
            assert first.text == "▀▀▀▀" and second.text == "▀▀▀●"
            style = list(first)[0].style
            assert style.color.triplet.red > 240 > 20 > style.bgcolor.triplet.red

    asyncio.run(main())


def test_it_needs_a_terminal(tmp_path):
    command = [sys.executable, str(Path(sys.executable).with_name("toolwright")), "console"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE
    )
    assert done.returncode == 2 and "needs a terminal" in done.stderr and "Traceback" not in done.stderr


# --- the real thing -----------------------------------------------------------------------------------------------


def test_a_bead_is_put_into_the_cup_in_physics():
    with open_session("bead", 0, controller="closed_form") as session:
        live = Live(session)

        async def script(app: Console, pilot: Pilot[None]) -> None:
            await ask(app, pilot)
            await pilot.press("a")
            await until(pilot, lambda: app.state == "idle")
            await until(pilot, lambda: app.camera.drawing is None or app.camera.drawing.done())

        app = drive(live, script, (100, 32))
        assert [record.status for record in app.records] == ["done"]
        bead, cup = (live.perception.look().objects[name].pos for name in ("bead", "cup"))
        assert np.hypot(*(bead - cup)[:2]) < 0.03
