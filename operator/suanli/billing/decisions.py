"""What was decided about vouchers, as text that is kept for good: grants with all that they follow from, refusals, redemptions. Pure."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from suanli.api.voucher import VoucherProgram
from suanli.base.names import API_VERSION
from suanli.base.reasons import Reason
from suanli.billing.clawback import Back
from suanli.billing.evidence import Redeemed, canonical
from suanli.billing.vouchers import Claim, Given, Granted, Holding, Part, Redemption, Rejected


@dataclass(frozen=True, slots=True)
class Decision:
    """A grant: the programme as it was then, what was claimed, what had been given before, and what followed."""

    program: VoucherProgram
    claim: Claim
    given: Given
    granted: Granted

    def holding(self, redeemed_micro_yuan: int = 0) -> Holding:
        """The voucher after so much of it was redeemed."""
        return Holding(self.claim, self.granted, self.granted.amount_micro_yuan - redeemed_micro_yuan)

    def text(self) -> str:
        """As JSON."""
        return canonical(
            {
                "program": {
                    "name": self.program.metadata.name,
                    "spec": self.program.spec.model_dump(mode="json", by_alias=True, exclude_none=True),
                },
                "claim": {**asdict(self.claim), "family": sorted(self.claim.family)},
                "given": asdict(self.given),
                "granted": asdict(self.granted),
            }
        )


@dataclass(frozen=True, slots=True)
class Refusal:
    """A claim that was rejected, in a programme's calendar year."""

    program: str
    year: int
    why: Rejected

    def text(self) -> str:
        """As JSON."""
        return canonical(
            {"program": self.program, "year": self.year, "reason": self.why.reason, "message": self.why.message}
        )


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What a voucher gets back in a period, because lines that it paid of were corrected."""

    voucher: str
    period: str
    time_ms: int
    parts: tuple[Back, ...]

    @property
    def amount_micro_yuan(self) -> int:
        """All of it."""
        return sum(part.amount_micro_yuan for part in self.parts)

    def text(self) -> str:
        """As JSON."""
        return canonical(asdict(self))


def read_decision(text: str) -> Decision:
    """The grant of what `Decision.text` gave."""
    body = json.loads(text)
    program = {"apiVersion": API_VERSION, "kind": "VoucherProgram", "metadata": {"name": body["program"]["name"]}}
    claim, given = body["claim"], body["given"]
    return Decision(
        program=VoucherProgram.model_validate({**program, "spec": body["program"]["spec"]}),
        claim=Claim(**{**claim, "family": frozenset(claim["family"])}),
        given=Given(**{**given, "programs_of_contract": tuple(given["programs_of_contract"])}),
        granted=Granted(**body["granted"]),
    )


def read_refusal(text: str) -> Refusal:
    """The refusal of what `Refusal.text` gave."""
    body = json.loads(text)
    return Refusal(body["program"], body["year"], Rejected(Reason(body["reason"]), body["message"]))


def redeemed_text(each: Redeemed) -> str:
    """A redemption as JSON; lines that it passes over are told by rating it again."""
    parts = [asdict(part) for part in each.redemption.parts]
    kept: Mapping[str, Any] = {**asdict(each), "redemption": parts}
    return canonical(kept)


def read_redeemed(text: str) -> Redeemed | TakenBack:
    """The redemption of what `redeemed_text` gave, or what `TakenBack.text` gave."""
    body = json.loads(text)
    if "bill" not in body:
        return TakenBack(**{**body, "parts": tuple(Back(**part) for part in body["parts"])})
    parts = tuple(Part(**part) for part in body["redemption"])
    return Redeemed(**{**body, "lines": tuple(body["lines"]), "redemption": Redemption(parts, ())})
