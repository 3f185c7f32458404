//! Where a value comes from: default < run file < environment < command line.

use std::collections::BTreeMap;
use std::fmt;

use trie_core::units::Nanos;
use trie_replay::{Cores, Nice};

use super::error::ArgsError;
use super::parse::{Typed, check_known, nearest};
use super::table::{Command, Kind, default_of, find, options, options_of};
use super::values;

/// The process's environment, read once in `main`.
pub type Environment = BTreeMap<String, String>;

/// Who gave a value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    /// The table.
    Default,
    /// A run file, `path:line`.
    File(String),
    /// An environment variable.
    Environment(String),
    /// The command line.
    CommandLine,
    /// An argument of a function.
    Argument,
}

impl Origin {
    /// As shown by `dry_run` and kept in the manifest.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Default => "default".to_owned(),
            Self::File(place) => place.clone(),
            Self::Environment(name) => format!("environment {name}"),
            Self::CommandLine => "command line".to_owned(),
            Self::Argument => "argument".to_owned(),
        }
    }
}

impl fmt::Display for Origin {
    /// The place as a prefix of a message; the command line and arguments need none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default | Self::CommandLine | Self::Argument => Ok(()),
            Self::File(place) => write!(f, "{place}: "),
            Self::Environment(name) => write!(f, "environment variable {name}: "),
        }
    }
}

/// A value as given, and by whom.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Given {
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

/// All values of one command, the strongest layer of each.
#[derive(Clone, Debug)]
pub(crate) struct Layers {
    command: Command,
    values: BTreeMap<String, Given>,
}

impl Layers {
    /// Stacks the layers. `run_file` is the text of the file that `config=` names.
    pub(crate) fn stack(
        command: Command,
        typed: &[Typed],
        environment: &Environment,
        run_file: Option<(&str, &str)>,
    ) -> Result<Self, ArgsError> {
        let mut layers = Self { command, values: BTreeMap::new() };
        if let Some((path, text)) = run_file {
            layers.add_file(path, text)?;
        }
        layers.add_environment(environment)?;
        layers.add_typed(typed, &Origin::CommandLine)?;
        layers.add_openai_key(environment);
        layers.refuse_empty()?;
        Ok(layers.sharing_connections())
    }

    /// Arguments of a function over defaults: of the environment, `OPENAI_API_KEY` alone counts.
    pub(crate) fn of_arguments(
        command: Command,
        typed: &[Typed],
        environment: &Environment,
    ) -> Result<Self, ArgsError> {
        let mut layers = Self { command, values: BTreeMap::new() };
        layers.add_typed(typed, &Origin::Argument)?;
        layers.add_openai_key(environment);
        layers.refuse_empty()?;
        Ok(layers.sharing_connections())
    }

    /// Nothing is not a name, a path or a key: a variable of the shell was empty.
    fn refuse_empty(&self) -> Result<(), ArgsError> {
        let plain = options_of(self.command).filter(|row| row.kind != Kind::Map);
        for row in plain {
            if self.values.get(row.name).is_some_and(|given| given.text.is_empty()) {
                return Err(self.bad(row.name, format!("{}, or None", row.kind.wanted())));
            }
        }
        Ok(())
    }

    /// `OPENAI_API_KEY` counts where neither `api_key` nor `api_key_file` is given.
    fn add_openai_key(&mut self, environment: &Environment) {
        let given = ["api_key", "api_key_file"].iter().any(|name| self.given(name).is_some());
        let key = environment.get("OPENAI_API_KEY").filter(|key| !key.is_empty());
        if let Some(key) = key.filter(|_| !given && find(self.command, "api_key").is_some()) {
            let origin = Origin::Environment("OPENAI_API_KEY".to_owned());
            self.values.insert("api_key".to_owned(), Given { text: key.clone(), origin });
        }
    }

    /// The same with other defaults than the table's: values for what nobody gave.
    pub(crate) fn or_defaults(mut self, defaults: &[(&str, &str)]) -> Self {
        for &(name, text) in defaults {
            let given = Given { text: text.to_owned(), origin: Origin::Default };
            self.values.entry(name.to_owned()).or_insert(given);
        }
        self
    }

    /// What HTTP/2 is for is that a connection carries many requests at a time: with it that is the default.
    fn sharing_connections(mut self) -> Self {
        let http2 = self.given("http2").and_then(|given| values::switch(&given.text));
        if http2 == Some(true) && self.given("connection").is_none() {
            self.values.remove("connection");
            return self.or_defaults(&[("connection", "shared")]);
        }
        self
    }

