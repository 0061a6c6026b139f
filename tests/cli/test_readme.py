"""The README and the pages beside it are executed, and so is every next command that the program prints on the way.

Each command of it stands in `RUNS`, with the folder it is given in and what a reader would put for its placeholders, or in
`NOT_RUN` with the reason. Pictures are small, by the environment; nothing else differs from what a reader does.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import REPOSITORY
from nodes import free_port
from PIL import Image

from pipeline.cli.main import command_line

pytestmark = pytest.mark.timeout(1_800)  # some sixty programs, one after another

README = (REPOSITORY / "README.md").read_text()
PAGES = "\n".join(path.read_text() for path in sorted((REPOSITORY / "docs").glob("*.md")))
BOB = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
NEXT = re.compile(r"^next: (.*?)   \((.*)\)$", re.MULTILINE)

NOT_RUN = {  # command -> why no test gives it
    "scripts/mint --count 50": "it sets a machine up: CI begins with it",
    "scripts/mint --count 50 --seed 5": "it sets a machine up: CI begins with it",
    "scripts/test": "it is what runs this",
    "pipeline mint --count 50 --rpc-url https://… --network sepolia --keystore workspace/keys/0x….json": "test ether",
    "pipeline mint --count 50 --rpc-url https://… --signer-url http://127.0.0.1:9000 --signer-address 0x…": (
        "a signer of one's own: tests/flow/test_networks.py has one"
    ),
    "pipeline mint --count 50 --pin embedded,kubo --ipfs-api /ip4/127.0.0.1/tcp/5001": "a Kubo node: tests/pin has some",
}
NOT_RUN["pipeline sample runs/x"] = "weights that were trained for a while: tests/art/test_explore.py looks into some"
_SERVER = "a PostgreSQL server: tests/ledger has one"
NOT_RUN |= {  # of the pages
    "pipeline ledger copy postgresql://HOST/DB": _SERVER,
    "pipeline mint --count 100 --ledger postgresql://minter@db.example.org/art": _SERVER,
    "pipeline ledger copy postgresql://minter@db.example.org/art": _SERVER,
    "pipeline ledger copy file --ledger postgresql://minter@db.example.org/art": _SERVER,
    "pipeline serve --open": "a browser of one's own",
    "pipeline serve --host 0.0.0.0 --allow-host art.example.org": "it listens on every address of the machine",
    "pipeline serve --rpc-url https://… --network sepolia --keystore key.json": "a node and test ether",
    "pipeline access revoke 1": "the token of somebody else here",
    "pipeline verify --contract 0x… --rpc-url https://… --kubo --sample 20 --json --junit verified.xml": "a Kubo node",
    "pipeline mint --count 50 --model runs/x": "the row with weights of one's own is the same",
}
_PAGE_RUNS = {  # console blocks of the pages
    "pipeline generate --count 36 --seed 14 --voice braid --material gouache --sheet braids.png": (
        "composed",
        "pipeline generate --count 1 --seed 14 --voice braid --material gouache --sheet braids.png",
    ),
    "pipeline mint --count 36 --seed 14 --voice massif --material wash": (
        "composed",
        "pipeline mint --count 1 --new --seed 14 --voice massif --material wash",
    ),
    "pipeline generate --count 36 --seed 12 --model compose --voice vessel --sheet pots.png": (
        "composed",
        "pipeline generate --count 2 --seed 12 --model compose --voice vessel --sheet pots.png",
    ),
    'pipeline mint --count 36 --seed 12 --model compose --voice vessel --palettes "Kiln,Lido,Mine=f4ead6e4572e2a9d8fffc9142e282a"': (
        "composed",
        "pipeline mint --count 1 --new --name Own --model compose --voice vessel"
        ' --palettes "Kiln,Lido,Mine=f4ead6e4572e2a9d8fffc9142e282a"',
    ),
    "pipeline train --model stylegan2 --data my-art --licence 'my own work' --out runs/x --minutes 60": (
        "images",
        "pipeline train --model mlp_gan --data my-art --licence 'my own work' --out runs/y --minutes 0.01",
    ),
    "pipeline access new --scope mint --label ci": ("fresh", ""),
    "pipeline access list": ("fresh", ""),
    "pipeline export --site show": ("fresh", ""),
    "pipeline export --site show --url https://art.example.org --gateway-url https://ipfs.example.org": ("fresh", ""),
    "pipeline export --site show --pin embedded": ("fresh", ""),
    "pipeline export --site show --name 'Night Grove'": ("composed", "pipeline export --site show --name Own"),
    "pipeline verify --contract 0x… --rpc-url https://… --gateway https://…": (
        "empty",
        "pipeline verify --contract {contract} --rpc-url {chain} --gateway {gateway} --json",
    ),
    "pipeline verify --contract 0x… --rpc-url https://… --gateway https://… --token 7": (
        "empty",
        "pipeline verify --contract {contract} --rpc-url {chain} --gateway {gateway} --token 7",
    ),
    "pipeline serve --require-token": (
        "fresh",
        "pipeline serve --require-token --port {port} --gateway-port {other_port}",
    ),
    "pipeline serve --public --url https://art.example.org": (
        "fresh",
        "pipeline serve --public --url https://art.example.org --port {port} --gateway-port {other_port}",
    ),
    "pipeline serve --public --url https://art.example.org --gateway-url https://ipfs.example.org": (
        "fresh",
        "pipeline serve --public --url https://art.example.org --gateway-url https://ipfs.example.org"
        " --port {port} --gateway-port {other_port}",
    ),
}
# command -> the folder that it is given in, and the same command as a reader of it would type it
RUNS = {
    "pipeline init": ("fresh", ""),
    "pipeline mint --count 50": ("fresh", ""),
    "pipeline mint --count 10 --more": ("fresh", ""),
    "pipeline mint --total 100": ("fresh", "pipeline mint --total 64"),
    "pipeline check --images FOLDER": ("images", "pipeline check --images my-art"),
    "pipeline mint --images FOLDER": ("images", "pipeline mint --images my-art"),
    "pipeline mint --to recipients.csv": ("recipients", ""),
    "pipeline mint --count 50 --dry-run": ("empty", ""),
    "pipeline mint --count 50 --stop-after generate": ("drawn", "pipeline mint --count 12 --stop-after generate"),
    "pipeline reject 7 12": ("rejected", ""),
    "pipeline studio status": ("rejected", ""),
    "pipeline check --layers FOLDER": ("layers", "pipeline check --layers my-layers --count 4"),
    "pipeline layers counts FOLDER": ("layers", "pipeline layers counts my-layers --count 4"),
    "pipeline mint --layers FOLDER": ("layers", "pipeline mint --layers my-layers --count 4 --new"),
    "pipeline status": ("fresh", ""),
    "pipeline voices --sheet voices.png": ("empty", ""),
    "pipeline generate --count 36 --sheet sheet.png": ("empty", "pipeline generate --count 4 --sheet sheet.png"),
    "pipeline abandon": ("fresh", ""),
    "pipeline mint --count 50 --new": ("images", "pipeline mint --count 2 --new"),
    "pipeline show 7": ("fresh", ""),
    "pipeline rarity": ("fresh", ""),
    "pipeline owners": ("fresh", ""),
    "pipeline repin --pin kubo": ("fresh", ""),
    "pipeline pins": ("fresh", ""),
    "pipeline unpin --pin kubo": ("fresh", ""),
    "pipeline transfer 7 --to 0x…": ("fresh", f"pipeline transfer 7 --to {BOB}"),
    "pipeline verify": ("fresh", ""),
    "pipeline verify --contract 0x… --rpc-url … --gateway …": (
        "empty",
        "pipeline verify --contract {contract} --rpc-url {chain} --gateway {gateway}",
    ),
    "pipeline verify --content --gateway …": ("fresh", "pipeline verify --content --gateway {gateway}"),
    "pipeline doctor": ("fresh", ""),
    "pipeline repair --from-chain --contract 0x…": ("lost", "pipeline repair --from-chain --contract {contract}"),
    "pipeline gateway": ("fresh", "pipeline gateway --port {port}"),
    "pipeline serve": ("fresh", "pipeline serve --port {port} --gateway-port {other_port}"),
    "pipeline access new": ("fresh", ""),
    "pipeline export": ("fresh", ""),
    "pipeline account new": ("fresh", ""),
    "pipeline devnet": ("fresh", ""),
    "pipeline completion bash": ("empty", ""),
    "pipeline config": ("fresh", ""),
    "pipeline compile": ("fresh", ""),
    "pipeline mint --count 18 --model compose:vessel:flat:12 --seed 12": (
        "composed",
        "pipeline mint --count 2 --model compose:vessel:flat:12 --seed 12",
    ),
    "pipeline generate --model default --count 36 --seed 2026 --size 512 --sheet sheet.png": (
        "composed",
        "pipeline generate --model default --count 2 --seed 2026 --size 32 --sheet sheet.png",
    ),
    "pipeline train --model stylegan2 --data my-art --licence 'my own work' --out runs/x": (
        "images",
        "pipeline train --model mlp_gan --data my-art --licence 'my own work' --out runs/x --steps 2",
    ),
    "pipeline mint --count 50 --model my-weights.safetensors --size 1024": (
        "images",
        "pipeline mint --count 2 --new --name Learned --model runs/x/model.safetensors",
    ),
    "pipeline layers import FOLDER": ("layers", "pipeline layers import hashlips"),
    "pipeline judge": ("judged", ""),
    "pipeline certificate new": ("signed", "pipeline certificate new --subject Zoë"),
    "pipeline detect FILE": ("signed", "pipeline detect 1.png"),
    "pipeline mint --count 50 --rpc-url http://127.0.0.1:8545": (
        "elsewhere",
        "pipeline mint --count 2 --rpc-url {chain}",
    ),
}
RUNS |= _PAGE_RUNS
SERVES = tuple(command for command in RUNS if command.startswith("pipeline serve"))
STAYS = ("pipeline gateway", *SERVES, "pipeline devnet")  # until Ctrl-C
KUBO_IS_OFF = (  # the only place here that does not answer
    "pipeline repin --pin kubo",
    "tries those again, and sends nothing that is there",
    "tries again where content is not proved",
)
BEFORE: dict[
    str, tuple[str, ...]
] = {  # what the README does not say, so that a row has what it is about: folder -> commands
    "bare": ("pipeline status",),
    "rejected": ("pipeline mint --count 12 --stop-after generate",),
    "judged": (
        "pipeline mint --count 20 --stop-after generate",
        "pipeline reject 1 2 3 4 5 6 7 8",
        "pipeline mint --count 20",
    ),
    "signed": (
        "pipeline certificate new --subject Ada --out other.pem",
        "pipeline mint --count 1 --certificate other.pem",
        "cp workspace/images/1/1.png 1.png",
    ),
}
AFTER: dict[str, tuple[str, ...]] = {  # and so that every next command is printed once
    "rejected": ("pipeline status", "pipeline mint --count 2 --more --stop-after generate", "pipeline abandon"),
    "layers": (
        "pipeline mint --layers my-layers --count 6 --seed 1 --new --name Few --stop-after generate",
        "pipeline studio reroll 2",
    ),
    "bare": ("pipeline voices", "pipeline access list", "pipeline account list"),
    "fresh": ("pipeline repin --pin embedded", "pipeline export --site show --pin embedded"),
}
TOO_LONG = {  # the reason in a hint -> why the hint is not given
    "draws, pins and mints": "`mint --count 50` again, as the row below it",
    "draws, pins and mints 50 artworks": "`mint --count 50` again",
    "makes one": "`mint --count 50` again",
    "lets it take the best of three": "many rejections before it",
    "makes every count hold again": "edits before it: tests/flow/test_studio.py",
    "writes this into the plan and draws what changed": "edits before it: tests/flow/test_studio.py",
    "signs what it draws": "`mint --count 50` again, signed: its own tests do",
    "shows each of them": "the row of `voices --sheet`, word for word",
    "mints with these weights": "fifty pictures: the row with weights of one's own is the same",
    "pictures to look at; nothing is minted": "36 pictures: the row of `generate` draws a sheet",
}


def commands_of_the_readme() -> list[str]:
    """Every command of the README, in its order: rows, text and console blocks."""
    found = []
    for match in re.finditer(r"^\$ (.+)$|`(pipeline [^`]+)`", README, re.MULTILINE):
        line = (match[1] or match[2]).partition("  #")[0].strip()
        if line.startswith(("pipeline ", "scripts/")) and "VERB" not in line and not line.startswith("pipeline/"):
            found.append(line)
    return [*dict.fromkeys(found)]


def commands_of_the_pages() -> list[str]:
    """Every command of the other pages' console blocks; those that take no long are given as well."""
    return [line.partition("  #")[0].strip() for line in re.findall(r"^\$ (pipeline .+)$", PAGES, re.MULTILINE)]


