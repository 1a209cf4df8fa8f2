"""What is a transfer, what is an account, and the line that is hashed."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from suanli.billing.ledger import (
    MOST_MICRO_YUAN,
    MOST_TEXT,
    MOST_TIME_MS,
    NO_ENTRY,
    Balance,
    LedgerAccount,
    Transfer,
    TransferKind,
    chained,
    line,
    wrong,
    wrong_account,
)

POST = Transfer("t1", "consumer:物理", "provider:east", 5, TransferKind.POST, 1_000, reference='"a\\b"', linked="g")
HOLD = replace(POST, kind=TransferKind.HOLD, expires_ms=1_001)
END = replace(POST, kind=TransferKind.POST_HOLD, hold="h1")
VOID = replace(END, kind=TransferKind.VOID_HOLD, amount_micro_yuan=0)


@pytest.mark.parametrize("transfer", [POST, HOLD, replace(HOLD, expires_ms=0), END, VOID])
def test_these_are_transfers(transfer: Transfer) -> None:
    assert wrong(transfer) == ""
    assert wrong(replace(transfer, id="x" * MOST_TEXT, time_ms=0)) == ""


@pytest.mark.parametrize(
    ("transfer", "change", "words"),
    [
        (POST, {"id": ""}, 'id "" is to be some text'),
        (POST, {"id": 7}, 'id "7" is not text'),
        (POST, {"id": ["x"]}, "is not text"),
        (POST, {"id": "expire:h1"}, 'does not begin with "expire:"'),
        (POST, {"id": "x" * (MOST_TEXT + 1)}, f"has 201 characters; {MOST_TEXT} are allowed"),
        (POST, {"reference": "a\nb"}, "control character"),
        (POST, {"linked": "\ud83d"}, "half of a surrogate pair"),
        (POST, {"credit": "consumer:物理"}, 'debit and credit are both "consumer:物理"'),
        (POST, {"kind": "post"}, 'kind "post" is not'),
        (POST, {"kind": TransferKind.EXPIRE_HOLD}, 'kind "expire-hold" is not'),
        (POST, {"amount_micro_yuan": 0}, "amount_micro_yuan 0 is not from 1"),
        (POST, {"amount_micro_yuan": -5}, "amount_micro_yuan -5 is not from 1"),
        (POST, {"amount_micro_yuan": MOST_MICRO_YUAN + 1}, f"is not from 1 to {MOST_MICRO_YUAN}"),
        (POST, {"amount_micro_yuan": 10**5_000}, "amount_micro_yuan of more than 256 bits is not from 1"),
        (POST, {"amount_micro_yuan": 5.0}, "are (5.0, 1000, 0); they are to be whole numbers"),
        (POST, {"amount_micro_yuan": True}, "are (True, 1000, 0); they are to be whole numbers"),
        (VOID, {"amount_micro_yuan": 5}, "amount_micro_yuan 5 of a void-hold is to be 0"),
        (POST, {"time_ms": -1}, "time_ms -1 is not from 0"),
        (POST, {"time_ms": MOST_TIME_MS + 1}, "is not from 0"),
        (POST, {"expires_ms": 2_000}, "expires_ms 2000 of a post is to be 0"),
        (HOLD, {"expires_ms": 1_000}, "expires_ms 1000 is not after time_ms 1000"),
        (POST, {"hold": "h1"}, 'hold "h1" of a post is to be empty'),
        (END, {"hold": ""}, "hold is empty; a post-hold names the hold"),
    ],
)
def test_these_are_none(transfer: Transfer, change: dict[str, Any], words: str) -> None:
    assert words in wrong(replace(transfer, **change))


@pytest.mark.parametrize(
    ("account", "words"),
    [
        (LedgerAccount("consumer:physics", -5, 5), ""),
        (LedgerAccount("voucher:北京:2026", 0), ""),
        (LedgerAccount("physics"), 'is not of the form "kind:name"'),
        (LedgerAccount("consumer:"), 'is not of the form "kind:name"'),
        (LedgerAccount("consumer:a b"), 'is not of the form "kind:name"'),
        (LedgerAccount("consumer:" + "x" * MOST_TEXT), "characters"),
        (LedgerAccount("cash:a", 5, 4), 'min_micro_yuan 5 of "cash:a" is above its max_micro_yuan 4'),
        (LedgerAccount("cash:a", MOST_MICRO_YUAN + 1), "is not a whole number within"),
        (LedgerAccount("cash:a", 10**5_000), "of more than 256 bits"),
    ],
)
def test_what_is_an_account(account: LedgerAccount, words: str) -> None:
    assert words in wrong_account(account)
    assert bool(words) == bool(wrong_account(account))


def test_the_line_of_a_transfer() -> None:
    entry = chained(7, NO_ENTRY, END, 3)
    text = (
        '{"amount_micro_yuan":"5","credit":"provider:east","debit":"consumer:物理","expires_ms":0,"hold":"h1","id":"t1",'
        '"kind":"post-hold","linked":"g","previous":"' + "0" * 64 + '","reference":"\\"a\\\\b\\"",'
        '"released_micro_yuan":"3","sequence":7,"time_ms":1000}'
    )
    assert line(entry) == text
    assert entry.hash == hashlib.sha256(text.encode()).hexdigest()


def test_the_line_of_an_account() -> None:
    entry = chained(1, "ab", LedgerAccount("consumer:物理", min_micro_yuan=-5))
    assert line(entry) == (
        '{"kind":"account","max_micro_yuan":null,"min_micro_yuan":"-5","name":"consumer:物理","previous":"ab","sequence":1}'
    )


def test_what_a_balance_says() -> None:
    balance = Balance(5, 12, 3, 4)
    assert (balance.posted_micro_yuan, balance.least_micro_yuan, balance.most_micro_yuan) == (7, 4, 11)
