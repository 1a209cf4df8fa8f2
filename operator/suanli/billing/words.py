"""What bills and reports say to people, in Chinese and in English. Pure."""

from collections.abc import Mapping
from enum import StrEnum

from suanli.base.units import decimal_text


class Language(StrEnum):
    """A language of bills."""

    CHINESE = "zh"
    ENGLISH = "en"


_WORDS: Mapping[str, tuple[str, str]] = {
    "statement": ("结算单", "Statement"),
    "report": ("算力中心运营报告", "Operating report"),
    "Consumer": ("算力用户", "Consumer"),
    "Provider": ("算力提供方", "Provider"),
    "Operator": ("算网运营商", "Platform operator"),
    "Issuer": ("算力券发放方", "Voucher issuer"),
    "Network": ("网络运营商", "Network operator"),
    "use": ("使用", "Use"),
    "adjustment": ("往期调整", "Adjustment"),
    "subsidy": ("算力券补贴", "Voucher"),
    "other": ("其他", "Other"),
    "what": ("类别", "What"),
    "account": ("用户", "Account"),
    "provider": ("提供方", "Provider"),
    "job": ("作业", "Job"),
    "site": ("算力中心", "Site"),
    "link": ("链路", "Link"),
    "tariff": ("价目", "Tariff"),
    "item": ("项目", "Item"),
    "band": ("时段", "Band"),
    "bracket": ("阶梯", "Bracket"),
    "qos": ("服务等级", "QOS"),
    "class": ("算力类型", "Class"),
    "precision": ("精度", "Precision"),
    "quantity": ("用量", "Quantity"),
    "unit": ("单位", "Unit"),
    "price": ("单价（元）", "Price, CNY"),
    "list": ("目录金额（元）", "List, CNY"),
    "discount": ("优惠（元）", "Discount, CNY"),
    "contracted": ("合同金额（元）", "Contracted, CNY"),
    "voucher": ("券号", "Voucher"),
    "charge": ("费用（元）", "Charge, CNY"),
    "commission": ("平台佣金（元）", "Commission, CNY"),
    "tax": ("税额（元）", "Tax, CNY"),
    "subsidies": ("补贴（元）", "Subsidy, CNY"),
    "net": ("应收/应付（元）", "Net, CNY"),
    "adjusts": ("调整账期", "Corrects"),
    "line": ("明细号", "Line"),
    "charges": ("本期费用", "Charges"),
    "adjustments": ("往期调整", "Adjustments"),
    "paid": ("已收付", "Paid"),
    "total": ("合计", "Total"),
    "sign": (
        "正数为应收，负数为应付。价格含税。",
        "Above zero the party gets it, below it owes it. Tax is in the prices.",
    ),
    "receivable": ("其中由发放方支付的应收款", "Of it receivable from voucher issuers"),
    "evidence": ("存证", "Evidence"),
    "root": ("账本根哈希", "Root hash of the ledger"),
    "entries": ("账本分录数", "Entries of the ledger"),
    "events": ("计量事件数", "Usage events"),
    "unknown": ("运行时长无从得知、未计费的任务", "Pods of which nobody knows for how long they ran; not billed"),
    "period": ("账期", "Period"),
    "items": ("按项目汇总", "By item"),
    "lines": ("明细", "Lines"),
    "revenue": ("收入（元）", "Revenue, CNY"),
    "kind": ("计量类别", "Kind of use"),
    "core-time": ("核时", "Core-hours"),
    "card-time": ("卡时", "Card-hours"),
    "memory-time": ("内存", "Memory"),
    "node-time": ("整机", "Whole nodes"),
    "storage-time": ("存储", "Storage"),
    "transfer": ("网络传输", "Data transfer"),
    "energy": ("能耗", "Energy"),
    "carbon": ("碳排放", "Carbon"),
    "utilisation": ("利用率", "Utilisation"),
    "availability": ("可用率", "Availability"),
    "used": ("已用", "Used"),
    "capacity": ("容量", "Capacity"),
    "pue": ("电能利用效率 PUE", "PUE"),
    "green": ("绿电占比", "Green share"),
    "facility": ("总能耗（千瓦时）", "Energy of the facility, kWh"),
    "it": ("IT 能耗（千瓦时）", "Energy of IT, kWh"),
    "emitted": ("碳排放（千克）", "Carbon, kg of CO2"),
    "customers": ("客户集中度", "Concentration of customers"),
    "count": ("客户数", "Customers"),
    "largest": ("最大客户占比", "Largest customer"),
    "five": ("前五大客户占比", "Five largest customers"),
    "hhi": ("赫芬达尔指数（0—10000）", "Herfindahl index, 0 to 10,000"),
    "cash": ("现金流（元）", "Cash flow, CNY"),
    "billed": ("账单总额", "Billed"),
    "kept": ("提供方净收入", "Provider's revenue"),
    "received": ("已到账", "Received"),
    "outstanding": ("未到账", "Outstanding"),
    "figure": ("指标", "Figure"),
    "value": ("数值", "Value"),
}


def word(key: str, language: Language) -> str:
    """A word; what has no translation, such as a name, is returned as it is."""
    found = _WORDS.get(key)
    return key if found is None else found[0 if language is Language.CHINESE else 1]


def yuan(micro_yuan: int) -> str:
    """An amount to its last digit, at least to the fen: "-1,234.50", "0.000001"."""
    whole, _, fraction = decimal_text(abs(micro_yuan)).partition(".")
    kept = fraction.rstrip("0").ljust(2, "0")
    return f"{'-' if micro_yuan < 0 else ''}{int(whole):,}.{kept}"


def percent(part: int, whole: int) -> str:
    """A share to a hundredth of a percent; nothing of nothing is 0."""
    return f"{decimal_text(part * 100, whole, 2) if whole else '0.00'} %"
