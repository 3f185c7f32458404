//! Chat templates are found, rendered as Python renders them, and filled to an exact length.

use std::{collections::BTreeMap, fs, path::Path, sync::OnceLock};

use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;
use trie_tokens::{
    Absent, Arguments, ChatError, ChatOptions, ChatTemplate, Composer, Message, Part, PartPlace,
    Places, Role, Tally, Tool, ToolCall, Turn, Vocabulary,
};

use crate::sample::{Kind, bytes, tokenizer_json};

const TOOLS: &str = include_str!("templates/tools.jinja");
const INSTRUCTIONS: &str = include_str!("templates/instructions.jinja");

const KINDS: [Kind; 3] = [Kind::ByteLevel, Kind::Marked, Kind::Prepended];

fn template(text: &str) -> ChatTemplate {
    let tokens = [("bos_token", "<s>"), ("eos_token", "</s>")];
    let tokens = tokens.map(|(name, token)| (name.to_owned(), token.to_owned()));
    ChatTemplate::parse("sample.jinja", text, BTreeMap::from(tokens)).unwrap()
}

/// A sample vocabulary, certified once for all tests.
fn vocabulary(kind: Kind) -> Vocabulary {
    static LOADED: [OnceLock<Vocabulary>; 3] = [const { OnceLock::new() }; 3];
    let load = || Vocabulary::from_bytes("sample", &bytes(&tokenizer_json(kind)), None).unwrap();
    let at = KINDS.iter().position(|other| *other == kind).unwrap();
    LOADED[at].get_or_init(load).clone()
}

