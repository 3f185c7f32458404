//! A cell: a number together with what is doubtful about it, or the reason why there is none.

use std::fmt;

use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of the summary.
///
/// In JSON a number without doubts is a plain number; anything else is an object:
/// `{"value": x, "bound": "at_least"}`, `{"value": x, "floor_met": false}`,
/// `{"value": x, "origin": "expected"}`, `{"value": x, "low": a, "high": b}`,
/// `{"value": x, "note": "..."}`, or any of these together, or `{"value": null, "why": "..."}`.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// There is a number.
    Measured(Measured),
    /// There is none; why.
    Missing(String),
}

/// A number and its doubts.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// In the unit of its metric. Finite.
    pub value: f64,
    /// Whether the truth may lie above it.
    pub bound: Bound,
    /// Whether the sample was large enough for it.
    pub floor: Floor,
    /// Where it comes from.
    pub origin: Origin,
    /// Its 95 % interval, where one is known.
    pub interval: Option<Interval>,
    /// Printed under the table, with `*` at the value.
    pub note: Option<String>,
}

/// A 95 % interval, in the unit of its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end. Finite.
    pub low: f64,
    /// Upper end. Finite.
    pub high: f64,
}

/// Whether the truth may lie above a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bound {
    /// The value stands for itself.
    Exact,
    /// Censoring leaves only a lower bound; printed with `>=`.
    AtLeast,
}

/// Whether a sample was large enough for its quantile.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Floor {
    /// It was.
    Met,
    /// It was not; printed with `?`.
    Below,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// Measured, or reported by the server.
    Reported,
    /// What the workload expects stood in for what some answers did not say; printed with `e`.
    Expected,
}

impl Cell {
    /// A number without doubts; missing where it is not finite.
    #[must_use]
    pub fn exact(value: f64) -> Self {
        if !value.is_finite() {
            return Self::Missing("the value is not a finite number".into());
        }
        let (bound, floor, origin) = (Bound::Exact, Floor::Met, Origin::Reported);
        // A sum over nothing is -0.0; adding 0.0 leaves no sign to print.
        let value = value + 0.0;
        Self::Measured(Measured { value, bound, floor, origin, interval: None, note: None })
    }

