//! Lengths of chats: the server's count against that of our own copy of the template.

use trie_core::record::{Finding, PreflightCheck as Check};
use trie_core::units::Tokens;

use crate::clock::Clock;
use crate::content::Chat;
use crate::wire::Connector;

use super::advice;
use super::bodies::Bodies;
use super::counts::Counted;
use super::finding::{note, ok, warn};
use super::request::failure;
use super::way::Way;

/// Tokens of the chat with everything in it, where the template leaves room for so few.
const TOUR: Tokens = 256;

/// Compares the counts of questions, and that of a chat with instructions, a call and its output.
pub(super) async fn counts<C: Clock, N: Connector<C>>(
    way: &mut Way<'_, C, N>,
    bodies: &Bodies<'_>,
    chat: &Chat,
    questions: Vec<Counted>,
) -> Vec<Finding> {
    let limits = chat.limits().into_iter().map(|limit| note(Check::PromptCount, limit));
    let mut findings: Vec<_> = limits.collect();
    findings.push(judge(chat.file(), "questions", &questions));
    let Some(prompt) = bodies.tour(5, TOUR) else { return findings };
    let body = bodies.body(&prompt, 1);
    let seen = way.exchange("a chat with a tool", body, bodies.fields.stream).await;
    findings.push(if let Some(failure) = failure(&seen) {
        let found = format!("a chat with a call and its output failed: {}", advice::told(failure));
        let advice = "conversations with tools will fail like this: start the server with its \
                      flags for tools, or give it a template that takes them";
        warn(Check::PromptCount, found, advice)
    } else {
        let said = seen.usage.and_then(|usage| usage.prompt_tokens);
        let counted: Vec<_> = said.map(|said| (prompt.tokens, said)).into_iter().collect();
        judge(chat.file(), "chats with a call and its output", &counted)
    });
    findings
}

fn judge(file: &str, what: &str, counted: &[Counted]) -> Finding {
    if counted.is_empty() {
        let found = format!("the server does not say how many tokens it counts in {what}");
        return note(Check::PromptCount, found);
    }
    let same = counted.iter().all(|(planned, said)| planned == said);
    let shown = counted.iter().map(|(planned, said)| {
        if same { planned.to_string() } else { format!("{said} for {planned}") }
    });
    let shown = shown.collect::<Vec<_>>().join(" and ");
    if same {
        return ok(Check::PromptCount, format!("{what} of {shown} tokens count as planned"));
    }
    let found = format!("the server counts {shown} tokens in {what} by {file}");
    let advice = "its template is another one: pass that with chat_template=FILE, or start the \
                  server with ours (vLLM: --chat-template, llama.cpp: --chat-template-file). Where \
                  only tools are missing, sampling={\"tool_choice\": \"auto\"} may show them";
    warn(Check::PromptCount, found, advice)
}

#[cfg(test)]
mod tests {
    use trie_core::record::FindingStatus::{self, Note, Ok, Warn};

    use super::*;

    #[test]
    fn another_template_is_told_by_its_count() {
        let check = |counted: &[Counted], expected: FindingStatus, words: &str| {
            let finding = judge("t.jinja", "chats", counted);
            assert_eq!(finding.status, expected, "{finding:?}");
            assert!(finding.found.contains(words), "{finding:?}");
        };
        check(&[(40, 40), (512, 512)], Ok, "chats of 40 and 512 tokens");
        check(
            &[(40, 40), (512, 530)],
            Warn,
            "40 for 40 and 530 for 512 tokens in chats by t.jinja",
        );
        check(&[], Note, "does not say");
    }
}
