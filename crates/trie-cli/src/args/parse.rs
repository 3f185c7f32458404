//! The command line into a command, options as typed, and positional words.

use super::error::ArgsError;
use super::layers::Origin;
use super::table::{COMMANDS, Command, Kind, find, options};

/// A command line taken apart, nothing interpreted yet.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Words {
    /// Which command.
    pub(crate) command: Command,
    /// `--help` or `-h` was there.
    pub(crate) help: bool,
    /// Options in the order typed.
    pub(crate) options: Vec<Typed>,
    /// Words that are no options.
    pub(crate) positional: Vec<String>,
}

/// One option as typed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Typed {
    /// Its name in the table, or a dotted one such as `headers.X-Team`.
    pub(crate) name: String,
    /// Its value.
    pub(crate) value: String,
    /// How the user spelled the name.
    pub(crate) spelled: String,
}

/// Takes a command line apart. Without a command word it is a `run`.
///
/// # Errors
///
/// Unknown commands and options, with a suggestion in the user's own spelling.
pub(crate) fn parse(args: &[String]) -> Result<Words, ArgsError> {
    let (command, rest) = split_command(args)?;
    let mut words = Words { command, help: false, options: vec![], positional: vec![] };
    let mut rest = rest.iter().peekable();
    while let Some(word) = rest.next() {
        if word == "--help" || word == "-h" {
            words.help = true;
        } else if let Some(name) = word.strip_prefix("--") {
            let next = rest.peek().map(|next| next.as_str());
            let (typed, used) = dashed(command, word, name, next)?;
            words.options.push(typed);
            if used {
                rest.next();
            }
        } else if let Some((name, value)) = assignment(word) {
            words.options.push(option(command, name, value, name)?);
        } else {
            words.positional.push(word.clone());
        }
    }
    Ok(words)
}

fn split_command(args: &[String]) -> Result<(Command, &[String]), ArgsError> {
    let Some((first, rest)) = args.split_first() else { return Ok((Command::Help, args)) };
    if let Some(row) = COMMANDS.iter().find(|row| row.name == first) {
        return Ok((row.command, rest));
    }
    match first.as_str() {
        "--help" | "-h" => Ok((Command::Help, rest)),
        "--version" | "-V" => Ok((Command::Version, rest)),
        word if word.starts_with("--") || assignment(word).is_some() => Ok((Command::Run, args)),
        word => Err(unknown_command(word)),
    }
}

/// The command of this name.
pub(crate) fn command_named(word: &str) -> Result<Command, ArgsError> {
    let row = COMMANDS.iter().find(|row| row.name == word);
    row.map(|row| row.command).ok_or_else(|| unknown_command(word))
}

fn unknown_command(word: &str) -> ArgsError {
    let suggestion = nearest(word, COMMANDS.iter().map(|row| row.name));
    ArgsError::UnknownCommand { word: word.to_owned(), suggestion }
}

/// `name=value`, where the name looks like an option's: a path such as `./a=b` is no option.
fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic());
    let rest = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    (starts && rest).then_some((name, value))
}

/// `--name=value`, `--name value`, or a switch alone. Says whether the next word was used.
fn dashed(
    command: Command,
    word: &str,
    name: &str,
    next: Option<&str>,
) -> Result<(Typed, bool), ArgsError> {
    if let Some((name, value)) = name.split_once('=') {
        let spelled = format!("--{name}");
        return Ok((option(command, name, value, &spelled)?, false));
    }
    let mut typed = option(command, name, "True", word)?;
    let switch = find(command, &typed.name).is_some_and(|row| row.kind == Kind::Switch);
    match next {
        Some(next) if !switch || super::values::switch(next).is_some() => {
            next.clone_into(&mut typed.value);
            Ok((typed, true))
        }
        _ if switch => Ok((typed, false)),
        _ => {
            let wanted = find(command, &typed.name).map_or("text".into(), |row| row.kind.wanted());
            Err(ArgsError::NoValue { typed: word.to_owned(), name: typed.name, wanted })
        }
    }
}

/// The table's spelling of a name; an error for one that the command does not have.
pub(crate) fn checked_name(command: Command, name: &str) -> Result<String, ArgsError> {
    named(command, name, name)
}

