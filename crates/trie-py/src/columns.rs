//! Records as Arrow columns, handed over by the `PyCapsule` interface.
//!
//! The types of the columns are those of the records' JSON Schema, so that a new field of a row is a
//! new column here.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, RecordBatch, RecordBatchIterator,
    StringArray, StructArray, UInt32Array, UInt64Array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema, SchemaRef};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use schemars::{JsonSchema, schema_for};
use serde::Serialize;
use serde_json::{Map, Value};
use trie_cli::api;
use trie_core::record::{RequestRow, TraceEvent, TraceOutcome, TraceRow};
use trie_core::units::{Nanos, Tokens};

/// Rows in a batch.
const BATCH: usize = 8192;

/// A table: `polars.DataFrame(rows)`, `pyarrow.table(rows)`, `pandas.DataFrame.from_arrow(rows)`.
#[pyclass(frozen, module = "trie._trie")]
pub(crate) struct Rows {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

#[pymethods]
impl Rows {
    /// The rows as an Arrow stream; consumers of the `PyCapsule` interface call this.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // A wish that need not be granted; who asked casts.
        drop(requested_schema);
        let batches = self.batches.clone().into_iter().map(Ok::<_, ArrowError>);
        let reader = RecordBatchIterator::new(batches, Arc::clone(&self.schema));
        let stream = FFI_ArrowArrayStream::new(Box::new(reader));
        PyCapsule::new_with_value(py, stream, c"arrow_array_stream")
    }

    fn __len__(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Names of the columns.
    #[getter]
    fn column_names(&self) -> Vec<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    fn __repr__(&self) -> String {
        format!("<trie rows: {} x {} columns>", self.__len__(), self.schema.fields().len())
    }
}

/// A row for each attempt.
pub(crate) fn requests(run: &api::Run) -> PyResult<Rows> {
    let mut table = Table::of::<RequestRow>()?;
    run.requests(&mut |row| table.add(row));
    table.end()
}

/// One trace from its admission to its end.
#[derive(JsonSchema, Serialize)]
struct OneTrace {
    trace: u64,
    row: u64,
    cycle: u64,
    trace_id: String,
    slot: u32,
    admitted_ns: Nanos,
    ended_ns: Option<Nanos>,
    steps: u32,
    final_step: u32,
    planned_prompt_tokens: Tokens,
    planned_completion_tokens: Tokens,
    held_ns: Option<Nanos>,
    entered_step: Option<u32>,
    /// `completed`, `failed`, `cut_off`; `None` where the records end before it does.
    outcome: Option<String>,
    /// The kind of failure.
    failure: Option<String>,
}

/// A row for each trace, in the order of admission.
pub(crate) fn traces(run: &api::Run) -> PyResult<Rows> {
    let (mut all, mut places) = (Vec::<OneTrace>::new(), BTreeMap::new());
    run.traces(&mut |row| match &row.event {
        TraceEvent::Admitted => {
            // Traces of another shard or replicate with the same number have ended before.
            places.insert(row.trace, all.len());
            all.push(admitted(row));
        }
        TraceEvent::Ended(outcome) => {
            if let Some(trace) = places.get(&row.trace).and_then(|place| all.get_mut(*place)) {
                end(trace, row, outcome);
            }
        }
    });
    let mut table = Table::of::<OneTrace>()?;
    for trace in &all {
        table.add(trace);
    }
    table.end()
}

fn admitted(row: &TraceRow) -> OneTrace {
    OneTrace {
        trace: row.trace,
        row: row.row,
        cycle: row.cycle,
        trace_id: row.trace_id.clone(),
        slot: row.slot,
        admitted_ns: row.at_ns,
        ended_ns: None,
        steps: row.steps,
        final_step: row.final_step,
        planned_prompt_tokens: row.planned_prompt_tokens,
        planned_completion_tokens: row.planned_completion_tokens,
        held_ns: row.held_ns,
        entered_step: row.entered_step,
        outcome: None,
        failure: None,
    }
}

fn end(trace: &mut OneTrace, row: &TraceRow, outcome: &TraceOutcome) {
    trace.ended_ns = Some(row.at_ns);
    let (word, failure) = match outcome {
        TraceOutcome::Completed => ("completed", None),
        TraceOutcome::Failed(kind) => ("failed", Some(kind.clone())),
        TraceOutcome::CutOff => ("cut_off", None),
    };
    trace.outcome = Some(word.to_owned());
    trace.failure = failure;
}

/// Rows on their way into columns.
struct Table {
    schema: SchemaRef,
    waiting: Vec<Value>,
    batches: Vec<RecordBatch>,
    failed: Option<String>,
}

impl Table {
    fn of<T: JsonSchema>() -> PyResult<Self> {
        let document = schema_for!(T).to_value();
        let schema = Arc::new(Schema::new(fields(&document, &document)?));
        Ok(Self { schema, waiting: vec![], batches: vec![], failed: None })
    }

    fn add(&mut self, row: &impl Serialize) {
        match serde_json::to_value(row) {
            Ok(row) => self.waiting.push(row),
            Err(error) => self.failed = Some(error.to_string()),
        }
        if self.waiting.len() == BATCH {
            self.batch();
        }
    }

