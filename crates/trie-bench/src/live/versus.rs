//! What a client says of chunks against what their sender says.

use std::collections::BTreeMap;

use trie_core::record::{Outcome, RequestRow};

use super::conversation::Served;

/// Absolute differences, ns, in ascending order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Errors {
    /// The client's stamp of each chunk against the moment right before it was written.
    pub(crate) arrival: Vec<u64>,
    /// From chunk to chunk, by the client against by the source.
    pub(crate) gap: Vec<u64>,
    /// From intent to first token by the client, against from request to first write by the source.
    pub(crate) first_token: Vec<u64>,
    /// The same from the moment the client's socket had taken the request.
    pub(crate) first_token_of_sent: Vec<u64>,
    /// Chunks that the client counts otherwise than the source, of answers that were not cut off.
    pub(crate) miscounted: u64,
}

/// Compares records with the source's log by the ids of the answers. Chunks and all must have been kept.
pub(crate) fn versus(rows: &[RequestRow], served: &[Served]) -> Errors {
    let served: BTreeMap<&str, &Served> =
        served.iter().map(|answer| (answer.id.as_str(), answer)).collect();
    let mut errors = Errors::default();
    for row in rows {
        let truth = row.id.as_deref().and_then(|id| served.get(id));
        let (Some(truth), Some(kept)) = (truth, &row.chunk_ns) else { continue };
        let Some(start) = row.start_ns else { continue };
        let stamps: Vec<u64> = kept.iter().map(|at| start.0 + at).collect();
        if row.end_ns.is_some() && row.outcome == Outcome::Ok {
            errors.miscounted += stamps.len().abs_diff(truth.written_ns.len()) as u64;
        }
        let pairs = || stamps.iter().zip(&truth.written_ns);
        errors.arrival.extend(pairs().map(|(seen, written)| seen.abs_diff(*written)));
        errors.gap.extend(pairs().zip(pairs().skip(1)).map(|(before, after)| {
            let (seen, written) = (after.0 - before.0, after.1 - before.1);
            seen.abs_diff(written)
        }));
        let (Some(first), Some(written)) = (stamps.first(), truth.written_ns.first()) else {
            continue;
        };
        let true_ns = written - truth.received_ns;
        errors.first_token.push((first - row.intent_ns.0).abs_diff(true_ns));
        if let Some(sent) = row.sent_ns {
            errors.first_token_of_sent.push(first.saturating_sub(sent.0).abs_diff(true_ns));
        }
    }
    let Errors { arrival, gap, first_token, first_token_of_sent, miscounted: _ } = &mut errors;
    for all in [arrival, gap, first_token, first_token_of_sent] {
        all.sort_unstable();
    }
    errors
}

/// The value of an ascending list below which `percent` of it lies; `None` of nothing.
pub(crate) fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied()
}

#[cfg(test)]
mod tests {
    use trie_core::units::Nanos;

    use super::*;

    #[test]
    fn stamps_are_compared_by_the_ids_of_their_answers() {
        let row = RequestRow {
            id: Some("b".to_owned()),
            intent_ns: Nanos(1_000),
            start_ns: Some(Nanos(1_010)),
            sent_ns: Some(Nanos(1_030)),
            end_ns: Some(Nanos(2_000)),
            chunk_ns: Some(vec![100, 200, 310]),
            outcome: Outcome::Ok,
            ..RequestRow::default()
        };
        let served = |id: &str, written_ns: &[u64]| Served {
            id: id.to_owned(),
            received_ns: 1_040,
            written_ns: written_ns.to_vec(),
            blocked: 0,
        };
        let all = [served("a", &[7]), served("b", &[1_105, 1_208, 1_320])];
        // Seen at 1,110, 1,210 and 1,320; the first token after 110 (80 of them since it was sent), not 65.
        let expected = Errors {
            arrival: vec![0, 2, 5],
            gap: vec![2, 3],
            first_token: vec![45],
            first_token_of_sent: vec![15],
            miscounted: 0,
        };
        assert_eq!(versus(std::slice::from_ref(&row), &all), expected);
        assert_eq!(versus(&[row], &[served("b", &[1_105])]).miscounted, 2);
    }

    #[test]
    fn a_percentile_is_a_value_of_the_list() {
        let check = |of: &[u64], percent, expected| assert_eq!(percentile(of, percent), expected);
        check(&[], 50, None);
        check(&[3], 99, Some(3));
        check(&[1, 2, 3, 4], 50, Some(3));
        check(&(1..=200).collect::<Vec<_>>(), 99, Some(199));
    }
}
