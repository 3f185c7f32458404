//! `trie convert`: foreign traces as a workload, and workloads in other formats.

use trie_core::workload::{ConvertError, Converted, ReadOptions, Row, Target as Form, convert};
use trie_import::{Format, TARGETS, Target, Writer};

use super::import::{self, Counter};
use super::sources::{Input, inputs, open};
use crate::args::{ArgsError, Environment, Layers, Words};
use crate::fault::{Code, Fault, Topic};
use crate::printer::Printer;
use crate::setup;

pub(crate) fn run(
    words: &Words,
    environment: &Environment,
    printer: &Printer,
) -> Result<Code, Fault> {
    let layers = super::run::layers(words, environment)?;
    if words.positional.is_empty() {
        let what = "`trie convert` needs something to read\nhint: trie convert FILE to=v2";
        return Err(ArgsError::Conflict(what.to_owned()).into());
    }
    layers.required("to")?;
    let target = layers.choice("to", TARGETS)?;
    let inputs = inputs(&words.positional)?;
    let (format, output) = (import::from(&layers)?, layers.text("output"));
    import::check_output(output.as_deref(), &inputs)?;
    let form = match target {
        Target::Seed => Some(Form::Seed),
        Target::V2 => Some(Form::V2),
        Target::Mooncake | Target::Weka | Target::Dynamo => None,
    };
    // Our own rows are written anew as they stand: with every key, and every number as it is.
    if let ([input], Some(form)) = (&inputs[..], form)
        && is_ours(input, format)?
    {
        return anew(input, &layers, form, output.as_deref(), printer);
    }
    foreign(&inputs, (format, target), output.as_deref(), (&layers, environment), printer)
}

/// Whether an input is a file of rows of our own format, or standard input that is said to be one.
fn is_ours(input: &Input, format: Option<&'static Format>) -> Result<bool, Fault> {
    if format.is_some() || input.path == "-" {
        return Ok(format.is_some_and(|format| format.name == "trie"));
    }
    Ok(import::looks_like(open(&input.path)?).is_some_and(|format| format.name == "trie"))
}

/// Writes a workload of our own anew.
fn anew(
    input: &Input,
    layers: &Layers,
    form: Form,
    output: Option<&str>,
    printer: &Printer,
) -> Result<Code, Fault> {
    let max_workload_mb = layers.whole("max_workload_mb", 1)?.unwrap_or(1024);
    let options = ReadOptions { strict: false, max_workload_mb };
    let path = input.path.as_str();
    let source = setup::workload_source(path, "`trie convert` takes")?;
    let done: Result<Converted, ConvertError> =
        import::writing(output, printer, |out| convert(source, path, &options, form, out));
    let done = done.map_err(|error| match error {
        ConvertError::Write(_) => Fault::failed(error),
        ConvertError::Workload(_) | ConvertError::NothingLeft { .. } => {
            Fault::usage_of(Topic::Workload, error)
        }
    })?;
    for note in done.notes() {
        printer.warn(&note);
    }
    printer.line(&format!("{} traces written", done.written));
    Ok(Code::Ok)
}

/// Makes rows of anything, and writes them in a target.
fn foreign(
    inputs: &[Input],
    (format, target): (Option<&'static Format>, Target),
    output: Option<&str>,
    (layers, environment): (&Layers, &Environment),
    printer: &Printer,
) -> Result<Code, Fault> {
    Counter::of(layers, environment)?.with(|count| {
        let options = import::options(layers, count)?;
        let tokenizer = format!("as recorded; else {}", count.kind());
        import::writing(output, printer, |out| {
            let mut writer = Writer::new(target, &tokenizer, out);
            let mut sink = |row: &Row<'_>| import::written(row, |row| writer.row(row));
            let fidelity =
                import::import((inputs, &mut open), format, options, printer, &mut sink)?;
            let (lines, unsaid) = writer.finish().map_err(Fault::failed)?;
            import::report(&fidelity, &unsaid, lines, printer)
        })
    })
}
