"""What a query may be made of. What is not listed here is refused.

NODES are pieces of syntax, FUNCTIONS those sqlglot has a class for (by class name), and
NAMES further functions of each database by name. Nothing listed writes, waits, reads files,
talks to the network, changes a setting or tells about other sessions.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

SqlDialect = Literal["postgres", "sqlite"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NODES: Final = _words(
    """
    Select Union Intersect Except Subquery Values CTE With From Join Where Group Having
    Order Ordered Limit Offset Fetch LimitOptions Distinct Lateral Table TableAlias
    Column Identifier Star Alias Aliases Paren Tuple Literal Null Boolean Placeholder
    Parameter Var DataType DataTypeParam Interval IntervalSpan Window WindowSpec Filter
    WithinGroup IgnoreNulls RespectNulls GroupingSets Cube Rollup TableSample Add Sub
    Mul Div IntDiv Mod Neg DPipe BitwiseAnd BitwiseOr BitwiseXor BitwiseNot
    BitwiseLeftShift BitwiseRightShift EQ NEQ GT GTE LT LTE NullSafeEQ NullSafeNEQ Is
    Not In Between Like ILike Glob SimilarTo Escape All Any AtTimeZone Bracket Slice Dot
    Overlaps HexString National JSONPath JSONPathRoot JSONPathKey JSONPathSubscript
    JSONPathWildcard JSONKeyValue Qualify Adjacent Unary
    Lambda
    """
)

FUNCTIONS: Final = _words(
    """
    Encode Decode Host SHA1Digest SHA2Digest MD5Digest MatchAgainst
    And Or Xor Case If Cast TryCast Coalesce Nullif Greatest Least Exists Abs Acos Asin
    Atan Atan2 Cbrt Ceil Cos Cot Degrees Exp Floor Ln Log Pi Pow Radians Round Sign Sin
    Sqrt Tan Trunc WidthBucket Rand AnyValue ArrayAgg Avg Corr Count CountIf CovarPop
    CovarSamp CumeDist DenseRank First FirstValue GroupConcat Grouping JSONArrayAgg
    JSONObjectAgg JSONBObjectAgg Lag Last LastValue Lead LogicalAnd LogicalOr Max Median
    Min Mode NthValue Ntile PercentRank PercentileCont PercentileDisc Rank RegrAvgx
    RegrAvgy RegrCount RegrIntercept RegrR2 RegrSlope RegrSxx RegrSxy RegrSyy RowNumber
    Stddev StddevPop StddevSamp Sum Variance VariancePop Array ArrayAll ArrayAny
    ArrayAppend ArrayConcat ArrayContainedBy ArrayContainsAll ArrayOverlaps
    ArrayPosition ArrayPrepend ArrayRemove ArraySize ArrayToString StringToArray Unnest
    Explode ExplodingGenerateSeries GenerateSeries Ascii BitLength ByteLength Chr
    Collate Concat ConcatWs Contains EndsWith Format Hex Initcap Left Length Levenshtein
    Lower MD5 Overlay Pad RegexpCount RegexpExtract RegexpFullMatch RegexpILike
    RegexpInstr RegexpLike RegexpReplace RegexpSplit RegexpSubstr Replace Reverse Right
    SHA SHA2 Soundex Split SplitPart StartsWith StrPosition Substring Translate Trim
    Typeof Unhex Unicode Upper CurrentDate CurrentDatetime CurrentTime CurrentTimestamp
    Date DateAdd DateBin DateDiff DateFromParts DateSub DateTrunc Datetime DatetimeTrunc
    Day DayOfMonth DayOfWeek DayOfWeekIso DayOfYear Extract Hour JustifyDays
    JustifyHours JustifyInterval LastDay Localtime Localtimestamp MakeInterval Minute
    Month Quarter Second StrToDate StrToTime StrToUnix Time TimeAdd TimeDiff
    TimeFromParts TimeStrToTime TimeSub TimeToStr TimeToUnix TimeTrunc Timestamp
    TimestampAdd TimestampDiff TimestampFromParts TimestampSub TimestampTrunc ToChar
    ToNumber TsOrDsAdd TsOrDsDiff TsOrDsToDate TsOrDsToTime TsOrDsToTimestamp
    UnixSeconds UnixToTime Week WeekOfYear Year JSONArray JSONArrayContains
    JSONBContains JSONBContainsAllTopKeys JSONBContainsAnyTopKeys JSONBContainsTopKey
    JSONBExists JSONBExtract JSONBExtractScalar JSONBPathExists JSONExtract
    JSONExtractScalar JSONKeys JSONObject JSONStripNulls JSONType ParseJSON NumberToStr
    """
)

NAMES: Final[Mapping[SqlDialect, frozenset[str]]] = MappingProxyType(
    {
        "postgres": _words(
            """
    jsonb_set jsonb_insert
    abs age array_agg array_append array_cat array_dims array_length array_lower
    array_ndims array_position array_positions array_prepend array_remove array_replace
    array_to_json array_to_string array_upper ascii bit_and bit_length bit_or bit_xor
    bool_and bool_or btrim cardinality ceil ceiling char_length character_length
    clock_timestamp convert_from decode div encode every factorial gcd host isfinite
    json_agg json_array_elements json_array_elements_text json_array_length
    json_build_array json_build_object json_each json_each_text json_extract_path
    json_extract_path_text json_object json_object_agg json_object_keys json_strip_nulls
    json_typeof jsonb_agg jsonb_array_elements jsonb_array_elements_text
    jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text
    jsonb_extract_path jsonb_extract_path_text jsonb_object jsonb_object_agg
    jsonb_object_keys jsonb_path_exists jsonb_path_match jsonb_path_query
    jsonb_path_query_array jsonb_path_query_first jsonb_pretty jsonb_strip_nulls
    jsonb_typeof lcm log10 ltrim make_date make_interval make_time make_timestamp
    make_timestamptz masklen min_scale network num_nonnulls num_nulls octet_length
    parse_ident phraseto_tsquery plainto_tsquery quote_ident quote_literal
    quote_nullable random range_merge regexp_count regexp_instr regexp_like regexp_match
    regexp_matches regexp_split_to_array regexp_split_to_table regexp_substr row
    row_to_json rtrim scale similarity statement_timestamp string_agg string_to_array
    string_to_table strpos substr text timeofday timezone to_ascii to_date to_json
    to_jsonb to_number to_timestamp to_tsquery to_tsvector transaction_timestamp
    trim_array trim_scale ts_headline ts_rank ts_rank_cd tsvector_to_array unaccent
    upper_inc lower_inc isempty websearch_to_tsquery word_similarity regr_count numrange
    int4range int8range daterange tsrange tstzrange date_part date_trunc date_bin
    percentile_cont percentile_disc mode lower upper
    """
        ),
        "sqlite": _words(
            """
    -> ->>
    abs ceil ceiling char concat concat_ws cos cosh date datetime degrees exp floor
    format group_concat hex ifnull iif instr json json_array json_array_length json_each
    json_error_position json_extract json_group_array json_group_object json_insert
    json_object json_patch json_pretty json_quote json_remove json_replace json_set
    json_tree json_type json_valid julianday length likelihood likely ln log log10 log2
    lower ltrim max min mod nullif octet_length pi pow power printf quote radians random
    randomblob regexp replace round rtrim sign sin sinh soundex sqrt strftime string_agg
    substr substring tan tanh time timediff total trim trunc typeof unhex unicode unistr
    unixepoch unlikely upper zeroblob bm25 highlight snippet match glob like coalesce
    avg count sum row_number rank dense_rank percent_rank cume_dist ntile lag lead
    first_value last_value nth_value acos acosh asin asinh atan atan2 atanh current_date
    current_time current_timestamp
    """
        ),
    }
)

PAD_LIMIT: Final = 10_000
"""Longest text a padding function may make, characters."""
