"""Money: integer micro-yuan (10^-6 CNY), digits in a string on the wire."""

from suanli.base.units import decimal_text


def yuan_text(micro_yuan: int) -> str:
    """Micro-yuan for a person, to the fen: "12.34"."""
    return decimal_text(micro_yuan, places=2)