    fn add_file(&mut self, path: &str, text: &str) -> Result<(), ArgsError> {
        let line_at = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
        let wrong = |at: usize, message: String| ArgsError::RunFile {
            path: path.to_owned(),
            line: line_at(at),
            message,
        };
        let table = toml::de::DeTable::parse(text).map_err(|error| {
            wrong(error.span().map_or(0, |span| span.start), error.message().to_owned())
        })?;
        for (name, value) in table.get_ref() {
            let at = name.span().start;
            let origin = Origin::File(format!("{path}:{}", line_at(at)));
            let pairs = flat(name.get_ref(), value.get_ref())
                .ok_or_else(|| wrong(at, format!("`{}` needs a plain value", name.get_ref())))?;
            for (name, text) in pairs {
                check_known(self.command, &name, &format!("{name}="), &origin)?;
                self.values.insert(name, Given { text, origin: origin.clone() });
            }
        }
        Ok(())
    }

    /// A variable that is empty gives nothing. One that is nearly an option's is a slip; others
    /// belong to somebody else.
    fn add_environment(&mut self, environment: &Environment) -> Result<(), ArgsError> {
        for variable in environment.keys() {
            let Some(name) = variable.strip_prefix("TRIE_").map(str::to_lowercase) else {
                continue;
            };
            let known = options().any(|row| row.name == name);
            let like = nearest(&name, options().map(|row| row.name)).filter(|_| !known);
            if let Some(like) = like {
                let suggestion = Some(format!("TRIE_{}", like.to_uppercase()));
                let (typed, origin) = (variable.clone(), Origin::CommandLine);
                return Err(ArgsError::UnknownOption { typed, suggestion, origin });
            }
        }
        for row in options_of(self.command).filter(|row| row.kind != Kind::Map) {
            let variable = format!("TRIE_{}", row.name.to_uppercase());
            if let Some(text) = environment.get(&variable).filter(|text| !text.is_empty()) {
                let given = Given { text: text.clone(), origin: Origin::Environment(variable) };
                self.values.insert(row.name.to_owned(), given);
            }
        }
        Ok(())
    }

    fn add_typed(&mut self, typed: &[Typed], origin: &Origin) -> Result<(), ArgsError> {
        for typed in typed {
            let mut given = Given { text: typed.value.clone(), origin: origin.clone() };
            let is_list = find(self.command, &typed.name).is_some_and(|row| row.kind == Kind::List);
            if let Some(more) = self
                .values
                .get_mut(&typed.name)
                .filter(|before| is_list && before.origin == *origin)
            {
                given.text = format!("{}; {}", more.text, given.text);
                *more = given;
                continue;
            }
            let before = self.values.insert(typed.name.clone(), given);
            if let Some(Given { text: first, origin: from }) = before
                && from == *origin
            {
                let name = typed.name.clone();
                let [first, second] = [first, typed.value.clone()]
                    .map(|text| if values::is_secret(&name) { "***".to_owned() } else { text });
                return Err(ArgsError::Twice { name, first, second });
            }
        }
        Ok(())
    }

    /// What was given for an option. `None` (also Python's) means the default, but where the
    /// option has a word `none` of its own.
    pub(crate) fn given(&self, name: &str) -> Option<&Given> {
        let own = |text: &str| match find(self.command, name).map(|row| row.kind) {
            Some(Kind::Choice(words)) => words.contains(&text),
            _ => false,
        };
        self.values.get(name).filter(|given| own(&given.text) || !values::is_none(&given.text))
    }

    /// Text, from the strongest layer or the table's default.
    pub(crate) fn text(&self, name: &'static str) -> Option<String> {
        let default = || default_of(name).map(str::to_owned);
        self.given(name).map(|given| given.text.clone()).or_else(default)
    }

    /// The texts of an option that may be given several times.
    pub(crate) fn list(&self, name: &'static str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        let each = text.split(';').map(str::trim).filter(|one| !one.is_empty());
        each.map(str::to_owned).collect()
    }

    /// An option the command cannot do without.
    pub(crate) fn required(&self, name: &'static str) -> Result<String, ArgsError> {
        let row = find(self.command, name);
        self.text(name).ok_or_else(|| ArgsError::Missing {
            name,
            help: row.map_or("", |row| row.help).to_owned(),
            command: self.command.name(),
        })
    }

