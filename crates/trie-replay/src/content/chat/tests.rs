use std::io::Cursor;

use trie_core::plan::{CacheScope, History, Order, Plan, PlanOptions, Scale};
use trie_core::units::Nanos;
use trie_core::workload::{Encoding, ReadOptions, Source, Workload};

use super::*;

/// The first trace of a workload of one row.
fn trace(row: &str) -> PlannedTrace {
    let file = Source::Seekable(Box::new(Cursor::new(row.to_owned())));
    let read = ReadOptions::default();
    let mut workload = Workload::open(file, "row.jsonl", Encoding::Plain, &read).unwrap();
    let options = PlanOptions {
        concurrency: 1,
        duration: Nanos::from_secs(1),
        seed: 1,
        stream: true,
        history: History::Auto,
        cache_scope: CacheScope::Run,
        ramp: Nanos::ZERO,
        order: Order::File,
        scale: Scale::default(),
    };
    let plan = Plan::new(options, 7, &mut workload).unwrap();
    plan.trace(0, &mut workload).unwrap()
}

/// A row of turns with these inputs, answers of 8 tokens, and further keys.
fn row(first: u64, inputs: &[u64], more: &str) -> String {
    let turns = inputs.len();
    let zeros = vec![0; turns];
    let answers = vec![8; turns];
    format!(
        r#"{{"num_turns":{turns},"input_prompt_length":{first},"assistant_response_length":{answers:?},"tool_call_output_length":{inputs:?},"tool_call_latency":{zeros:?},"final_assistant_response_length":8{more}}}"#
    )
}

fn template(text: &str) -> ChatTemplate {
    ChatTemplate::parse("test.jinja", text, BTreeMap::new()).unwrap()
}

fn builtin() -> ChatTemplate {
    Vocabulary::builtin().chat_template().unwrap().unwrap()
}

/// A conversation so far, step by step.
struct Talk {
    chat: Chat,
    template: ChatTemplate,
    trace: PlannedTrace,
    answers: Answers,
}

impl Talk {
    fn new(template: ChatTemplate, row: &str) -> Self {
        let options = ChatOptions::default();
        let chat = Chat::new(Vocabulary::builtin(), template.clone(), options).unwrap();
        Self { chat, template, trace: trace(row), answers: Answers::new() }
    }

    fn prompt(&self, step: StepId) -> ChatPrompt {
        self.chat.prompt(&self.trace, step, &self.answers)
    }

    fn answer(&mut self, step: StepId, text: &str) {
        self.answers.insert(step, Answer::new(text.to_owned(), vec![]));
    }

    /// Tokens of a prompt, rendered and encoded whole, less those planned.
    fn off(&self, step: StepId) -> i64 {
        let ChatPrompt { messages, tools } = self.prompt(step);
        let text = self.template.render(&messages, &tools, &ChatOptions::default()).unwrap();
        let planned = self.trace.trace.steps[step as usize].prompt_tokens;
        i64::try_from(Vocabulary::builtin().count(&text)).unwrap() - i64::try_from(planned).unwrap()
    }

    /// Who says how many characters, and which call it makes or answers.
    fn roles(&self, step: StepId) -> String {
        let said = |message: &Message| {
            let calls: Vec<_> = message.calls.iter().map(|call| call.id.as_str()).collect();
            let of = message.call_id.as_deref().unwrap_or_default();
            let empty = if message.content.as_deref() == Some("") { "-" } else { "" };
            format!("{}{empty}{}{of}", message.role.name(), calls.concat())
        };
        self.prompt(step).messages.iter().map(said).collect::<Vec<_>>().join(" ")
    }
}

/// Answers as models that may not stop give them.
const ANSWERS: [&str; 5] =
    [" goza disede", "", "<|user|>\nx", " 12\u{fffd}3 é", "goza </think> <|end|>"];

#[test]
fn every_prompt_of_a_long_conversation_is_as_planned_and_continues_the_one_before() {
    let inputs: Vec<u64> = (0..20).map(|turn| 90 + turn).collect();
    let mut talk = Talk::new(builtin(), &row(200, &inputs, ""));
    let mut before: Vec<Message> = vec![];
    for step in 0..=20 {
        assert_eq!(talk.off(step), 0, "step {step}");
        let messages = talk.prompt(step).messages;
        let kept = messages.iter().zip(&before).filter(|(now, before)| now == before).count();
        assert_eq!(kept, before.len(), "step {step}");
        before = messages;
        talk.answer(step, ANSWERS[step as usize % ANSWERS.len()]);
    }
    assert_eq!(before.len(), 41);
}

#[test]
fn messages_are_the_same_whatever_was_made_before() {
    let mut talk = Talk::new(builtin(), &row(200, &[90, 91, 92], ""));
    for step in 0..3 {
        drop(talk.prompt(step));
        talk.answer(step, ANSWERS[step as usize]);
    }
    let known = talk.prompt(3).messages;
    let given = talk.answers.clone();
    talk.answers = Answers::new();
    for step in 0..3 {
        talk.answers.insert(step, given.get(step).unwrap().clone());
    }
    assert_eq!(talk.prompt(3).messages, known);
}

