"""What a Statement says of lines that its party does not accept. Pure."""

from collections.abc import Mapping

from suanli.api.statement import Statement
from suanli.base.conditions import Condition
from suanli.base.money import yuan_text
from suanli.base.reasons import Reason
from suanli.billing.line import RatedLine


def disputed(statement: Statement, lines: Mapping[str, RatedLine], awarded: Mapping[str, int]) -> Condition | None:
    """The condition Disputed; None when no dispute is open. `lines` by id, `awarded` in micro-yuan by line: a line with an award is decided."""
    asked = [dispute.line for dispute in statement.spec.disputes]
    pending = [line for line in asked if line not in awarded]
    if not pending:
        return None
    known = [lines[line] for line in pending if line in lines and lines[line].period == statement.spec.period]
    amount = yuan_text(sum(abs(line.net_micro_yuan) for line in known))
    text = f"{len(pending)} of {len(asked)} disputed lines, {amount} CNY, wait for an award"
    if len(known) < len(pending):
        text += f"; no line of {statement.spec.period}: {len(pending) - len(known)}, copy ids from the statement"
    if len(pending) < len(asked):
        given = yuan_text(sum(awarded.get(line, 0) for line in asked))
        text += f"; decided: {len(asked) - len(pending)}, with {given} CNY"
    return Condition("Disputed", True, Reason.DISPUTED, text)