@dataclass
class Walk:
    """What was given, and what came of it."""

    folder: Path
    codes: dict[str, int] = field(default_factory=dict)  # by command, and by the reason in a hint
    said: dict[str, str] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)  # contract, chain, gateway

    @property
    def environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PIPELINE_")}
        own = {"PIPELINE_SIZE": "32", "PIPELINE_DUPLICATE_BITS": "off", "PIPELINE_KEYSTORE_PASSWORD": "a long password"}
        own["PIPELINE_CERTIFICATE_PASSWORD"] = "a long password"
        own["PIPELINE_IPFS_API"] = "/ip4/127.0.0.1/tcp/9"
        return {**kept, **own, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}

    def at(self, name: str) -> Path:
        (self.folder / name).mkdir(exist_ok=True)
        return self.folder / name

    def give(self, what: str, command: str, place: Path, *, follows: bool = True) -> None:
        """Give a command as a shell gets it, and then whatever it says to give next that was not given yet."""
        ended = subprocess.run(
            ["sh", "-c", command],
            cwd=place,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        self.heard(what, ended.returncode, ended.stdout + ended.stderr, place, follows=follows)

    def heard(self, what: str, code: int, said: str, place: Path, *, follows: bool = True) -> None:
        self.codes[what], self.said[what] = code, said
        for command, why in NEXT.findall(said) if follows else ():
            why = _pattern_of(why)
            if why not in self.codes and why not in TOO_LONG:
                self.codes[why] = -1  # not twice, wherever it leads
                if shlex.split(command)[1] in ("gateway",):
                    with self.staying(why, f"{command} --port {free_port()}", place):
                        continue
                self.give(why, command, place)

    @contextmanager
    def staying(self, what: str, command: str, place: Path) -> Iterator[str]:
        """A verb that goes on until Ctrl-C, for as long as the block; gives the first line of its result."""
        process = subprocess.Popen(
            ["sh", "-c", f"exec {command}"],
            cwd=place,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        assert process.stdout is not None and process.stderr is not None
        first = process.stdout.readline().strip()
        heard = process.stderr.readline()
        while what in SERVES and "next: " not in heard and "Started server" not in heard:
            heard += process.stderr.readline()
        try:
            yield first
        finally:
            process.send_signal(signal.SIGINT)
            out, err = process.communicate()
            self.heard(what, process.returncode, f"{first}\n{out}{heard}{err}", place)


_REASONS: list[str] = []


def _reasons() -> list[str]:
    """The reason of every next command that the program's text holds; what an f-string fills in is any text."""
    if not _REASONS:
        for path in sorted((REPOSITORY / "pipeline" / "cli").glob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                    if node.func.attr in ("next", "repeat") and isinstance(node.func.value, ast.Name):
                        if node.func.value.id == "call":
                            _REASONS.append(_text_of(node.args[0]))
    return [*dict.fromkeys(_REASONS)]


def _text_of(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    assert isinstance(node, ast.JoinedStr), "a reason is text"
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)


def _pattern_of(why: str) -> str:
    """The reason as the program's text has it."""
    for reason in _reasons():
        if re.fullmatch(".*".join(map(re.escape, reason.split("…"))), why):
            return reason
    return why


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """All of it, once: a reader who tries everything."""
    walk = Walk(tmp_path_factory.mktemp("reader"))
    program = walk.at("bin") / "pipeline"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(REPOSITORY)!r})\n"
        "from pipeline.cli.main import entry\nsys.exit(entry())\n"
    )
    program.chmod(0o755)
    (walk.at("recipients") / "recipients.csv").write_text(f"{BOB},2\n")
    (walk.at("images") / "my-art").mkdir()
    for number in range(1, 17):
        Image.effect_noise((32, 32), 10 + number).convert("RGB").save(walk.at("images") / "my-art" / f"{number}.png")
    for number in range(1, 4):
        for layer in ("Ground", "Shape"):
            (walk.at("layers") / "my-layers" / layer).mkdir(parents=True, exist_ok=True)
            picture = Image.new("RGBA", (32, 32), (80 * number, 40 * len(layer), 30, 255 if layer == "Ground" else 120))
            picture.save(walk.at("layers") / "my-layers" / layer / f"{number}.png")
    (walk.at("layers") / "my-layers" / "layers.toml").write_text(
        '[[layers]]\nfolder = "Ground"\n[[layers]]\nfolder = "Shape"\n'
    )
    shutil.copytree(walk.at("layers") / "my-layers", walk.at("layers") / "hashlips" / "layers")
    (walk.at("layers") / "hashlips" / "layers" / "layers.toml").unlink()
    (walk.at("layers") / "hashlips" / "src").mkdir()
    (walk.at("layers") / "hashlips" / "src" / "config.js").write_text(
        'const layerConfigurations = [{ growEditionSizeTo: 4, layersOrder: [{ name: "Ground" }, { name: "Shape" }] }];\n'
    )
    for name, commands in BEFORE.items():
        for command in commands:
            walk.give(f"{name}: {command}", command, walk.at(name), follows=False)
    late = ("{contract}", "{chain}", "{gateway}")
    for command, (name, typed) in RUNS.items():
        if command not in STAYS and not any(word in typed for word in late):
            walk.give(command, typed or command, walk.at(name))
    for name, commands in AFTER.items():
        for command in commands:
            walk.give(f"{name}: {command}", command, walk.at(name))
    _with_what_stays(walk)
    return walk


