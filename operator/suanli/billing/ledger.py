"""The double-entry ledger: what is in it, and the chain of hashes that binds it. `billing/book.py` has its rules.

Money moves from the debited account to the credited one; an account's balance is its credits less its debits. Nothing in
the ledger is ever changed: every accepted transfer and every opening of an account is one entry, in one order.

The chain can be computed again with SHA-256 and JSON alone. An entry's line is one JSON object: keys sorted, no spaces,
nothing escaped but `"` and `\\`, amounts and limits as strings of digits, times and sequences as numbers. Its hash is that of
the line's UTF-8 bytes, in lower-case hex; each line holds the hash of the one before it as `previous`, the first one 64
zeros. So the hash of line n is found in line n + 1, and the last one is the root.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from json.encoder import encode_basestring as _quoted
from typing import Protocol

NO_ENTRY = "0" * 64  # what the first entry holds as the hash of the one before it
MOST_MICRO_YUAN = (1 << 63) - 1  # of one transfer or limit: what 64 bits hold; sums are exact beyond it
MOST_TIME_MS = 253_402_300_799_999  # the end of the year 9999
MOST_TEXT = 200  # characters of an id, an account or a reference
EXPIRES = "expire:"  # the ledger ends hold H by itself with an entry of the id "expire:H"

_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]*")  # what JSON and every database hold alike
_ACCOUNT = re.compile(r"[a-z]+(?::[^:\s]+)+")


class TransferKind(StrEnum):
    """What a transfer does."""

    POST = "post"  # moves money
    HOLD = "hold"  # sets money aside; it counts against both limits until it is over
    POST_HOLD = "post-hold"  # ends a hold: moves all or a part of it and releases the rest
    VOID_HOLD = "void-hold"  # ends a hold and moves nothing
    EXPIRE_HOLD = "expire-hold"  # the same, by the ledger itself: nobody can send it


class Outcome(StrEnum):
    """What became of a transfer. All but the first leave the ledger as it was."""

    CREATED = "created"
    EXISTS = "exists"  # the very same transfer is there
    EXISTS_DIFFERENTLY = "exists-differently"  # another transfer of this id is there
    EXCEEDS_LIMIT = "exceeds-limit"  # a balance would pass its account's limit, holds counted
    HOLD_UNKNOWN = "hold-unknown"  # no hold of this id between these accounts
    HOLD_OVER = "hold-over"  # posted, voided or expired
    EXCEEDS_HOLD = "exceeds-hold"  # more than the hold set aside
    ACCOUNT_UNKNOWN = "account-unknown"  # never opened
    NOT_A_TRANSFER = "not-a-transfer"  # `wrong` says why
    LINKED_FAILED = "linked-failed"  # another one of its group was refused


ACCEPTED = frozenset({Outcome.CREATED, Outcome.EXISTS})


@dataclass(frozen=True, slots=True)
class LedgerAccount:
    """An account as it is opened, and again when its limits change: "kind:name" with more parts after further colons.

    Units: micro-yuan of credits less debits, None for no limit. A debit may not bring the balance below the least, a credit
    not above the most; held debits count as made for the first, held credits for the second.
    """

    name: str
    min_micro_yuan: int | None = None
    max_micro_yuan: int | None = None


@dataclass(frozen=True, slots=True)
class Transfer:
    """Money from one account to another.

    `id` is made by the client: sent again, the same transfer changes nothing. POST_HOLD and VOID_HOLD name the hold's own
    accounts; the amount of a VOID_HOLD is 0. Transfers of one `commit` with the same `linked` are accepted all or none, in
    their order, at the place of the first one. The ledger's time is the latest `time_ms` that it accepted; a hold is over as
    soon as that reaches `expires_ms` (0: never).
    """

    id: str
    debit: str
    credit: str
    amount_micro_yuan: int
    kind: TransferKind
    time_ms: int
    hold: str = ""
    expires_ms: int = 0
    reference: str = ""
    linked: str = ""


@dataclass(frozen=True, slots=True)
class Balance:
    """Sums of an account. Units: micro-yuan, none negative, exact beyond 64 bits."""

    debits_micro_yuan: int = 0
    credits_micro_yuan: int = 0
    held_debits_micro_yuan: int = 0
    held_credits_micro_yuan: int = 0

    @property
    def posted_micro_yuan(self) -> int:
        """Credits less debits, without holds."""
        return self.credits_micro_yuan - self.debits_micro_yuan

    @property
    def least_micro_yuan(self) -> int:
        """What is left if every held debit is posted and no held credit: what can be spent, down to the limit."""
        return self.posted_micro_yuan - self.held_debits_micro_yuan

    @property
    def most_micro_yuan(self) -> int:
        """What is there if every held credit is posted and no held debit."""
        return self.posted_micro_yuan + self.held_credits_micro_yuan


@dataclass(frozen=True, slots=True)
class Entry:
    """One link of the chain: a transfer, or the opening of an account.

    `released_micro_yuan` is what the end of a hold set free, besides the transfer's own amount.
    """

    sequence: int  # 1, 2, 3 ...
    transfer: Transfer | None
    account: LedgerAccount | None
    released_micro_yuan: int
    previous: str
    hash: str


class Ledger(Protocol):
    """A store of entries. Everything raises SuanliError when it cannot be used, and then nothing is kept of the call."""

    def open(self, accounts: Sequence[LedgerAccount]) -> None:
        """Append the accounts that are not open with these limits. Raises: SuanliError, also for what is no account."""

    def commit(self, transfers: Sequence[Transfer]) -> list[Outcome]:
        """Append what the rules allow; the outcome of each. Durable when it returns."""
        ...

    def balance(self, account: str) -> Balance:
        """The sums of an account; zeros for one that is not open."""
        ...

    def open_holds(self, begin: str) -> list[Transfer]:
        """The holds that are not over and whose ids begin so, by id."""
        ...

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """All entries of a higher sequence, in order, as they are at one moment."""
        ...

    def root(self) -> tuple[int, str]:
        """How many entries there are, and the hash of the last one."""
        ...

    def transfer(self, id_: str) -> Transfer | None:
        """The transfer of this id; None when there is none."""
        ...

    def hash_of(self, sequence: int) -> str | None:
        """The hash of an entry, as it is kept; None when there is no such entry."""
        ...

    def close(self) -> None:
        """Give it back; again is no harm."""
        ...


def wrong(transfer: Transfer) -> str:
    """Why this is NOT_A_TRANSFER, whatever the ledger holds; empty when it is one."""
    texts = (transfer.id, transfer.debit, transfer.credit, transfer.hold, transfer.reference, transfer.linked)
    if not _all_text(texts):
        for field, text in zip(("id", "debit", "credit", "hold", "reference", "linked"), texts, strict=True):
            why = _wrong_text(text)
            if why:
                return f'{field} "{str(text)[:80]}" {why}'
    if not transfer.id or transfer.id.startswith(EXPIRES):
        return f'id "{transfer.id}" is to be some text that does not begin with "{EXPIRES}"'
    if transfer.debit == transfer.credit:
        return f'debit and credit are both "{transfer.debit}"; name two accounts'
    if type(transfer.kind) is not TransferKind or transfer.kind is TransferKind.EXPIRE_HOLD:
        return f'kind "{transfer.kind}" is not post, hold, post-hold or void-hold'
    numbers = (transfer.amount_micro_yuan, transfer.time_ms, transfer.expires_ms)
    if set(map(type, numbers)) != {int}:  # a bool is none
        return f"amount_micro_yuan, time_ms and expires_ms are {str(numbers)[:160]}; they are to be whole numbers"
    return _wrong_amount(transfer) or _wrong_time(transfer) or _wrong_hold(transfer)


def wrong_account(account: LedgerAccount) -> str:
    """Why this cannot be an account; empty when it can."""
    why = _wrong_text(account.name)
    if why:
        return f'account "{str(account.name)[:80]}" {why}'
    if _ACCOUNT.fullmatch(account.name) is None:
        return f'account "{account.name}" is not of the form "kind:name", such as "consumer:physics"'
    for field in ("min_micro_yuan", "max_micro_yuan"):
        limit = getattr(account, field)
        if limit is not None and (type(limit) is not int or abs(limit) > MOST_MICRO_YUAN):
            return f'{field} {_shown(limit)} of "{account.name}" is not a whole number within ±{MOST_MICRO_YUAN}'
    low, high = account.min_micro_yuan, account.max_micro_yuan
    if low is not None and high is not None and low > high:
        return f'min_micro_yuan {low} of "{account.name}" is above its max_micro_yuan {high}'
    return ""


def line(entry: Entry) -> str:
    """The line of an entry whose hash binds it; `ledger.jsonl` of an evidence package is these lines."""
    return _line(entry.sequence, entry.transfer, entry.account, entry.released_micro_yuan, entry.previous)


def chained(sequence: int, previous: str, record: Transfer | LedgerAccount, released_micro_yuan: int = 0) -> Entry:
    """The entry that a record makes after the one whose hash is `previous`."""
    transfer, account = (record, None) if isinstance(record, Transfer) else (None, record)
    text = _line(sequence, transfer, account, released_micro_yuan, previous)
    return Entry(sequence, transfer, account, released_micro_yuan, previous, digest(text))


def digest(text: str) -> str:
    """SHA-256 of a line's UTF-8 bytes, in hex."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _line(sequence: int, transfer: Transfer | None, account: LedgerAccount | None, released: int, previous: str) -> str:
    if account is not None:
        low, high = account.min_micro_yuan, account.max_micro_yuan
        return (
            f'{{"kind":"account","max_micro_yuan":{_digits(high)},"min_micro_yuan":{_digits(low)},'
            f'"name":{_quoted(account.name)},"previous":"{previous}","sequence":{sequence}}}'
        )
    assert transfer is not None
    return (
        f'{{"amount_micro_yuan":"{transfer.amount_micro_yuan}","credit":{_quoted(transfer.credit)},'
        f'"debit":{_quoted(transfer.debit)},"expires_ms":{transfer.expires_ms},"hold":{_quoted(transfer.hold)},'
        f'"id":{_quoted(transfer.id)},"kind":"{transfer.kind.value}","linked":{_quoted(transfer.linked)},'
        f'"previous":"{previous}","reference":{_quoted(transfer.reference)},"released_micro_yuan":"{released}",'
        f'"sequence":{sequence},"time_ms":{transfer.time_ms}}}'
    )


