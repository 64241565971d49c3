"""What rules may read of a profile: its fields with their kinds, their words, and where ClickHouse has them."""

from collections.abc import Iterable
from typing import Final

import msgspec

from config.definitions import Feature, Features
from config.loader import ConfigError
from pipelines.aggregations.registry import ALL
from pipelines.features.feeds import value_kind
from pipelines.features.plan import LIFETIME
from pipelines.rules.symbols import Symbol, Symbols
from pipelines.rules.tree import Kind

SCORES: Final = ("r_score", "f_score", "m_score")
SEGMENT: Final = "rfm_segment"
_SCORE_WORDS: Final = {
    "r_score": ("the recency score", "近度得分"),
    "f_score": ("the frequency score", "频度得分"),
    "m_score": ("the monetary score", "额度得分"),
}
_PLAIN: Final[tuple[tuple[str, Kind, str, str], ...]] = (
    ("first_seen_at", "time", "the first contact", "首次接触时间"),
    ("last_seen_at", "time", "the last contact", "最近接触时间"),
    ("first_order_at", "time", "the first order", "首次下单时间"),
    ("last_order_at", "time", "the last order", "最近下单时间"),
    ("average_basket", "number", "the average basket", "客单价"),
    ("mean_interpurchase_days", "number", "the mean days between orders", "平均购买间隔天数"),
    ("current_interval_days", "number", "the days of the current interval", "当前间隔天数"),
    ("recency_days", "number", "the days since the last order", "距最近下单的天数"),
    ("recency_ratio", "number", "the recency ratio", "购买间隔比"),
    ("top_products", "set", "the top products", "最常购买的商品"),
    ("sessions", "number", "the number of sessions", "会话数"),
    ("channels", "set", "the channels used", "使用过的渠道"),
    ("unmatched_refunds", "number", "the unmatched refunds", "无对应订单的退款数"),
    ("over_refunds", "number", "the orders refunded beyond their total", "超额退款的订单数"),
    ("charge_backs", "number", "the charge-backs", "拒付数"),
    ("late_events", "number", "the late events", "迟到事件数"),
)
PLAIN_FIELDS: Final = tuple(name for name, *_ in _PLAIN)
_WINDOW_WORDS: Final = {"h": ("hour", "小时"), "d": ("day", "天"), "w": ("week", "周"), "m": ("minute", "分钟")}
_SQL: Final[dict[Kind, str]] = {"number": "Nullable(Float64)", "time": "Nullable(Float64)", "text": "Nullable(String)"}


def profile_symbols(
    features: Features, segments: Iterable[str] = (), column: str = "features", *, is_segment_known: bool = True
) -> Symbols:
    """The symbols of a profile; features that have mistakes have theirs too: a rule that reads one is not wrong for that.

    Args:
        features: the configuration.
        segments: names of all segments; none: a rule may ask for any.
        column: ClickHouse expression of the profile's fields as JSON text.
        is_segment_known: whether the segment is told already; not to the rules of segments.
    """
    found = [_symbol(name, kind, column, english, chinese) for name, kind, english, chinese in _PLAIN]
    for feature in features.features:
        kind = _kind(features, feature)
        found += [_symbol(f"{feature.name}_{window}", kind, column, *_words(feature, window)) for window in feature.windows]
    found += [_symbol(name, "number", column, *_SCORE_WORDS[name]) for name in SCORES]
    if is_segment_known:
        segment = _symbol(SEGMENT, "text", column, "the segment", "客户分层")
        found.append(msgspec.structs.replace(segment, values=tuple(dict.fromkeys(segments))))
    return Symbols(found, "a profile", now_sql="toFloat64(toUnixTimestamp64Milli(now64(3)))")


def _kind(features: Features, feature: Feature) -> Kind:
    """Kind of a feature's values; of one that has mistakes a number."""
    series, aggregation = features.series.get(feature.series), ALL.get(feature.measure)
    if series is None or aggregation is None:
        return "number"
    try:
        return aggregation.kind(value_kind(series) or "number")
    except ConfigError:
        return "number"


def _symbol(name: str, kind: Kind, column: str, english: str, chinese: str) -> Symbol:
    is_pairs = name == "top_products"
    if kind != "set":
        sql = f"JSONExtract({column}, '{name}', '{_SQL[kind]}')"
    elif is_pairs:
        sql = f"arrayMap(pair -> tupleElement(pair, 1), JSONExtract({column}, '{name}', 'Array(Tuple(String, Float64))'))"
    elif name == "channels":
        sql = f"JSONExtractKeys({column}, '{name}')"
    else:
        sql = f"JSONExtract({column}, '{name}', 'Array(String)')"
    return Symbol(name=name, kind=kind, sql=sql, is_checked=True, english=english, chinese=chinese, keys=is_pairs)


def _words(feature: Feature, window: str) -> tuple[str, str]:
    """What a windowed field is called; nothing where its window is not said in days or the like."""
    aggregation = ALL.get(feature.measure)
    english, chinese = feature.english or feature.name.replace("_", " "), feature.chinese
    if aggregation is not None:
        english = aggregation.english.format(what=english)
        chinese = aggregation.chinese.format(what=chinese) if chinese else ""
    is_sum = feature.measure in ("", "count", "amount")
    if window == LIFETIME:
        ever = "累计" if is_sum else "历史"
        return f"{english} ever" if is_sum else f"{english} of all time", f"{ever}{chinese}" if chinese else ""
    last, longer = _span(window), _span(feature.minus.get(window, window))
    if not last or not longer:
        return "", ""
    if window in feature.minus:
        without = f"最近{longer[1]}但不含最近{last[1]}的{chinese}" if chinese else ""
        return f"{english} in the last {longer[0]} without the last {last[0]}", without
    return f"{english} in the last {last[0]}", f"最近{last[1]}的{chinese}" if chinese else ""


def _span(window: str) -> tuple[str, str] | None:
    """A window's length in words; None where its name does not tell it."""
    number, unit = window[:-1], window[-1:]
    if not number.isdigit() or unit not in _WINDOW_WORDS:
        return None
    one, character = _WINDOW_WORDS[unit]
    return f"{number} {one}s" if number != "1" else one, f"{number}{character}"
