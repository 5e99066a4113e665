"""A visitor without a browser: it speaks Streamlit's own protocol over a websocket, to measure and load."""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit
from urllib.request import urlopen

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.runtime.state.session_state import STREAMLIT_INTERNAL_KEY_PREFIX
from websockets.asyncio.client import ClientConnection, connect

SHARE = 3.0  # as in ticker.js
KEPT_RUNS = 2  # of a script, for which a browser keeps a long message: Streamlit's global.maxCachedMessageAge
PATIENCE_S = 120.0  # for an answer; a loaded server may take long, and then that is the result


class Control(NamedTuple):
    """A widget as the server last described it."""

    kind: str  # "slider", "number_input", "button_group", ...
    id: str
    label: str
    fragment: str  # whose rerun moves it; "" for the whole page
    path: tuple[int, ...]  # where it stands on the page
    about: Any  # its message


class Ticker(NamedTuple):
    """A component of the page that asks the server again."""

    fragment: str
    data: dict[str, Any]
    due: float = 0.0  # not before this time


class Held(NamedTuple):
    """A message that a browser keeps, and the run in which it was last drawn."""

    message: ForwardMsg
    run: int


class Visitor:
    """One session on one page. It polls where a browser would."""

    def __init__(self, address: str, page: str = "", query: str = "") -> None:
        self.address = address
        self.page = page
        self.query = query
        self.controls: dict[str, Control] = {}
        self.sent = self.polled = self.received = self.bytes = 0  # messages; bytes received
        self.poll_s: list[float] = []  # how long the answers to polls took
        self.faults: list[str] = []
        self._states: dict[str, WidgetState] = {}
        self._drawn: set[str] = set()  # by the run that goes on
        self._began = 0.0
        self._finished: asyncio.Queue[int] = asyncio.Queue()
        self._free = asyncio.Lock()
        self._tickers: dict[str, Ticker] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self._news: dict[str, str] = {}
        self._held: dict[str, Held] = {}  # long messages, by their hash: the server then sends the hash alone
        self._runs = 0
        self._films: dict[str, str] = {}  # by component: the address of what it shows
        self._fetching: set[asyncio.Task[None]] = set()
        self._socket: ClientConnection

    async def __aenter__(self) -> Self:
        """Connect, and wait until the page has been drawn once."""
        self._socket = await connect(
            f"ws://{urlsplit(self.address).netloc}/_stcore/stream",
            subprotocols=["streamlit"],  # type: ignore[list-item]
            origin=self.address,  # type: ignore[arg-type]
            max_size=None,
            ping_interval=None,
        )
        self._reader = asyncio.create_task(self._read())
        self.opened_s = await self.rerun()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in (*self._timers.values(), *self._asking, self._reader):
            task.cancel()
        await self._socket.close()

    # ---- acting ----

    async def rerun(self, fragment: str = "", trigger: WidgetState | None = None) -> float:
        """Ask for the page, or a fragment of it; the seconds until the server has finished.

        The wait for an earlier request of this visitor is counted: a person would wait for it, too.
        """
        asked = time.perf_counter()
        async with self._free:
            if trigger is not None and self._owner(trigger) not in self._tickers:
                return 0.0  # an answer that came meanwhile has taken its ticker off the page
            while not self._finished.empty():
                self._finished.get_nowait()
            self._drawn, self._began = set(), time.perf_counter()
            await self._socket.send(self._message(fragment, trigger).SerializeToString())
            self.sent += 1
            await asyncio.wait_for(self._finished.get(), PATIENCE_S)
            await asyncio.gather(*self._fetching)
            self._settle(fragment)
            return time.perf_counter() - asked

    def _message(self, fragment: str, trigger: WidgetState | None) -> BackMsg:
        message = BackMsg()
        client = message.rerun_script
        client.query_string, client.page_name, client.fragment_id = self.query, self.page, fragment
        client.widget_states.widgets.extend(self._states.values())
        if trigger is not None:
            client.widget_states.widgets.append(trigger)
        client.cached_message_hashes.extend(self._held)
        client.context_info.timezone = "UTC"
        client.context_info.color_scheme = "light"
        client.context_info.url = f"{self.address}/{self.page}"
        return message

    async def move(self, label: str, value: float | str) -> float:
        """Set a control and wait for what follows from it; seconds."""
        control = self.find(label)
        state = WidgetState(id=control.id)
        if control.kind == "slider":
            state.double_array_value.data.append(float(value))
        elif control.kind == "number_input":
            state.double_value = float(value)
        elif control.kind == "button_group":
            state.string_array_value.data.append(str(value))
        else:
            state.string_value = str(value)
        self._states[control.id] = state
        return await self.rerun(control.fragment)

    def find(self, label: str) -> Control:
        """The control of this label."""
        for control in self.controls.values():
            if control.label == label:
                return control
        labels = sorted(control.label for control in self.controls.values())
        raise LookupError(f"{self.page} has no control {label!r}, only {labels}")

    # ---- listening ----

    async def _read(self) -> None:
        async for data in self._socket:
            assert isinstance(data, bytes)
            self.received += 1
            self.bytes += len(data)
            message = ForwardMsg()
            message.ParseFromString(data)
            self._hear(self._whole(message))

    def _whole(self, message: ForwardMsg) -> ForwardMsg:
        """The message itself where only its hash came; a browser keeps what is long for some runs."""
        if message.WhichOneof("type") == "ref_hash":
            held = ForwardMsg()
            held.CopyFrom(self._held[message.ref_hash].message)
            held.metadata.CopyFrom(message.metadata)
            message, hash = held, message.ref_hash
        else:
            hash = message.hash
        if message.metadata.cacheable or hash in self._held:
            self._held[hash] = Held(message, self._runs)
        return message

    def _hear(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            self._note(
                message.delta.new_element, message.delta.fragment_id, tuple(message.metadata.delta_path)
            )
        elif kind == "auto_rerun":
            self.faults.append("a fragment runs by itself in a way this visitor does not follow")
        elif kind == "script_finished":
            early = ForwardMsg.ScriptFinishedStatus.FINISHED_EARLY_FOR_RERUN
            if message.script_finished == ForwardMsg.ScriptFinishedStatus.FINISHED_SUCCESSFULLY:
                self._runs += 1
                late = [hash for hash, held in self._held.items() if self._runs - held.run > KEPT_RUNS]
                for hash in late:
                    del self._held[hash]
            if message.script_finished != early:
                self._finished.put_nowait(message.script_finished)

    def _note(self, element: Any, fragment: str, path: tuple[int, ...]) -> None:
        kind = element.WhichOneof("type")
        about = getattr(element, kind)
        if kind == "exception":
            self.faults.append(about.message)
        id = getattr(about, "id", "")
        if not id:
            return
        self._drawn.add(id)
        self.controls[id] = Control(kind, id, getattr(about, "label", ""), fragment, path, about)
        if kind == "bidi_component" and about.component_name == "lvmviz_ticker":
            self._ticker(id, fragment, json.loads(about.json))
        if kind == "bidi_component" and about.component_name == "lvmviz_plot":
            self._film(id, json.loads(about.json).get("at", ""))

    def _film(self, id: str, at: str) -> None:
        """Fetch a long film, as plot.js does."""
        if at and self._films.get(id) != at:
            task = asyncio.create_task(asyncio.to_thread(self._fetch, at))
            self._fetching.add(task)
            task.add_done_callback(self._fetching.discard)
        self._films[id] = at

    def _fetch(self, at: str) -> None:
        try:
            with urlopen(f"{self.address}/{at}", timeout=PATIENCE_S) as answer:
                self.bytes += len(answer.read())
        except OSError as fault:
            self.faults.append(f"a film did not come: {fault}")

    # ---- what the page's own ticker does in a browser (lvmviz/ui/js/ticker.js) ----

    def _ticker(self, id: str, fragment: str, data: dict[str, Any]) -> None:
        self._forget(id)
        if "after_ms" in data:
            self._tickers[id] = Ticker(fragment, data)
            self._later(id, data["after_ms"] / 1000, data["turn"])
            self._news[data["channel"]] = data["told"]
        else:
            now = time.perf_counter()
            apart = max(data["apart_ms"] / 1000, SHARE * (now - self._began))
            self._tickers[id] = Ticker(fragment, data, due=self._began + apart)
        for other, ticker in self._tickers.items():
            news = self._news.get(data["channel"])
            if "shown" in ticker.data and ticker.data["channel"] == data["channel"] and news:
                self._unset(other)
                if news != ticker.data["shown"]:
                    self._later(other, max(0.0, ticker.due - time.perf_counter()), news)

    def _later(self, id: str, wait_s: float, value: Any) -> None:
        self._timers[id] = asyncio.get_running_loop().call_later(wait_s, self._tick, id, value)

    def _tick(self, id: str, value: Any) -> None:
        self._timers.pop(id, None)
        task = asyncio.create_task(self._ask(id, value))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _ask(self, id: str, value: Any) -> None:
        events = json.dumps([{"event": "tick", "value": value}])
        name = f"{STREAMLIT_INTERNAL_KEY_PREFIX}_{id}__events"
        if id in self._tickers:
            trigger = WidgetState(id=name, json_trigger_value=events)
            took = await self.rerun(self._tickers[id].fragment, trigger)
            if took:
                self.polled += 1
                self.poll_s.append(took)

    @staticmethod
    def _owner(trigger: WidgetState) -> str:
        """The component whose trigger it is."""
        return trigger.id.removeprefix(f"{STREAMLIT_INTERNAL_KEY_PREFIX}_").removesuffix("__events")

    def _forget(self, id: str) -> None:
        self._unset(id)
        self._tickers.pop(id, None)

    def _unset(self, id: str) -> None:
        timer = self._timers.pop(id, None)
        if timer is not None:
            timer.cancel()

    def _settle(self, fragment: str) -> None:
        """Let go of what the page or the fragment that ran draws no more, and of fragments inside it."""
        own = [list(control.path) for control in self.controls.values() if control.fragment == fragment]
        scope = tuple(os.path.commonprefix(own)) if fragment else ()
        for id in set(self.controls) - self._drawn:
            if self.controls[id].path[: len(scope)] == scope:
                del self.controls[id]
                self._forget(id)

    @property
    def polls(self) -> bool:
        """Whether the page will ask the server for anything by itself."""
        return bool(self._timers or self._asking)