    fn batch(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let rows: Vec<_> = waiting.iter().map(Some).collect();
        let columns = self.schema.fields().iter().map(|field| column(field, &rows)).collect();
        match RecordBatch::try_new(Arc::clone(&self.schema), columns) {
            Ok(batch) => self.batches.push(batch),
            Err(error) => self.failed = Some(error.to_string()),
        }
    }

    fn end(mut self) -> PyResult<Rows> {
        if !self.waiting.is_empty() {
            self.batch();
        }
        match self.failed {
            Some(error) => Err(PyRuntimeError::new_err(error)),
            None => Ok(Rows { schema: self.schema, batches: self.batches }),
        }
    }
}

/// One property of many objects.
fn column(field: &Field, objects: &[Option<&Value>]) -> ArrayRef {
    let values: Vec<_> = objects.iter().map(|object| (*object)?.get(field.name())).collect();
    array(field.data_type(), &values)
}

/// Values of one type; one that is missing, `null` or of another type is null.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a type of somebody else's, of which `data_type` gives a few"
)]
fn array(kind: &DataType, values: &[Option<&Value>]) -> ArrayRef {
    let values = || values.iter().copied();
    let whole = |value: Option<&Value>| value?.as_u64();
    match kind {
        DataType::Boolean => Arc::new(values().map(|v| v?.as_bool()).collect::<BooleanArray>()),
        DataType::Utf8 => Arc::new(values().map(|v| v?.as_str()).collect::<StringArray>()),
        DataType::Float64 => Arc::new(values().map(|v| v?.as_f64()).collect::<Float64Array>()),
        DataType::Int64 => Arc::new(values().map(|v| v?.as_i64()).collect::<Int64Array>()),
        DataType::UInt32 => {
            let small = |value| u32::try_from(whole(value)?).ok();
            Arc::new(values().map(small).collect::<UInt32Array>())
        }
        DataType::List(item) => {
            let lists: Vec<_> = values().map(|v| v?.as_array()).collect();
            let lengths = lists.iter().map(|list| list.map_or(0, Vec::len));
            let offsets = OffsetBuffer::from_lengths(lengths);
            let items: Vec<_> = lists.iter().flatten().copied().flatten().map(Some).collect();
            let nulls = lists.iter().map(Option::is_some).collect::<NullBuffer>();
            let items = array(item.data_type(), &items);
            Arc::new(ListArray::new(Arc::clone(item), offsets, items, Some(nulls)))
        }
        DataType::Struct(fields) => {
            let objects: Vec<_> = values().map(|v| v.filter(|v| v.is_object())).collect();
            let nulls = objects.iter().map(Option::is_some).collect::<NullBuffer>();
            let columns = fields.iter().map(|field| column(field, &objects)).collect();
            Arc::new(StructArray::new(fields.clone(), columns, Some(nulls)))
        }
        _ => Arc::new(values().map(whole).collect::<UInt64Array>()),
    }
}

/// The columns of an object: its properties.
fn fields(object: &Value, document: &Value) -> PyResult<Fields> {
    let none = Map::new();
    let properties = object.get("properties").and_then(Value::as_object).unwrap_or(&none);
    let each = properties
        .iter()
        .map(|(name, property)| Ok(Field::new(name, data_type(property, document)?, true)));
    each.collect()
}

/// The type of a property.
fn data_type(property: &Value, document: &Value) -> PyResult<DataType> {
    let unknown = || PyRuntimeError::new_err(format!("no column type for {property}"));
    if let Some(name) = property.get("$ref").and_then(Value::as_str) {
        let place = name.trim_start_matches('#');
        return data_type(document.pointer(place).ok_or_else(unknown)?, document);
    }
    let choices = ["anyOf", "oneOf"].iter().find_map(|key| property.get(key)?.as_array());
    if let Some(choices) = choices {
        let is_null = |choice: &&Value| choice.get("type").is_some_and(|kind| kind == "null");
        let choice = choices.iter().find(|choice| !is_null(choice)).ok_or_else(unknown)?;
        return data_type(choice, document);
    }
    let kind = match property.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().find(|kind| *kind != "null"),
        kind => kind,
    };
    let list = |item: DataType| DataType::List(Arc::new(Field::new_list_field(item, true)));
    match kind.and_then(Value::as_str).ok_or_else(unknown)? {
        "string" => Ok(DataType::Utf8),
        "boolean" => Ok(DataType::Boolean),
        "number" => Ok(DataType::Float64),
        "integer" => Ok(match property.get("format").and_then(Value::as_str) {
            Some("uint16" | "uint32") => DataType::UInt32,
            Some("int64") => DataType::Int64,
            _ => DataType::UInt64,
        }),
        // Pairs of numbers, of which the first may have a fraction.
        "array" if property.get("prefixItems").is_some() => Ok(list(DataType::Float64)),
        "array" => {
            let item = property.get("items").ok_or_else(unknown)?;
            Ok(list(data_type(item, document)?))
        }
        "object" => Ok(DataType::Struct(fields(property, document)?)),
        _ => Err(unknown()),
    }
}
