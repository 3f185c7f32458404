//! Renders a conversation with a model's chat template: `render TOKENIZER CONVERSATION [TEMPLATE]`.
//!
//! The conversation is a JSON file with `messages` and `tools`, as in a request to a chat endpoint but that
//! the schema of a tool is JSON as text; `now` fixes the date, and `arguments` may be `text`. The prompt
//! goes to standard output, byte for byte, to be compared with that of another program.

use std::{
    env, fs,
    io::{self, Write},
    process::ExitCode,
};

use serde_json::Value;
use trie_tokens::{
    Arguments, ChatOptions, ChatTemplate, Message, Places, Role, Tool, ToolCall, Vocabulary,
};

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let rendered = match arguments.as_slice() {
        [tokenizer, conversation] => render(tokenizer, conversation, None),
        [tokenizer, conversation, template] => render(tokenizer, conversation, Some(template)),
        _ => Err("usage: render TOKENIZER CONVERSATION [TEMPLATE]".into()),
    };
    match rendered.and_then(|prompt| Ok(io::stdout().write_all(prompt.as_bytes())?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where nothing can be written there is nowhere to say so.
            drop(writeln!(io::stderr(), "render: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn render(tokenizer: &str, conversation: &str, file: Option<&str>) -> Result<String, Failure> {
    let places = Places { offline: true, ..Places::default() };
    let vocabulary = Vocabulary::load(tokenizer, &places)?;
    let template = match file {
        Some(file) => {
            let text = fs::read_to_string(file)?;
            ChatTemplate::parse(file, &text, vocabulary.special_tokens()?)?
        }
        None => vocabulary.chat_template()?.ok_or("the model has no chat template")?,
    };
    let text = fs::read_to_string(conversation)?;
    let conversation: Value = serde_json::from_str(&text)?;
    let list = |key: &str| conversation[key].as_array().cloned().unwrap_or_default();
    let messages: Vec<_> = list("messages").iter().map(message).collect();
    let tools: Vec<_> = list("tools").iter().map(tool).collect();
    let now = conversation["now"].as_str().map(str::parse).transpose()?;
    let as_text = conversation["arguments"] == "text";
    let arguments = if as_text { Arguments::Text } else { Arguments::Object };
    let options = ChatOptions { now, arguments, ..ChatOptions::default() };
    Ok(template.render(&messages, &tools, &options)?)
}

fn message(given: &Value) -> Message {
    let role = match text(&given["role"]).as_str() {
        "system" => Role::System,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        _ => Role::User,
    };
    let call = |call: &Value| ToolCall {
        id: text(&call["id"]),
        name: text(&call["function"]["name"]),
        arguments: text(&call["function"]["arguments"]),
    };
    Message {
        role,
        content: given["content"].as_str().map(str::to_owned),
        reasoning: given["reasoning_content"].as_str().map(str::to_owned),
        calls: given["tool_calls"].as_array().into_iter().flatten().map(call).collect(),
        call_id: given["tool_call_id"].as_str().map(str::to_owned),
    }
}

/// The schema is text inside the file, so that its keys keep their order.
fn tool(given: &Value) -> Tool {
    let parameters = text(&given["function"]["parameters"]);
    let function = &given["function"];
    Tool { name: text(&function["name"]), description: text(&function["description"]), parameters }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
