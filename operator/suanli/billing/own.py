"""What of a period's evidence one party needs to check its statement alone, and nothing of anybody else's. Pure.

Prices are reckoned account by account and provider by provider, so own use, own customers and own tariffs are enough. Of the ledger a
party gets the entries that touch its money, with a proof that they are in the ledger that all statements of the period name.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from suanli.api.statement import Role
from suanli.billing.event import UsageEvent, UsageKind
from suanli.billing.evidence import NOWHERE, Closed, Dossier, Redeemed
from suanli.billing.inclusion import proof
from suanli.billing.ledger import Entry
from suanli.billing.posting import PAYOUT, VOUCHER, part
from suanli.billing.pricebook import PriceBook
from suanli.billing.rating import Customer
from suanli.billing.statements import Party
from suanli.billing.vouchers import Claim, Holding, Scope

SELLERS = (Role.PROVIDER, Role.NETWORK)
T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")
Terms = TypeVar("Terms", Dossier, Closed)


class Again(Iterable[T]):
    """What is made again whenever somebody goes through it, so that it need not be kept."""

    def __init__(self, make: Callable[[], Iterator[T]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[T]:
        return self._make()


def of_party(whole: Dossier, party: Party) -> Dossier:
    """The evidence of one statement. Raises: ValueError for a role whose statement needs all, and where the party has none."""
    if party.role not in (Role.CONSUMER, *SELLERS):
        raise ValueError(
            f"{party.role} {party.name} has a part of what all others owe; the evidence for that is all of the period's"
        )
    bills = [bill for bill in whole.bills if bill.party == party]
    if not bills:
        raise ValueError(f"{party.role} {party.name} has no statement of {whole.period.name}")
    own = _of_consumer(whole, party.name) if party.role is Role.CONSUMER else _of_seller(whole, party.name)
    return replace(own, bills=bills, gaps=[each for each in whole.gaps if each.is_of(party)], party=party)


def _of_consumer(whole: Dossier, account: str) -> Dossier:
    """All that an account used, its claims, and the entries that touch its money and its caps."""
    events = Again(lambda: (event for event in whole.events if event.account == account))
    lines = [line for line in whole.lines if line.account == account]
    sites = {event.site for event in events} | {line.site for line in lines}
    links = {event.link for event in events}
    customers = _among(whole.customers, {account})
    own = replace(
        _at(whole, sites, links),
        events=events,
        customers=customers,
        lines=lines,
        closed=[replace(_at(each, sites, links), customers=_among(each.customers, {account})) for each in whole.closed],
        billed=[line for line in whole.billed if line.account == account],
        awards=[award for award in whole.awards if award.line.account == account],
        scope=Scope(
            _among(whole.scope.side_of_site, sites),
            {key: chip for key, chip in whole.scope.chip_of_class.items() if key[0] in sites},
        ),
    )
    name = part(account)

    def is_own(account_: str) -> bool:
        kind, *parts = account_.split(":")
        if kind == "cap":
            return parts[1] == name
        return (kind in ("consumer", "reserve") and parts[0] == name) or parts[:2] == ["consumer", name]

    return _ledgered(whole, _priced(_subsidised(whole, own, account), _sellers(own)), is_own)


def _of_seller(whole: Dossier, seller: str) -> Dossier:
    """What was used of a provider or over its links, who used it, and the entries that touch its money. What its customers used of
    others is not there, so vouchers, which go by all of it, are not either.
    """
    books = [(terms.period, PriceBook((), terms.providers, terms.changes, terms.carriers)) for terms in _terms(whole)]

    def sold() -> Iterator[UsageEvent]:
        for event in whole.events:
            if seller in (book.seller(event, event.start_ms) for of, book in books if of.holds(event.start_ms)):
                yield event

    events = Again(sold)
    sites = {event.site for event in events if event.kind is not UsageKind.TRANSFER}
    links = {event.link for event in events}
    lines = [line for line in whole.lines if line.provider == seller]
    accounts = {event.account for event in events} | {line.account for line in lines}
    own = replace(
        _at(whole, sites, links),
        events=events,
        customers=_customers(whole.customers, accounts, seller),
        lines=lines,
        closed=[
            replace(_at(each, sites, links), customers=_customers(each.customers, accounts, seller))
            for each in whole.closed
        ],
        billed=[line for line in whole.billed if line.provider == seller],
        awards=[award for award in whole.awards if award.line.provider == seller],
        programs=[],
        holdings=[],
        redeemed=[],
        reimbursed=[],
        corrected=[],
        subsidised=[],
        granted_by={},
        scope=NOWHERE,
    )
    name = part(seller)

    def is_own(account: str) -> bool:
        kind, *parts = account.split(":")
        if kind == "subsidy":
            return parts[1:] == [name]
        return (kind in ("provider", "network") and parts[0] == name) or (kind == "cash" and parts[1:2] == [name])

    return _ledgered(whole, _priced(own, {seller}), is_own)


def _at(terms: Terms, sites: Container[str], links: Container[str]) -> Terms:
    """With whose those sites and links were, and no others'."""
    return replace(
        terms,
        providers=_among(terms.providers, sites),
        changes=[change for change in terms.changes if change.site in sites],
        carriers=_among(terms.carriers, links),
    )


