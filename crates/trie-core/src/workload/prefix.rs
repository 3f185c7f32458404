//! Shared prefixes and dropped ranges, as rows and steps both write them.

use std::collections::BTreeSet;
use std::ops::Range;

use super::error::Fault;
use super::json::{Fields, Value};
use super::row::Remarks;
use crate::units::Tokens;

/// Shared segments, in order.
pub(super) fn read_prefix<'l>(
    line: &'l str,
    value: Value<'l>,
    remarks: &mut Remarks<'l>,
) -> Result<Vec<(String, Tokens)>, Fault> {
    let mut ids = BTreeSet::new();
    value.each(line, |item| {
        let mut fields = Fields::of_value(line, item)?;
        let id = fields.need("id", |id| {
            let name = id.string()?.into_owned();
            if name.is_empty() || !ids.insert(name.clone()) {
                return Err(id.wrong("an id that is not empty and stands once in the row"));
            }
            Ok(name)
        })?;
        let tokens = fields.need("tokens", Value::tokens)?;
        remarks.unknown("prefix[]", fields);
        Ok((id, tokens))
    })
}

/// Ranges `[a, b]` of the first `kept` tokens: from a, up to but not with b.
pub(super) fn read_drop<'l>(
    line: &'l str,
    value: Value<'l>,
    kept: Tokens,
) -> Result<Vec<Range<Tokens>>, Fault> {
    let mut end = 0;
    value.each(line, |item| {
        let ends = item.each(line, Value::tokens)?;
        let &[from, to] = &ends[..] else {
            return Err(item.wrong("two token positions"));
        };
        if from < end || to <= from {
            let wanted = format!("a range [a, b] with {end} <= a < b: ranges ascend");
            return Err(item.wrong(wanted));
        }
        if to > kept {
            return Err(item.wrong(format!("a range within the {kept} tokens that are kept")));
        }
        end = to;
        Ok(from..to)
    })
}
