"""Drawing that others do: a generator that hands its seeds to the workers of a Ray cluster.

To whoever asks it is a generator like any other, so the gate, the encoder and the watermark stay here, and a token's bytes
are those that this process would have drawn: the workers say which renderer drew, and the run records it. What comes back
is a stranger's: it has the size that was asked for, unpacks to exactly that, and hashes to what was said of it.

Ray is spoken with by a process of its own (`ray_driver.py`), in an environment that holds no secret.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import weakref
import zlib
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import urlsplit

from pipeline.art.draw import load_generator
from pipeline.art.draw.frames import MAX_BODY, Closed, read_frame, write_frame
from pipeline.art.draw.generator import Drawing, Generator
from pipeline.art.draw.notes import WEIGHTS
from pipeline.base import __version__
from pipeline.base.errors import BadArgument, GenerationError
from pipeline.base.files import read_regular
from pipeline.base.installation import extra
from pipeline.base.records import Attribute, DisplayType
from pipeline.base.untrusted import printable
from pipeline.base.web import is_loopback

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LOCAL = "ray:local"
STARTS = 3  # of the process that speaks with Ray, in a row without a picture
END_S = 20.0  # for Ray to end by itself
AHEAD = 4  # batches of each worker in a window: they are not all equally quick
MAX_ATTRIBUTES, MAX_WORD, MAX_LAYOUT = 64, 200, 1 << 18
# What the other process and the workers that it starts are to know of this one. No other variable reaches them.
KNOWN = (
    *("PATH", "PYTHONPATH", "VIRTUAL_ENV", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH"),
    *("CUDA_VISIBLE_DEVICES", "CUDA_HOME", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"),
    *("RAY_USE_TLS", "RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_CA_CERT"),
)


def shared_generator(
    model: str,
    device: str,
    threads: int | None,
    workers: str,
    *,
    trusted: bool,
    environ: Mapping[str, str] = os.environ,
) -> Generator:
    """A generator whose pictures are drawn at `workers`, `ray:local` or `ray://HOST:PORT`.

    Raises BadArgument for a cluster beyond this machine that is reached without TLS and without consent, MissingExtra
    where Ray is not installed, GenerationError where the cluster does not answer or its workers differ.
    """
    check_reach(workers, environ, trusted=trusted)
    with extra("ray"):
        import importlib.util

        if importlib.util.find_spec("ray") is None:
            raise ModuleNotFoundError(name="ray")
    speaker = _Speaker(model, device, threads, workers, environ)
    kinds = (_OfOneSide,) if speaker.who["side"] is not None else (_LaidOut,) if speaker.who["laid_out"] else (Shared,)
    return kinds[0](speaker)


def check_reach(workers: str, environ: Mapping[str, str], *, trusted: bool) -> None:
    """Raise BadArgument for a cluster of others: who reaches it in between can run code there, and sees what is drawn."""
    if (
        workers.startswith(LOCAL)
        or trusted
        or environ.get("RAY_USE_TLS") == "1"
        or is_loopback(urlsplit(workers).hostname or "")
    ):
        return
    raise BadArgument(
        name="--workers",
        value=workers,
        expected="a cluster that is reached with TLS: Ray runs whatever code it is sent",
        hint="set RAY_USE_TLS=1 with its certificates; or, where the whole network is yours, say --trust-workers",
    )


class Shared:
    """A BatchGenerator whose batches are drawn elsewhere, several at once."""

    def __init__(self, speaker: _Speaker) -> None:
        who = speaker.who
        self.name, self.weights_sha256 = str(who["name"]), str(who["weights_sha256"])
        self.renderer, self.device, self.dtype = str(who["renderer"]), str(who["device"]), str(who["dtype"])
        self.threads = int(who["threads"])
        self.batch = AHEAD * int(who["workers"]) * int(who["batch"])
        self._speaker = speaker

    def draw(self, seed: int, size: int) -> Drawing:
        return self.draw_batch([seed], size)[0]

    def draw_batch(self, seeds: Sequence[int], size: int) -> list[Drawing]:
        found = self._speaker.draw(seeds, size)
        return [found[seed] for seed in seeds]


class _OfOneSide(Shared):
    def __init__(self, speaker: _Speaker) -> None:
        super().__init__(speaker)
        self.side = int(speaker.who["side"])


class _LaidOut(Shared):
    def __init__(self, speaker: _Speaker) -> None:
        super().__init__(speaker)
        self._here: Any = None

    def layout(self, seed: int) -> NDArray[np.float32]:
        """Composed here: it costs less than asking."""
        if self._here is None:
            self._here = load_generator(self._speaker.model, device="cpu", threads=1)
        layout: NDArray[np.float32] = self._here.layout(seed)
        return layout


class _Speaker:
    """The process that speaks with Ray, started again where it ended; it ends with this one."""

    def __init__(self, model: str, device: str, threads: int | None, workers: str, environ: Mapping[str, str]) -> None:
        self.model = model
        folder = Path(model).is_dir()
        file = Path(model) / WEIGHTS if folder else Path(model)
        is_file = (folder or "/" in model or "." in model) and file.is_file()
        self._weights = read_regular(file, MAX_BODY) if is_file else b""
        self._address = workers
        self._wish = {
            "model": model,
            "file": WEIGHTS if folder else "",  # of a training's folder
            "sha256": hashlib.sha256(self._weights).hexdigest() if self._weights else "",
            "device": device,
            "threads": threads or 0,
            "address": self._address,
        }
        self._environ = {name: environ[name] for name in KNOWN if name in environ}
        self._process: subprocess.Popen[bytes] | None = None
        self.who: dict[str, Any] = {}
        self._start()

    def draw(self, seeds: Sequence[int], size: int) -> dict[int, Drawing]:
        """Drawings by seed; where the other process is killed in between a new one draws what is missing."""
        found: dict[int, Drawing] = {}
        starts = 0
        while missing := [seed for seed in dict.fromkeys(seeds) if seed not in found]:
            before = len(found)
            try:
                self._ask(missing, size, found)
            except (Closed, BrokenPipeError) as error:
                starts = 1 if len(found) > before else starts + 1
                if starts >= STARTS:
                    raise _lost(self._address, str(error)) from error
                self._start()
        return found

    def _ask(self, seeds: Sequence[int], size: int, found: dict[int, Drawing]) -> None:
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        write_frame(process.stdin, {"draw": list(seeds), "size": size})
        most = 2 * size * size * 3 + MAX_LAYOUT  # what does not compress is hardly longer than it was
        while True:
            header, body = read_frame(process.stdout, most)
            if "error" in header:
                self._end()
                raise GenerationError(
                    reason=f"the workers gave up: {printable(str(header['error']), 400)}",
                    hint="what is drawn is kept; draw with another --seed or --model, or without --workers to see it here",
                )
            if header.get("done"):
                return
            drawing = unpacked(header, body, size)
            if drawing.seed not in seeds:
                raise GenerationError(
                    reason=f"a worker drew seed {drawing.seed}, which nobody asked for", hint=_STRANGE
                )
            found[drawing.seed] = drawing

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._start()
        assert self._process is not None
        return self._process

    def _start(self) -> None:
        self._end()
        folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # short: its sockets' paths have 107 characters
        process = subprocess.Popen(
            [sys.executable, "-c", "from pipeline.art.draw.ray_driver import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._environ | _RAY | {"HOME": folder} | _token(self._address),
            start_new_session=True,  # Ctrl-C is this process's; the other one ends with its stream
        )
        self._process, self._finish = process, weakref.finalize(self, _ended, process, folder)
        assert process.stdin is not None and process.stdout is not None
        try:
            write_frame(process.stdin, self._wish | {"folder": folder}, self._weights)
            header, _ = read_frame(process.stdout, 0)
        except (Closed, BrokenPipeError) as error:
            self._end()
            raise _lost(self._address, str(error)) from error
        if "ready" not in header:
            self._end()
            raise _lost(self._address, printable(str(header.get("error", "")), 400))
        self._meet(header["ready"])

    def _meet(self, who: dict[str, Any]) -> None:
        if who.get("version") != __version__:
            raise GenerationError(
                reason=f"the workers have version {who.get('version')} of this program, and here is {__version__}",
                hint="install the same version on every machine of the cluster",
            )
        drawn_by = {key: value for key, value in who.items() if key != "workers"}
        if self.who and drawn_by != {key: value for key, value in self.who.items() if key != "workers"}:
            raise GenerationError(reason="the workers are not those that began", hint=_STRANGE)
        self.who = who

    def _end(self) -> None:
        if self._process is not None:
            self._finish()
            self._process = None


_STRANGE = "see who runs the cluster; without --workers everything is drawn here"
_RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",  # it would call home
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # as on those: a cluster of one machine listens on loopback alone
    "RAY_DEDUP_LOGS": "0",
}


def _token(address: str) -> dict[str, str]:
    """A cluster of our own asks for a word that only its processes know; others on this machine cannot use it."""
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)} if address.startswith(LOCAL) else {}


def _lost(address: Any, reason: str) -> GenerationError:
    return GenerationError(
        reason=f"the Ray cluster ({address}) is lost, or was never there: {reason}",
        hint="what is drawn is kept: give the same command again, or without --workers",
    )


def _ended(process: subprocess.Popen[bytes], folder: str) -> None:
    """Have a process end by itself, and soon; its cluster ends with it."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            try:
                stream.close()
            except BrokenPipeError:
                pass
    if process.returncode is None:
        end = time.monotonic() + END_S
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None and time.monotonic() < end:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)  # with agents of Ray's that outlive their driver by a minute
        process.wait()
    shutil.rmtree(folder, ignore_errors=True)