def _subsidised(whole: Dossier, own: Dossier, account: str) -> Dossier:
    """With the account's claims, and what they paid."""
    reimbursed = [each for each in whole.reimbursed if each.line.account == account]
    corrected = [each for each in whole.corrected if each.line.account == account]
    lines = [*own.lines, *own.billed, *(each.line for each in reimbursed), *(each.line for each in corrected)]
    known = {line.id for line in lines}
    held = [(holding, given) for holding, given in whole.holdings if holding.claim.entity == account]
    vouchers = {holding.claim.voucher for holding, _ in held}
    places = sorted({_place(whole, holding) for holding, _ in held})
    return replace(
        own,
        programs=[whole.programs[place] for place in places],
        holdings=[(replace(holding, claim=_alone(holding.claim)), given) for holding, given in held],
        redeemed=[_redeemed(each, known) for each in whole.redeemed if each.voucher in vouchers],
        reimbursed=reimbursed,
        corrected=corrected,
        subsidised=[each for each in whole.subsidised if each.voucher in vouchers],
        granted_by={holding.claim.voucher: places.index(_place(whole, holding)) for holding, _ in held},
    )


def _terms(own: Dossier) -> list[Dossier | Closed]:
    """The period and those that are corrected, each with what it was rated by."""
    return [own, *own.closed]


def _sellers(own: Dossier) -> set[str]:
    """The providers who may have sold something."""
    terms = _terms(own)
    found = {provider for each in terms for provider in each.providers.values()}
    found |= {change.provider for each in terms for change in each.changes}
    found |= {carrier for each in terms for carrier in each.carriers.values()}
    return found | {held.provider for each in terms for one in each.customers.values() for held in one.subscriptions}


def _priced(own: Dossier, sellers: Container[str]) -> Dossier:
    """With the tariffs of those providers alone."""
    tariffs = [tariff for tariff in own.tariffs if tariff.spec.provider in sellers]
    names = {tariff.metadata.name for tariff in tariffs}
    return replace(
        own,
        tariffs=tariffs,
        rated_by=[name for name in own.rated_by if name in names],
        closed=[replace(each, tariffs=[name for name in each.tariffs if name in names]) for each in own.closed],
    )


def _ledgered(whole: Dossier, own: Dossier, is_own: Callable[[str], bool]) -> Dossier:
    """With the entries that touch own accounts or are of own vouchers, and the proof."""
    vouchers = {holding.claim.voucher for holding, _ in own.holdings}

    def touches(entry: Entry) -> bool:
        if entry.account is not None:
            return is_own(entry.account.name)
        moved = entry.transfer
        assert moved is not None, "an entry is one of both"
        word, _, rest = moved.reference.partition(":")
        is_of_voucher = f"{word}:" in (VOUCHER, PAYOUT) and rest.partition(":")[0] in vouchers
        return is_of_voucher or is_own(moved.debit) or is_own(moved.credit)

    entries = Again(lambda: filter(touches, whole.entries))

    def proved() -> Iterator[str]:
        places = [entry.sequence - 1 for entry in entries]
        return proof((entry.hash for entry in whole.entries), whole.root[0], places)

    return replace(own, entries=entries, proof=Again(proved))


def _place(whole: Dossier, holding: Holding) -> int:
    """Which of the programmes a voucher was granted by."""
    names = [program.metadata.name for program in whole.programs]
    return whole.granted_by.get(holding.claim.voucher, names.index(holding.grant.program))


def _customers(customers: Mapping[str, Customer], accounts: Container[str], seller: str) -> dict[str, Customer]:
    """Those who used something of a provider or hold a package of it, without what they hold of others."""
    found = {}
    for name, customer in customers.items():
        held = tuple(each for each in customer.subscriptions if each.provider == seller)
        if held or name in accounts:
            found[name] = replace(customer, subscriptions=held)
    return found


def _alone(claim: Claim) -> Claim:
    """A claim without the names of the family that are not the claim's own."""
    return replace(claim, family=claim.family & {claim.entity, claim.provider})


def _redeemed(each: Redeemed, lines: Container[str]) -> Redeemed:
    """A redemption without lines that are not the party's."""
    return replace(
        each,
        lines=tuple(line for line in each.lines if line in lines),
        subsidised={line: program for line, program in each.subsidised.items() if line in lines},
    )


def _among(some: Mapping[K, V], keys: Container[K]) -> dict[K, V]:
    return {key: value for key, value in some.items() if key in keys}