fn named(command: Command, name: &str, spelled: &str) -> Result<String, ArgsError> {
    let name = canonical(name);
    check_known(command, &name, spelled, &Origin::CommandLine)?;
    Ok(name)
}

fn option(command: Command, name: &str, value: &str, spelled: &str) -> Result<Typed, ArgsError> {
    let name = named(command, name, spelled)?;
    Ok(Typed { name, value: value.to_owned(), spelled: spelled.to_owned() })
}

/// `output-dir` and `output_dir` are one option; what follows a dot is left as typed.
fn canonical(name: &str) -> String {
    match name.split_once('.') {
        Some((head, tail)) => format!("{}.{tail}", head.replace('-', "_")),
        None => name.replace('-', "_"),
    }
}

/// Refuses a name that the command does not have.
pub(super) fn check_known(
    command: Command,
    name: &str,
    spelled: &str,
    origin: &Origin,
) -> Result<(), ArgsError> {
    if find(command, name).is_some() || (command == Command::Serve && serve_option(name)) {
        return Ok(());
    }
    let typed = spelled.to_owned();
    let origin = origin.clone();
    if options().any(|row| row.matches(name)) {
        return Err(ArgsError::WrongCommand { typed, command: command.name(), origin });
    }
    let names = options().filter(|row| row.commands.contains(&command)).map(|row| row.name);
    let serve =
        trie_sim::config::OPTIONS.iter().map(|row| row.name).filter(|_| command == Command::Serve);
    let suggestion = nearest(name, names.chain(serve)).map(|name| respell(&name, spelled));
    Err(ArgsError::UnknownOption { typed, suggestion, origin })
}

fn serve_option(name: &str) -> bool {
    trie_sim::config::OPTIONS.iter().any(|row| row.name == name)
}

/// Writes a suggestion as the user writes: `--num-gpus`, `--num_gpus` or `num_gpus=`.
fn respell(name: &str, spelled: &str) -> String {
    match spelled.strip_prefix("--") {
        Some(typed) if typed.contains('_') => format!("--{name}"),
        Some(_) => format!("--{}", name.replace('_', "-")),
        None => format!("{name}="),
    }
}

/// The name most like `word`, if any is near enough to be a slip (Jaro-Winkler above 0.8).
pub(super) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    names
        .map(|name| (strsim::jaro_winkler(word, name), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Words, ArgsError> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn pairs(line: &str) -> (Command, Vec<(String, String)>) {
        let words = words(line).unwrap();
        let options = words.options.into_iter().map(|typed| (typed.name, typed.value));
        (words.command, options.collect())
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn options_are_read_in_every_spelling() {
        let check = |line: &str, command: Command, expected: &[(&str, &str)]| {
            assert_eq!(pairs(line), (command, owned(expected)), "{line}");
        };
        check(
            "workload_path=a.jsonl stream=True",
            Command::Run,
            &[("workload_path", "a.jsonl"), ("stream", "True")],
        );
        check(
            "run --output-dir x --output_dir=y",
            Command::Run,
            &[("output_dir", "x"), ("output_dir", "y")],
        );
        check(
            "--concurrency 8 --stream --duration 3",
            Command::Run,
            &[("concurrency", "8"), ("stream", "True"), ("duration", "3")],
        );
        check("--stream False", Command::Run, &[("stream", "False")]);
        check("run headers.X-Team=a=b", Command::Run, &[("headers.X-Team", "a=b")]);
    }

    #[test]
    fn slips_get_a_suggestion_in_the_users_spelling() {
        let check = |line: &str, expected: &str| {
            let message = words(line).unwrap_err().to_string();
            assert!(message.contains(expected), "{line}: {message}");
        };
        check("run concurency=8", "did you mean `concurrency=`?");
        check("run --num-gpu 8", "did you mean `--num-gpus`?");
        check("run --num_gpu 8", "did you mean `--num_gpus`?");
        check("reprot x", "did you mean `report`?");
        check("run --concurrency", "`--concurrency` needs a value");
        check("report endpoint=x", "not an option of `trie report`");
    }

    #[test]
    fn words_that_are_no_options_are_positional() {
        let words = words("report runs/a ./b=c format=json").unwrap();
        assert_eq!(words.command, Command::Report);
        assert_eq!(words.positional, ["runs/a", "./b=c"]);
    }
}