    /// A switch.
    pub(crate) fn switch(&self, name: &'static str) -> Result<bool, ArgsError> {
        let value = self.typed(name, values::switch, "True or False")?;
        Ok(value.unwrap_or(false))
    }

    /// A whole number of at least `least`.
    pub(crate) fn whole(&self, name: &'static str, least: u64) -> Result<Option<u64>, ArgsError> {
        let wanted = format!("a whole number, at least {least}");
        self.typed(name, |text| values::whole(text).filter(|value| *value >= least), &wanted)
    }

    /// Cores on which this process may run.
    pub(crate) fn cores(&self, name: &'static str) -> Result<Option<Cores>, ArgsError> {
        let allowed = Cores::allowed();
        let read = |text: &str| {
            Cores::parse(text)
                .filter(|cores| allowed.is_some_and(|allowed| cores.is_within(&allowed)))
        };
        let which = allowed.map_or("none can be chosen on this system".to_owned(), |allowed| {
            let each: Vec<_> = allowed.iter().map(|core| core.to_string()).collect();
            format!("this process may run on {}", each.join(","))
        });
        self.typed(name, read, &format!("cores, as in 0,2-5; {which}"))
    }

    /// A nice value.
    pub(crate) fn nice(&self, name: &'static str) -> Result<Option<Nice>, ArgsError> {
        let read = |text: &str| text.parse().ok().and_then(Nice::new);
        self.typed(name, read, "a whole number from -20 to 19")
    }

    /// A number above zero.
    pub(crate) fn positive(&self, name: &'static str) -> Result<Option<f64>, ArgsError> {
        let read = |text: &str| values::number(text).filter(|value| *value > 0.0);
        self.typed(name, read, "a number greater than 0")
    }

    /// A number of at least zero.
    pub(crate) fn factor(&self, name: &'static str) -> Result<Option<f64>, ArgsError> {
        let read = |text: &str| values::number(text).filter(|value| *value >= 0.0);
        self.typed(name, read, "a number of at least 0")
    }

    /// Seconds above zero.
    pub(crate) fn seconds(&self, name: &'static str) -> Result<Option<Nanos>, ArgsError> {
        let read = |text: &str| values::seconds(text).filter(|nanos| nanos.0 > 0);
        self.typed(name, read, "seconds, a number greater than 0")
    }

    /// Seconds of at least zero.
    pub(crate) fn seconds_or_zero(&self, name: &'static str) -> Result<Option<Nanos>, ArgsError> {
        self.typed(name, values::seconds, "seconds, a number of at least 0")
    }

    /// One of a fixed set of words.
    pub(crate) fn choice<T: Copy>(
        &self,
        name: &'static str,
        words: &[(&str, T)],
    ) -> Result<T, ArgsError> {
        let list: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let wanted = format!("one of {}", list.join(", "));
        let read = |text: &str| words.iter().find(|(word, _)| *word == text).map(|(_, t)| *t);
        let value = self.typed(name, read, &wanted)?;
        Ok(value.expect("an option with choices has a default in the table"))
    }

    /// All `prefix.NAME=value` pairs.
    pub(crate) fn map(&self, prefix: &str) -> Vec<(String, String)> {
        let dotted = format!("{prefix}.");
        let tail = |name: &str| name.strip_prefix(&dotted).map(str::to_owned);
        let pairs = self.values.iter();
        pairs.filter_map(|(name, given)| Some((tail(name)?, given.text.clone()))).collect()
    }

    /// Every option of the command with its value and origin, in table order; maps last.
    pub(crate) fn all(&self) -> Vec<(String, Given)> {
        let plain = options_of(self.command).filter(|row| row.kind != Kind::Map).map(|row| {
            let default = row.default.unwrap_or("None").to_owned();
            let default = Given { text: default, origin: Origin::Default };
            (row.name.to_owned(), self.given(row.name).cloned().unwrap_or(default))
        });
        let dotted = self.values.iter().filter(|(name, _)| name.contains('.'));
        plain.chain(dotted.map(|(name, given)| (name.clone(), given.clone()))).collect()
    }

    /// The error for a value that was understood but is not valid here.
    pub(crate) fn bad(&self, name: &str, wanted: impl Into<String>) -> ArgsError {
        let default = Given { text: "None".to_owned(), origin: Origin::Default };
        let given = self.values.get(name).cloned().unwrap_or(default);
        ArgsError::BadValue {
            name: name.to_owned(),
            found: given.text,
            wanted: wanted.into(),
            origin: given.origin,
        }
    }

