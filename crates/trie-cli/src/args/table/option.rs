//! What a row of the table of options is, and which commands take which rows.

use super::command::Command;

/// What a value looks like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// True or False; the name alone means True.
    Switch,
    /// A whole number.
    Whole,
    /// A number.
    Number,
    /// Seconds.
    Seconds,
    /// Text.
    Text,
    /// A file or folder.
    Path,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `option.NAME=VALUE`, any number of them.
    Map,
    /// Text that may be given several times; `;` separates several in one.
    List,
}

impl Kind {
    /// What would be right, in words.
    pub(crate) fn wanted(self) -> String {
        match self {
            Self::Switch => "True or False".to_owned(),
            Self::Whole => "a whole number".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Seconds => "seconds".to_owned(),
            Self::Text | Self::List => "text".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Map => "NAME=VALUE".to_owned(),
        }
    }

    /// The placeholder in help.
    pub(crate) fn placeholder(self) -> String {
        match self {
            Self::Switch => "True|False".to_owned(),
            Self::Whole => "N".to_owned(),
            Self::Number => "X".to_owned(),
            Self::Seconds => "SECONDS".to_owned(),
            Self::Text | Self::List => "TEXT".to_owned(),
            Self::Path => "PATH".to_owned(),
            Self::Choice(words) => words.join("|"),
            Self::Map => "VALUE".to_owned(),
        }
    }
}

/// Headings of help and reference.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Group {
    /// What is replayed, where, and for how long.
    Main,
    /// Changes to the workload before it is planned.
    Workload,
    /// What is sent.
    Content,
    /// How it is sent.
    Wire,
    /// What is kept and shown.
    Output,
}

impl Group {
    /// The heading.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Main => "What to replay",
            Self::Workload => "Workload",
            Self::Content => "Content of the requests",
            Self::Wire => "Connection",
            Self::Output => "Output",
        }
    }
}

/// One option of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OptionRow {
    /// Its name, with underscores; dashes are accepted too.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// As it would be typed; `None` where there is none.
    pub(crate) default: Option<&'static str>,
    /// One or two sentences.
    pub(crate) help: &'static str,
    pub(crate) group: Group,
    /// Which commands take it.
    pub(crate) commands: &'static [Command],
}

impl OptionRow {
    /// Whether a name, perhaps dotted, means this option.
    pub(crate) fn matches(&self, name: &str) -> bool {
        match name.split_once('.') {
            Some((head, tail)) => self.kind == Kind::Map && head == self.name && !tail.is_empty(),
            None => self.kind != Kind::Map && name == self.name,
        }
    }
}

/// `check` and `forecast` take what `run` takes, so that a run's command line can be checked as it is, and
/// forecast with an engine for its endpoint.
pub(super) const RUN: &[Command] = &[Command::Run, Command::Check, Command::Forecast];
pub(super) const RUN_DEMO: &[Command] =
    &[Command::Run, Command::Check, Command::Forecast, Command::Demo];
pub(super) const PLAN: &[Command] =
    &[Command::Run, Command::Check, Command::Forecast, Command::Demo, Command::Inspect];
pub(super) const SCALE: &[Command] =
    &[Command::Run, Command::Check, Command::Forecast, Command::Inspect];
pub(super) const WAITS: &[Command] =
    &[Command::Run, Command::Check, Command::Forecast, Command::Inspect, Command::Generate];
pub(super) const GENERATE: &[Command] = &[Command::Generate];
pub(super) const SIMULATED: &[Command] = &[Command::Forecast, Command::Inspect];
pub(super) const ENDPOINT: &[Command] = &[Command::Run, Command::Check];
pub(super) const FORECAST: &[Command] = &[Command::Forecast];
pub(super) const CAPPED: &[Command] = &[
    Command::Run,
    Command::Check,
    Command::Forecast,
    Command::Inspect,
    Command::Convert,
    Command::Anonymize,
];
/// Commands that read foreign traces.
pub(super) const IMPORT: &[Command] =
    &[Command::Convert, Command::Anonymize, Command::Inspect, Command::Generate];
/// Of them, those that can keep prompts as blocks.
pub(super) const BLOCKS: &[Command] = &[Command::Convert, Command::Anonymize, Command::Inspect];
pub(super) const RUN_IMPORT: &[Command] = &[
    Command::Run,
    Command::Check,
    Command::Forecast,
    Command::Convert,
    Command::Anonymize,
    Command::Inspect,
];
/// Commands that compare; `run` does with `against=`.
pub(super) const COMPARING: &[Command] = &[Command::Run, Command::Check, Command::Compare];

pub(super) const fn row(
    group: Group,
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    help: &'static str,
) -> OptionRow {
    OptionRow { name, kind, default, help, group, commands: RUN }
}

pub(super) const fn shared(row: OptionRow, commands: &'static [Command]) -> OptionRow {
    OptionRow { commands, ..row }
}
