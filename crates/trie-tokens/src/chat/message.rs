//! Messages and tools, as an OpenAI-compatible server takes them.

use minijinja::Value;
use serde_json::{Map, json};

use crate::chat::{
    error::ChatError,
    template::{Absent, Arguments},
};

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The instructions before everything.
    System,
    /// The user.
    User,
    /// The model.
    Assistant,
    /// The output of a tool that the model called.
    Tool,
}

impl Role {
    /// As it is written in a message.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// A call of a tool by the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// Names the call; the message with the tool's output repeats it.
    pub id: String,
    /// The function.
    pub name: String,
    /// Its arguments as JSON text, the keys in the order they are sent.
    pub arguments: String,
}

/// One message of a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said; `None` for an assistant that only calls tools.
    pub content: Option<String>,
    /// What an assistant thought first, where the server keeps it apart.
    pub reasoning: Option<String>,
    /// The tools that an assistant calls.
    pub calls: Vec<ToolCall>,
    /// The call that a tool's output answers.
    pub call_id: Option<String>,
}

impl Message {
    /// A message of text alone.
    pub fn text(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: Some(content.into()),
            reasoning: None,
            calls: Vec::new(),
            call_id: None,
        }
    }

    /// The message in a request, its arguments as text.
    pub fn to_json(&self) -> serde_json::Value {
        let mut fields = Map::new();
        fields.insert("role".into(), json!(self.role.name()));
        fields.insert("content".into(), json!(self.content));
        if let Some(reasoning) = &self.reasoning {
            fields.insert("reasoning_content".into(), json!(reasoning));
        }
        if !self.calls.is_empty() {
            let calls = self.calls.iter().map(|ToolCall { id, name, arguments }| {
                let function = json!({"name": name, "arguments": arguments});
                json!({"id": id, "type": "function", "function": function})
            });
            fields.insert("tool_calls".into(), calls.collect());
        }
        if let Some(id) = &self.call_id {
            fields.insert("tool_call_id".into(), json!(id));
        }
        fields.into()
    }

    /// The message as a server hands it to the template.
    pub(crate) fn to_value(
        &self,
        arguments: Arguments,
        absent: Absent,
    ) -> Result<Value, ChatError> {
        let content = match (&self.content, absent) {
            (Some(text), _) => Value::from(text.as_str()),
            (None, Absent::Null) => Value::from(()),
            (None, Absent::Empty) => Value::from(""),
        };
        let mut fields = vec![("role", Value::from(self.role.name())), ("content", content)];
        if let Some(reasoning) = &self.reasoning {
            // Templates read one name or the other, as `transformers` gives them.
            fields.push(("reasoning_content", Value::from(reasoning.as_str())));
            fields.push(("thinking", Value::from(reasoning.as_str())));
        }
        if !self.calls.is_empty() {
            let calls: Result<Vec<_>, _> =
                self.calls.iter().map(|call| call.to_value(arguments)).collect();
            fields.push(("tool_calls", Value::from(calls?)));
        }
        if let Some(id) = &self.call_id {
            fields.push(("tool_call_id", Value::from(id.as_str())));
        }
        Ok(Value::from_pairs(fields))
    }
}

impl ToolCall {
    fn to_value(&self, arguments: Arguments) -> Result<Value, ChatError> {
        let given = match arguments {
            Arguments::Object => {
                parse(&self.arguments, || format!("the arguments of tool call `{}`", self.id))?
            }
            Arguments::Text => Value::from(self.arguments.as_str()),
        };
        let function =
            Value::from_pairs([("name", Value::from(self.name.as_str())), ("arguments", given)]);
        Ok(Value::from_pairs([
            ("id", Value::from(self.id.as_str())),
            ("type", Value::from("function")),
            ("function", function),
        ]))
    }
}

/// A tool that the model may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// The function's name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Its parameters, a JSON Schema as JSON text, the keys in the order they are sent.
    pub parameters: String,
}

impl Tool {
    /// The tool in a request.
    ///
    /// # Errors
    ///
    /// The parameters are not JSON.
    pub fn to_json(&self) -> Result<serde_json::Value, ChatError> {
        let parameters: serde_json::Value = serde_json::from_str(&self.parameters)
            .map_err(|error| not_json(self.what(), &error))?;
        let Self { name, description, parameters: _ } = self;
        let function = json!({"name": name, "description": description, "parameters": parameters});
        Ok(json!({"type": "function", "function": function}))
    }

    /// The tool as servers hand it to the template: these keys in this order, whatever was sent.
    pub(crate) fn to_value(&self) -> Result<Value, ChatError> {
        let function = Value::from_pairs([
            ("name", Value::from(self.name.as_str())),
            ("description", Value::from(self.description.as_str())),
            ("parameters", parse(&self.parameters, || self.what())?),
        ]);
        Ok(Value::from_pairs([("type", Value::from("function")), ("function", function)]))
    }

    fn what(&self) -> String {
        format!("the schema of tool `{}`", self.name)
    }
}

/// JSON whose keys keep their order.
fn parse(text: &str, what: impl Fn() -> String) -> Result<Value, ChatError> {
    serde_json::from_str(text).map_err(|error| not_json(what(), &error))
}

fn not_json(what: String, error: &serde_json::Error) -> ChatError {
    ChatError::Json { what, message: error.to_string() }
}
