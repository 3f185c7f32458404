//! What real workloads look like: quantiles of public data, worked out once.
//!
//! - Office work: the 304 rows of `office_work_8k.jsonl` for turns, prompts and last answers, 18 whole rows
//!   of it for what happens in a turn (Applied Compute, Apache-2.0).
//! - Agentic coding: 710 sessions of kv-cache-tester, first prompts of the 380 that start fresh
//!   (Apache-2.0). Gaps are whole seconds and hold the client and a person's approval.
//! - Long contexts: the 84 rows of `lovable.jsonl` (Applied Compute, Apache-2.0).
//! - Chat: the 12,031 requests of the Mooncake conversation trace (FAST'25, Apache-2.0).

use super::table::Table;

// Where the data adds nothing, a request adds 1 token: no request repeats the one before it.

pub(super) const OFFICE_TURNS: Table = Table::new(
    "turns a trace",
    [4.0, 10.06, 18.0, 21.0, 27.0, 35.0, 45.0, 61.0, 75.7, 97.91, 112.8, 117.0],
);
pub(super) const OFFICE_PROMPT: Table = Table::new(
    "first prompt",
    [
        8_728.0, 8_730.0, 8_744.0, 8_759.0, 8_789.0, 8_839.0, 8_914.0, 8_998.0, 9_066.0, 9_198.0,
        9_254.0, 9_269.0,
    ],
);
pub(super) const OFFICE_FINAL: Table = Table::new(
    "final answer",
    [
        152.0, 335.0, 502.2, 606.1, 834.5, 1_186.0, 1_794.0, 2_856.0, 3_666.0, 7_034.0, 7_790.0,
        7_802.0,
    ],
);
pub(super) const OFFICE_ANSWER: Table = Table::new(
    "answer of a turn",
    [6.0, 8.0, 10.0, 11.0, 16.0, 27.0, 137.5, 479.0, 707.2, 2_084.0, 3_894.0, 5_324.0],
);
pub(super) const OFFICE_OUTPUT: Table = Table::new(
    "tool output",
    [3.0, 8.0, 10.0, 19.0, 59.0, 230.5, 967.8, 2_430.0, 3_416.0, 7_292.0, 11_110.0, 12_640.0],
);
pub(super) const OFFICE_WAIT: Table = Table::new(
    "wait for a tool (s)",
    [0.173, 0.2072, 0.2565, 0.2745, 0.336, 0.55, 0.9815, 2.318, 3.622, 5.591, 13.28, 20.0],
);
pub(super) const CODING_REQUESTS: Table = Table::new(
    "requests a trace",
    [3.0, 3.0, 7.0, 12.0, 29.0, 68.0, 121.0, 180.8, 247.3, 359.4, 485.6, 514.0],
);
pub(super) const CODING_PROMPT: Table = Table::new(
    "first prompt",
    [
        6_343.0, 9_759.0, 11_740.0, 13_130.0, 16_560.0, 18_920.0, 20_590.0, 22_580.0, 24_960.0,
        28_550.0, 29_880.0, 29_910.0,
    ],
);
pub(super) const CODING_SHARED: Table = Table::new(
    "shared prefix",
    [
        4_210.0, 8_437.0, 9_185.0, 10_090.0, 14_730.0, 15_190.0, 15_540.0, 16_180.0, 17_510.0,
        21_780.0, 22_880.0, 23_080.0,
    ],
);
pub(super) const CODING_INPUT: Table = Table::new(
    "new input of a step",
    [1.0, 1.0, 1.0, 1.0, 33.0, 247.0, 999.0, 2_992.0, 5_584.0, 16_500.0, 84_540.0, 635_500.0],
);
pub(super) const CODING_ANSWER: Table = Table::new(
    "answer",
    [2.0, 57.0, 88.0, 102.0, 136.0, 210.0, 399.0, 815.0, 1_397.0, 3_625.0, 8_444.0, 18_200.0],
);
pub(super) const CODING_WAIT: Table = Table::new(
    "wait for a tool (s)",
    [0.0, 3.0, 3.0, 4.0, 5.0, 8.0, 18.0, 78.0, 156.0, 610.0, 3_343.0, 37_420.0],
);
pub(super) const CODING_USER_WAIT: Table = Table::new(
    "wait for a person (s)",
    [0.0, 2.0, 3.0, 4.0, 25.0, 156.0, 673.5, 2_338.0, 5_012.0, 32_700.0, 71_880.0, 77_590.0],
);
pub(super) const CODING_USER_TURN: Table = Table::new(
    "requests a human turn",
    [1.0, 1.0, 1.0, 1.0, 2.0, 7.0, 24.0, 52.0, 70.5, 119.0, 233.1, 382.0],
);
pub(super) const LONG_PROMPT: Table = Table::new(
    "first prompt",
    [
        27_810.0, 30_520.0, 33_870.0, 38_060.0, 43_140.0, 52_710.0, 70_790.0, 109_800.0, 119_300.0,
        148_500.0, 161_100.0, 162_500.0,
    ],
);
pub(super) const LONG_INPUT: Table = Table::new(
    "new input of a turn",
    [
        1_509.0, 1_923.0, 4_952.0, 9_896.0, 13_930.0, 24_950.0, 36_110.0, 46_270.0, 52_500.0,
        97_160.0, 125_100.0, 128_200.0,
    ],
);
pub(super) const LONG_ANSWER: Table = Table::new(
    "answer of a turn",
    [83.0, 92.68, 121.0, 135.0, 218.0, 442.0, 689.0, 1_033.0, 1_309.0, 1_757.0, 1_853.0, 1_864.0],
);
pub(super) const LONG_FINAL: Table = Table::new(
    "final answer",
    [69.0, 90.58, 119.0, 176.0, 260.5, 453.5, 722.0, 1_204.0, 1_577.0, 2_713.0, 3_163.0, 3_213.0],
);
pub(super) const CHAT_PROMPT: Table = Table::new(
    "prompt",
    [
        891.0, 894.0, 901.0, 964.0, 2_306.0, 6_909.0, 15_370.0, 27_370.0, 39_550.0, 85_400.0,
        121_300.0, 126_200.0,
    ],
);
pub(super) const CHAT_ANSWER: Table = Table::new(
    "answer",
    [1.0, 3.0, 10.0, 24.0, 156.5, 350.0, 472.0, 597.0, 698.0, 1_119.0, 2_000.0, 2_000.0],
);
/// Of the first step. These four are worked out of the 380 sessions, by steps since the first request or the
/// last compaction.
pub(super) const CODING_INPUT_FIRST: Table = Table::new(
    "new input, first step",
    [
        1.0, 1.0, 2.0, 55.2, 365.0, 3_809.0, 15_180.0, 32_400.0, 48_320.0, 83_680.0, 108_000.0,
        115_400.0,
    ],
);
/// Of the next two, and of the first three behind a compaction.
pub(super) const CODING_INPUT_YOUNG: Table = Table::new(
    "new input, young",
    [1.0, 1.0, 1.0, 1.0, 58.0, 582.0, 3_571.0, 10_110.0, 15_810.0, 39_930.0, 95_410.0, 146_400.0],
);
/// Of the fourth to the tenth.
pub(super) const CODING_INPUT_OLDER: Table = Table::new(
    "new input, older",
    [1.0, 1.0, 1.0, 1.0, 24.0, 276.0, 1_566.0, 4_411.0, 7_717.0, 19_170.0, 90_320.0, 132_600.0],
);
/// Of all later ones.
pub(super) const CODING_INPUT_OLD: Table = Table::new(
    "new input, old",
    [1.0, 1.0, 1.0, 1.0, 33.0, 236.0, 856.0, 2_412.0, 4_045.0, 11_190.0, 36_610.0, 235_000.0],
);
/// How long a prompt is behind a compaction.
pub(super) const CODING_COMPACTED: Table = Table::new(
    "compacted to",
    [
        9_903.0, 10_228.0, 12_564.0, 14_443.0, 26_180.0, 34_354.0, 53_005.0, 77_068.0, 89_668.0,
        108_214.0, 116_193.0, 117_194.0,
    ],
);
/// How a prompt changes where something inside it was changed.
pub(super) const CODING_EDIT: Table = Table::new(
    "growth at an edit",
    [
        -94_441.0, -33_882.0, -15_468.0, 57.0, 184.0, 552.0, 2_044.0, 7_668.0, 26_938.0, 175_553.0,
        477_430.0, 636_943.0,
    ],
);
/// What share of a prompt then stays at its start, where it is more than what is shared.
pub(super) const CODING_EDIT_KEEPS: Table = Table::new(
    "kept at an edit",
    [0.088, 0.107, 0.151, 0.298, 0.994, 0.998, 0.998, 0.999, 0.999, 0.999, 0.999, 0.999],
);