def _digits(limit: int | None) -> str:
    return "null" if limit is None else f'"{limit}"'


def _all_text(texts: Sequence[str]) -> bool:
    """Whether `_wrong_text` would say nothing of any; quickly, for what is nearly always so."""
    return (
        set(map(type, texts)) == {str} and max(map(len, texts)) <= MOST_TEXT and bool(_TEXT.fullmatch("".join(texts)))
    )


def _wrong_text(text: object) -> str:
    if not isinstance(text, str):
        return "is not text"
    if len(text) > MOST_TEXT:
        return f"has {len(text)} characters; {MOST_TEXT} are allowed"
    if _TEXT.fullmatch(text) is None:
        return "holds a control character or half of a surrogate pair"
    return ""


def _shown(number: object) -> str:
    """A number for a sentence; Python writes none of thousands of digits."""
    huge = isinstance(number, int) and number.bit_length() > 256
    return "of more than 256 bits" if huge else str(number)[:80]


def _wrong_amount(transfer: Transfer) -> str:
    amount = transfer.amount_micro_yuan
    if transfer.kind is TransferKind.VOID_HOLD:
        return f"amount_micro_yuan {_shown(amount)} of a void-hold is to be 0: it moves nothing" if amount else ""
    if not 0 < amount <= MOST_MICRO_YUAN:
        return f"amount_micro_yuan {_shown(amount)} is not from 1 to {MOST_MICRO_YUAN}"
    return ""


def _wrong_time(transfer: Transfer) -> str:
    for field, time_ms in (("time_ms", transfer.time_ms), ("expires_ms", transfer.expires_ms)):
        if not 0 <= time_ms <= MOST_TIME_MS:
            return f"{field} {_shown(time_ms)} is not from 0 to {MOST_TIME_MS}"
    if transfer.expires_ms and transfer.kind is not TransferKind.HOLD:
        return f"expires_ms {transfer.expires_ms} of a {transfer.kind} is to be 0: only a hold expires"
    if transfer.expires_ms and transfer.expires_ms <= transfer.time_ms:
        return f"expires_ms {transfer.expires_ms} is not after time_ms {transfer.time_ms}"
    return ""


def _wrong_hold(transfer: Transfer) -> str:
    ends = transfer.kind in (TransferKind.POST_HOLD, TransferKind.VOID_HOLD)
    if ends and not transfer.hold:
        return f"hold is empty; a {transfer.kind} names the hold that it ends"
    if transfer.hold and not ends:
        return f'hold "{transfer.hold}" of a {transfer.kind} is to be empty'
    return ""
