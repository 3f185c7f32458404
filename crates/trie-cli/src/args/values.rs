//! Text into numbers, switches and choices, as the original's users type them.

use trie_core::units::Nanos;

/// `True`, `False` in the spellings people use; `None` for anything else.
pub(crate) fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// A whole number; `8`, `8.0` and `1e3` are all whole.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be whole and below 2^53 just before"
)]
pub(crate) fn whole(text: &str) -> Option<u64> {
    let float = || text.parse::<f64>().ok().filter(|v| v.fract().abs() < f64::EPSILON);
    text.parse()
        .ok()
        .or_else(|| float().filter(|value| (0.0..9e15).contains(value)).map(|value| value as u64))
}

/// A finite number.
pub(crate) fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

/// Seconds, at least zero.
pub(crate) fn seconds(text: &str) -> Option<Nanos> {
    number(text).and_then(Nanos::from_secs_f64)
}

/// Whether the user typed Python's "nothing".
pub(crate) fn is_none(text: &str) -> bool {
    matches!(text, "None" | "none" | "null")
}

/// Whether an option's name says that its value is not to be shown.
pub(crate) fn is_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let secret = ["auth", "key", "token", "cookie", "credential", "secret", "password"];
    let harmless = matches!(name, "token_scale" | "tokenizer_model" | "api_key_file");
    !harmless && secret.iter().any(|part| lower.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_is_secret() {
        for name in ["api_key", "headers.X-Auth", "headers.Cookie", "headers.X-Session-Token"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["token_scale", "tokenizer_model", "api_key_file", "seed", "headers.X-Team"] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn whole_numbers_may_look_like_floats() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(whole(text), expected, "{text}");
        check("8", Some(8));
        check("8.0", Some(8));
        check("1e3", Some(1000));
        check("18446744073709551615", Some(u64::MAX));
        check("8.5", None);
        check("-1", None);
        check("nan", None);
        check("", None);
    }

    #[test]
    fn seconds_are_finite_and_not_negative() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(seconds(text), expected.map(Nanos), "{text}");
        };
        check("300", Some(300_000_000_000));
        check("0.5", Some(500_000_000));
        check("inf", None);
        check("-1", None);
        check("five", None);
    }
}
