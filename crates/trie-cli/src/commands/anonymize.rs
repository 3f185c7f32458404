//! `trie anonymize`: a workload without names and texts.

use trie_core::workload::Row;
use trie_import::{Anonymizer, ImportError, Target, Writer};

use super::import::{self, Counter};
use super::sources::{inputs, open};
use crate::args::{ArgsError, Environment, Words};
use crate::fault::{Code, Fault};
use crate::printer::Printer;

pub(crate) fn run(
    words: &Words,
    environment: &Environment,
    printer: &Printer,
) -> Result<Code, Fault> {
    let layers = super::run::layers(words, environment)?;
    if words.positional.is_empty() {
        let what =
            "`trie anonymize` needs something to read\nhint: trie anonymize FILE output=FILE";
        return Err(ArgsError::Conflict(what.to_owned()).into());
    }
    let inputs = inputs(&words.positional)?;
    let (format, output) = (import::from(&layers)?, layers.text("output"));
    import::check_output(output.as_deref(), &inputs)?;
    let counter = Counter::of(&layers, environment)?;
    counter.with(|count| {
        let options = import::options(&layers, count)?;
        import::writing(output.as_deref(), printer, |out| {
            let mut anonymizer = Anonymizer::new(options.salt);
            let tokenizer = format!("as recorded; else {}", count.kind());
            let mut writer = Writer::new(Target::V2, &tokenizer, out);
            let mut sink = |row: &Row<'_>| {
                let Some(text) = anonymizer.row(row.text()) else { return Ok(()) };
                let bare = Row::read(&text, "the row without names", row.number());
                let bare =
                    bare.map_err(|source| ImportError::Row { file: String::new(), source })?;
                import::written(&bare, |row| writer.row(row))
            };
            let fidelity =
                import::import((&inputs, &mut open), format, options, printer, &mut sink)?;
            let (lines, unsaid) = writer.finish().map_err(Fault::failed)?;
            import::report(&fidelity, &unsaid, lines, printer)
        })
    })
}
