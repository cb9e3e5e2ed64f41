"""The shortest history found in which dropping a condition breaks a promise; made by ``make check-cache-model``."""

from tests.cache.conditions import Condition
from tests.cache.history import Change, History, Level, Read, Replacement, Sample, Suspension, Write

WITNESSES: dict[Condition, History] = {
    Condition.SAMPLE_SEND: History((Sample(5046, down=6000), Write(5446), Read(14458))),
    Condition.SAMPLE_POOL: History((Write(1001), Sample(6827, pool=1), Read(7847))),
    Condition.SAMPLE_BACK: History(
        (Sample(0), Read(1901, user=1), Replacement(1901), Sample(4326), Read(4346, user=1))
    ),
    Condition.SAMPLE_ENDPOINTS: History((Sample(0), Replacement(1946, ahead=20000, announced=True), Read(1952))),
    Condition.CLOCK_SUSPEND: History((Sample(0), Write(1021), Suspension(3858), Read(3864))),
    Condition.FILL_YOUNG: History((Sample(0), Write(1401), Read(7301))),
    Condition.FILL_LABEL: History((Sample(6002), Write(6102), Read(9209), Read(12609))),
    Condition.FILL_MAX: History((Sample(0), Write(1021), Read(1041, level=Level.SESSION, write=0))),
    Condition.FILL_GUARANTEE: History((Write(2002), Sample(6007), Read(9907))),
    Condition.FILL_LEVEL: History((Sample(1001), Write(1901), Read(3101, level=Level.STRONG, write=0))),
    Condition.FILL_DEFAULT: History(
        (Sample(4943), Read(6943, name="a", level=None), Write(6944), Read(7344, name="a", level=None, write=0))
    ),
    Condition.FILL_GOOD: History(
        (
            Read(4921, database=1, by_header=True, level=Level.EVENTUALLY, fails=True),
            Read(5021, database=1, by_header=True, level=Level.EVENTUALLY),
        )
    ),
    Condition.FILL_GENERATION: History(
        (Read(1402, level=Level.EVENTUALLY), Replacement(1402, announced=True), Read(6304, level=Level.EVENTUALLY))
    ),
    Condition.FILL_OPEN: History(
        (
            Change(8005, heard=(200, 1000)),
            Read(8510, level=Level.EVENTUALLY, proxy=1),
            Read(9435, level=Level.EVENTUALLY),
        )
    ),
    Condition.HIT_AGE: History((Sample(0), Write(1401), Read(4401), Read(7301))),
    Condition.HIT_GUARANTEE: History((Sample(0), Read(1001), Write(1021), Read(1041, level=Level.SESSION, write=0))),
    Condition.HIT_DEFAULT_GUARANTEE: History(
        (Sample(1001), Write(1066), Read(1971, level=None), Read(3372), Read(3772, level=None, write=0))
    ),
    Condition.HIT_GENERATION: History(
        (Read(1001, level=Level.EVENTUALLY), Replacement(3001, announced=True), Read(7103, level=Level.EVENTUALLY))
    ),
    Condition.HIT_OPEN: History(
        (Read(2907, level=Level.EVENTUALLY), Change(3808, outcome="silent"), Read(3833, level=Level.EVENTUALLY))
    ),
    Condition.HIT_COMPLETE: History(
        (Read(2021, level=Level.EVENTUALLY), Read(9567, level=Level.EVENTUALLY, upload=2500))
    ),
    Condition.JOIN_AGE: History((Sample(0), Write(1906), Read(1911, down=6000), Read(6917))),
    Condition.JOIN_GUARANTEE: History(
        (Sample(1001), Read(2426, up=2500), Write(3326), Read(3347, level=Level.CUSTOMIZED, write=0))
    ),
    Condition.JOIN_GENERATION: History(
        (Sample(7002), Read(10902, down=6000), Replacement(10907, announced=True), Read(10913))
    ),
    Condition.JOIN_OPEN: History(
        (Read(1001, level=Level.EVENTUALLY, down=6000), Change(1002, answer=2500), Read(3002, level=Level.EVENTUALLY))
    ),
    Condition.JOIN_GOOD: History(
        (Read(3328, level=Level.EVENTUALLY, down=1100, fails=True), Read(3748, level=Level.EVENTUALLY))
    ),
    Condition.STRONG_HIT: History((Sample(0), Read(1101), Read(1601, level=Level.STRONG))),
    Condition.STRONG_JOIN: History((Sample(0), Read(1906), Read(1907, level=Level.STRONG))),
    Condition.EVENTUAL_APART: History((Write(2103), Read(7093, level=Level.EVENTUALLY), Read(7204))),
    Condition.EVENTUAL_SEND: History(
        (Read(2027, level=Level.EVENTUALLY, down=6000), Read(13622, level=Level.EVENTUALLY))
    ),
    Condition.LEVEL_UNKNOWN: History(
        (Sample(0), Read(1906, level=None)), levels=(Level.STRONG, Level.SESSION, Level.SESSION)
    ),
    Condition.LEVEL_EXPIRES: History(
        (Read(1001, level=None), Change(1002, replica=None, kind="level"), Sample(4622), Read(9622, level=None))
    ),
    Condition.LEVEL_SEND: History(
        (
            Read(1401, level=None, down=6000),
            Change(2412, replica=None, kind="level"),
            Sample(8325),
            Read(9726, level=None),
        )
    ),
    Condition.LEVEL_GENERATION: History(
        (Sample(0), Read(1006, level=None), Change(1011, kind="level"), Read(2812, level=None))
    ),
    Condition.LEVEL_OPEN: History(
        (Change(5022, kind="level", heard=(900, 1000)), Read(5127, level=None), Sample(5132), Read(6562, level=None))
    ),
    Condition.LEVEL_HEADERS: History(
        (
            Sample(3011, pool=1),
            Read(3811, pool=1, level=None),
            Read(4211, pool=1, database=1, by_header=True, level=None),
        ),
        levels=(Level.BOUNDED, Level.STRONG, Level.EVENTUALLY),
    ),
    Condition.CLOSE_SEEN: History(
        (Read(2907, level=Level.EVENTUALLY), Change(3808, outcome="silent"), Read(3833, level=Level.EVENTUALLY))
    ),
    Condition.CLOSE_OVERLAP: History(
        (
            Read(1001, level=Level.EVENTUALLY),
            Change(1401, outcome="silent"),
            Change(1501, outcome="refused"),
            Read(1901, level=Level.EVENTUALLY),
        )
    ),
    Condition.BUMP_SUCCESS: History(
        (Read(3202, pool=1, level=Level.EVENTUALLY), Change(7204, pool=1), Read(10230, pool=1, level=Level.EVENTUALLY))
    ),
    Condition.BUMP_UNCERTAIN: History(
        (
            Read(1906, pool=1, name="e", level=Level.EVENTUALLY),
            Change(2006, pool=1, name="e", outcome="uncertain"),
            Read(2026, pool=1, name="e", level=Level.EVENTUALLY),
        )
    ),
    Condition.BUMP_RELEASE: History(
        (
            Change(5423, commit=9000),
            Read(12523, user=1, level=Level.EVENTUALLY),
            Read(14524, user=1, level=Level.EVENTUALLY),
        )
    ),
    Condition.SETTLE_CLOSED: History(
        (
            Change(8005, heard=(200, 1000)),
            Read(8510, level=Level.EVENTUALLY, proxy=1),
            Read(9435, level=Level.EVENTUALLY),
        )
    ),
    Condition.BUMP_ENDPOINTS: History(
        (Read(1402, level=Level.EVENTUALLY), Replacement(1402, announced=True), Read(6304, level=Level.EVENTUALLY))
    ),
    Condition.STRUCTURAL_DROP: History(
        (Read(3002, level=Level.EVENTUALLY), Change(3002), Read(3102, level=Level.EVENTUALLY))
    ),
    Condition.STRUCTURAL_RENAME: History(
        (
            Read(1001, replica=1, level=Level.EVENTUALLY),
            Change(1006, replica=1, kind="rename", target=1),
            Read(2826, replica=1, level=Level.EVENTUALLY),
        )
    ),
    Condition.STRUCTURAL_TRUNCATE: History(
        (Read(1001, level=Level.EVENTUALLY), Change(1501, kind="truncate"), Read(7422, level=Level.EVENTUALLY))
    ),
    Condition.STRUCTURAL_ALIAS: History(
        (
            Read(1006, name="a", level=Level.EVENTUALLY),
            Change(1411, kind="alias", target=3),
            Read(3432, name="a", level=Level.EVENTUALLY),
        )
    ),
    Condition.STRUCTURAL_ALTER: History(
        (Sample(0), Read(1027, name="a"), Change(1028, kind="schema"), Read(1448, name="a"))
    ),
    Condition.STRUCTURAL_RELEASE: History(
        (Read(2301, level=Level.EVENTUALLY), Change(3322, kind="release"), Read(7742, level=Level.EVENTUALLY))
    ),
    Condition.STRUCTURAL_RBAC: History(
        (Read(1208, level=Level.EVENTUALLY), Change(2113, kind="revoke"), Read(6113, level=Level.EVENTUALLY))
    ),
    Condition.KEY_POOL: History(
        (Read(1001, replica=1, level=Level.EVENTUALLY), Read(2422, replica=1, pool=1, level=Level.EVENTUALLY))
    ),
    Condition.KEY_METHOD: History(
        (Read(2902, level=Level.EVENTUALLY), Read(2907, method="Query", level=Level.EVENTUALLY))
    ),
    Condition.KEY_DATABASE: History(
        (Read(1001, level=Level.EVENTUALLY), Read(1007, database=1, level=Level.EVENTUALLY))
    ),
    Condition.KEY_COLLECTION: History((Sample(0), Read(1001, name="e"), Read(4001))),
    Condition.KEY_PARAMETERS: History(
        (
            Read(1021, level=Level.EVENTUALLY),
            Read(1041, level=Level.EVENTUALLY, parameters=(("nprobe", 1), ("nprobe", 2))),
        )
    ),
    Condition.KEY_ORDER: History(
        (
            Read(1501, level=Level.EVENTUALLY, parameters=(("nprobe", 2), ("nprobe", 1))),
            Read(1602, level=Level.EVENTUALLY, parameters=(("nprobe", 1), ("nprobe", 2))),
        )
    ),
    Condition.KEY_UNKNOWN: History((Read(2031, level=Level.EVENTUALLY), Read(2831, level=Level.EVENTUALLY, unknown=1))),
    Condition.KEY_AUTHORIZATION: History(
        (Read(1001, level=Level.EVENTUALLY), Read(1022, user=1, level=Level.EVENTUALLY))
    ),
    Condition.KEY_HEADERS: History(
        (Read(2002, level=Level.EVENTUALLY, unknown=1), Read(3003, level=Level.EVENTUALLY, unknown=1, header=1))
    ),
    Condition.KEY_DIGEST: History((Read(1001, level=Level.EVENTUALLY), Read(1006, name="e"))),
}