def _with_what_stays(walk: Walk) -> None:
    fresh = walk.at("fresh")
    shown = re.search(r"0x[0-9a-fA-F]{40}", walk.said["pipeline show 7"].partition("contract")[2])
    assert shown, walk.said["pipeline show 7"]
    walk.known["contract"] = shown[0]
    shutil.copytree(fresh / "workspace", walk.at("lost") / "workspace")
    for path in (walk.at("lost") / "workspace").glob("ledger.sqlite*"):
        path.unlink()
    repair = "pipeline repair --from-chain --contract 0x…"
    walk.give(repair, RUNS[repair][1].format(**walk.known), walk.at("lost"))
    for serve in SERVES:
        ports = {"port": str(free_port()), "other_port": str(free_port())}
        with walk.staying(serve, (RUNS[serve][1]).format(**ports), fresh):
            pass
    gateway = RUNS["pipeline gateway"][1].format(port=free_port())
    with (
        walk.staying("pipeline devnet", "pipeline devnet", fresh) as walk.known["chain"],
        walk.staying("pipeline gateway", gateway, fresh) as walk.known["gateway"],
    ):
        for command, (name, typed) in RUNS.items():
            if command not in (*STAYS, repair) and any(f"{{{word}}}" in typed for word in walk.known):
                walk.give(command, typed.format(**walk.known), walk.at(name))