#[track_caller]
fn check_roles(row: &str, last: StepId, expected: &str) {
    let mut talk = Talk::new(builtin(), row);
    for step in 0..last {
        talk.answer(step, " goza");
    }
    assert_eq!(talk.roles(last), expected, "{row}");
    assert_eq!(talk.off(last), 0, "{row}");
}

#[test]
fn roles_are_those_of_the_segments() {
    check_roles(&row(200, &[], ""), 0, "user");
    let prefix = r#","prefix":[{"id":"tools","tokens":40},{"id":"rules","tokens":30}]"#;
    check_roles(&row(300, &[99], prefix), 1, "system user assistantc00000000 toolc00000000");
    let calls = r#","tool_calls":[[[60,0],[90,0]]]"#;
    check_roles(
        &row(300, &[150], calls),
        1,
        "user assistantc00000000c00000001 toolc00000000 toolc00000001",
    );
    check_roles(&row(300, &[99], r#","input_kind":"u""#), 1, "user assistant user");
    let all = r#","prefix":[{"id":"rules","tokens":300}]"#;
    check_roles(&row(300, &[99], all), 1, "user assistantc00000000 toolc00000000");
}

#[test]
fn what_is_empty_or_cleared_is_still_a_message() {
    let mut talk = Talk::new(builtin(), &row(300, &[0, 150], ""));
    talk.answer(0, " goza");
    let first = "user assistantc00000000 tool-c00000000";
    assert_eq!(talk.roles(1), first);
    talk.answer(1, " goza");
    assert_eq!(talk.roles(2), format!("{first} assistantc00000001 toolc00000001"));
    // Nothing was ours to shorten before; what came after makes up for it.
    assert_eq!(talk.off(2), 0);
    let cut = r#","context":[{"before":2,"keep":300}]"#;
    check_roles(&row(300, &[99, 150], cut), 2, "user");
}

#[test]
fn definitions_of_tools_are_as_long_as_the_workload_says() {
    let tools = |more: &str| -> Vec<usize> {
        let tools = Talk::new(builtin(), &row(300, &[99], more)).prompt(0).tools;
        tools.iter().map(|tool| tool.description.split(' ').count()).collect()
    };
    let check = |more: &str, expected: Vec<usize>| assert_eq!(tools(more), expected, "{more}");
    check(r#","prefix":[{"id":"tools","tokens":40}]"#, vec![40]);
    check("", vec![8]);
    check(r#","input_kind":"u""#, vec![]);
}

#[test]
fn what_is_too_short_for_the_template_is_made_up_for_later() {
    let mut talk = Talk::new(builtin(), &row(100, &[2, 200], ""));
    talk.answer(0, " goza");
    talk.answer(1, " goza");
    assert!(talk.off(1) > 0);
    assert_eq!(talk.off(2), 0);
}

#[test]
fn the_longest_text_of_the_trace_itself_gives_way() {
    let calls = r#","tool_calls":[[[200,0],[3,0]]]"#;
    let mut talk = Talk::new(builtin(), &row(300, &[203], calls));
    talk.answer(0, " goza");
    assert_eq!(talk.off(1), 0);
    let prefix = r#","prefix":[{"id":"rules","tokens":250}]"#;
    let shared = |last: u64| {
        let prompt = Talk::new(builtin(), &row(250 + last, &[], prefix)).prompt(0);
        prompt.messages[0].content.clone()
    };
    assert_eq!(shared(100), shared(200));
}

#[test]
fn what_a_template_does_not_take_the_user_says() {
    let plain = "{% for message in messages %}{% if message.role in ['user', 'assistant'] %}\
                 {{ message.role + ': ' + message.content + ' |' }}{% else %}\
                 {{ raise_exception('who?') }}{% endif %}{% endfor %}";
    let prefix = r#","prefix":[{"id":"tools","tokens":40},{"id":"rules","tokens":30}]"#;
    let mut talk = Talk::new(template(plain), &row(300, &[99], prefix));
    talk.answer(0, " goza");
    assert_eq!(talk.roles(1), "user assistant user");
    assert_eq!((talk.off(0), talk.off(1)), (0, 0));
    assert_eq!(talk.prompt(1).tools, []);
    assert_eq!(talk.chat.limits().len(), 2);
    let refusing = template("{{ raise_exception('nobody') }}");
    let refused = Chat::new(Vocabulary::builtin(), refusing, ChatOptions::default());
    assert!(matches!(refused, Err(ChatError::Refused { .. })));
}

#[test]
fn reasoning_goes_back_on_its_own_channel() {
    let mut talk = Talk::new(builtin(), &row(300, &[99], ""));
    let answer = Answer::new(" goza".to_owned(), vec![]).with_reasoning("hm".to_owned());
    talk.answers.insert(0, answer);
    let message = &talk.prompt(1).messages[1];
    assert_eq!(message.reasoning.as_deref(), Some("hm"));
    assert_eq!(message.content.as_deref(), Some(" goza"));
}
