"""The console itself: its parts, its keys, and its states."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from rich.syntax import Syntax
from rich.text import Text
from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Footer, Input, Static, TextArea

from toolwright.launch.live import STILL, Live
from toolwright.launch.plain_text import clean
from toolwright.launch.tui import says
from toolwright.launch.tui.camera_pane import CameraPane
from toolwright.launch.tui.history import History
from toolwright.launch.tui.narrator import Narrator
from toolwright.launch.tui.notes import Logged, Told, Warned
from toolwright.launch.tui.panes import Sentence, Steps, Talk
from toolwright.launch.tui.runner import AS_USUAL, Answer, Approval, Asking, Ended, Message, Runner
from toolwright.llm_planner.roles import Model
from toolwright.llm_planner.run import checker
from toolwright.llm_planner.run.executor import Options
from toolwright.llm_planner.run.record import RunRecord, SceneSummary
from toolwright.llm_planner.skills.registry import Registry
from toolwright.llm_planner.skills.tool_skills import SKILLS
from toolwright.llm_planner.usage import Counting

State = Literal["idle", "running", "asking", "editing", "stopping"]
PICTURES = 5  # a second, while something moves
AGAIN = 3.0  # s in which the second Ctrl-C quits
LEAVE = 3.0  # s that a stopped run may take to end


class Console(App[None]):
    """Talks to one robot.

    Args:
        live: the robot.
        model: fills the four roles.
        about: the scene and whatever else belongs into the title.
        history: file of earlier sentences; None keeps none.
        approval: ask before the code runs, before each call, or never.
        registry: skills that code may call.
        options: of every run.
    """

    CSS_PATH = "console.tcss"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-low"), (32, "-high")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c,escape", "stop", "Stop, then quit", key_display="^c", priority=True),
        Binding("space", "halt", "Stop", key_display="space"),
        Binding("a", "approve", "Approve"),
        Binding("A", "always", "Always", key_display="A"),
        Binding("e", "edit", "Edit"),
        Binding("r", "reject", "Reject"),
        Binding("ctrl+s", "run_edited", "Check and run", priority=True),
        Binding("ctrl+o", "view", "View", priority=True),
        Binding("ctrl+r", "release", "Release stop", priority=True),
    ]

    def __init__(
        self,
        live: Live,
        model: Model,
        about: str = "",
        history: Path | None = None,
        approval: Approval = "code",
        registry: Registry = SKILLS,
        options: Options = AS_USUAL,
    ) -> None:
        super().__init__()
        self.live, self.model, self.about, self._skills, self._options = live, model, about, registry, options
        self.history = History(history)
        self.runner = Runner(live, model, self._tell, approval, registry, options)
        self.records: list[RunRecord] = []
        self.state: State = "idle"
        self._pressed = -AGAIN  # s, when Ctrl-C was pressed last
        self._edit_back = ""

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        with Horizontal(id="main"):
            with Vertical(id="left"):
                yield Talk(id="talk", classes="pane")
                with VerticalScroll(id="code-pane", classes="pane"):
                    yield Static(id="code", markup=False)
                    yield TextArea(id="editor", show_line_numbers=True, soft_wrap=True, tab_behavior="indent")
                    yield Static(id="question", markup=False)
            with Vertical(id="right"):
                yield CameraPane(self.live, id="picture-pane")
                with VerticalScroll(id="steps-pane", classes="pane"):
                    yield Steps(id="steps")
        yield Sentence(self.history, id="sentence")
        yield Static(id="status", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        self.title = "Toolwright"
        self.query_one("#title", Static).update(Text.assemble(("Toolwright", "bold #ffffff"), f"  {clean(self.about)}"))
        self.query_one("#talk").border_title = "conversation"
        self.query_one("#code-pane").border_title = "code"
        self.query_one("#steps-pane").border_title = "plan"
        self.narrator = Narrator(self.talk, self.steps, self._code, self._now)
        self._logged = Logged(self.post_message)
        logging.getLogger("toolwright").addHandler(self._logged)
        self.set_interval(1 / PICTURES, self._refresh)
        self._greet()
        self._to("idle")

    def on_unmount(self) -> None:
        logging.getLogger("toolwright").removeHandler(self._logged)

    def _greet(self) -> None:
        seen = SceneSummary.of(self.live.perception.look())
        self.talk.say("scene", says.scene(seen))
        if self.history.trouble:
            self.talk.say("", says.plain(f"Sentences are not kept: {self.history.trouble}", says.CARE))

    # -- parts --------------------------------------------------------------------------------------------------------

    @property
    def talk(self) -> Talk:
        return self.query_one("#talk", Talk)

    @property
    def steps(self) -> Steps:
        return self.query_one("#steps", Steps)

    @property
    def camera(self) -> CameraPane:
        return self.query_one("#picture-pane", CameraPane)

    def _to(self, state: State) -> None:
        self.state = state
        line = self.query_one("#sentence", Sentence)
        line.disabled = state != "idle"
        line.set_class(state != "idle", "-running")
        pane = self.query_one("#code-pane")
        pane.set_class(state in ("asking", "editing"), "asking")
        pane.set_class(state == "editing", "editing")
        if state == "idle":
            line.focus()
        elif state == "editing":
            self.query_one("#editor").focus()
        else:
            (pane if state == "asking" else self.talk).focus()
        self.refresh_bindings()
        self._status()

    # -- a sentence ---------------------------------------------------------------------------------------------------

    @on(Input.Submitted, "#sentence")
    def _asked(self, event: Input.Submitted) -> None:
        sentence = event.value.strip()
        if not sentence or self.state != "idle":
            return
        if self._latched():
            self._say_latched()
            return
        self.history.add(sentence)
        event.input.clear()
        self.talk.say("❯", says.plain(sentence), "you")
        self.steps.clear()
        self.query_one("#code-pane").remove_class("known")
        self._to("running")
        self.runner.start(sentence)

    def _latched(self) -> bool:
        """An emergency stop that nobody here asked for, or a fault."""
        return bool(self.live.latched) and not self.live.stopping and not self.runner.running

    def _say_latched(self) -> None:
        self.talk.say("", says.plain(f"The robot is stopped: {self.live.latched}. ^r releases it.", says.BAD))

    def action_release(self) -> None:
        try:
            self.live.release()
        except Exception as error:  # a lost robot: the stop stays, and the screen too
            self.talk.say("", says.plain(f"It cannot be released: {error}", says.BAD))
        self.refresh_bindings()

    def _tell(self, message: Message) -> None:
        """From the run's thread."""
        self.post_message(Told(message))

    def on_told(self, told: Told) -> None:
        match told.message:
            case Asking() as asking:
                self._ask(asking)
            case Ended() as ended:
                self._ended(ended)
            case event:
                self.narrator.tell(event)
        self._status()

    def _code(self, code: str) -> None:
        self._edit_back = code
        shown = Syntax(says.clean_code(code), "python", theme="one-dark", background_color="#1c1c1c", word_wrap=True)
        self.query_one("#code", Static).update(shown)
        self.query_one("#code-pane").add_class("known")

    def _ended(self, ended: Ended) -> None:
        if ended.record is not None:
            self.records.append(ended.record)
            self.talk.say("", says.verdict(ended.record, ended.settled), "verdict")
        else:
            self.talk.say("", says.plain(f"FAULT  {ended.error}", says.BAD), "verdict")
        self._to("idle")
        if self._latched():
            self._say_latched()

    # -- approval -----------------------------------------------------------------------------------------------------

    def _ask(self, asking: Asking) -> None:
        if self.state == "stopping":
            return
        what = f"Make the call {asking.call}?" if asking.call is not None else "Run this code?"
        self._question(what, "a approve   A always   e edit   r reject")
        self._to("asking")

    def _question(self, text: str, keys: str) -> None:
        self.query_one("#question", Static).update(Text(f"{clean(text)}\n").append(keys, "not bold"))

    def action_approve(self) -> None:
        self._answer(Answer("yes"))

    def action_always(self) -> None:
        self.talk.say("", says.plain("From now on code runs without asking.", says.CARE))
        self._answer(Answer("always"))

    def action_reject(self) -> None:
        self._answer(Answer("no"))

    def _answer(self, answer: Answer) -> None:
        self._to("running")
        self.runner.answer(answer)

    def action_edit(self) -> None:
        self.query_one("#editor", TextArea).load_text(self._edit_back)
        self._question("Edit the code.", "^s check and run   esc back")
        self._to("editing")

    async def action_run_edited(self) -> None:
        code = self.query_one("#editor", TextArea).text
        found = await asyncio.to_thread(checker.check, code, self._skills, self._options.library.stubs())
        if self.state != "editing":
            return
        if not found.passed:
            self._question(str(found), "^s check and run   esc back")
            return
        self.talk.say("you", says.plain("edited the code"))
        self._answer(Answer("edit", code))

    # -- stopping -----------------------------------------------------------------------------------------------------

    def action_halt(self) -> None:
        if self.state in ("running", "asking"):
            self._stop()

    def action_stop(self) -> None:
        """First stops what runs; pressed again soon, quits."""
        now = time.monotonic()
        again, self._pressed = now - self._pressed < AGAIN, now
        if self.state == "editing":
            self._pressed = -AGAIN
            self._question("Run this code?", "a approve   A always   e edit   r reject")
            self._to("asking")
        elif self.state in ("running", "asking"):
            self._stop()
        elif again or self.state == "stopping":
            self.leave()
        else:
            self.talk.say("", says.plain("Once more to quit.", says.FAINT))

    def _stop(self) -> None:
        self._to("stopping")
        # Not in this thread: a driver that hangs must not freeze the screen.
        self.run_worker(lambda: self.runner.stop("stopped by the user"), thread=True)

    def leave(self) -> None:
        """Stops the robot, waits a moment for the run to end, and leaves."""
        if self.runner.running:
            self.runner.stop("the console was left")
            self.runner.join(LEAVE)
        self.exit()

    # -- what moves ---------------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        if not self.query("#status"):
            return  # the program is leaving
        self.narrator.progress(self._tips())
        self.camera.draw()
        self._status()

    def _now(self) -> float:
        return self.live.last.stamp if self.live.last is not None else 0.0

    def _tips(self) -> str:
        tool = self.live.scene.tool if self.live.scene is not None else None
        return says.tips(tool) if tool is not None else ""

    def on_warned(self, warned: Warned) -> None:
        if self.state == "stopping":
            return  # the verdict says it
        self.talk.say("", says.plain(warned.text, says.FAINT), "tight")

    def action_view(self) -> None:
        self.camera.next_view()

    def _status(self) -> None:
        state = self.live.last
        speed = 0.0 if state is None else float(np.abs(state.dq).max())
        robot = "stopped" if self.live.latched else "moving" if speed > STILL and self.runner.running else "still"
        mood = {"running": "working", "asking": "waiting for you", "editing": "editing"}.get(self.state, self.state)
        used = [record.usage for record in self.records]
        if self.runner.running and isinstance(self.model, Counting):
            used.append(self.model.so_far())
        parts = [f"robot {robot}", f"model {clean(self.model.name)}", says.tokens(used), self._tips()]
        style = {"idle": "", "stopping": says.BAD}.get(self.state, says.CARE)
        text = Text("  ·  ".join(part for part in parts if part))
        self.query_one("#status", Static).update(Text.assemble((mood, f"bold {style}"), "  ·  ", text))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("approve", "always", "edit", "reject"):
            return self.state == "asking"
        if action == "run_edited":
            return self.state == "editing"
        if action == "release":
            return self._latched()
        if action == "halt":
            return self.state == "running"
        return True
