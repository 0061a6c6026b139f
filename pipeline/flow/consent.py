"""Before real money is spent: the chain is named, the collection's name is typed, and the most it may cost is set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from pipeline.base.errors import BadArgument, NotConfirmed, WrongNetwork
from pipeline.mint.fees import ETHER, GWEI, Limits
from pipeline.mint.networks import Network, network_named, network_of
from pipeline.settings import Settings


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
    """Blocks until a token counts as minted: as configured, else as the chain of this id has it; in a rehearsal on a
    development node, the block that holds it."""
    network = None if is_rehearsal else network_of(chain_id)
    chosen: int = (
        config.chain.confirmations if network is None or config.given("confirmations") else network.confirmations
    )
    return chosen


def check_network(config: Settings, chain_id: int, shown: str) -> None:
    """Raise WrongNetwork unless the chain at the RPC URL (`shown`) is the one that the configuration names."""
    network = wanted_network(config)
    if network is not None and network.chain_id != chain_id:
        raise WrongNetwork(rpc=shown, network=network.name, expected=network.chain_id, got=chain_id)


def check_consent(config: Settings, chain_id: int, collection: str, person: Person) -> None:
    """Raise UsageError unless this chain's money is worthless, or its spending was asked for in three ways.

    `--network` names the chain, `max_run_eth` was chosen by somebody, and the collection's name was typed. Nobody here
    knows what money on a chain without a name is worth: it counts as real, and the two other ways remain.
    """
    network = network_of(chain_id)
    if network is not None and not network.is_real_money:
        return
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
            value=config.mint.max_run_eth,
            expected=f"a limit that you chose: money on {where} {is_real}",
            hint="the same command with --dry-run tells what it costs; then give --max-run-eth",
        )
    _must_be_typed(collection, where, config.mint.max_run_eth, person)


def _must_be_typed(collection: str, where: str, most_eth: str, person: Person) -> None:
    typed = person.confirm_name
    if typed is None and person.ask is not None:
        typed = person.ask(
            f"This spends money that is real on {where}, at most {most_eth} ETH.\n"
            f"Type the collection's name to go on ({collection}): "
        )
    if typed is None or typed.strip() != collection:
        raise NotConfirmed(
            collection=collection, network=where, reason="nobody typed" if typed is None else "other words than"
        )


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