    fn typed<T>(
        &self,
        name: &'static str,
        read: impl Fn(&str) -> Option<T>,
        wanted: &str,
    ) -> Result<Option<T>, ArgsError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        read(&text).map(Some).ok_or_else(|| self.bad(name, wanted))
    }
}

/// A TOML value as the text one would type; a table gives dotted names.
pub(crate) fn flat(name: &str, value: &toml::de::DeValue<'_>) -> Option<Vec<(String, String)>> {
    use toml::de::DeValue;
    let text = match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(switch) => if *switch { "True" } else { "False" }.to_owned(),
        DeValue::Table(table) => {
            let pairs = table.iter().map(|(key, value)| {
                let dotted = format!("{name}.{}", key.get_ref());
                flat(&dotted, value.get_ref())
            });
            return pairs.collect::<Option<Vec<_>>>().map(|pairs| pairs.concat());
        }
        DeValue::Datetime(_) | DeValue::Array(_) => return None,
    };
    Some(vec![(name.to_owned(), text)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::parse;

    fn layers(line: &str, environment: &[(&str, &str)], file: &str) -> Result<Layers, ArgsError> {
        let args: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        let words = parse(&args)?;
        let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let environment = environment.iter().map(own).collect();
        Layers::stack(words.command, &words.options, &environment, Some(("run.toml", file)))
    }

    #[test]
    fn the_command_line_wins_over_environment_over_file_over_default() {
        let file = "# mine\nseed = 1\nconcurrency = 2\nduration = 3.5\n[headers]\nX-Team = 'a'\n";
        let environment = [("TRIE_CONCURRENCY", "4"), ("TRIE_SEED", "5")];
        let layers = layers("run seed=6", &environment, file).unwrap();
        let shown = |name: &str| {
            let all = layers.all();
            let (_, given) = all.iter().find(|(other, _)| other == name).unwrap();
            (given.text.clone(), given.origin.label())
        };
        let pair = |text: &str, label: &str| (text.to_owned(), label.to_owned());
        assert_eq!(shown("seed"), pair("6", "command line"));
        assert_eq!(shown("concurrency"), pair("4", "environment TRIE_CONCURRENCY"));
        assert_eq!(shown("duration"), pair("3.5", "run.toml:4"));
        assert_eq!(shown("timeout"), pair("600", "default"));
        assert_eq!(layers.map("headers"), [("X-Team".to_owned(), "a".to_owned())]);
    }

    #[test]
    fn a_wrong_value_names_its_place_and_what_would_be_right() {
        let check = |line: &str, file: &str, expected: &str| {
            let layers = layers(line, &[("TRIE_TIMEOUT", "soon")], file);
            let message = match layers {
                Ok(layers) => {
                    let whole = layers.whole("concurrency", 1).map(|_| ());
                    whole.and_then(|()| layers.seconds("timeout").map(|_| ())).unwrap_err()
                }
                Err(error) => error,
            };
            assert_eq!(message.to_string().lines().next(), Some(expected));
        };
        let wanted = "a whole number, at least 1";
        check("run concurrency=0", "", &format!("`concurrency=0` is not valid: {wanted}"));
        check(
            "run",
            "\nconcurrency = 'many'",
            &format!("run.toml:2: `concurrency=many` is not valid: {wanted}"),
        );
        check(
            "run concurrency=1",
            "",
            "environment variable TRIE_TIMEOUT: `timeout=soon` is not valid: \
             seconds, a number greater than 0",
        );
        check("run", "concurency = 1", "run.toml:1: unknown option `concurency=`");
        check("run", "a = [1]", "run.toml:1: `a` needs a plain value");
        check("run seed=1 seed=2", "", "`seed` is given twice on the command line: `1` and `2`");
    }

    #[test]
    fn an_options_own_word_none_is_not_pythons() {
        let scope = |value: &str| {
            let layers = layers(&format!("run cache_scope={value}"), &[], "").unwrap();
            layers.choice("cache_scope", &[("run", 1), ("none", 2)]).unwrap()
        };
        assert_eq!((scope("none"), scope("None"), scope("null")), (2, 1, 1));
    }

    #[test]
    fn pythons_none_means_the_default() {
        let layers = layers("run seed=None num_gpus=None timeout=None", &[], "").unwrap();
        assert_eq!(layers.whole("seed", 0), Ok(None));
        assert_eq!(layers.whole("num_gpus", 1), Ok(None));
        assert_eq!(layers.seconds("timeout"), Ok(Some(Nanos::from_secs(600))));
    }
}
