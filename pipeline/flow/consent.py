"""Before real money is spent: the chain is named, the most it may cost is set, and once plan and bill are told, the
collection's name is typed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from pipeline.base.errors import BadArgument, NotConfirmed, WrongNetwork
from pipeline.mint.fees import ETHER, GWEI, Limits, ether
from pipeline.mint.networks import Network, network_named, network_of
from pipeline.settings import Settings

ONLY_HERE = (
    "warning: the content is only on this machine: collectors will see nothing. --pin embedded,kubo (or a service) puts it"
    " where others reach it, and `repin` does so later"
)


@dataclass(frozen=True, slots=True)
class Person:
    """Who can be asked, and what was answered beforehand. `ask` and `ask_password` are None where nobody is there."""

    confirm_name: str | None = None
    ask: Callable[[str], str] | None = None
    ask_password: Callable[[str], str] | None = None


NOBODY = Person()


def wanted_network(config: Settings) -> Network | None:
    """The network that the configuration names, None for any. Raises BadArgument for a name that is none."""
    return network_named(config.chain.network) if config.chain.network else None


def check_node_named(config: Settings) -> None:
    """Raise BadArgument for a public network without the address of a node: the embedded chain is none."""
    network = wanted_network(config)
    if network is not None and network.worth != "devnet" and not config.chain.rpc_url:
        raise BadArgument(name="--rpc-url", value="", expected=f"the address of a node of {network.name}")


def confirmations(config: Settings, chain_id: int, *, is_rehearsal: bool) -> int:
    """Blocks until a token counts as minted: as configured, else as the chain of this id has it. In a rehearsal it is the
    block that holds it, whatever is configured: a development node makes a block only for a transaction, and whoever
    waited for more would wait for ever."""
    if is_rehearsal:
        return 1
    network, chosen = network_of(chain_id), config.chain.confirmations
    return chosen if network is None or config.given("confirmations") else network.confirmations


def check_network(config: Settings, chain_id: int, shown: str) -> None:
    """Raise WrongNetwork unless the chain at the RPC URL (`shown`) is the one that the configuration names."""
    network = wanted_network(config)
    if network is not None and network.chain_id != chain_id:
        raise WrongNetwork(rpc=shown, network=network.name, expected=network.chain_id, got=chain_id)


@dataclass(frozen=True, slots=True)
class Question:
    """What has to be answered before real money is spent, once the facts were told."""

    collection: str
    where: str  # the chain, by name
    most_eth: str
    person: Person

    def money(self, payer: str, balance_wei: int) -> str:
        """What may be spent and what there is, in the form of the plan's lines."""
        return f"  at most   {self.most_eth} ETH, your limit\n  balance   {ether(balance_wei)} ETH of {payer}"

    def put(self) -> None:
        """Have the collection's name typed, unless it was given beforehand. Raises NotConfirmed."""
        typed = self.person.confirm_name
        if typed is None and self.person.ask is not None:
            typed = self.person.ask(
                f"This spends money that is real on {self.where}, at most {self.most_eth} ETH.\n"
                f"Type the collection's name to go on ({self.collection}): "
            )
        if typed is None or typed.strip() != self.collection:
            raise NotConfirmed(
                collection=self.collection,
                network=self.where,
                reason="nobody typed" if typed is None else "other words than",
            )


def question_of(config: Settings, chain_id: int, collection: str, person: Person) -> Question | None:
    """What has to be asked before money is spent on this chain; None where it is worthless.

    Real money is spent only where `--network` names the chain and somebody chose `max_run_eth`: raises BadArgument
    otherwise, and NotConfirmed where there is nobody to ask. Nobody here knows what money on a chain without a name is
    worth: it counts as real, and the limit and the question remain.
    """
    network = network_of(chain_id)
    if network is not None and not network.is_real_money:
        return None
    if network is not None and config.chain.network != network.name:
        raise BadArgument(
            name="--network",
            value=config.chain.network,
            expected=f"{network.name!r}: the RPC URL leads to {network.name}, where money is real",
            hint=f"to spend it, give --network {network.name}",
        )
    where = network.name if network is not None else f"chain {chain_id}"
    if not config.given("max_run_eth"):
        is_real = "is real" if network is not None else "may be real: no network of that id is known here"
        raise BadArgument(
            name="--max-run-eth",
            value="",  # the default was nobody's word
            expected=f"a limit that you chose: money on {where} {is_real}",
            hint="the same command with --dry-run tells what it costs; then give --max-run-eth",
        )
    question = Question(collection, where, config.mint.max_run_eth, person)
    if person.ask is None or person.confirm_name is not None:
        question.put()  # answered already: what is wrong with that is said before anything is opened
    return question


def is_on_this_machine_only(places: Sequence[str], chain_id: int) -> bool:
    """Whether collectors on a public chain would be led to content that only this machine has."""
    network = network_of(chain_id)
    return set(places) == {"embedded"} and (network is None or network.worth != "devnet")


def spending_limits(config: Settings) -> Limits:
    """What may be spent at most, by the settings."""

    def wei(amount: str, unit: int) -> int:
        return int(Decimal(amount) * unit)

    most = config.mint
    return Limits(
        max_fee_wei=wei(most.max_fee_gwei, GWEI),
        transaction_wei=wei(most.max_transaction_eth, ETHER),
        run_wei=wei(most.max_run_eth, ETHER),
        day_wei=wei(most.max_day_eth, ETHER),
    )
