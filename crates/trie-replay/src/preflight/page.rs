//! A metrics page in the Prometheus text format, as far as a preflight reads it.

/// The sum of a gauge over all its labels; `None` where the page does not have it.
pub(super) fn sum(page: &str, name: &str) -> Option<u64> {
    let values: Vec<f64> = lines(page, name).filter_map(value).collect();
    (!values.is_empty()).then(|| whole(values.iter().sum()))
}

/// The value of a label on the first line of a metric.
pub(super) fn label<'p>(page: &'p str, name: &str, label: &str) -> Option<&'p str> {
    labels(page, name, label).next()?
}

/// The values of a label on all lines of a metric.
pub(super) fn labels<'p>(
    page: &'p str,
    name: &str,
    label: &str,
) -> impl Iterator<Item = Option<&'p str>> {
    let opening = format!("{label}=\"");
    lines(page, name).map(move |line| {
        let begins = |at: &usize| line[..*at].ends_with(['{', ',', ' ']);
        let at = line.match_indices(&opening).map(|(at, _)| at).find(begins)?;
        line[at + opening.len()..].split('"').next()
    })
}

/// The lines of a metric, what follows the name first.
fn lines<'p>(page: &'p str, name: &str) -> impl Iterator<Item = &'p str> {
    let rests = page.lines().filter_map(move |line| line.strip_prefix(name));
    rests.filter(|rest| rest.starts_with(['{', ' ']))
}

/// The number after the labels; a time stamp may follow it.
fn value(rest: &str) -> Option<f64> {
    let after = rest.rfind('}').map_or(rest, |at| &rest[at + 1..]);
    after.split_whitespace().next()?.parse().ok().filter(|value: &f64| value.is_finite())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of requests; a float below 0 or beyond 64 bits is cut by the cast"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# TYPE vllm:num_requests_running gauge\n\
        vllm:num_requests_running{engine=\"0\",model_name=\"a } b\"} 2.0\n\
        vllm:num_requests_running{engine=\"1\"} 1.0 1700000000\n\
        vllm:num_requests_running_more 9\n\
        plain 4\n\
        vllm:cache_config_info{_block_size=\"0\",block_size=\"16\",engine=\"0\"} 1.0\n";

    #[test]
    fn a_gauge_is_summed_over_its_labels() {
        let check = |name: &str, expected| assert_eq!(sum(PAGE, name), expected, "{name}");
        check("vllm:num_requests_running", Some(3));
        check("plain", Some(4));
        check("vllm:num_requests", None);
    }

    #[test]
    fn a_label_is_found_by_its_whole_name() {
        let check = |name: &str, wanted: &str, expected| {
            assert_eq!(label(PAGE, name, wanted), expected, "{name} {wanted}");
        };
        check("vllm:cache_config_info", "block_size", Some("16"));
        check("vllm:cache_config_info", "size", None);
        check("vllm:num_requests_running", "model_name", Some("a } b"));
        check("nothing", "a", None);
    }
}