def _expected(what: str) -> tuple[int, ...]:
    """The exit codes that are right; what stays until Ctrl-C is interrupted where that comes before it has settled."""
    if what in STAYS or what.startswith("serves it at"):
        return 0, 130
    return (3,) if what in KUBO_IS_OFF else (0,)


def test_every_command_of_the_readme_is_run_or_has_a_reason_not_to_be() -> None:
    assert [command for command in commands_of_the_readme() if command not in RUNS and command not in NOT_RUN] == []
    named = {*commands_of_the_readme(), *commands_of_the_pages()}
    assert [command for command in (*RUNS, *NOT_RUN) if command not in named] == []


def test_the_readme_does_what_it_says(walk: Walk) -> None:
    wrong = {what: (code, walk.said[what][-2_000:]) for what, code in walk.codes.items() if code not in _expected(what)}
    assert wrong == {}


def test_every_next_command_was_printed_and_given_as_it_was_printed(walk: Walk) -> None:
    printed = {_pattern_of(why) for said in walk.said.values() for _, why in NEXT.findall(said)}
    assert [reason for reason in _reasons() if reason not in printed and reason not in TOO_LONG] == []
    assert [reason for reason in _reasons() if reason not in walk.codes and reason not in TOO_LONG] == []


def test_the_python_of_the_readme_runs(walk: Walk) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    small = block.replace("count=50", "count=2")
    subprocess.run(
        [sys.executable, "-c", small],
        cwd=walk.at("python"),
        env=walk.environ | {"PYTHONPATH": str(REPOSITORY)},
        check=True,
    )


def test_every_command_that_a_page_names_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Also those in the midst of a sentence; what a reader puts there stands for a value."""
    parser = command_line()
    named = dict.fromkeys(
        re.findall(r"`(pipeline [a-z][^`]*)`", PAGES) + re.findall(r"^\$ (pipeline .+)$", PAGES, re.M)
    )
    assert len(named) > 40
    wrong = []
    for command in named:
        try:
            parser.parse_args(shlex.split(command.partition("  #")[0])[1:])
        except SystemExit as ended:
            if ended.code and "are required" not in capsys.readouterr().err:  # a verb by its name alone
                wrong.append(command)
    assert wrong == []
