//! What the other files share: an import of texts.

use std::io::{Cursor, Read};
use std::path::Path;

use serde_json::Value;
use trie_core::workload::{On, Row, Trace};
use trie_import::{Count, Fidelity, Import, ImportError, ImportOptions, Salt, format_named};

/// Rows that came out, and what was said of them.
pub(crate) struct Imported {
    pub(crate) rows: Vec<String>,
    pub(crate) fidelity: Fidelity,
}

impl Imported {
    /// A row as JSON.
    pub(crate) fn row(&self, number: usize) -> Value {
        serde_json::from_str(&self.rows[number]).unwrap()
    }

    /// A row as it is replayed.
    pub(crate) fn trace(&self, number: usize) -> Trace {
        Row::read(&self.rows[number], "it", number as u64).unwrap().trace().clone()
    }

    /// Prompts of a row.
    pub(crate) fn prompts(&self, number: usize) -> Vec<u64> {
        self.trace(number).steps.iter().map(|step| step.prompt_tokens).collect()
    }
}

/// How most tests import: words are tokens, and names are kept.
pub(crate) fn options() -> ImportOptions<'static> {
    ImportOptions { salt: Salt(7), count: Count::Words, keep_names: true, ..Default::default() }
}

/// Imports sources in a row; their names do not matter.
pub(crate) fn import_bytes(
    sources: &[&[u8]],
    format: Option<&str>,
    options: &ImportOptions<'_>,
) -> Result<Imported, ImportError> {
    let format = format.map(|name| format_named(name).unwrap());
    let mut rows = Vec::new();
    let mut import = Import::new(*options);
    for (number, source) in sources.iter().enumerate() {
        let mut sink = |row: &Row<'_>| {
            rows.push(row.text().to_owned());
            Ok(())
        };
        let reader: Box<dyn Read + Send> = Box::new(Cursor::new(source.to_vec()));
        import.source(&format!("source {number}"), reader, format, &mut sink)?;
    }
    let fidelity = import.finish(&mut |row| {
        rows.push(row.text().to_owned());
        Ok(())
    })?;
    Ok(Imported { rows, fidelity })
}

/// Imports one text, recognised by its content.
pub(crate) fn import(text: &str) -> Imported {
    import_bytes(&[text.as_bytes()], None, &options()).unwrap()
}

/// Records, a line each.
pub(crate) fn lines(values: &[Value]) -> String {
    values.iter().map(Value::to_string).collect::<Vec<_>>().join("\n") + "\n"
}

/// The first row's lanes, what each step waits for, and its prompt.
pub(crate) fn steps(found: &Imported) -> Vec<String> {
    let trace = found.trace(0);
    let steps = trace.steps.iter().map(|step| {
        let after = step.after.iter().map(|after| {
            let on = if after.on == On::Start { "start of " } else { "" };
            format!("{on}{}+{}", after.step, after.delay.as_secs_f64())
        });
        let after: Vec<String> = after.collect();
        format!("lane {} after {} = {}", step.lane, after.join(", "), step.prompt_tokens)
    });
    steps.collect()
}

/// As many words.
pub(crate) fn words(count: usize) -> String {
    vec!["w"; count].join(" ")
}

/// A moment, without a zone.
pub(crate) fn at(second: u32) -> String {
    format!("2031-01-01T00:00:{second:02}.000000")
}

/// A file of testdata/formats.
pub(crate) fn sample(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/formats");
    std::fs::read_to_string(folder.join(name)).unwrap()
}
