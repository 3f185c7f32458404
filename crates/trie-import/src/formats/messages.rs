//! Arrays of messages: conversations without lengths and times.

use serde_json::Value;

use crate::bodies::prompt;
use crate::content::Role;
use crate::fidelity::Event;
use crate::format::{Context, Format, Reader, Wrong};
use crate::threads::Threads;
use crate::value::{list, text};

/// Conversations as arrays.
pub(crate) const FORMAT: Format = Format {
    name: "messages",
    title: "Arrays of chat messages: one conversation a line, as data sets and fine-tuning files have them",
    known_by: "`messages` with roles, or a list of objects with `role` and `content`",
    expresses: "a request for each answer; what conversations share; parallel tool calls",
    lost: "messages: no time is recorded, so waits are 0 s; no length is recorded, so all are counted",
    time_unit: "none",
    page: "importing.md",
    recognise: |head| {
        head.any(|record| {
            let of_role = |message: &Value| message.get("role").is_some();
            let whole = list(record, &["messages"]).iter().any(of_role);
            let bare = of_role(record) && record.get("content").is_some();
            (whole || bare)
                && record.get("request").is_none()
                && record.get("output_length").is_none()
        })
    },
    reader: || Box::new(Arrays::default()),
};

#[derive(Default)]
struct Arrays(Threads);

impl Reader for Arrays {
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        match record.as_array() {
            // A list of conversations, or one conversation.
            Some(items) if items.iter().any(|item| item.get("messages").is_some()) => {
                for item in items {
                    self.take(item, context);
                }
            }
            Some(_) => {
                let mut body = serde_json::Map::new();
                body.insert("messages".to_owned(), record.clone());
                self.take(&Value::Object(body), context);
            }
            None => self.take(record, context),
        }
        Ok(())
    }

    fn held(&self) -> usize {
        self.0.held()
    }

    fn finish(self: Box<Self>, context: &mut Context<'_>) {
        self.0.finish(context);
    }
}

impl Arrays {
    fn take(&mut self, record: &Value, context: &mut Context<'_>) {
        let messages = prompt(record, context.measure());
        if messages.iter().all(|message| message.role != Role::Assistant) {
            context.fidelity.count(Event::NoAnswer, 1);
            return;
        }
        let mut session = ["session_id", "conversation_id", "id"].iter();
        let session = session.find_map(|key| text(record, &[key]).map(str::to_owned));
        self.0.array(session.as_deref(), &messages, context);
    }
}