fn call(id: usize) -> ToolCall {
    let arguments = format!(r#"{{"query": "é", "n": [{id}, 1.0, null]}}"#);
    ToolCall { id: format!("call_{id}"), name: "find".to_owned(), arguments }
}

fn calling(content: Option<&str>, id: usize) -> Message {
    Message {
        role: Role::Assistant,
        content: content.map(str::to_owned),
        reasoning: None,
        calls: vec![call(id)],
        call_id: None,
    }
}

fn output(content: &str, id: usize) -> Message {
    let call_id = Some(format!("call_{id}"));
    Message { call_id, ..Message::text(Role::Tool, content) }
}

/// What `transformers` 5.23 made of the same template, messages and tools.
#[test]
fn a_tool_conversation_renders_as_python_renders_it() {
    let messages = [
        Message::text(Role::System, " Be brief. \n"),
        Message::text(Role::User, "a <b> & 'c'"),
        calling(Some("so</think>\n\nthen"), 1),
        output("first", 1),
        output("second\n", 2),
        calling(None, 3),
        Message::text(Role::User, "and?"),
    ];
    let parameters = r#"{"type": "object", "a": {"é": true}}"#.to_owned();
    let (name, description) = ("find".to_owned(), "Finds \"it\".".to_owned());
    let tools = [Tool { name, description, parameters }];
    let rendered = template(TOOLS).render(&messages, &tools, &ChatOptions::default()).unwrap();
    assert_eq!(rendered, include_str!("templates/tools.expected"));
}

/// What a small template makes of one message.
#[track_caller]
fn check_rendered(text: &str, expected: &str) {
    let message = [Message { content: None, ..calling(None, 7) }];
    let rendered = template(text).render(&message, &[], &ChatOptions::default());
    assert_eq!(rendered.unwrap(), expected, "{text}");
}

#[test]
fn python_constructs_mean_what_they_mean_in_python() {
    check_rendered("{{ messages[0].content is iterable }}", "False");
    check_rendered("{{ 'x' is iterable and {} is iterable and [] is sequence }}", "True");
    check_rendered("{{ none }} {{ true }} {{ 1.0 }} {{ tools }}", "None True 1.0 None");
    check_rendered("{{ messages[0].get('absent', 'no') }}", "no");
    check_rendered("a\n{%- generation -%}\n b {% endgeneration %}\nc", "ab c");
    check_rendered(
        "{% for i in range(9) %}{% if i > 2 %}{% break %}{% endif %}{{ i }}{% endfor %}",
        "012",
    );
    check_rendered(
        "{{ messages[0].tool_calls[0] | tojson }}",
        r#"{"id": "call_7", "type": "function", "function": {"name": "find", "arguments": {"query": "é", "n": [7, 1.0, null]}}}"#,
    );
}

#[test]
fn a_server_s_way_to_hand_over_messages_is_followed() {
    let text =
        "{{ messages[0].content }}|{{ messages[0].tool_calls[0].function.arguments is string }}";
    let render = |absent, arguments| {
        let options = ChatOptions { absent, arguments, ..ChatOptions::default() };
        template(text).render(&[calling(None, 1)], &[], &options).unwrap()
    };
    assert_eq!(render(Absent::Null, Arguments::Object), "None|False");
    assert_eq!(render(Absent::Empty, Arguments::Text), "|True");
}

#[test]
fn variables_of_the_request_reach_the_template() {
    let variables = BTreeMap::from([("thinking".to_owned(), json!({"on": false}))]);
    let options = ChatOptions { variables, generation_prompt: false, ..ChatOptions::default() };
    let text = "{{ thinking.on }} {{ add_generation_prompt }}";
    assert_eq!(template(text).render(&[], &[], &options).unwrap(), "False False");
}

#[test]
fn the_date_is_the_one_that_was_fixed() {
    let dated = template("{{ strftime_now('%d %b %Y') }}");
    assert!(dated.prints_date() && !template(TOOLS).prints_date());
    let options =
        ChatOptions { now: Some("2026-07-04T09:08:07".parse().unwrap()), ..ChatOptions::default() };
    assert_eq!(dated.render(&[], &[], &options).unwrap(), "04 Jul 2026");
    let error = dated.render(&[], &[], &ChatOptions::default()).unwrap_err();
    assert!(error.to_string().contains("no date was fixed"), "{error}");
}

#[test]
fn errors_name_the_template_and_the_line() {
    let broken = ChatTemplate::parse("sample.jinja", "a\n{% if %}", BTreeMap::new()).unwrap_err();
    assert!(matches!(broken, ChatError::Syntax { line: 2, .. }), "{broken}");
    assert!(broken.to_string().starts_with("sample.jinja:2: "), "{broken}");
    let options = ChatOptions::default();
    let failed = template("a\nb\n{{ none.x.y }}").render(&[], &[], &options).unwrap_err();
    assert!(matches!(failed, ChatError::Render { line: 3, .. }), "{failed}");
    let twice = [Message::text(Role::User, "a"), Message::text(Role::User, "b")];
    let refused = template(INSTRUCTIONS).render(&twice, &[], &options).unwrap_err();
    let ChatError::Refused { line: 10, message, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!(message, "roles must take turns, found user");
}

#[test]
fn arguments_that_are_no_json_are_refused_by_name() {
    let mut message = calling(None, 1);
    message.calls[0].arguments = "{".to_owned();
    let error = template(TOOLS).render(&[message], &[], &ChatOptions::default()).unwrap_err();
    assert!(
        error.to_string().starts_with("the arguments of tool call `call_1` is not JSON"),
        "{error}"
    );
}

/// What is rendered by the template of a folder with these files, and the file it was read from.
#[track_caller]
fn check_found(files: &[(&str, &Value)], with_tools: bool, expected: Option<(&str, &str)>) {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("tokenizer.json"), bytes(&tokenizer_json(Kind::ByteLevel)))
        .unwrap();
    for (name, content) in files {
        let text = content.as_str().map_or_else(|| content.to_string(), str::to_owned);
        fs::write(folder.path().join(name), text).unwrap();
    }
    let name = folder.path().to_str().unwrap();
    let vocabulary = Vocabulary::load(name, &Places::default()).unwrap();
    let found = vocabulary.chat_template().unwrap().map(|template| {
        let parameters = "{}".to_owned();
        let tool = Tool { name: String::new(), description: String::new(), parameters };
        let tools = if with_tools { &[tool][..] } else { &[] };
        let rendered = template.render(&[], tools, &ChatOptions::default()).unwrap();
        let file = Path::new(template.file()).strip_prefix(folder.path()).unwrap();
        (file.to_str().unwrap().to_owned(), rendered)
    });
    let expected = expected.map(|(file, text)| (file.to_owned(), text.to_owned()));
    assert_eq!(found, expected);
}

#[test]
fn a_template_is_found_where_models_keep_it() {
    let config = "tokenizer_config.json";
    let named = |name: &str, text: &str| json!({"name": name, "template": text});
    let one = json!({"chat_template": "{{ bos_token }}one", "bos_token": {"content": "<s>"}});
    let several = json!({"chat_template": [named("tool_use", "tools"), named("default", "plain")]});
    let (none, null) = (json!({}), json!({"chat_template": null}));
    let file = json!("{{ bos_token }}file");
    check_found(&[], false, None);
    check_found(&[(config, &none)], false, None);
    check_found(&[(config, &null)], false, None);
    check_found(&[(config, &one)], true, Some((config, "<s>one")));
    check_found(&[(config, &several)], false, Some((config, "plain")));
    check_found(&[(config, &several)], true, Some((config, "tools")));
    let both = [(config, &one), ("chat_template.jinja", &file)];
    check_found(&both, false, Some(("chat_template.jinja", "<s>file")));
}

#[test]
fn a_config_whose_template_cannot_be_used_is_refused() {
    let config = bytes(&json!({"chat_template": [{"name": "rag", "template": ""}]}));
    let file = bytes(&tokenizer_json(Kind::ByteLevel));
    let vocabulary = Vocabulary::from_bytes("sample", &file, Some(&config)).unwrap();
    let error = vocabulary.chat_template().unwrap_err();
    assert!(error.to_string().starts_with("tokenizer_config.json: "), "{error}");
}

fn filled(role: Role, key: u128, tokens: u64) -> Turn {
    Turn::new(role, vec![Part::Filled { key, range: 0..tokens }])
}

/// The tokens of the whole prompt, as a server counts them.
fn counted(vocabulary: &Vocabulary, text: &str, composer: &Composer, turns: &[Turn]) -> u64 {
    let messages = composer.messages(turns);
    let prompt = template(text).render(&messages, composer.tools(), &ChatOptions::default());
    vocabulary.count(&prompt.unwrap()) as u64
}

/// A chat that grows by an answer and what follows it, every prompt of which is as long as planned.
fn check_growing(kind: Kind, text: &str, answers: &[String], after: Role) {
    let vocabulary = vocabulary(kind);
    let tools = if after == Role::Tool {
        vec![Composer::tool(&vocabulary, "find", 5, 40)]
    } else {
        Vec::new()
    };
    let composer = Composer::new(vocabulary.clone(), template(text), tools, ChatOptions::default());
    let mut turns = vec![filled(Role::System, 1, 30), filled(Role::User, 2, 1)];
    let (mut tally, mut planned) = (Tally::default(), 700);
    for (at, answer) in answers.iter().enumerate() {
        composer.fit(&mut turns, planned, &mut tally).unwrap();
        assert_eq!(counted(&vocabulary, text, &composer, &turns), planned, "{kind:?} {turns:?}");
        let fresh = composer.count(&turns, &mut Tally::default()).unwrap();
        assert_eq!(fresh, planned, "a tally changes the count");
        let mut answered = Turn::new(Role::Assistant, vec![Part::Text(answer.clone())]);
        let mut next = filled(after, 10 + at as u128, 1);
        if after == Role::Tool {
            answered.calls.push(call(at));
            next.call_id = Some(call(at).id);
        }
        turns.extend([answered, next]);
        planned += 200 + answer.len() as u64;
    }
}

#[test]
fn every_prompt_of_a_tool_conversation_of_twenty_turns_is_exact() {
    let answers: Vec<_> = (0..20).map(|at| " kalo".repeat(at) + "x </think>\n\n tinu ").collect();
    for kind in KINDS {
        check_growing(kind, TOOLS, &answers, Role::Tool);
        check_growing(kind, TOOLS, &answers, Role::User);
        check_growing(kind, INSTRUCTIONS, &answers, Role::User);
    }
}

#[test]
fn the_template_of_the_built_in_vocabulary_fits_every_length() {
    let vocabulary = Vocabulary::builtin();
    let template = vocabulary.chat_template().unwrap().unwrap();
    let tools = vec![Composer::tool(&vocabulary, "find", 5, 40)];
    let options = ChatOptions::default();
    let composer = Composer::new(vocabulary.clone(), template.clone(), tools, options.clone());
    let mut answered = Turn::new(Role::Assistant, vec![Part::Text("x kalo 7 ".to_owned())]);
    answered.calls.push(call(1));
    let mut output = filled(Role::Tool, 3, 1);
    output.call_id = Some(call(1).id);
    let mut turns = [filled(Role::System, 1, 30), filled(Role::User, 2, 40), answered, output];
    let mut tally = Tally::default();
    let smallest = composer.count(&turns, &mut tally).unwrap();
    for planned in smallest..smallest + 60 {
        composer.fit(&mut turns, planned, &mut tally).unwrap();
        let messages = composer.messages(&turns);
        let prompt = template.render(&messages, composer.tools(), &options).unwrap();
        assert_eq!(vocabulary.count(&prompt) as u64, planned);
    }
}

#[test]
fn any_part_of_ours_can_be_the_one_that_gives_way() {
    let vocabulary = vocabulary(Kind::ByteLevel);
    let options = ChatOptions::default();
    let composer = Composer::new(vocabulary.clone(), template(TOOLS), Vec::new(), options);
    let mut turns = [filled(Role::System, 1, 30), filled(Role::User, 2, 9)];
    let place = |turn| PartPlace { turn, part: 0 };
    composer.fit_part(&mut turns, place(0), 90, &mut Tally::default()).unwrap();
    assert_eq!(turns[1], filled(Role::User, 2, 9));
    assert_eq!(counted(&vocabulary, TOOLS, &composer, &turns), 90);
    let nowhere = composer.fit_part(&mut turns, place(2), 90, &mut Tally::default());
    assert_eq!(nowhere, Err(ChatError::NothingOurs));
}

#[test]
fn a_plan_too_short_for_the_template_names_the_smallest_prompt() {
    for kind in KINDS {
        let vocabulary = vocabulary(kind);
        let composer =
            Composer::new(vocabulary.clone(), template(TOOLS), Vec::new(), ChatOptions::default());
        let mut turns = [filled(Role::User, 2, 9)];
        let mut tally = Tally::default();
        let error = composer.fit(&mut turns, 3, &mut tally).unwrap_err();
        let ChatError::TooShort { planned: 3, smallest } = error else { panic!("{error}") };
        composer.fit(&mut turns, smallest, &mut tally).unwrap();
        assert_eq!(turns, [filled(Role::User, 2, 1)]);
        assert_eq!(counted(&vocabulary, TOOLS, &composer, &turns), smallest);
    }
}

#[test]
fn a_chat_without_text_of_ours_cannot_be_fitted() {
    let composer = Composer::new(
        vocabulary(Kind::ByteLevel),
        template(TOOLS),
        Vec::new(),
        ChatOptions::default(),
    );
    let mut turns = [Turn::new(Role::User, vec![Part::Text("hello".to_owned())])];
    let fitted = composer.fit(&mut turns, 50, &mut Tally::default());
    assert_eq!(fitted, Err(ChatError::NothingOurs));
}

#[test]
fn a_message_of_several_segments_is_filled_in_order() {
    let vocabulary = vocabulary(Kind::ByteLevel);
    let composer =
        Composer::new(vocabulary.clone(), template(TOOLS), Vec::new(), ChatOptions::default());
    let parts = [(1, 3..5), (2, 0..0), (2, 0..2)];
    let parts = parts.map(|(key, range)| Part::Filled { key, range });
    let messages = composer.messages(&[Turn::new(Role::User, parts.to_vec())]);
    let mut expected = String::new();
    vocabulary.openers().fill_text(1, 3..4, &mut expected);
    vocabulary.stable().fill_text(1, 4..5, &mut expected);
    vocabulary.stable().fill_text(2, 0..2, &mut expected);
    assert_eq!(messages, [Message::text(Role::User, expected)]);
}

/// Answers as models give them when they may not stop: pieces of words, spaces, marks, special tokens.
fn answer() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z]{1,3}",
        " [a-z]{1,4}",
        Just(" the".to_owned()),
        Just(" kalo".to_owned()),
        "[ \n\t]{1,3}",
        "[.,!?\"'(){}0-9]{1,3}",
        Just("</think>\n\n".to_owned()),
        Just("<|end|>".to_owned()),
        Just("<s>".to_owned()),
        "[é中🙂]",
    ];
    prop::collection::vec(piece, 0..9).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn prompts_are_exact_whatever_the_model_answers(
        answers in prop::collection::vec(answer(), 1..5),
        kind in prop::sample::select(KINDS.to_vec()),
        after in prop::sample::select(vec![Role::Tool, Role::User]),
    ) {
        check_growing(kind, TOOLS, &answers, after);
    }

    #[test]
    fn an_answer_between_segments_is_recounted_without_its_context(
        answer in answer(),
        kind in prop::sample::select(vec![None, Some(Kind::ByteLevel), Some(Kind::Marked), Some(Kind::Prepended)]),
        key: u128,
        before in 2_u64..6,
        after in 1_u64..6,
    ) {
        let vocabulary = kind.map_or_else(Vocabulary::builtin, vocabulary);
        let text = |range| {
            let mut text = String::new();
            vocabulary.stable().fill_text(key, range, &mut text);
            text
        };
        let whole = [text(0..before), answer.clone(), text(before..before + after)].concat();
        let recounted =
            vocabulary.recount(&text(before - 1..before), &answer, &text(before..before + 1));
        let others = usize::try_from(before - 1 + after - 1).unwrap();
        prop_assert_eq!(vocabulary.count(vocabulary.prompt_text(&whole)), recounted + others);
    }
}
