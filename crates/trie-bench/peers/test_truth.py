"""The arithmetic of the comparison: `python3 -m unittest discover crates/trie-bench/peers`."""

import unittest

import truth
from truth import RECEIVED, WRITTEN, Answer, Reported

MS = 10**6
SOCKET = 7 << 32


class Truth(unittest.TestCase):
    def test_a_request_arrives_with_the_last_bytes_before_its_first_chunk(self):
        found = truth.assemble([
            (1, SOCKET | RECEIVED, 100), (2, SOCKET | RECEIVED, 50), (5, SOCKET | WRITTEN, 0xA), (6, SOCKET | WRITTEN, 0xA),
            (8, SOCKET | RECEIVED, 150), (9, SOCKET | WRITTEN, 0xB),
        ])  # fmt: skip
        self.assertEqual(found, [Answer(0xA, 2, [5, 6]), Answer(0xB, 8, [9])])

    def test_reports_are_matched_by_id_or_else_by_rank(self):
        early, late, cut = Answer(1, 10, [20, 30]), Answer(2, 11, [21, 31]), Answer(3, 9, [19])
        by_id = [Reported(id=2), Reported(id=3)]
        self.assertEqual(truth.matched(by_id, [late, early, cut], 2), [(by_id[0], late)])
        by_rank = [Reported(start_ns=8), Reported(start_ns=7)]
        self.assertEqual(truth.matched(by_rank, [late, early, cut], 2), [(by_rank[1], early), (by_rank[0], late)])

    def test_errors_are_held_against_the_sockets(self):
        answer = Answer(1, 0, [50 * MS, 71 * MS, 90 * MS, 500 * MS])
        report = Reported(id=1, ttft_ms=52.0, ttft_sent_ms=50.5, gaps_ms=[20.0, 20.0], mean_gap_ms=20.5)
        found = truth.errors([(report, answer), (Reported(id=1), answer)], 3)
        self.assertEqual(found, {"ttft": [2.0], "ttft_sent": [0.5], "gap": [1.0, 1.0], "mean_gap": [0.5]})

    def test_quantiles_are_values_that_were_there(self):
        self.assertEqual([truth.quantile([3, 1, 2, 4], q) for q in (0, 0.5, 0.51, 0.99, 1)], [1, 2, 3, 4, 4])
        self.assertIsNone(truth.quantile([], 0.5))

    def test_chunks_count_when_the_slot_asks_again(self):
        wave = lambda at: [Answer(at + n, at + n, [at + 5, at + 6]) for n in range(4)]
        asked_before = Answer(1, 1, [2])
        three = [asked_before, *wave(10), *wave(20), *wave(30)]
        self.assertEqual(truth.consumed(three, 4, 2, None), (22, 32, 8))
        two = three[:9]
        self.assertIsNone(truth.consumed(two, 4, 2, None))
        self.assertEqual(truth.consumed(two, 4, 2, 99), (10, 99, 16))

    def test_cpu_time_is_interpolated(self):
        samples = [(0, 0), (100, 10), (200, 110)]
        self.assertEqual(truth.cpu_between(samples, 50, 150), 55)
        self.assertEqual(truth.cpu_at(samples, 300), 110)


if __name__ == "__main__":
    unittest.main()