def unpacked(header: Mapping[str, Any], body: bytes, size: int) -> Drawing:
    """The drawing of a worker, which is believed nothing. Raises GenerationError."""
    import numpy as np

    try:
        seed, length, shape = int(header["seed"]), int(header["packed"]), header["layout"]
        decoder = zlib.decompressobj()
        pixels = decoder.decompress(body[:length], size * size * 3 + 1)
        layout = body[length:]
        if len(pixels) != size * size * 3 or not decoder.eof:
            raise ValueError(f"no picture of {size} pixels")
        if hashlib.sha256(pixels + layout).hexdigest() != header["sha256"]:
            raise ValueError("not the bytes that were drawn")
        attributes = tuple(_attribute(**entry) for entry in header["attributes"][: MAX_ATTRIBUTES + 1])
        if len(attributes) > MAX_ATTRIBUTES or len(layout) > MAX_LAYOUT:
            raise ValueError("more than a picture says of itself")
        sides = [] if shape is None else [int(side) for side in shape]
        if any(side < 1 for side in sides) or (prod(sides) * 4 if sides else 0) != len(layout):
            raise ValueError("a layout that is none")
        known = np.frombuffer(layout, np.float32).reshape(sides) if sides else None
        flaw = _word(header["flaw"])
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, zlib.error) as error:
        raise GenerationError(reason=f"a worker sent what is no drawing: {error}", hint=_STRANGE) from error
    return Drawing(seed, np.frombuffer(pixels, np.uint8).reshape(size, size, 3), attributes, flaw, known)


def _attribute(trait_type: Any, value: Any, display_type: Any, max_value: Any) -> Attribute:
    if display_type not in (None, *get_args(DisplayType)) or isinstance(value, bool):
        raise ValueError("a trait that is none")
    if max_value is not None and not isinstance(max_value, int | float):
        raise ValueError("a trait that is none")
    return Attribute(
        _word(trait_type), value if isinstance(value, int | float) else _word(value), display_type, max_value
    )


def _word(text: Any) -> str:
    if not isinstance(text, str) or len(text) > MAX_WORD or text != printable(text, MAX_WORD):
        raise ValueError("a word that is none")
    return text