    /// The number, if there is one.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Measured(measured) => Some(measured.value),
            Self::Missing(_) => None,
        }
    }

    /// The same with another bound.
    #[must_use]
    pub(crate) fn bounded(self, bound: Bound) -> Self {
        self.edit(|measured| measured.bound = bound)
    }

    /// The same, marked by whether its sample was large enough.
    #[must_use]
    pub(crate) fn floored(self, floor: Floor) -> Self {
        self.edit(|measured| measured.floor = floor)
    }

    /// The same from another origin.
    #[must_use]
    pub(crate) fn with_origin(self, origin: Origin) -> Self {
        self.edit(|measured| measured.origin = origin)
    }

    /// The same with a remark under the table.
    #[must_use]
    pub(crate) fn noted(self, note: Option<&str>) -> Self {
        self.edit(|measured| measured.note = note.map(str::to_owned))
    }

    /// The same with a 95 % interval; ends that are not finite are none.
    #[must_use]
    pub(crate) fn within(self, interval: Option<(f64, f64)>) -> Self {
        let ends = interval.filter(|(low, high)| low.is_finite() && high.is_finite());
        self.edit(|measured| {
            measured.interval = ends.map(|(low, high)| Interval { low, high });
        })
    }

    /// Its 95 % interval, if it has one.
    #[must_use]
    pub fn interval(&self) -> Option<Interval> {
        match self {
            Self::Measured(measured) => measured.interval,
            Self::Missing(_) => None,
        }
    }

    fn edit(mut self, change: impl FnOnce(&mut Measured)) -> Self {
        if let Self::Measured(measured) = &mut self {
            change(measured);
        }
        self
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Missing(why) => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("value", &None::<f64>)?;
                map.serialize_entry("why", why)?;
                map.end()
            }
            Self::Measured(measured) if Self::exact(measured.value) == *self => {
                serializer.serialize_f64(measured.value)
            }
            Self::Measured(measured) => {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("value", &measured.value)?;
                if measured.bound == Bound::AtLeast {
                    map.serialize_entry("bound", "at_least")?;
                }
                if measured.floor == Floor::Below {
                    map.serialize_entry("floor_met", &false)?;
                }
                if measured.origin == Origin::Expected {
                    map.serialize_entry("origin", "expected")?;
                }
                if let Some(Interval { low, high }) = measured.interval {
                    map.serialize_entry("low", &low)?;
                    map.serialize_entry("high", &high)?;
                }
                if let Some(note) = &measured.note {
                    map.serialize_entry("note", note)?;
                }
                map.end()
            }
        }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Cell {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Cell".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A number without doubts; or one with what is doubtful about it; or why there is none.",
            "anyOf": [
                { "type": "number" },
                {
                    "type": "object",
                    "properties": {
                        "value": { "type": "number" },
                        "bound": { "description": "The truth may lie above the value.", "const": "at_least" },
                        "floor_met": { "description": "The sample is too small for it.", "const": false },
                        "origin": { "description": "What the workload expects stood in for what some answers did not say.", "const": "expected" },
                        "low": { "description": "Lower end of its 95 % interval.", "type": "number" },
                        "high": { "description": "Upper end of its 95 % interval.", "type": "number" },
                        "note": { "description": "A remark.", "type": "string" }
                    },
                    "required": ["value"],
                    "additionalProperties": false
                },
                {
                    "type": "object",
                    "properties": { "value": { "type": "null" }, "why": { "type": "string" } },
                    "required": ["value", "why"],
                    "additionalProperties": false
                }
            ]
        })
    }
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or an object with `value`")
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Cell, E> {
        Ok(Cell::exact(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "a JSON number means a double here")]
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Cell, E> {
        Ok(Cell::exact(value as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "a JSON number means a double here")]
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Cell, E> {
        Ok(Cell::exact(value as f64))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Cell, A::Error> {
        let mut value = None;
        let mut why = None;
        let mut cell = Cell::exact(0.0);
        let (mut low, mut high) = (None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "value" => value = map.next_value::<Option<f64>>()?,
                "why" => why = Some(map.next_value::<String>()?),
                "bound" => cell = cell.bounded(bound(&map.next_value::<String>()?)?),
                "floor_met" => cell = cell.floored(floor(map.next_value()?)),
                "origin" => cell = cell.with_origin(origin(&map.next_value::<String>()?)?),
                "low" => low = map.next_value::<Option<f64>>()?,
                "high" => high = map.next_value::<Option<f64>>()?,
                "note" => {
                    let note = map.next_value()?;
                    cell = cell.edit(|measured| measured.note = note);
                }
                other => return Err(de::Error::unknown_field(other, FIELDS)),
            }
        }
        match (value, why) {
            (Some(value), _) => {
                let cell = cell.within(low.zip(high));
                Ok(cell.edit(|measured| measured.value = value))
            }
            (None, Some(why)) => Ok(Cell::Missing(why)),
            (None, None) => Err(de::Error::missing_field("why")),
        }
    }
}

const FIELDS: &[&str] = &["value", "why", "bound", "floor_met", "origin", "low", "high", "note"];

fn bound<E: de::Error>(text: &str) -> Result<Bound, E> {
    match text {
        "at_least" => Ok(Bound::AtLeast),
        other => Err(E::unknown_variant(other, &["at_least"])),
    }
}

fn floor(met: bool) -> Floor {
    if met { Floor::Met } else { Floor::Below }
}

fn origin<E: de::Error>(text: &str) -> Result<Origin, E> {
    match text {
        "expected" => Ok(Origin::Expected),
        other => Err(E::unknown_variant(other, &["expected"])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_reads_back_as_it_was_written() {
        let check = |cell: Cell, text: &str| {
            assert_eq!(serde_json::to_string(&cell).unwrap(), text);
            assert_eq!(serde_json::from_str::<Cell>(text).unwrap(), cell);
        };
        check(Cell::exact(2.5), "2.5");
        check(Cell::exact(2.0).bounded(Bound::AtLeast), r#"{"value":2.0,"bound":"at_least"}"#);
        check(Cell::exact(1.0).floored(Floor::Below), r#"{"value":1.0,"floor_met":false}"#);
        check(
            Cell::exact(1.0).with_origin(Origin::Expected),
            r#"{"value":1.0,"origin":"expected"}"#,
        );
        check(Cell::exact(1.0).within(Some((0.5, 1.5))), r#"{"value":1.0,"low":0.5,"high":1.5}"#);
        check(Cell::Missing("no trace".into()), r#"{"value":null,"why":"no trace"}"#);
    }

    #[test]
    fn what_is_not_a_cell_is_refused() {
        let check = |text: &str, expected: &str| {
            let error = serde_json::from_str::<Cell>(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(r#""2""#, "a number, or an object with `value`");
        check(r#"{"value":null}"#, "missing field `why`");
        check(r#"{"value":1,"bound":"at_most"}"#, "unknown variant `at_most`");
        check(r#"{"value":1,"sure":true}"#, "unknown field `sure`");
    }
}
